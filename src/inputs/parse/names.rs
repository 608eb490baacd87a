//! Parses the inputs of the group "Names and tags".

use super::{GHCR, Reader};
use crate::{
    domain::{credentials::as_in_images, repository::is_registry_host},
    inputs::{
        error::InputError,
        typed::{Annotation, AnnotationLevel, NameInputs},
        values::{boolean, pair},
    },
    tags::language::{self, Dialect, Flavor, LineError, PullRequestSha, ShaInputs, TagInputs, number},
};

/// Environment variables of docker/metadata-action, for workflows that used it before.
const SHORT_SHA_LENGTH: &str = "DOCKER_METADATA_SHORT_SHA_LENGTH";
const PR_HEAD_SHA: &str = "DOCKER_METADATA_PR_HEAD_SHA";
const ANNOTATIONS_LEVELS: &str = "DOCKER_METADATA_ANNOTATIONS_LEVELS";

impl Reader<'_> {
    pub(super) fn names(&mut self) -> NameInputs {
        NameInputs {
            registry: self.registry_host(),
            image_names: self.list("image-name"),
            tags: self.tags(),
            labels: self.written_lines("labels"),
            annotations: self.annotations(),
            annotation_levels: self.annotation_levels(),
        }
    }

    fn registry_host(&mut self) -> String {
        let written = self.raw.get("registry").unwrap_or(GHCR);
        let host = as_in_images(written);
        if !is_registry_host(&host) {
            let hint = "use a host such as `ghcr.io`, and set the rest of the name with `image-name`";
            self.reject("registry", written, "is not a host", hint);
        }
        host
    }

    /// Returns the dialect of the tag language, as selected by `tag-compat`.
    pub(super) fn dialect(&self) -> Dialect {
        match self.raw.get("tag-compat").and_then(boolean) {
            Some(true) => Dialect::Exact,
            Some(false) | None => Dialect::Repaired,
        }
    }

    fn tags(&mut self) -> TagInputs {
        // Reports a value that is not a boolean.
        self.boolean("tag-compat");
        let dialect = self.dialect();
        let read = match language::read(self.raw.get("tags").unwrap_or_default(), dialect) {
            Ok(read) => read,
            Err(errors) => {
                self.mistakes.extend(errors.into_iter().map(|error| mistake("tags", error)));
                language::ParsedRules::default()
            }
        };
        for message in read.warnings {
            self.warn("rule", message);
        }
        let flavor = Flavor::read(self.raw.get("flavor").unwrap_or_default(), dialect);
        TagInputs {
            rules: read.rules,
            flavor: flavor.unwrap_or_else(|errors| {
                self.mistakes.extend(errors.into_iter().map(|error| mistake("flavor", error)));
                Flavor::default()
            }),
            dialect,
            sha: self.sha(),
        }
    }

    fn sha(&mut self) -> ShaInputs {
        let head = self.env.var(PR_HEAD_SHA).is_some_and(|text| text.to_ascii_lowercase().contains("true"));
        let length = match self.env.var(SHORT_SHA_LENGTH) {
            None => ShaInputs::LENGTH,
            Some(text) => number(text).map_or_else(
                || {
                    let problem = format!("is the value of {SHORT_SHA_LENGTH}, but not a number");
                    self.reject("tags", text, problem, "use a number such as `7`, or remove the variable");
                    ShaInputs::LENGTH
                },
                // A hash has at most 40 digits, and a negative length counts as 0.
                |number| (0..=40).rev().find(|length| f64::from(*length) <= number).map_or(0, usize_of),
            ),
        };
        ShaInputs { length, of_pull_request: if head { PullRequestSha::Head } else { PullRequestSha::Merge } }
    }

    /// Returns lines of the form `name=value`. docker/metadata-action ignores lines without `=`.
    fn written_lines(&mut self, input: &str) -> Vec<String> {
        let dialect = self.dialect();
        let lines = language::lines(self.raw.get(input).unwrap_or_default(), dialect).unwrap_or_else(|error| {
            self.mistakes.push(mistake(input, error));
            Vec::new()
        });
        let mut all = Vec::new();
        for (_, line) in lines {
            if pair(&line).is_none() && dialect == Dialect::Repaired {
                self.reject(input, &line, "is not of the form `name=value`", "write one `name=value` per line");
                continue;
            }
            if !line.contains(['=', '{']) {
                self.warn("no value", format!("`{input}`: `{line}` has no `=` and is ignored"));
            }
            all.push(line);
        }
        all
    }

    /// Returns image annotations. The input is a list of them, unless it is a boolean, which controls the annotations
    /// of the run.
    fn annotations(&mut self) -> Vec<Annotation> {
        if self.raw.get("annotations").and_then(boolean).is_some() {
            return Vec::new();
        }
        let mut all = Vec::new();
        for line in self.written_lines("annotations") {
            let Some((before, rest)) = line.split_once(':').filter(|(before, _)| !before.contains('=')) else {
                all.push(Annotation { levels: Vec::new(), line });
                continue;
            };
            match (before.split(',').map(AnnotationLevel::read).collect(), self.dialect()) {
                (Some(levels), _) => all.push(Annotation { levels, line: rest.to_owned() }),
                // docker/metadata-action treats an unknown level as part of the name.
                (None, Dialect::Exact) => all.push(Annotation { levels: Vec::new(), line }),
                (None, Dialect::Repaired) => {
                    let hint = format!("use one of {}", AnnotationLevel::WORDS.join(", "));
                    self.reject("annotations", &line, "has an unknown level before the `:`", hint);
                }
            }
        }
        all
    }

    fn annotation_levels(&mut self) -> Vec<AnnotationLevel> {
        let text = self.env.var(ANNOTATIONS_LEVELS).unwrap_or("manifest");
        text.split(',').map(AnnotationLevel::read).collect::<Option<_>>().unwrap_or_else(|| {
            let hint = format!("use a list of {}", AnnotationLevel::WORDS.join(", "));
            let problem = format!("is the value of {ANNOTATIONS_LEVELS}, but has an unknown level");
            self.reject("annotations", text, problem, hint);
            Vec::new()
        })
    }

    /// Whether to show annotations of the run: the input `annotations` as a boolean.
    pub(super) fn annotations_shown(&self) -> bool {
        self.raw.get("annotations").and_then(boolean).unwrap_or(true)
    }
}

fn usize_of(length: u8) -> usize {
    length.into()
}

fn mistake(input: &str, error: LineError) -> InputError {
    InputError::shown(input, &error.written, error.problem, error.hint).at_line(error.line)
}
