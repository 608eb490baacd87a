//! The outputs of the step.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use crate::domain::{
    deploy::DeployReport,
    digest::Digest,
    event::ImageResult,
    outcome::RunOutcome,
    publication::TagResult,
    run::{ImageState, ImageStatus, RunState, TargetState},
};

/// Every output with its description, in the order of `action.yml`.
pub const OUTPUTS: &[(&str, &str)] = &[
    (
        "images",
        "JSON list with one object per image: `name`, `services`, `repository`, `tags` (full references), `digest`, `ref`, \
         `platforms`, `size` (compressed bytes), `duration` (seconds), `steps`, `cached`, `pushed`, `changed`, `previous` \
         (previous digest of the first tag) and `previous_size`.",
    ),
    ("digests", "JSON map from the names of the images to their digests."),
    ("digest", "Digest of the first image."),
    ("ref", "`repository@digest` of the first image."),
    ("tags", "Full references, one per line. If images are pushed, only the tags that point to them."),
    ("version", "First tag of the first image."),
    ("plan", "JSON of the plan, like `build-deploy plan --format json`; only with `command: plan`."),
    ("labels", "Labels of the first image, `name=value`, one per line; only with `command: plan`."),
    ("changed", "`true` if any image differs from the previous image of its first tag."),
    ("result", "`success`, `failure` or `cancelled`."),
    (
        "superseded",
        "`true` if a newer commit of the branch is already published, so that tags such as `latest` were not moved.",
    ),
    (
        "message-id",
        "Id of the message, for a later `command: notify`. One line for each channel whose messages can be edited.",
    ),
    ("run-url", "URL of the run."),
    (
        "deployment-id",
        "Id of the GitHub deployment of the input `environment`, otherwise of the first target with an `environment`.",
    ),
    (
        "deploy-result",
        "JSON list with one object per deploy target: `name`, `kind`, `result` (`unchanged`, `deployed`, \
         `failed-rolled-back`, `failed-not-rolled-back`, `superseded`, `migration-failed`, `locked`, `cancelled` or \
         `skipped`), `services` (from service to `image`, `digest` and `previous`), `url`, `duration`, `reason` and `by_hand`.",
    ),
    ("duration", "Duration of the run in seconds."),
];

/// One image in the output `images`. Unknown values are null.
#[derive(Serialize)]
struct Image<'a> {
    name: &'a str,
    services: &'a [String],
    repository: &'a str,
    tags: Vec<String>,
    digest: Option<&'a str>,
    #[serde(rename = "ref")]
    reference: Option<String>,
    platforms: &'a [String],
    size: Option<u64>,
    duration: Option<f64>,
    steps: usize,
    cached: usize,
    pushed: bool,
    changed: Option<bool>,
    previous: Option<&'a str>,
    previous_size: Option<u64>,
}

/// All outputs with their values, in the order of [`OUTPUTS`]. Values that are unknown after a failure are empty.
pub fn outputs(run: &RunState, message_id: Option<&str>) -> Vec<(&'static str, String)> {
    let images: Vec<Image<'_>> = run.images.iter().map(image).collect();
    let digests: BTreeMap<&str, &str> = images.iter().filter_map(|image| Some((image.name, image.digest?))).collect();
    let first = images.first();
    let tags: Vec<&str> = images.iter().flat_map(|image| &image.tags).map(String::as_str).collect();
    let (result, duration) = match &run.outcome {
        Some((RunOutcome::Success, duration)) => ("success", Some(*duration)),
        Some((RunOutcome::Cancelled, duration)) => ("cancelled", Some(*duration)),
        Some((RunOutcome::Failure(_) | RunOutcome::TimedOut, duration)) => ("failure", Some(*duration)),
        None => ("", None),
    };
    let value = |name: &str| match name {
        "images" => json(&images),
        "digests" => json(&digests),
        "digest" => first.and_then(|image| image.digest).unwrap_or_default().to_owned(),
        "ref" => first.and_then(|image| image.reference.clone()).unwrap_or_default(),
        "tags" => tags.join("\n"),
        "version" => run.images.first().and_then(|image| image.destinations.version()).unwrap_or_default().to_owned(),
        "changed" => images.iter().any(|image| image.changed == Some(true)).to_string(),
        "result" => result.to_owned(),
        "superseded" => run.superseded.is_some().to_string(),
        "message-id" => message_id.unwrap_or_default().to_owned(),
        "run-url" => run.info.run_url.clone(),
        "deployment-id" => {
            run.deployments.iter().find_map(|deployment| deployment.id).map_or_else(String::new, |id| id.to_string())
        }
        "deploy-result" => {
            let reports: Vec<&DeployReport> = run.targets.iter().filter_map(TargetState::report).collect();
            if reports.is_empty() { String::new() } else { json(&reports) }
        }
        "duration" => duration.map_or_else(String::new, |duration| seconds(duration).to_string()),
        _ => String::new(),
    };
    OUTPUTS.iter().map(|(name, _)| (*name, value(name))).collect()
}

fn image(state: &ImageState) -> Image<'_> {
    let result: Option<&ImageResult> = match &state.status {
        ImageStatus::Done(result) => Some(result),
        _ => None,
    };
    let digest = result.and_then(|result| result.digest.as_ref()).map(Digest::as_str);
    let previous = state.previous.as_ref();
    Image {
        name: &state.name,
        services: &state.services,
        repository: state.destinations.repository.as_str(),
        tags: tags(state),
        digest,
        reference: digest.map(|digest| format!("{}@{digest}", state.destinations.repository)),
        platforms: result.map(|result| result.platforms.as_slice()).unwrap_or_default(),
        size: result.and_then(|result| result.size),
        duration: result.map(|result| seconds(result.duration)),
        steps: result.map_or(0, |result| result.steps),
        cached: result.map_or(0, |result| result.cached),
        pushed: result.is_some_and(|result| result.pushed),
        changed: result.and_then(|result| result.changed),
        previous: previous
            .and_then(|previous| previous.digest.as_ref())
            .filter(|_| state.publishes)
            .map(Digest::as_str),
        previous_size: previous.and_then(|previous| previous.size),
    }
}

/// The full references. If the image is pushed, only the tags that point to it.
fn tags(state: &ImageState) -> Vec<String> {
    match &state.publication {
        Some(publication) => publication.published().map(TagResult::reference).collect(),
        None if state.publishes => Vec::new(),
        None => state.destinations.names().map(|(repository, tag)| format!("{repository}:{tag}")).collect(),
    }
}

/// Seconds with one decimal.
fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10.0).round() / 10.0
}

fn json(value: &impl Serialize) -> String {
    // Serializing these types cannot fail, since their keys are strings.
    serde_json::to_string(value).unwrap_or_default()
}
