//! Tags, labels and annotations of one image.

use std::collections::BTreeMap;

use thiserror::Error;

use super::{
    Known,
    images::{ImageSpec, Purpose},
    labels,
    tags::{Facts, RenderError, Subject, Tag, TagError, tags_for},
};
use crate::inputs::{rules::TagInputs, typed::NameInputs};

/// Tags, labels and annotations of one image.
#[derive(Debug, Default)]
pub(super) struct Metadata {
    /// The first is the version. May be none with rules of which none fits.
    pub(super) tags: Vec<Tag>,
    pub(super) labels: BTreeMap<String, String>,
    /// By BuildKit's level and name.
    pub(super) annotations: BTreeMap<String, String>,
    /// What the user should know.
    pub(super) warnings: Vec<String>,
}

/// Why an image's tags, labels or annotations cannot be told.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum MetadataError {
    /// The rules for tags.
    #[error("{}: {reason}", origin(image.as_deref()))]
    Tags {
        /// The image, if it has rules of its own.
        image: Option<String>,
        /// Why.
        reason: TagError,
    },
    /// An expression in a label or annotation.
    #[error("input `{input}`: {reason}; correct the expression")]
    Expression {
        /// The input.
        input: &'static str,
        /// Why.
        reason: RenderError,
    },
}

/// Where an image's rules stand.
fn origin(image: Option<&str>) -> String {
    image.map_or_else(|| "input `tags`".to_owned(), |image| format!("input `images`, `tags` of `{image}`"))
}

/// Decides them. Labels of the input `labels` win over those of the input `images`, which win over the compose file's.
/// What goes nowhere has these alone, since what is built upon it inherits them.
pub(super) fn metadata(spec: &ImageSpec, names: &NameInputs, known: Known<'_>) -> Result<Metadata, MetadataError> {
    let facts = Facts::new(known.event, &names.tags, known.now);
    let rendered = |input, written: &[_]| {
        labels::rendered(written, &facts).map_err(|reason| MetadataError::Expression { input, reason })
    };
    let mut written: BTreeMap<String, String> = spec.build.labels.iter().cloned().collect();
    written.extend(rendered("images", &spec.labels)?);
    written.extend(rendered("labels", &names.labels)?);
    if spec.purpose == Purpose::Context {
        return Ok(Metadata { labels: written, ..Metadata::default() });
    }
    let own = TagInputs { rules: spec.tags.clone(), ..names.tags.clone() };
    let subject = Subject { event: known.event, facts: &facts, git_tags: known.git_tags };
    let tagged = tags_for(if spec.tags.is_empty() { &names.tags } else { &own }, &subject).map_err(|reason| {
        let image = (!spec.tags.is_empty()).then(|| spec.name.clone());
        MetadataError::Tags { image, reason }
    })?;
    let mut warnings = tagged.warnings;
    if tagged.tags.is_empty() {
        warnings.push(format!("image `{}` gets no tag: no rule of `tags` fits this event", spec.name));
    }
    let version = tagged.tags.first().map(Tag::as_str).unwrap_or_default();
    let standard = labels::standard(known.event, &facts, version);
    let mut labels = standard.clone();
    labels.append(&mut written);
    let annotations = labels::annotations(&standard, &names.annotations, &names.annotation_levels, &facts)
        .map_err(|reason| MetadataError::Expression { input: "annotations", reason })?;
    Ok(Metadata { tags: tagged.tags, labels, annotations, warnings })
}
