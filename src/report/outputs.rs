//! The outputs of the step.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use crate::domain::{
    digest::Digest,
    event::ImageResult,
    outcome::RunOutcome,
    publication::TagResult,
    run::{ImageState, ImageStatus, RunState},
};

/// Every output and what it says, in the order of `action.yml`.
pub const OUTPUTS: &[(&str, &str)] = &[
    (
        "images",
        "JSON list, one object an image: `name`, `services`, `repository`, `tags` (full references), `digest`, `ref`, \
         `platforms`, `size` (compressed bytes), `duration` (seconds), `steps`, `cached`, `pushed`, `changed`, `previous` \
         (digest that the first tag pointed to before) and `previous_size`.",
    ),
    ("digests", "JSON map from image name to digest."),
    ("digest", "Digest of the first image."),
    ("ref", "`repository@digest` of the first image."),
    ("tags", "Every full reference, one a line; of a run that pushes, only those that point to its images."),
    ("version", "The first tag."),
    ("changed", "`true` if any image differs from what its first tag pointed to before."),
    ("result", "`success`, `failure` or `cancelled`."),
    (
        "superseded",
        "`true` if a newer commit of the branch is published already, so that the tags that move stayed where they are.",
    ),
    (
        "message-id",
        "Id of the message, for a later `command: notify`; with several channels that can be edited, one a line.",
    ),
    ("run-url", "The link that the messages carry."),
    ("deployment-id", "Number of the GitHub deployment, with the input `environment`."),
    ("duration", "Seconds that the run took."),
];

/// One image in the output `images`. What is not known is null.
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

/// All outputs with their values, [`OUTPUTS`]' names in its order. What a failed run does not know is empty.
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

/// The full references: of an image that is to be pushed, only those that point to it.
fn tags(state: &ImageState) -> Vec<String> {
    match &state.publication {
        Some(publication) => publication.published().map(TagResult::reference).collect(),
        None if state.publishes => Vec::new(),
        None => state.destinations.names().map(|(repository, tag)| format!("{repository}:{tag}")).collect(),
    }
}

/// Seconds with one digit after the point.
fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10.0).round() / 10.0
}

fn json(value: &impl Serialize) -> String {
    // These types have text keys only, so they always serialise.
    serde_json::to_string(value).unwrap_or_default()
}
