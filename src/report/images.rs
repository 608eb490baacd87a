//! The table of images in the summary and in the comment on a pull request.

use crate::domain::{
    event::ImageResult,
    run::{ImageState, ImageStatus, RunState},
};

use super::{human, markdown::code};

/// Maximum number of names or tags in a cell.
const MOST: usize = 20;

/// The result of an image's build, if it finished.
pub(super) fn result(image: &ImageState) -> Option<&ImageResult> {
    match &image.status {
        ImageStatus::Done(result) => Some(result),
        _ => None,
    }
}

/// The outcome of an image in words.
pub(super) fn outcome(image: &ImageState) -> &'static str {
    match &image.status {
        ImageStatus::Waiting => "not started",
        ImageStatus::Building => "build not finished",
        ImageStatus::Pushing => "upload not finished",
        ImageStatus::Failed(_) => "**failed**",
        ImageStatus::Cancelled => "cancelled",
        ImageStatus::Done(result) => match (result.pushed, result.changed) {
            (true, Some(true)) => "pushed, changed",
            (true, Some(false)) => "pushed, unchanged",
            (true, None) => "pushed",
            (false, _) => match &image.publication {
                Some(publication) if publication.is_complete() => "uploaded, no tag moved",
                Some(_) => "**publishing failed**",
                None if !result.loaded.is_empty() => "built, loaded into the engine",
                None if image.publishes => "built, not published",
                None => "built, not pushed",
            },
        },
    }
}

/// A cell with untrusted texts.
pub(super) fn codes<T: AsRef<str>>(texts: &[T]) -> String {
    let shown: Vec<String> = texts.iter().take(MOST).map(|text| code(text.as_ref())).collect();
    let more = if texts.len() > MOST { format!(" and {} more", texts.len() - MOST) } else { String::new() };
    shown.join(" ") + &more
}

/// A cell that may be unknown.
pub(super) fn cell(text: Option<String>) -> String {
    text.unwrap_or_else(|| "–".to_owned())
}

/// The size, and its change if the previous size is known: `45.2 MB (+1.3 MB)`.
pub(super) fn size(image: &ImageState) -> Option<String> {
    let size = human::bytes(result(image)?.size?);
    Some(match change(image) {
        Some(change) => format!("{size} ({change})"),
        None => size,
    })
}

/// The difference to the size of the previous image: `+1.3 MB`, `-20.0 kB`, `±0`.
pub(super) fn change(image: &ImageState) -> Option<String> {
    Some(difference(result(image)?.size?, previous_size(image)?))
}

fn previous_size(image: &ImageState) -> Option<u64> {
    image.previous.as_ref()?.size
}

/// The results for the tags of all images, if a tag of any image was not published; otherwise empty.
pub(super) fn tag_results(run: &RunState) -> Vec<(String, String)> {
    let all = || run.images.iter().filter_map(|image| image.publication.as_ref()).flat_map(|one| &one.tags);
    if all().all(|tag| tag.state.is_published()) {
        return Vec::new();
    }
    all().map(|tag| (tag.reference(), tag.state.label().to_owned())).collect()
}

/// The cached steps: `3/5`.
pub(super) fn cached(result: &ImageResult) -> String {
    format!("{}/{}", result.cached, result.steps)
}

/// The totals of a run: `2 images, 12 of 20 steps cached (60%), 228.7 MB (+1.3 MB)`.
pub(super) fn totals(run: &RunState) -> String {
    let results: Vec<&ImageResult> = run.images.iter().filter_map(result).collect();
    let (steps, cached) = results.iter().fold((0, 0), |(a, b), result| (a + result.steps, b + result.cached));
    let mut parts = vec![human::count(run.images.len(), "image")];
    if let Some(percent) = (cached * 100).checked_div(steps) {
        parts.push(format!("{cached} of {} cached ({percent}%)", human::count(steps, "step")));
    }
    let sizes: Option<Vec<u64>> = results.iter().map(|result| result.size).collect();
    if let Some(sizes) = sizes.filter(|sizes| !sizes.is_empty()) {
        // A registry may name any size.
        let sum = |sizes: &[u64]| sizes.iter().fold(0, |total: u64, size| total.saturating_add(*size));
        let total = sum(&sizes);
        let done = run.images.iter().filter(|image| result(image).is_some());
        let before: Option<Vec<u64>> = done.map(previous_size).collect();
        let change = before.map(|before| format!(" ({})", difference(total, sum(&before))));
        parts.push(human::bytes(total) + &change.unwrap_or_default());
    }
    parts.join(", ")
}

fn difference(now: u64, before: u64) -> String {
    match now.cmp(&before) {
        std::cmp::Ordering::Equal => "±0".to_owned(),
        std::cmp::Ordering::Greater => format!("+{}", human::bytes(now - before)),
        std::cmp::Ordering::Less => format!("-{}", human::bytes(before - now)),
    }
}

#[cfg(test)]
mod tests {
    use super::difference;

    #[test]
    fn differences_have_a_sign() {
        assert_eq!(difference(1000, 1000), "±0");
        assert_eq!(difference(46_500_000, 45_200_000), "+1.3 MB");
        assert_eq!(difference(0, 999), "-999 B");
    }
}
