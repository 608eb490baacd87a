//! The plan of a run: made before anything is started, and printable. Pure.

pub mod builder;
pub mod caches;
mod compose_names;
pub mod deploy;
mod image;
pub mod images;
pub mod labels;
pub mod metadata;
pub mod naming;
pub mod notify;
mod options;
pub mod origin;
pub mod print;
pub mod superseded;
pub mod trust;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};
use thiserror::Error;

use self::{
    builder::BuilderPlan,
    caches::{Origin, Remarks},
    deploy::DeployPlan,
    images::{ImageSpec, Purpose},
    metadata::MetadataError,
    naming::{Names, NamingError, Project},
    notify::NotifyPlan,
    origin::Commit,
};
use crate::{
    compose::Build,
    domain::{
        destinations::Destinations,
        failure::Failure,
        git_event::{GitEvent, GitRef},
        repository::Repository,
        run::ImageState,
        stage::Stage,
        tag::Tag,
    },
    inputs::{
        cache::CacheSpec,
        targets::TargetInput,
        typed::{Compression, Inputs, Push},
    },
    tags::{GitTags, Movement},
};

/// The plan of a run. Serializes to the JSON of `build-deploy plan --format json`; contains no secret values.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// The event that triggered the run.
    pub event: EventPlan,
    /// The images, in the order of the compose file.
    pub images: Vec<ImagePlan>,
    /// The builder.
    pub builder: BuilderPlan,
    /// Whether they are pushed.
    pub push: PushPlan,
    /// The targets that they are deployed to.
    pub deploy: Vec<DeployPlan>,
    /// Whether they are loaded into the engine.
    #[serde(skip)]
    pub load: bool,
    /// The tag of the images to compare sizes with, for a run that reports sizes but pushes nothing.
    #[serde(skip)]
    pub compare_with: Option<Tag>,
    /// The channels to notify.
    pub notify: Vec<NotifyPlan>,
    /// Warnings for the user.
    pub warnings: Vec<String>,
    /// Notices for the user.
    #[serde(skip)]
    pub notices: Vec<String>,
}

/// The event that triggered a run.
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
    /// The URL of the run.
    pub run_url: String,
}

/// The plan of an image.
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
    /// The target stage.
    pub target: Option<String>,
    /// Platforms; if empty, that of the engine.
    pub platforms: Vec<String>,
    /// Build arguments.
    pub build_args: BTreeMap<String, String>,
    /// Ids of its build secrets.
    pub secret_ids: Vec<String>,
    /// Where it is published. The tags may be empty if no rule of the input `tags` matches the event.
    #[serde(flatten)]
    pub destinations: Destinations,
    /// The setting that names its repositories: `default`, `image-name`, `images`, or a key of the compose file such as
    /// `services.web.image`.
    pub name_from: String,
    /// Which of the tags move from commit to commit.
    #[serde(skip)]
    pub movement: Movement,
    /// The names under which Compose looks for it in the engine, if it is loaded.
    pub load_as: Vec<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations, keyed by BuildKit's level and name: `manifest:org.opencontainers.image.title`.
    pub annotations: BTreeMap<String, String>,
    /// Caches that are read, in BuildKit's syntax.
    #[serde(serialize_with = "as_csv")]
    pub cache_from: Vec<CacheSpec>,
    /// Caches that are written.
    #[serde(serialize_with = "as_csv")]
    pub cache_to: Vec<CacheSpec>,
    /// Who requested the caches.
    #[serde(skip)]
    pub cache_origin: Origin,
    /// Whether it was requested, or is only a base of other images.
    #[serde(skip)]
    pub purpose: Purpose,
    /// The time of the commit, in seconds since 1970, for reproducible images.
    #[serde(skip)]
    pub epoch: Option<i64>,
    /// Whether the warnings of build checks are reported.
    #[serde(skip)]
    pub check: bool,
    /// The commit that it is built from.
    #[serde(skip)]
    pub commit: Commit,
    /// How its layers are compressed.
    #[serde(skip)]
    pub compression: Compression,
    /// All other build options from the compose file and the inputs. In the JSON a map of those that differ from the
    /// default.
    #[serde(rename = "options", serialize_with = "options::as_map")]
    pub build: Build,
}

/// Whether images are pushed, and why.
#[derive(Clone, Debug, Serialize)]
pub struct PushPlan {
    /// Whether they are pushed.
    pub enabled: bool,
    /// The reason, in a few words.
    pub reason: String,
}

/// Why the plan could not be made although the inputs and compose files are valid by themselves.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum PlanError {
    /// An image has no valid name.
    #[error("image `{image}`: {reason}")]
    Name {
        /// The image.
        image: String,
        /// The error.
        reason: NamingError,
    },
    /// Two images have a name with its tag in common.
    #[error(
        "the images `{first}` and `{second}` have the same name {reference}; {}",
        if first.eq_ignore_ascii_case(second) {
            "names of images are in lower case, so rename a service, or set `image-name` of one of them in the input `images`"
        } else {
            "add `{image}` to `image-name`, or give each image its own `tags` in the input `images`"
        }
    )]
    SameName {
        /// The first image.
        first: String,
        /// The second image.
        second: String,
        /// The name with its tag.
        reference: String,
    },
    /// Invalid tags, labels or annotations.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
}

impl PlanError {
    /// Returns the hint, in the imperative, if the error text does not contain it.
    fn hint(&self) -> Option<String> {
        match self {
            Self::Metadata(error) => Some(error.hint().to_owned()),
            Self::Name { .. } | Self::SameName { .. } => None,
        }
    }
}

impl From<PlanError> for Failure {
    fn from(error: PlanError) -> Self {
        Self::invalid(Stage::Plan, error.to_string(), error.hint())
    }
}

/// The images to build, and the kind of project.
#[derive(Clone, Debug)]
pub struct Found {
    /// The images.
    pub images: Vec<ImageSpec>,
    /// Whether the project is more than a single Dockerfile.
    pub project: Project,
    /// Warnings for the user.
    pub warnings: Vec<String>,
    /// Notices for the user.
    pub notices: Vec<String>,
    /// The targets of the input `deploy`.
    pub targets: Vec<TargetInput>,
}

impl Found {
    /// Targets without images, whose releases exist already.
    pub fn only(targets: Vec<TargetInput>) -> Self {
        Self { images: Vec::new(), project: Project::Images, warnings: Vec::new(), notices: Vec::new(), targets }
    }
}

/// External facts that the plan depends on.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The event that triggered the run.
    pub event: &'a GitEvent,
    /// The repository's Git tags.
    pub git_tags: GitTags<'a>,
    /// The current time.
    pub now: DateTime<Utc>,
}

impl Plan {
    /// Returns the registries that images are pushed to.
    pub fn hosts(&self) -> BTreeSet<&str> {
        self.images.iter().flat_map(|image| image.destinations.repositories()).map(Repository::host).collect()
    }

    /// Makes the plan.
    pub fn new(inputs: &Inputs, known: Known<'_>, found: Found) -> Result<Self, PlanError> {
        let Known { event, .. } = known;
        let names = Names {
            registry: &inputs.names.registry,
            owner: &event.owner,
            repo: &event.repo,
            username: inputs.registry.username.as_deref().unwrap_or_default(),
        };
        let push = push(inputs, event);
        let mut remarks = Remarks { warnings: found.warnings, notices: found.notices };
        // Without a push, it does not matter which names are not used.
        let mut unused = Vec::new();
        let about_names = if push.enabled { &mut remarks.notices } else { &mut unused };
        let in_compose = if inputs.names.image_names.is_empty() {
            compose_names::repositories(&found.images, names, about_names)
        } else {
            vec![Vec::new(); found.images.len()]
        };
        let mut images: Vec<ImagePlan> = Vec::with_capacity(found.images.len());
        let mut other_tags = Vec::new();
        let Found { images: found_images, project, targets, .. } = found;
        for (spec, in_compose) in found_images.into_iter().zip(in_compose) {
            let named = image::named(&spec, &in_compose, project, names, inputs)
                .map_err(|reason| PlanError::Name { image: spec.name.clone(), reason })?;
            let image = image::image(spec, named, inputs, (known, &push), &mut remarks)?;
            other_tags
                .extend(in_compose.iter().filter_map(|name| compose_names::other_tag(name, &image.destinations.tags)));
            check_names(&images, &image)?;
            images.push(image);
        }
        remarks.notices.extend(compose_names::other_tags(&other_tags).filter(|_| push.enabled));
        Ok(Self {
            event: EventPlan {
                name: event.name.clone(),
                reference: event.reference.clone(),
                sha: event.sha.clone(),
                default_branch: event.is_default_branch(),
                run_url: event.run_url.clone(),
            },
            builder: BuilderPlan::new(&inputs.registry.builder, &images),
            images,
            compare_with: compare_with(inputs, event),
            deploy: deploy::targets(&targets, event, deploy::Wanted::of(inputs.command, &push)),
            push,
            load: inputs.registry.load,
            notify: notify::notify(inputs),
            warnings: remarks.warnings,
            notices: remarks.notices,
        })
    }

    /// Returns the initial states of the images.
    pub fn image_states(&self) -> Vec<ImageState> {
        self.images
            .iter()
            .map(|image| {
                let publishes = self.push.enabled && image.purpose == Purpose::Wanted;
                let ImagePlan { name, services, destinations, .. } = image;
                ImageState::waiting(name.clone(), services.clone(), destinations.clone(), publishes)
            })
            .collect()
    }
}

/// Rejects an image that would be pushed under the same name and tag as another.
fn check_names(images: &[ImagePlan], image: &ImagePlan) -> Result<(), PlanError> {
    let pushed = |image: &&ImagePlan| image.purpose == Purpose::Wanted;
    for other in images.iter().filter(|other| pushed(other) && pushed(&image)) {
        let mut theirs = other.destinations.repositories();
        let same = theirs.find(|one| image.destinations.repositories().any(|two| two == *one));
        let tag = other.destinations.tags.iter().find(|tag| image.destinations.tags.contains(tag));
        if let (Some(repository), Some(tag)) = (same, tag) {
            return Err(PlanError::SameName {
                first: other.name.clone(),
                second: image.name.clone(),
                reference: format!("{repository}:{tag}"),
            });
        }
    }
    Ok(())
}

/// Returns the tag to compare sizes with: the comment on a pull request compares with the images of the base branch.
fn compare_with(inputs: &Inputs, event: &GitEvent) -> Option<Tag> {
    let wanted = inputs.github.show.pr_comment && !inputs.github.dry_run && event.is_trial();
    event.base_branch.as_deref().filter(|_| wanted).map(Tag::repaired)
}

fn push(inputs: &Inputs, event: &GitEvent) -> PushPlan {
    let (enabled, reason) = match inputs.registry.push {
        _ if inputs.github.dry_run => (false, "the input `dry-run` is true".to_owned()),
        Push::Always => (true, "the input `push` is true".to_owned()),
        Push::Never => (false, "the input `push` is false".to_owned()),
        Push::Auto if event.is_fork_pr => (false, "a pull request from a fork".to_owned()),
        // A merged pull request has the tags of its base branch, and that branch has its own push event.
        Push::Auto if event.name == "pull_request" => (false, "a pull request".to_owned()),
        Push::Auto => match &event.git_ref {
            GitRef::PullRequest(_) => (false, "a pull request".to_owned()),
            GitRef::MergeGroup(_) => (false, "a merge group".to_owned()),
            // Without an event on a laptop.
            GitRef::Branch(branch) if event.name.is_empty() => (true, format!("branch {branch}")),
            GitRef::Branch(branch) => (true, format!("{} to branch {branch}", event.name)),
            GitRef::Tag(tag) => (true, format!("{} of tag {tag}", event.name)),
            GitRef::Unknown => (true, "not a pull request".to_owned()),
        },
    };
    PushPlan { enabled, reason }
}

fn as_csv<S: Serializer>(caches: &[CacheSpec], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(caches.iter().map(ToString::to_string))
}
