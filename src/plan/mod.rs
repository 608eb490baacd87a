//! What a run will do, decided before anything is started, and printable. Pure.

pub mod images;
pub mod labels;
pub mod metadata;
pub mod naming;
pub mod print;
pub mod tags;

use std::{collections::BTreeMap, iter};

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};
use thiserror::Error;

use self::{
    images::{ImageSpec, Purpose},
    metadata::{Metadata, MetadataError, metadata},
    naming::{Names, NamingError, Project, Repository},
    tags::Tag,
};
use crate::{
    compose::{self, Build, ContextSource},
    domain::run::{Failure, ImageState, ImageStatus, Stage},
    inputs::{
        context::{GitEvent, Target},
        typed::{Cache, CacheSpec, DiscordMode, Inputs, Moment, Push},
    },
};

/// A run, decided. Serialises to the JSON of `build-deploy plan --format json`; holds no secret value.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// What the run is for.
    pub event: EventPlan,
    /// The images, in the order of the compose file.
    pub images: Vec<ImagePlan>,
    /// Whether they are pushed.
    pub push: PushPlan,
    /// Whether they are left in the engine.
    #[serde(skip)]
    pub load: bool,
    /// Who is told.
    pub notify: Vec<NotifyPlan>,
    /// Where it is deployed.
    pub deploy: Vec<DeployPlan>,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// What a run is for.
#[derive(Clone, Debug, Serialize)]
pub struct EventPlan {
    /// The event's name.
    pub name: String,
    /// The full ref.
    #[serde(rename = "ref")]
    pub reference: String,
    /// The commit.
    pub sha: String,
    /// Whether the ref is the default branch.
    pub default_branch: bool,
    /// The run's page.
    pub run_url: String,
}

/// An image, decided.
#[derive(Clone, Debug, Serialize)]
pub struct ImagePlan {
    /// Its name: the first service that runs it.
    pub name: String,
    /// The services that run it.
    pub services: Vec<String>,
    /// The context, relative to the working directory, or a URL.
    pub context: String,
    /// The Dockerfile, relative to the working directory; `null` for an inline one.
    pub dockerfile: Option<String>,
    /// The stage.
    pub target: Option<String>,
    /// Platforms; none means the engine's.
    pub platforms: Vec<String>,
    /// Build arguments.
    pub build_args: BTreeMap<String, String>,
    /// Ids of the secrets that it may mount.
    pub secret_ids: Vec<String>,
    /// Where it is pushed.
    #[serde(serialize_with = "as_text")]
    pub repository: Repository,
    /// Under which tags; the first is the version. May be none with rules of which none fits.
    pub tags: Vec<Tag>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations, by BuildKit's level and name: `manifest:org.opencontainers.image.title`.
    pub annotations: BTreeMap<String, String>,
    /// Caches that are read, in BuildKit's syntax.
    #[serde(serialize_with = "as_csv")]
    pub cache_from: Vec<CacheSpec>,
    /// Caches that are written.
    #[serde(serialize_with = "as_csv")]
    pub cache_to: Vec<CacheSpec>,
    /// All else that the compose file and the inputs say of the build.
    #[serde(skip)]
    pub build: Build,
}

/// Whether images are pushed, and why.
#[derive(Clone, Debug, Serialize)]
pub struct PushPlan {
    /// Whether.
    pub enabled: bool,
    /// Why, in a few words.
    pub reason: String,
}

/// A channel that is told.
#[derive(Clone, Debug, Serialize)]
pub struct NotifyPlan {
    /// `discord`.
    pub kind: &'static str,
    /// `edit` or `post`.
    pub mode: &'static str,
    /// At which moments.
    pub on: Vec<&'static str>,
}

/// A deploy target. There is none yet.
#[derive(Clone, Debug, Serialize)]
pub enum DeployPlan {}

/// Why there is no plan although inputs and compose files could be read.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum PlanError {
    /// An image's name.
    #[error("image `{image}`: {reason}")]
    Name {
        /// The image.
        image: String,
        /// Why.
        reason: NamingError,
    },
    /// Two images would be pushed to the same place.
    #[error("the images `{first}` and `{second}` would both be {repository}: put `{{image}}` into `image-name`")]
    SameName {
        /// One.
        first: String,
        /// The other.
        second: String,
        /// What both would be called.
        repository: String,
    },
    /// Its tags, labels or annotations.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// Something that a later version will do.
    #[error("image `{image}`: {what} is not available in this version")]
    NotYet {
        /// The image.
        image: String,
        /// What.
        what: &'static str,
    },
}

impl From<PlanError> for Failure {
    fn from(error: PlanError) -> Self {
        Self::new(Stage::Plan, error.to_string(), None)
    }
}

/// What was found to build.
#[derive(Clone, Debug)]
pub struct Found {
    /// The images.
    pub images: Vec<ImageSpec>,
    /// Whether there is more than a lone Dockerfile.
    pub project: Project,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// What is known of the world.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// What happened.
    pub event: &'a GitEvent,
    /// The repository's Git tags, by short name, if they are known.
    pub git_tags: Option<&'a [String]>,
    /// The time.
    pub now: DateTime<Utc>,
}

impl Plan {
    /// Decides everything.
    pub fn new(inputs: &Inputs, known: Known<'_>, found: Found) -> Result<Self, PlanError> {
        let Known { event, .. } = known;
        let names = Names {
            registry: &inputs.names.registry,
            owner: &event.owner,
            repo: &event.repo,
            username: inputs.registry.username.as_deref().unwrap_or_default(),
        };
        let mut images: Vec<ImagePlan> = Vec::with_capacity(found.images.len());
        let mut warnings = found.warnings;
        for spec in found.images {
            let template = spec.image_name.clone().or_else(|| inputs.names.image_name.clone());
            let repository = Repository::named(template.as_deref(), found.project, names, &spec.name)
                .map_err(|reason| PlanError::Name { image: spec.name.clone(), reason })?;
            if let Some(other) = images.iter().find(|other| other.repository == repository) {
                return Err(PlanError::SameName {
                    first: other.name.clone(),
                    second: spec.name,
                    repository: repository.to_string(),
                });
            }
            images.push(image(spec, repository, inputs, known, &mut warnings)?);
        }
        Ok(Self {
            event: EventPlan {
                name: event.name.clone(),
                reference: event.reference.clone(),
                sha: event.sha.clone(),
                default_branch: event.is_default_branch(),
                run_url: event.run_url.clone(),
            },
            images,
            push: push(inputs, event),
            load: inputs.registry.load,
            notify: notify(inputs),
            deploy: Vec::new(),
            warnings,
        })
    }

    /// The images as a run begins with them.
    pub fn image_states(&self) -> Vec<ImageState> {
        self.images
            .iter()
            .map(|image| ImageState {
                name: image.name.clone(),
                services: image.services.clone(),
                repository: image.repository.to_string(),
                tags: image.tags.iter().map(ToString::to_string).collect(),
                status: ImageStatus::Waiting,
                steps: Vec::new(),
            })
            .collect()
    }
}

fn image(
    spec: ImageSpec,
    repository: Repository,
    inputs: &Inputs,
    known: Known<'_>,
    warnings: &mut Vec<String>,
) -> Result<ImagePlan, PlanError> {
    let not_yet = |what| PlanError::NotYet { image: spec.name.clone(), what };
    let of_service = |(_, source): &(String, ContextSource)| matches!(source, ContextSource::Service(_));
    if spec.purpose == Purpose::Context || spec.build.additional_contexts.iter().any(of_service) {
        return Err(not_yet("a build context that is another service's image (`service:`)"));
    }
    if !spec.build.ssh.is_empty() {
        return Err(not_yet("`ssh`"));
    }
    let Metadata { tags, labels, annotations, warnings: more } = metadata(&spec, &inputs.names, known)?;
    for warning in more {
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }
    let version = tags.first().map(Tag::as_str).unwrap_or_default();
    let (cache_from, cache_to) = caches(&spec, inputs, &repository, version);
    let build = spec.build;
    Ok(ImagePlan {
        name: spec.name,
        services: spec.services,
        context: build.context.clone(),
        dockerfile: build.dockerfile_inline.is_none().then(|| dockerfile(&build)),
        target: build.target.clone(),
        platforms: build.platforms.clone(),
        build_args: build.args.iter().cloned().collect(),
        secret_ids: build.secrets.iter().map(|secret| secret.id.clone()).collect(),
        repository,
        tags,
        labels,
        annotations,
        cache_from,
        cache_to,
        build,
    })
}

/// The Dockerfile's path, relative to the working directory, or to the remote context that it lies in.
fn dockerfile(build: &Build) -> String {
    let name = build.dockerfile.as_deref().unwrap_or("Dockerfile");
    if compose::is_remote(&build.context) { name.to_owned() } else { compose::join(&build.context, name) }
}

/// The caches to read and to write: the image's own, else the inputs', else what `cache` stands for. One that cannot be
/// written fails no build.
fn caches(
    spec: &ImageSpec,
    inputs: &Inputs,
    repository: &Repository,
    version: &str,
) -> (Vec<CacheSpec>, Vec<CacheSpec>) {
    let registry = |tag: &str, more: &[(&str, &str)]| CacheSpec {
        kind: "registry".to_owned(),
        attributes: iter::once(("ref".to_owned(), format!("{repository}:{tag}")))
            .chain(more.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())))
            .collect(),
    };
    let (default_from, default_to) = match inputs.registry.cache {
        // The engine's own cache needs no words.
        Cache::Auto | Cache::Off => (Vec::new(), Vec::new()),
        Cache::Registry => (vec![registry("buildcache", &[])], vec![registry("buildcache", &[("mode", "max")])]),
        Cache::Inline => {
            (vec![registry(version, &[])], vec![CacheSpec { kind: "inline".to_owned(), attributes: Vec::new() }])
        }
    };
    let first = |lists: [&Vec<CacheSpec>; 2], default| {
        lists.into_iter().find(|list| !list.is_empty()).cloned().unwrap_or(default)
    };
    let from = first([&spec.cache_from, &inputs.registry.cache_from], default_from);
    let mut to = first([&spec.cache_to, &inputs.registry.cache_to], default_to);
    for cache in to.iter_mut().filter(|cache| cache.kind != "inline") {
        if !cache.attributes.iter().any(|(key, _)| key == "ignore-error") {
            cache.attributes.push(("ignore-error".to_owned(), "true".to_owned()));
        }
    }
    (from, to)
}

fn push(inputs: &Inputs, event: &GitEvent) -> PushPlan {
    let (enabled, reason) = match inputs.registry.push {
        _ if inputs.github.dry_run => (false, "the input `dry-run` is true".to_owned()),
        Push::Always => (true, "the input `push` is true".to_owned()),
        Push::Never => (false, "the input `push` is false".to_owned()),
        Push::Auto if event.is_fork_pr => (false, "a pull request from a fork".to_owned()),
        Push::Auto => match &event.target {
            Target::PullRequest(_) => (false, "a pull request".to_owned()),
            Target::MergeGroup(_) => (false, "a merge group".to_owned()),
            Target::Branch(branch) => (true, format!("{} to branch {branch}", event.name)),
            Target::Tag(tag) => (true, format!("{} of tag {tag}", event.name)),
            Target::Unknown => (true, "not a pull request".to_owned()),
        },
    };
    PushPlan { enabled, reason }
}

fn notify(inputs: &Inputs) -> Vec<NotifyPlan> {
    let mode = match inputs.notify.discord.mode {
        DiscordMode::Edit => "edit",
        DiscordMode::Post => "post",
    };
    let on: Vec<&'static str> = inputs.notify.on.iter().copied().map(Moment::word).collect();
    let silent = on.is_empty() || inputs.github.dry_run;
    let channels = if silent { 0 } else { inputs.notify.discord.webhooks.len() };
    (0..channels).map(|_| NotifyPlan { kind: "discord", mode, on: on.clone() }).collect()
}

fn as_text<S: Serializer>(repository: &Repository, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(repository)
}

fn as_csv<S: Serializer>(caches: &[CacheSpec], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(caches.iter().map(|cache| {
        let attributes = cache.attributes.iter().map(|(key, value)| format!(",{key}={value}"));
        format!("type={}{}", cache.kind, attributes.collect::<String>())
    }))
}
