//! Determines the tags, labels and annotations of one image.

use std::collections::BTreeMap;

use thiserror::Error;

use super::{
    Known,
    images::{ImageSpec, Purpose},
    labels,
};
use crate::{
    domain::tag::Tag,
    inputs::typed::NameInputs,
    tags::{
        Movement, Subject, TagError, Tagged,
        language::TagInputs,
        names::{Facts, RenderError},
        tags_for,
    },
};

/// Tags, labels and annotations of one image.
#[derive(Debug, Default)]
pub(super) struct Metadata {
    /// The first tag is the version. Empty if no rule matches the event.
    pub(super) tags: Vec<Tag>,
    /// Which of the tags move.
    pub(super) movement: Movement,
    pub(super) labels: BTreeMap<String, String>,
    /// Keyed by BuildKit's level and name.
    pub(super) annotations: BTreeMap<String, String>,
    /// Build arguments.
    pub(super) args: Vec<(String, String)>,
    /// Warnings for the user.
    pub(super) warnings: Vec<String>,
    /// Notices for the user.
    pub(super) notices: Vec<String>,
}

/// Why an image's tags, labels or annotations are invalid.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum MetadataError {
    /// Invalid tag rules.
    #[error("{}: {reason}", origin(image.as_deref()))]
    Tags {
        /// The image, if it has its own rules.
        image: Option<String>,
        /// The error.
        reason: TagError,
    },
    /// An invalid expression in a label or annotation.
    #[error("input `{input}`: {reason}")]
    Expression {
        /// The input.
        input: &'static str,
        /// The error.
        reason: RenderError,
    },
}

impl MetadataError {
    /// Returns the hint, in the imperative.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Tags { reason, .. } => reason.hint(),
            Self::Expression { reason, .. } => reason.hint(),
        }
    }
}

/// Names the input that contains an image's rules.
fn origin(image: Option<&str>) -> String {
    image.map_or_else(|| "input `tags`".to_owned(), |image| format!("input `images`, `tags` of `{image}`"))
}

/// Determines the metadata of one image. The input `labels` overrides the input `images`, which overrides the compose file.
/// An image that is only a context gets just these labels and not the standard ones, since images built on it inherit them.
pub(super) fn metadata(spec: &ImageSpec, names: &NameInputs, known: Known<'_>) -> Result<Metadata, MetadataError> {
    let facts = Facts::new(known.event, &names.tags, known.now);
    let own = TagInputs { rules: spec.tags.clone(), ..names.tags.clone() };
    let subject = Subject { event: known.event, facts: &facts, git_tags: known.git_tags };
    let inputs = if spec.tags.is_empty() { &names.tags } else { &own };
    let tagged = match tags_for(inputs, &subject) {
        Ok(tagged) => tagged,
        // It is not pushed, so it needs no tags.
        Err(_) if spec.purpose == Purpose::Context => Tagged::default(),
        Err(reason) => {
            let image = (!spec.tags.is_empty()).then(|| spec.name.clone());
            return Err(MetadataError::Tags { image, reason });
        }
    };
    let version = tagged.tags.first().map(Tag::as_str).unwrap_or_default();
    let facts = facts.clone().with_version(version);
    let expression = |input| move |reason| MetadataError::Expression { input, reason };
    let mut args = spec.build.args.clone();
    for (_, value) in args.iter_mut().filter(|(name, _)| spec.args_of_inputs.contains(name)) {
        *value = facts.render(value).map_err(expression("build-args"))?;
    }
    let mut written: BTreeMap<String, String> = spec.build.labels.iter().cloned().collect();
    written.extend(labels::rendered(&spec.labels, &facts).map_err(expression("images"))?);
    for line in &names.labels {
        written.extend(labels::line(line, &facts).map_err(expression("labels"))?);
    }
    if spec.purpose == Purpose::Context {
        return Ok(Metadata { labels: written, args, ..Metadata::default() });
    }
    let movement = Movement::new(inputs, known.event, known.now, &tagged);
    let mut warnings = tagged.warnings;
    if tagged.tags.is_empty() {
        warnings.push(format!("image `{}` has no tag, because no rule of `tags` matches this event", spec.name));
    }
    let standard = labels::standard(known.event, &facts, version);
    let mut labels = standard.clone();
    labels.append(&mut written);
    let annotations = labels::annotations(&standard, &names.annotations, &names.annotation_levels, &facts)
        .map_err(expression("annotations"))?;
    let annotations = without_index(annotations, spec, &mut warnings);
    Ok(Metadata { tags: tagged.tags, movement, labels, annotations, args, warnings, notices: tagged.notices })
}

/// Removes annotations of an index if the image has none: BuildKit would reject them, and only after the build. Docker's
/// own action attests by default, so its images always have an index.
fn without_index(
    mut annotations: BTreeMap<String, String>,
    spec: &ImageSpec,
    warnings: &mut Vec<String>,
) -> BTreeMap<String, String> {
    let build = &spec.build;
    let before = annotations.len();
    if build.platforms.len() < 2 && build.provenance.is_none() && build.sbom.is_none() {
        annotations.retain(|key, _| !key.starts_with("index:") && !key.starts_with("index-descriptor:"));
    }
    if annotations.len() < before {
        warnings.push(format!(
            "image `{}`: annotations of the level `index` are ignored, because an image for one platform without attestations has \
             no index; to create one, set `provenance: mode=min`",
            spec.name
        ));
    }
    annotations
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::without_index;
    use crate::{compose::Build, plan::images::ImageSpec};

    #[test]
    fn an_annotation_of_an_index_needs_one() {
        let kept = |build: Build| {
            let spec = ImageSpec { name: "web".into(), build, ..ImageSpec::default() };
            let keys = ["index:a", "index-descriptor:a", "manifest:a", "manifest-descriptor:a"];
            let all: BTreeMap<String, String> = keys.iter().map(|key| ((*key).to_owned(), String::new())).collect();
            let mut warnings = Vec::new();
            (without_index(all, &spec, &mut warnings).len(), warnings.len())
        };
        assert_eq!(kept(Build::default()), (2, 1));
        assert_eq!(kept(Build { platforms: vec!["linux/arm64".into()], ..Build::default() }), (2, 1));
        let platforms = vec!["linux/arm64".into(), "linux/amd64".into()];
        assert_eq!(kept(Build { platforms, ..Build::default() }), (4, 0));
        assert_eq!(kept(Build { provenance: Some("mode=min".into()), ..Build::default() }), (4, 0));
        assert_eq!(kept(Build { sbom: Some(String::new()), ..Build::default() }), (4, 0));
    }
}
