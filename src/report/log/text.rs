//! The texts of results, diagnostics and failures. They may contain untrusted text; the log escapes it.

use crate::{
    domain::{
        diagnostic::{Diagnostic, Severity},
        event::ImageResult,
        failure::Failure,
        publication::Publication,
    },
    report::human,
};

pub(super) fn result_text(name: &str, result: &ImageResult) -> String {
    let built = if result.uploaded { "built and uploaded" } else { "built" };
    let mut parts = vec![format!("✓ {name}: {built}"), human::duration(result.duration)];
    if result.steps > 0 {
        parts.push(format!("{} of {} cached", result.cached, human::count(result.steps, "step")));
    }
    parts.extend(result.size.map(human::bytes));
    parts.extend(result.digest.as_ref().map(ToString::to_string));
    parts.extend((!result.loaded.is_empty()).then(|| format!("loaded as {}", result.loaded.join(", "))));
    parts.join(", ")
}

/// The results for an image's tags: one line per repository, or one per state if a tag was not published as planned.
pub(super) fn publication_lines(publication: &Publication) -> Vec<String> {
    if !publication.is_complete() {
        let groups = publication.by_state().into_iter();
        return groups.map(|(state, references)| format!("tags {state}: {}", references.join(", "))).collect();
    }
    let mut lines: Vec<(&str, Vec<&str>)> = Vec::new();
    for tag in publication.published() {
        match lines.iter_mut().find(|(repository, _)| *repository == tag.repository) {
            Some((_, tags)) => tags.push(&tag.tag),
            None => lines.push((&tag.repository, vec![&tag.tag])),
        }
    }
    lines.into_iter().map(|(repository, tags)| format!("published {repository}: {}", tags.join(", "))).collect()
}

pub(super) fn diagnostic_text(diagnostic: &Diagnostic) -> String {
    let word = match diagnostic.severity {
        Severity::Notice => "notice",
        Severity::Warning => "warning",
        Severity::Error => "error",
    };
    let place = diagnostic.place.as_ref().map_or_else(String::new, |p| format!(" ({}:{})", p.file, p.line));
    format!("{word}: {}: {}{place}", diagnostic.title, diagnostic.message)
}

pub(super) fn failure_text(failure: &Failure) -> String {
    let of_image = failure.image().map(|image| format!(" of {image}"));
    let of = of_image.or_else(|| failure.target().map(|target| format!(" to {target}"))).unwrap_or_default();
    let headline = format!("\n✗ {}{of} failed: {}", failure.stage.word(), failure.headline);
    let place = failure.place.as_ref().map(|place| format!("  {}:{}", place.file, place.line));
    let instruction = failure.instruction.as_ref().map(|instruction| format!("  {instruction}"));
    let exit_code = failure.exit_code.map(|code| format!("  exit code {code}"));
    let log = failure.log.iter().map(|line| format!("  │ {line}"));
    let hint = failure.hint.as_ref().map(|hint| format!("  → {hint}"));
    let facts = [Some(headline), place, instruction, exit_code].into_iter().flatten();
    facts.chain(log).chain(hint).collect::<Vec<_>>().join("\n")
}
