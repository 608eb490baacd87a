//! The inputs with their meaning: what [`super::parse`] makes of the texts.

mod build;
mod notify;

use std::time::Duration;

pub use self::build::{Allow, Attest, BuildInputs, Compression, CompressionKind, CompressionReach, Network, NoCache};
pub use self::notify::{
    Colors, DiscordInputs, DiscordMode, Mention, MentionOn, Moment, NotifyInputs, NotifyOn, SlackInputs,
};

use super::{
    builder::{BuilderInput, ContainerInput},
    cache::{CacheService, CacheSpec},
};
use crate::{
    domain::{diagnostic::Diagnostic, secret::Secret},
    tags::language::{Rule, TagInputs},
};

/// All inputs, checked.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// What to do when no subcommand says so.
    pub command: CommandInput,
    /// Where the project lies and which of its images are meant.
    pub project: ProjectInputs,
    /// How to build.
    pub build: BuildInputs,
    /// What the images are called.
    pub names: NameInputs,
    /// Where they go.
    pub registry: RegistryInputs,
    /// Amazon Web Services.
    pub aws: AwsInputs,
    /// Who is told.
    pub notify: NotifyInputs,
    /// Where it is deployed.
    pub deploy: DeployInputs,
    /// GitHub and the rest.
    pub github: GithubInputs,
    /// What was written but has no effect, and why.
    pub warnings: Vec<Diagnostic>,
}

/// The input `command`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandInput {
    /// The whole pipeline.
    Run,
    /// Print what it would do.
    Plan,
    /// One message.
    Notify,
}

/// Where the project lies and which of its images are meant.
#[derive(Clone, Debug)]
pub struct ProjectInputs {
    /// Relative to the workspace.
    pub working_directory: String,
    /// The one image that the project is, if it is said that it is one.
    pub lone: Option<LoneInput>,
    /// Compose files; empty means that they are looked for.
    pub compose_files: Vec<String>,
    /// Compose profiles to switch on.
    pub profiles: Vec<String>,
    /// Names or globs of services; empty means all.
    pub services: Vec<String>,
    /// Images without, or overriding, a compose file's.
    pub images: Vec<ImageInput>,
    /// Files with values for compose files; empty means `.env` if there.
    pub env_files: Vec<String>,
}

/// A project that is one image: the inputs `context` and `file`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoneInput {
    /// Build context: a directory, relative to the working directory, or a URL.
    pub context: Option<String>,
    /// Dockerfile, relative to the working directory, or to a context that is a URL.
    pub file: Option<String>,
}

/// One item of the input `images`. `None` and empty mean: as without it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ImageInput {
    /// The image's name in the plan.
    pub name: String,
    /// Build context.
    pub context: Option<String>,
    /// Dockerfile, relative to the context.
    pub dockerfile: Option<String>,
    /// Stage.
    pub target: Option<String>,
    /// Build arguments.
    pub build_args: Vec<(String, String)>,
    /// Named contexts, written as in the input of that name.
    pub build_contexts: Vec<(String, String)>,
    /// Platforms.
    pub platforms: Vec<String>,
    /// Rules for its tags, like the input `tags`.
    pub tags: Vec<Rule>,
    /// Templates of its repositories; the first is its own, the others get copies.
    pub image_names: Vec<String>,
    /// Labels. Values may hold expressions, as in the input `labels`.
    pub labels: Vec<(String, String)>,
    /// Ids of the build secrets that this image may see; empty means all.
    pub secrets: Vec<String>,
    /// Caches to read.
    pub cache_from: Vec<CacheSpec>,
    /// Caches to write.
    pub cache_to: Vec<CacheSpec>,
    /// Compose services that run it.
    pub services: Vec<String>,
}

/// What the images are called.
#[derive(Clone, Debug)]
pub struct NameInputs {
    /// Registry host.
    pub registry: String,
    /// Templates of each image's repositories, if any were given; the first is its own, the others get copies.
    pub image_names: Vec<String>,
    /// How tags are made.
    pub tags: TagInputs,
    /// Labels, added or overriding, as lines `name=value`, which may hold expressions, as rules do.
    pub labels: Vec<String>,
    /// Image annotations, added or overriding.
    pub annotations: Vec<Annotation>,
    /// Where annotations go that do not say it.
    pub annotation_levels: Vec<AnnotationLevel>,
}

/// An image annotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// Where it goes; nowhere in particular if empty.
    pub levels: Vec<AnnotationLevel>,
    /// `name=value`, which may hold expressions, as rules do.
    pub line: String,
}

/// A part of an image that can be annotated, in BuildKit's words, perhaps for one platform only: `manifest`,
/// `index-descriptor`, `manifest[linux/arm64]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AnnotationLevel(String);

impl AnnotationLevel {
    /// The parts.
    pub const WORDS: [&str; 4] = ["manifest", "index", "manifest-descriptor", "index-descriptor"];

    /// Reads a level.
    pub fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        let (word, platform) = match text.split_once('[') {
            Some((word, rest)) => (word, Some(rest.strip_suffix(']')?)),
            None => (text, None),
        };
        let of_platform = |c: char| c.is_ascii_alphanumeric() || "_/-".contains(c);
        let valid = platform.is_none_or(|platform| !platform.is_empty() && platform.chars().all(of_platform));
        (valid && Self::WORDS.contains(&word)).then(|| Self(text.to_owned()))
    }

    /// The level as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where images go, and the caches.
#[derive(Clone, Debug)]
pub struct RegistryInputs {
    /// Credentials, those for the input `registry` first if there are any.
    pub credentials: Vec<Credentials>,
    /// GitHub's own for `ghcr.io`: the actor and the job's token.
    pub github: Option<Credentials>,
    /// Hosts that `registries` names without credentials, lower case: what else is known of them is to be used.
    pub hosts: Vec<String>,
    /// The input `username`, or on `ghcr.io` the actor.
    pub username: Option<String>,
    /// What is done about a repository that Amazon ECR does not have.
    pub missing_repository: MissingRepository,
    /// Whether to push.
    pub push: Push,
    /// What is done about a newer commit of the branch.
    pub when_superseded: WhenSuperseded,
    /// Whether to leave images in the engine.
    pub load: bool,
    /// What builds.
    pub builder: BuilderInput,
    /// What the container of `builder: container` is made of.
    pub container: ContainerInput,
    /// The build caches.
    pub caches: CacheInputs,
}

/// The build caches.
#[derive(Clone, Debug)]
pub struct CacheInputs {
    /// Which.
    pub kind: Cache,
    /// Caches to read, if given.
    pub from: Vec<CacheSpec>,
    /// Caches to write, if given.
    pub to: Vec<CacheSpec>,
    /// GitHub's cache service, if the job has it.
    pub service: Option<CacheService>,
    /// The credentials in all of these.
    pub secrets: Vec<Secret>,
}

/// What is done about a repository that Amazon ECR does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingRepository {
    /// The push fails.
    Refuse,
    /// It is created.
    Create,
}

/// Amazon Web Services. Keys are not inputs: they come with the usual variables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AwsInputs {
    /// The region, if it is given.
    pub region: Option<String>,
    /// ARN of the role to assume with the job's OIDC token.
    pub role: Option<String>,
}

/// Credentials for one registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Registry host, lower case.
    pub registry: String,
    /// User name.
    pub username: String,
    /// Password or token.
    pub password: Secret,
}

/// Whether to push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Push {
    /// Everywhere but on pull requests and merge groups.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What is done when the branch has a newer commit whose image is already in the registry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenSuperseded {
    /// The tags that move stay where they are.
    #[default]
    Skip,
    /// They are moved all the same.
    Publish,
}

/// Which build cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cache {
    /// The best that builder and event allow.
    Auto,
    /// None but the builder's own.
    Off,
    /// GitHub's cache service.
    Gha,
    /// An image beside the built one.
    Registry,
    /// Inside the built image.
    Inline,
}

/// Where it is deployed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeployInputs {
    /// GitHub environment.
    pub environment: Option<String>,
    /// Where what is deployed there can be seen: an `http(s)` URL.
    pub environment_url: Option<String>,
}

/// GitHub and the rest.
#[derive(Clone, Debug)]
pub struct GithubInputs {
    /// Token for GitHub's API.
    pub token: Option<Secret>,
    /// Id of this job.
    pub job_id: Option<String>,
    /// How the job stands, in the post stage: `success`, `failure` or `cancelled`.
    pub job_status: Option<String>,
    /// What is shown beside the log.
    pub show: Show,
    /// Whether nothing is to be pushed or sent.
    pub dry_run: bool,
    /// Limit for the whole run.
    pub timeout: Option<Duration>,
}

/// What is shown beside the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Show {
    /// The job summary.
    pub summary: bool,
    /// Annotations of the run.
    pub annotations: bool,
    /// A comment on the pull request.
    pub pr_comment: bool,
}

impl Inputs {
    /// Every secret that was handed in, to be masked and redacted.
    pub fn secrets(&self) -> impl Iterator<Item = &Secret> {
        let build = self.build.secrets.iter().map(|(_, secret)| secret);
        let passwords = self.registry.credentials.iter().map(|credentials| &credentials.password);
        build
            .chain(passwords)
            .chain(&self.registry.caches.secrets)
            .chain(self.notify.secrets())
            .chain(&self.github.token)
            .filter(|secret| !secret.is_empty())
    }
}
