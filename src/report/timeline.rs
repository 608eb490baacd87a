//! The timeline of a build: a Gantt chart in Mermaid, which GitHub renders, and the slowest steps.
//!
//! Syntax: <https://mermaid.js.org/syntax/gantt.html>. The names of steps are untrusted, since anyone can change a Dockerfile
//! in a pull request. Only letters, digits and a few harmless characters of them are shown, and each name is preceded by a
//! dot or number, so that no line begins with a keyword.

use std::{cmp::Reverse, fmt::Write as _, time::Duration};

use crate::domain::{
    event::StepOutcome,
    run::{ImageState, ImageStatus, RunState, StepState, is_dockerfile_step},
};

/// Minimum duration of a visible bar.
const SHORTEST: Duration = Duration::from_millis(500);
/// Maximum number of bars per image, and in the chart, so that it remains readable.
const MOST_OF_IMAGE: usize = 12;
const MOST: usize = 60;
/// Maximum length of a bar's name in characters.
const LONGEST_NAME: usize = 48;
/// The chart counts from midnight of this day, on which no time zone changes its clocks.
const DAY: &str = "2001-01-10";

/// A slow step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slow<'a> {
    /// Name of the image.
    pub(super) image: &'a str,
    /// Name of the step.
    pub(super) step: &'a str,
    /// Its duration.
    pub(super) time: Duration,
}

struct Bar {
    name: String,
    kind: &'static str,
    began: Duration,
    time: Duration,
}

/// The chart in a code fence; `None` if no step took long enough to be visible.
pub(super) fn chart(run: &RunState) -> Option<String> {
    let (_, end) = run.outcome.as_ref()?;
    let rows: Vec<(&ImageState, Vec<Bar>)> = run.images.iter().map(|image| (image, bars(image, *end))).collect();
    if rows.iter().all(|(_, bars)| bars.is_empty()) {
        return None;
    }
    let axis = if *end < Duration::from_hours(1) { "%M:%S" } else { "%H:%M:%S" };
    let longest = rows.iter().map(|(image, _)| harmless(&image.name).chars().count()).max().unwrap_or_default();
    let left = 7 * longest.clamp(9, LONGEST_NAME) + 12;
    let mut text = format!(
        "```mermaid\n%%{{init: {{\"gantt\": {{\"leftPadding\": {left}}}}}}}%%\ngantt\n    dateFormat YYYY-MM-DD HH:mm:ss.SSS\n    axisFormat {axis}\n    todayMarker off\n"
    );
    let mut room = MOST;
    for (image, bars) in rows.iter().filter(|(_, bars)| !bars.is_empty()) {
        let shown = bars.len().min(room);
        room -= shown;
        if shown > 0 {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "    section {}", harmless(&image.name));
        }
        for Bar { name, kind, began, time } in bars.iter().take(shown) {
            let millis = time.as_millis().max(1);
            let _ = writeln!(text, "    {name} :{kind}{}, {millis}ms", at(*began));
        }
    }
    text.push_str("```\n");
    Some(text)
}

/// The steps that took longest, slowest first, at most `most`.
pub(super) fn slowest(run: &RunState, most: usize) -> Vec<Slow<'_>> {
    let mut all: Vec<Slow<'_>> = Vec::new();
    for image in &run.images {
        let ran = image.dockerfile_steps().filter_map(|(_, step)| Some((step, step.outcome.as_ref()?.1)));
        all.extend(ran.map(|(step, time)| Slow { image: &image.name, step: &step.name, time }));
    }
    all.retain(|slow| slow.time >= SHORTEST);
    all.sort_by_key(|slow| Reverse(slow.time));
    all.truncate(most);
    all
}

/// The longest bars of an image, in the order of their start.
fn bars(image: &ImageState, end: Duration) -> Vec<Bar> {
    let until = image.ended.unwrap_or(end);
    // An export includes the push, which has its own bar.
    let steps = image.steps.iter().filter(|step| !step.name.starts_with("exporting "));
    let mut bars: Vec<Bar> = steps.filter_map(|step| bar(step, until)).collect();
    let push = image.pushing.map(|began| Bar {
        name: "push".to_owned(),
        kind: if matches!(image.status, ImageStatus::Done(_)) { "active, " } else { "crit, " },
        began,
        time: until.saturating_sub(began),
    });
    bars.extend(push);
    bars.retain(|bar| bar.time >= SHORTEST);
    bars.sort_by_key(|bar| Reverse(bar.time));
    bars.truncate(MOST_OF_IMAGE);
    bars.sort_by_key(|bar| bar.began);
    bars
}

fn bar(step: &StepState, until: Duration) -> Option<Bar> {
    let (kind, time) = match &step.outcome {
        Some((StepOutcome::Cached, _)) => return None,
        Some((StepOutcome::Done, time)) => ("", *time),
        Some((StepOutcome::Failed(_), time)) => ("crit, ", *time),
        Some((StepOutcome::Cancelled, time)) => ("done, ", *time),
        None => ("done, ", until.saturating_sub(step.began)),
    };
    Some(Bar { name: name(&step.name), kind, began: step.began, time })
}

/// `[build 2/5] RUN make` as `2/5 build RUN make`, and BuildKit's own `[internal] load x` as `· internal load x`.
fn name(step: &str) -> String {
    let inside = step.strip_prefix('[').and_then(|rest| rest.split_once(']')).filter(|_| is_dockerfile_step(step));
    let Some((head, rest)) = inside else { return format!("· {}", harmless(step)) };
    let (stage, number) = head.rsplit_once(' ').unwrap_or(("", head));
    format!("{} {}", harmless(number), harmless(&format!("{stage} {rest}")))
}

/// The text without characters that have a meaning in a chart. Never empty.
fn harmless(text: &str) -> String {
    let kept = text.chars().map(|character| {
        let fits = character.is_alphanumeric() || matches!(character, '.' | '/' | '_' | '-' | '+' | '=');
        if fits { character } else { ' ' }
    });
    let kept: String = kept.take(4 * LONGEST_NAME).collect();
    let words: Vec<&str> = kept.split_whitespace().collect();
    let whole = words.join(" ");
    match whole.char_indices().nth(LONGEST_NAME) {
        Some((end, _)) => format!("{}…", whole[..end].trim_end()),
        None if whole.is_empty() => "x".to_owned(),
        None => whole,
    }
}

fn at(since_start: Duration) -> String {
    // No run takes a day; a longer time is cut at midnight.
    let seconds = since_start.as_secs().min(86_399);
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{DAY} {hours:02}:{minutes:02}:{rest:02}.{:03}", since_start.subsec_millis())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{at, harmless, name};

    #[test]
    fn names_keep_what_tells_and_nothing_that_means_something() {
        assert_eq!(
            name("[build 2/12] RUN pip install -r requirements.txt"),
            "2/12 build RUN pip install -r requirements.txt"
        );
        assert_eq!(name("[ 2/12] COPY . /app"), "2/12 COPY . /app");
        assert_eq!(name("[internal] load build context"), "· internal load build context");
        assert_eq!(name("section x :crit, 0, 1"), "· section x crit 0 1");
        assert_eq!(
            name("[1/2] RUN echo \"#1; %%{init}\" && a:b\nsection evil"),
            "1/2 RUN echo 1 init a b section evil"
        );
        assert_eq!(harmless("；：\u{202e}"), "x");
        assert_eq!(harmless(&"é".repeat(100)).chars().count(), 49);
    }

    #[test]
    fn times_count_from_midnight() {
        assert_eq!(at(Duration::from_millis(65_250)), "2001-01-10 00:01:05.250");
        assert_eq!(at(Duration::from_hours(30)), "2001-01-10 23:59:59.000");
    }
}
