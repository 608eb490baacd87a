//! The comment on a pull request with the result of a run, as GitHub-flavored Markdown.

use std::fmt::Write as _;

use crate::domain::run::{ImageState, RunState};

use super::{
    human,
    images::{cached, cell, change, outcome, result, totals},
    markdown::{Page, code, link},
    summary::{self, failure_section},
};

/// Maximum size in bytes. GitHub rejects comments of more than 65,536 characters.
pub const LONGEST: usize = 60 << 10;

/// The invisible line that identifies the comment for later runs. It depends on `parts`, such as workflow and job.
pub fn marker(parts: &[&str]) -> String {
    let mut name = String::new();
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            name.push(' ');
        }
        for byte in part.bytes() {
            // Only characters that cannot end an HTML comment.
            if byte.is_ascii_alphanumeric() || b"./_".contains(&byte) {
                name.push(char::from(byte));
            } else {
                // Writing to a String cannot fail.
                let _ = write!(name, "%{byte:02X}");
            }
        }
    }
    format!("<!-- build-deploy {name} -->")
}

/// Renders the comment of a finished run, beginning with `marker`. At most [`LONGEST`] bytes.
pub fn body(marker: &str, run: &RunState) -> String {
    let mut page = Page::new(LONGEST);
    let (mark, label) = summary::outcome(run);
    let time = run.outcome.as_ref().map_or_else(String::new, |(_, time)| format!(" in {}", human::duration(*time)));
    page.add(&format!("{marker}\n### {mark} {label}{time}\n"));
    if let Some(failure) = run.failure() {
        page.add(&failure_section(failure, &run.info.job_url));
    }
    if let Some(note) = summary::superseded(run) {
        page.add(&format!("\n{note}\n"));
    }
    if !run.images.is_empty() {
        page.add("\n| Image | Size | Change | Time | Cached | Result |\n|---|--:|--:|--:|--:|---|\n");
        page.add_each(&run.images, row, "image");
        page.add(&format!("\n{}\n", totals(run)));
    }
    let commit = run.info.sha.get(..7).map(|sha| format!("Commit {}", code(sha)));
    let log = (!run.info.job_url.is_empty()).then(|| link("log", &run.info.job_url));
    let last: Vec<String> = commit.into_iter().chain(log).collect();
    if !last.is_empty() {
        page.add(&format!("\n{}\n", last.join(" · ")));
    }
    page.into_text()
}

fn row(image: &ImageState) -> String {
    let result = result(image);
    format!(
        "| {} | {} | {} | {} | {} | {} |\n",
        code(&image.name),
        cell(result.and_then(|result| result.size).map(human::bytes)),
        cell(change(image)),
        cell(result.map(|result| human::duration(result.duration))),
        cell(result.map(cached)),
        outcome(image),
    )
}

#[cfg(test)]
mod tests {
    use super::marker;

    #[test]
    fn a_marker_is_one_comment_whatever_its_parts() {
        assert_eq!(
            marker(&["o/r/.github/workflows/build.yml", "job"]),
            "<!-- build-deploy o/r/.github/workflows/build.yml job -->"
        );
        for evil in ["-->", "--!>", "a\nb", ">", "é"] {
            let inner = marker(&[evil]);
            let inner = inner.strip_prefix("<!--").unwrap().strip_suffix("-->").unwrap();
            assert!(!inner.contains(['-', '>', '\n']) || inner.trim_start().starts_with("build-deploy"), "{inner}");
            assert!(!inner.trim_start().trim_start_matches("build-deploy").contains(['-', '>', '<', '\n']), "{inner}");
        }
        assert_ne!(marker(&["a b"]), marker(&["a", "b"]));
    }
}
