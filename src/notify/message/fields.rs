//! The fields of a message: one per image, and the warnings. PURE.

use crate::domain::{
    diagnostic::Severity,
    event::{ImageResult, StepOutcome},
    failure::Failure,
    outcome::RunOutcome,
    run::{ImageState, ImageStatus, RunState, is_dockerfile_step},
    tag::Tag,
};

use super::{Field, Line, Span, duration, size};

/// The field of one image. If the message explains the image's failure in its own block, the field does not repeat it.
pub(super) fn image_field(image: &ImageState, run: &RunState) -> Field {
    let explained = run.failure().and_then(Failure::image) == Some(&image.name);
    let (emoji, mut lines) = match &image.status {
        ImageStatus::Waiting => ("🕓", vec![vec![Span::text("waiting")]]),
        ImageStatus::Building => ("🔨", vec![at_step("building", image)]),
        ImageStatus::Pushing => ("📤", vec![pushing(image)]),
        ImageStatus::Done(result) => done(image, result, run),
        ImageStatus::Failed(_) if explained => ("❌", vec![vec![Span::text("failed")]]),
        ImageStatus::Failed(failure) => ("❌", vec![vec![Span::text(format!("failed: {}", failure.headline))]]),
        ImageStatus::Cancelled if matches!(run.outcome, Some((RunOutcome::TimedOut, _))) => {
            ("⏹️", vec![at_step("not finished", image)])
        }
        ImageStatus::Cancelled => ("⏹️", vec![vec![Span::text("cancelled")]]),
    };
    let others = image.services.iter().any(|service| *service != image.name);
    if others {
        lines.push(vec![Span::text(format!("used by {}", image.services.join(", ")))]);
    }
    Field { emoji: emoji.into(), name: image.name.clone(), lines }
}

/// `building · step 5/12 · RUN pip install …`.
fn at_step(label: &str, image: &ImageState) -> Line {
    let mut line = vec![Span::text(label)];
    let running = |dockerfile: bool| {
        let mut steps = image.steps.iter().rev();
        steps.find(|step| step.outcome.is_none() && is_dockerfile_step(&step.name) == dockerfile)
    };
    if let Some(step) = running(true) {
        // `is_dockerfile_step` ensures that the name has the form `[…] instruction`.
        let (number, instruction) = step.name.trim_start_matches('[').split_once(']').unwrap_or(("", &step.name));
        let (stage, number) = number.trim().rsplit_once(' ').unwrap_or(("", number.trim()));
        let stage = if stage.trim().is_empty() { String::new() } else { format!(" ({})", stage.trim()) };
        line.push(Span::text(format!(" · step {number}{stage} · ")));
        line.push(Span::code(instruction.trim()));
    } else if let Some(step) = running(false) {
        line.extend([Span::text(" · "), Span::code(step.name.trim_start_matches("[internal] "))]);
    }
    line
}

fn pushing(image: &ImageState) -> Line {
    let (mut steps, mut cached) = (0, 0);
    for (_, step) in image.dockerfile_steps() {
        steps += 1;
        cached += usize::from(matches!(step.outcome, Some((StepOutcome::Cached, _))));
    }
    let mut line = vec![Span::text("built, uploading to "), Span::code(image.destinations.repository.as_str())];
    if steps > 0 {
        line.push(Span::text(format!(" · {cached} of {steps} steps cached")));
    }
    line
}

fn done(image: &ImageState, result: &ImageResult, run: &RunState) -> (&'static str, Vec<Line>) {
    let broken = image.publication.as_ref().filter(|publication| !publication.is_complete());
    let (emoji, label) = match (result.pushed, result.changed) {
        (true, Some(false)) => ("✅", "pushed, unchanged"),
        (true, _) => ("✅", "pushed"),
        (false, _) if broken.is_some() => ("❌", "publishing failed"),
        (false, _) if image.publication.is_some() => ("✅", "uploaded, no tag moved"),
        (false, _) if !image.publishes => ("✅", "built, not pushed"),
        (false, _) if run.outcome.is_none() => ("📦", "built, waiting for the other images"),
        (false, _) => ("⏹️", "built, not published"),
    };
    let mut facts = vec![label.to_owned()];
    facts.extend(result.size.map(size));
    facts.push(duration(result.duration));
    if result.steps > 0 {
        facts.push(format!("{} of {} steps cached", result.cached, result.steps));
    }
    if let Some(publication) = broken {
        let states = publication.by_state().into_iter().map(|(state, references)| {
            let mut line = vec![Span::text(format!("{state}:"))];
            line.extend(references.into_iter().flat_map(|reference| [Span::text(" "), Span::code(reference)]));
            line
        });
        return (emoji, std::iter::once(vec![Span::text(facts.join(" · "))]).chain(states).collect());
    }
    let mut names = vec![Span::code(image.destinations.repository.as_str())];
    for copy in &image.destinations.copies {
        names.extend([Span::text(" and "), Span::code(copy.as_str())]);
    }
    let kept = |tag: &&Tag| {
        let repository = image.destinations.repository.as_str();
        image.publication.as_ref().is_some_and(|one| one.is_kept(repository, tag.as_str()))
    };
    let (kept, shown): (Vec<_>, Vec<_>) = image.destinations.tags.iter().partition(kept);
    for tag in shown {
        names.extend([Span::text(" "), Span::code(tag.as_str())]);
    }
    let kept = (!kept.is_empty()).then(|| {
        let tags = kept.into_iter().flat_map(|tag| [Span::text(" "), Span::code(tag.as_str())]);
        std::iter::once(Span::text("kept at a newer image:")).chain(tags).collect()
    });
    let digest = result.digest.as_ref().map(|digest| vec![Span::code(digest.short())]);
    (emoji, [vec![Span::text(facts.join(" · "))], names].into_iter().chain(kept).chain(digest).collect())
}

pub(super) fn warnings(state: &RunState) -> Option<Field> {
    const SHOWN: usize = 3;
    let all: Vec<_> = state.diagnostics.iter().filter(|d| d.severity == Severity::Warning).collect();
    let mut lines: Vec<Line> = all
        .iter()
        .take(SHOWN)
        .map(|warning| {
            let mut line = vec![Span::text(warning.title.clone())];
            if let Some(place) = &warning.place {
                line.extend([Span::text(" "), Span::code(format!("{}:{}", place.file, place.line))]);
            }
            line
        })
        .collect();
    if all.len() > SHOWN {
        lines.push(vec![Span::text(format!("and {} more", all.len() - SHOWN))]);
    }
    let name = format!("{} warning{}", all.len(), if all.len() == 1 { "" } else { "s" });
    (!all.is_empty()).then_some(Field { emoji: "⚠️".into(), name, lines })
}
