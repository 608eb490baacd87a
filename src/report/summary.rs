//! The job summary: what a run did, as GitHub-flavoured Markdown.
//!
//! Names, log lines and commit messages come from others. Short ones are drawn as `<code>` with every character
//! that could mean something written as an entity; long ones stand in a fence that they cannot close.

use std::fmt::Write as _;

use crate::{
    domain::{
        event::{Diagnostic, Ending, ImageResult, Place, Severity},
        run::{Failure, ImageState, ImageStatus, RunState},
    },
    github::untrusted::plain,
};

use super::human;

/// GitHub drops a summary of more than 1 MiB whole. Ours stays below, with room for what other writers add.
pub const LONGEST: usize = 900 << 10;

/// Longest text from others within a line, in characters.
const LONGEST_TEXT: usize = 500;
/// Most warnings that are listed.
const MOST_WARNINGS: usize = 50;

/// Draws the summary of a run that has ended. Never more than [`LONGEST`] bytes.
pub fn summary(run: &RunState) -> String {
    let mut page = Page::default();
    page.add(&headline(run));
    if let Some(failure) = run.failure() {
        page.add(&failure_section(failure));
    }
    if !run.images.is_empty() {
        page.add(
            "\n| Image | Services | Tags | Digest | Size | Time | Cached | Result |\n\
             |---|---|---|---|--:|--:|--:|---|\n",
        );
        page.add_each(&run.images, row, "image");
        page.pull_commands(run);
    }
    let warnings: Vec<&Diagnostic> = run.diagnostics.iter().filter(|one| one.severity >= Severity::Warning).collect();
    if !warnings.is_empty() {
        page.add("\n**Warnings**\n\n");
        let (shown, rest) = warnings.split_at(warnings.len().min(MOST_WARNINGS));
        page.add_each(shown, |one| warning(one), "warning");
        if !rest.is_empty() {
            page.add(&format!("- and {} more in the log\n", rest.len()));
        }
    }
    page.text
}

/// The text so far; what does not fit any more is left out.
#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    /// Room that is kept for words about what was left out.
    const MARGIN: usize = 1 << 10;

    fn add(&mut self, part: &str) -> bool {
        let fits = self.text.len() + part.len() <= LONGEST - Self::MARGIN;
        if fits {
            self.text.push_str(part);
        }
        fits
    }

    /// Adds as many as fit and says how many did not.
    fn add_each<T>(&mut self, items: &[T], draw: impl Fn(&T) -> String, thing: &str) {
        let shown = items.iter().take_while(|item| self.add(&draw(item))).count();
        if shown < items.len() {
            // The margin is kept for this line.
            let _ = write!(self.text, "\n{} more, left out here\n\n", human::count(items.len() - shown, thing));
        }
    }

    fn pull_commands(&mut self, run: &RunState) {
        let commands: Vec<String> = run
            .images
            .iter()
            .filter(|image| matches!(&image.status, ImageStatus::Done(result) if result.pushed))
            .filter_map(|image| Some(format!("docker pull {}:{}\n", image.repository, image.tags.first()?)))
            .collect();
        if !commands.is_empty() {
            let text = commands.concat();
            self.add(&format!("\n{}", fenced(text.lines())));
        }
    }
}

fn headline(run: &RunState) -> String {
    let (mark, words) = match &run.ending {
        Some((Ending::Success, _)) => ("✅", "Built"),
        Some((Ending::Failure(_), _)) => ("❌", "Failed"),
        Some((Ending::Cancelled, _)) => ("⏹️", "Cancelled"),
        Some((Ending::TimedOut, _)) => ("⏱️", "Timed out"),
        None => ("⏳", "Not finished"),
    };
    let words = match &run.ending {
        Some((Ending::Success, _)) if run.images.iter().any(|image| pushed(image).is_some_and(|r| r.pushed)) => {
            "Built and pushed"
        }
        _ => words,
    };
    let time = run.ending.as_ref().map_or_else(String::new, |(_, time)| format!(" in {}", human::duration(*time)));
    let mut line = format!("### {mark} {words}{time}\n\n");
    let parts = [
        (!run.info.ref_name.is_empty()).then(|| code(&run.info.ref_name)),
        run.info.sha.get(..7).map(code),
        (!run.info.subject.is_empty()).then(|| code(&run.info.subject)),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if !parts.is_empty() {
        line.push_str(&parts.join(" "));
        line.push('\n');
    }
    line
}

fn pushed(image: &ImageState) -> Option<&ImageResult> {
    match &image.status {
        ImageStatus::Done(result) => Some(result),
        _ => None,
    }
}

fn row(image: &ImageState) -> String {
    let codes = |texts: &[String]| {
        let shown: Vec<String> = texts.iter().take(20).map(|text| code(text)).collect();
        let more = if texts.len() > 20 { format!(" and {} more", texts.len() - 20) } else { String::new() };
        shown.join(" ") + &more
    };
    let result = pushed(image);
    let cell = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
    let outcome = match &image.status {
        ImageStatus::Waiting => "not begun",
        ImageStatus::Building => "not finished",
        ImageStatus::Pushing => "push not finished",
        ImageStatus::Failed(_) => "**failed**",
        ImageStatus::Cancelled => "stopped",
        ImageStatus::Done(result) => match (result.pushed, result.changed) {
            (true, Some(true)) => "pushed, changed",
            (true, Some(false)) => "pushed, unchanged",
            (true, None) => "pushed",
            (false, _) => "built",
        },
    };
    format!(
        "| {} | {} | {} | {} | {} | {} | {} | {outcome} |\n",
        code(&image.name),
        codes(&image.services),
        codes(&image.tags),
        cell(result.and_then(|result| result.digest.as_ref()).map(|digest| code(digest.short()))),
        cell(result.and_then(|result| result.size).map(human::bytes)),
        cell(result.map(|result| human::duration(result.duration))),
        cell(result.map(|result| format!("{}/{}", result.cached, result.steps))),
    )
}

fn failure_section(failure: &Failure) -> String {
    let of = failure.image.as_ref().map_or_else(String::new, |image| format!(" of {}", code(image)));
    let headline = format!("\n**{}{of}**: {}\n", failure.stage.word(), code(&failure.headline));
    let place = |place: &Place| format!("\nat {}\n", code(&format!("{}:{}", place.file, place.line)));
    let last = failure.log.len().saturating_sub(Failure::LOG_LINES);
    let log = failure.log.iter().skip(last).map(String::as_str);
    let parts = [
        Some(headline),
        failure.place.as_ref().map(place),
        failure.instruction.as_ref().map(|instruction| format!("\n{}", fenced(instruction.lines()))),
        failure.exit_code.map(|exit_code| format!("\nexit code {exit_code}\n")),
        (!failure.log.is_empty()).then(|| format!("\n{}", fenced(log))),
        failure.hint.as_ref().map(|hint| format!("\n→ {}\n", code(hint))),
    ];
    parts.into_iter().flatten().collect()
}

fn warning(diagnostic: &Diagnostic) -> String {
    let place = diagnostic
        .place
        .as_ref()
        .map_or_else(String::new, |place| format!(" at {}", code(&format!("{}:{}", place.file, place.line))));
    format!("- {}{place}: {}\n", code(&diagnostic.title), code(&diagnostic.message))
}

/// Text from others as code within a line. Everything but letters, digits and what can mean nothing is an entity,
/// which Markdown never takes for syntax; in `<code>` GitHub links no names, numbers or commits.
fn code(text: &str) -> String {
    let mut inner = String::new();
    for character in shortened(text).chars() {
        match character {
            ' ' | '-' => inner.push(character),
            // The addition to Markdown that links mail addresses looks at text after entities are read.
            '@' => inner.push_str("&#8203;&#64;"),
            _ if character.is_ascii_punctuation() => {
                let _ = write!(inner, "&#{};", u32::from(character));
            }
            _ => inner.push(character),
        }
    }
    format!("<code>{inner}</code>")
}

/// Lines from others in a fence that none of them closes.
fn fenced<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let lines: Vec<String> = lines.map(shortened).collect();
    let longest = lines.iter().flat_map(|line| line.split(|c| c != '`')).map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}text\n{}\n{fence}\n", lines.join("\n"))
}

/// One line without control characters, colours among them, and not too long.
fn shortened(text: &str) -> String {
    // Of a very long text not even the controls are looked at.
    let end = text.char_indices().nth(8 * LONGEST_TEXT).map_or(text.len(), |(end, _)| end);
    let mut short = plain(&text[..end]);
    if let Some((end, _)) = short.char_indices().nth(LONGEST_TEXT) {
        short.truncate(end);
        short.push('…');
    }
    short
}
