//! Reads the inputs under the heading "Names and tags".

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

/// docker/metadata-action's environment variables, for workflows that move here.
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
            let fix = "write the host alone, such as `ghcr.io`; a path belongs in `image-name`";
            self.wrong("registry", written, "is no registry host", fix);
        }
        host
    }

    /// How closely docker/metadata-action is followed.
    pub(super) fn dialect(&self) -> Dialect {
        match self.raw.get("tag-compat").and_then(boolean) {
            Some(true) => Dialect::Exact,
            Some(false) | None => Dialect::Repaired,
        }
    }

    fn tags(&mut self) -> TagInputs {
        // A value that is no boolean is told here.
        self.boolean("tag-compat");
        let dialect = self.dialect();
        let read = match language::read(self.raw.get("tags").unwrap_or_default(), dialect) {
            Ok(read) => read,
            Err(mistakes) => {
                self.mistakes.extend(mistakes.into_iter().map(|mistake| mistake.of("tags")));
                language::ParsedRules::default()
            }
        };
        for message in read.warnings {
            self.warn("rule", message);
        }
        let flavor = Flavor::read(self.raw.get("flavor").unwrap_or_default(), dialect);
        TagInputs {
            rules: read.rules,
            flavor: flavor.unwrap_or_else(|mistakes| {
                self.mistakes.extend(mistakes.into_iter().map(|mistake| mistake.of("flavor")));
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
                    self.wrong("tags", text, format!("{SHORT_SHA_LENGTH} is no number"), "write `7`, or leave it out");
                    ShaInputs::LENGTH
                },
                // No commit is longer, and less than none is none.
                |number| (0..=40).rev().find(|length| f64::from(*length) <= number).map_or(0, usize_of),
            ),
        };
        ShaInputs { length, of_pull_request: if head { PullRequestSha::Head } else { PullRequestSha::Merge } }
    }

    /// Lines `name=value`. docker/metadata-action passes over those without `=`.
    fn written_lines(&mut self, input: &str) -> Vec<String> {
        let dialect = self.dialect();
        let lines = language::lines(self.raw.get(input).unwrap_or_default(), dialect).unwrap_or_else(|mistake| {
            self.mistakes.push(mistake.of(input));
            Vec::new()
        });
        let mut all = Vec::new();
        for (_, line) in lines {
            if pair(&line).is_none() && dialect == Dialect::Repaired {
                self.wrong(input, &line, "has no `=` after a name", "write one `name=value` a line");
                continue;
            }
            if !line.contains(['=', '{']) {
                self.warn("no value", format!("`{input}`: `{line}` has no `=` and is left out"));
            }
            all.push(line);
        }
        all
    }

    /// Image annotations. The input of that name is a list of them, unless it is a switch for those of the run.
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
                // There, it is a part of the name.
                (None, Dialect::Exact) => all.push(Annotation { levels: Vec::new(), line }),
                (None, Dialect::Repaired) => {
                    let fix = format!("write one of {}", AnnotationLevel::WORDS.join(", "));
                    self.wrong("annotations", &line, "is no level before the `:`", fix);
                }
            }
        }
        all
    }

    fn annotation_levels(&mut self) -> Vec<AnnotationLevel> {
        let text = self.env.var(ANNOTATIONS_LEVELS).unwrap_or("manifest");
        text.split(',').map(AnnotationLevel::read).collect::<Option<_>>().unwrap_or_else(|| {
            let fix = format!("write a list of {}", AnnotationLevel::WORDS.join(", "));
            self.wrong("annotations", text, format!("{ANNOTATIONS_LEVELS} names a level that does not exist"), fix);
            Vec::new()
        })
    }

    /// Whether the run's own annotations are shown: the other meaning of the input `annotations`.
    pub(super) fn annotations_shown(&self) -> bool {
        self.raw.get("annotations").and_then(boolean).unwrap_or(true)
    }
}

fn usize_of(length: u8) -> usize {
    length.into()
}

impl LineError {
    /// The mistake as one of an input.
    pub(in crate::inputs) fn of(self, input: &str) -> InputError {
        InputError::shown(input, &self.written, format!("line {}: {}", self.line, self.problem), self.hint)
    }
}
