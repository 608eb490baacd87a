//! The typed inputs that [`super::parse`] creates.

mod build;
mod notify;

use std::time::Duration;

pub use self::build::{Allow, Attest, BuildInputs, Compression, CompressionKind, CompressionScope, Network, NoCache};
pub use self::notify::{
    Colors, DiscordInputs, DiscordMode, Mention, MentionOn, Moment, NotifyInputs, NotifyOn, SlackInputs,
};

use super::{
    builder::{BuilderInput, ContainerInput},
    cache::{CacheService, CacheSpec},
    targets::TargetInput,
};
use crate::{
    domain::{diagnostic::Diagnostic, secret::Secret},
    tags::language::{Rule, TagInputs},
};

/// All inputs after parsing and validation.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// The command to run if there is no subcommand.
    pub command: CommandInput,
    /// The location of the project, and the selection of its images.
    pub project: ProjectInputs,
    /// Build options, for all images.
    pub build: BuildInputs,
    /// Image names and tags.
    pub names: NameInputs,
    /// Registries, push and caches.
    pub registry: RegistryInputs,
    /// Amazon Web Services.
    pub aws: AwsInputs,
    /// Messages.
    pub notify: NotifyInputs,
    /// GitHub deployments.
    pub deploy: DeployInputs,
    /// GitHub and general options.
    pub github: GithubInputs,
    /// Warnings about inputs that have no effect.
    pub warnings: Vec<Diagnostic>,
}

/// The input `command`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandInput {
    /// Runs the whole pipeline.
    Run,
    /// Prints the plan of `run`.
    Plan,
    /// Deploys existing images.
    Deploy,
    /// Puts back an earlier release.
    Rollback,
    /// Sends one message.
    Notify,
}

/// The location of the project, and the selection of its images.
#[derive(Clone, Debug)]
pub struct ProjectInputs {
    /// Directory of the project, relative to the workspace.
    pub working_directory: String,
    /// The image of a project with a single image; set if `context` or `file` is set.
    pub lone: Option<LoneInput>,
    /// Compose files. If empty, the default names are searched.
    pub compose_files: Vec<String>,
    /// Compose profiles to enable.
    pub profiles: Vec<String>,
    /// Names or globs of services. If empty, all services.
    pub services: Vec<String>,
    /// Images of a project without compose files, or overrides of the images in compose files.
    pub images: Vec<ImageInput>,
    /// Files with values for compose files. If empty, `.env` if it exists.
    pub env_files: Vec<String>,
}

/// A project with a single image: the inputs `context` and `file`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoneInput {
    /// Build context: a directory, relative to the working directory, or a URL.
    pub context: Option<String>,
    /// Dockerfile, relative to the working directory, or to the context if that is a URL.
    pub file: Option<String>,
}

/// One item of the input `images`. A field that is `None` or empty changes nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ImageInput {
    /// Name of the image in the plan.
    pub name: String,
    /// Build context.
    pub context: Option<String>,
    /// Dockerfile, relative to the context.
    pub dockerfile: Option<String>,
    /// Stage to build.
    pub target: Option<String>,
    /// Build arguments.
    pub build_args: Vec<(String, String)>,
    /// Named contexts, in the form of the input `build-contexts`.
    pub build_contexts: Vec<(String, String)>,
    /// Platforms.
    pub platforms: Vec<String>,
    /// Rules for the image's tags, as in the input `tags`.
    pub tags: Vec<Rule>,
    /// Templates of the image's repositories. The first is its own repository, the others get copies.
    pub image_names: Vec<String>,
    /// Labels. Values can contain expressions, as in the input `labels`.
    pub labels: Vec<(String, String)>,
    /// Ids of the build secrets that this image can use. If empty, all.
    pub secrets: Vec<String>,
    /// Caches to read.
    pub cache_from: Vec<CacheSpec>,
    /// Caches to write.
    pub cache_to: Vec<CacheSpec>,
    /// Compose services that run the image.
    pub services: Vec<String>,
}

/// Image names and tags.
#[derive(Clone, Debug)]
pub struct NameInputs {
    /// Registry host.
    pub registry: String,
    /// Templates of each image's repositories; may be empty. The first is the image's own repository, the others get
    /// copies.
    pub image_names: Vec<String>,
    /// The rules for tags, and their settings.
    pub tags: TagInputs,
    /// Labels that are added or replace default ones, as lines `name=value`. They can contain expressions, as in rules.
    pub labels: Vec<String>,
    /// Image annotations that are added or replace default ones.
    pub annotations: Vec<Annotation>,
    /// The levels of annotations that do not specify any.
    pub annotation_levels: Vec<AnnotationLevel>,
}

/// An image annotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// The levels to annotate. If empty, the default levels.
    pub levels: Vec<AnnotationLevel>,
    /// `name=value`, which can contain expressions, as in rules.
    pub line: String,
}

/// A part of an image that can be annotated, in BuildKit's notation, optionally for one platform: `manifest`,
/// `index-descriptor`, `manifest[linux/arm64]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AnnotationLevel(String);

impl AnnotationLevel {
    /// The names of the parts.
    pub const WORDS: [&str; 4] = ["manifest", "index", "manifest-descriptor", "index-descriptor"];

    /// Parses a level.
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

    /// Returns the level as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Registries, push and caches.
#[derive(Clone, Debug)]
pub struct RegistryInputs {
    /// Credentials. Those for the input `registry` come first, if there are any.
    pub credentials: Vec<Credentials>,
    /// GitHub's credentials for `ghcr.io`: the actor and the job's token.
    pub github: Option<Credentials>,
    /// Hosts that `registries` lists without credentials, in lower case. Credentials from other sources are used for
    /// them.
    pub hosts: Vec<String>,
    /// The input `username`, or the actor on `ghcr.io`.
    pub username: Option<String>,
    /// The action to take if a repository does not exist in Amazon ECR.
    pub missing_repository: MissingRepository,
    /// Whether to push.
    pub push: Push,
    /// The action to take if the branch has a newer commit.
    pub when_superseded: WhenSuperseded,
    /// Whether to load the images into the engine.
    pub load: bool,
    /// The builder.
    pub builder: BuilderInput,
    /// Options of the BuildKit container.
    pub container: ContainerInput,
    /// The build caches.
    pub caches: CacheInputs,
}

/// The build caches.
#[derive(Clone, Debug)]
pub struct CacheInputs {
    /// The kind of cache.
    pub kind: Cache,
    /// Caches to read, if specified.
    pub from: Vec<CacheSpec>,
    /// Caches to write, if specified.
    pub to: Vec<CacheSpec>,
    /// GitHub's cache service, if the job can use it.
    pub service: Option<CacheService>,
    /// The credentials in all caches.
    pub secrets: Vec<Secret>,
}

/// The action to take if a repository does not exist in Amazon ECR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingRepository {
    /// Fails the push.
    Refuse,
    /// Creates the repository.
    Create,
}

/// Amazon Web Services. Keys are not inputs; they are set in the usual environment variables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AwsInputs {
    /// The region, if specified.
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
    /// On all events except pull requests and merge groups.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The action to take if a newer commit of the branch already has an image in the registry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenSuperseded {
    /// Leaves the moving tags at the newer image.
    #[default]
    Skip,
    /// Moves the tags anyway.
    Publish,
}

/// The kind of build cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cache {
    /// The best cache that the builder and the event allow.
    Auto,
    /// Only the builder's own cache.
    Off,
    /// GitHub's cache service.
    Gha,
    /// A separate image in the image's repository.
    Registry,
    /// Part of the built image.
    Inline,
}

/// Deploy targets and GitHub deployments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeployInputs {
    /// The targets.
    pub targets: TargetsInput,
    /// How to log in to servers.
    pub ssh: SshInputs,
    /// The release to put back with `command: rollback`. If `None`, the one before the current release.
    pub to: Option<String>,
    /// The images to deploy with `command: deploy`: by name, a digest or a reference with a digest.
    pub digests: Vec<(String, String)>,
    /// GitHub environment.
    pub environment: Option<String>,
    /// URL of the deployed site, with the scheme `http` or `https`.
    pub environment_url: Option<String>,
}

/// The input `deploy`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TargetsInput {
    /// There are none.
    #[default]
    None,
    /// They are written in the input.
    Listed(Vec<TargetInput>),
    /// They are written in this file, relative to the working directory.
    File(String),
}

/// How to log in to servers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SshInputs {
    /// The private key.
    pub key: Option<Secret>,
    /// The passphrase of the key.
    pub passphrase: Option<Secret>,
    /// The text of a `known_hosts` file.
    pub known_hosts: Option<String>,
}

/// GitHub and general options.
#[derive(Clone, Debug)]
pub struct GithubInputs {
    /// Token for GitHub's API.
    pub token: Option<Secret>,
    /// Id of this job.
    pub job_id: Option<String>,
    /// Status of the job, in the post stage: `success`, `failure` or `cancelled`.
    pub job_status: Option<String>,
    /// The reports to create in addition to the log.
    pub show: Show,
    /// Whether to build without pushing or sending anything.
    pub dry_run: bool,
    /// Time limit for the whole run.
    pub timeout: Option<Duration>,
}

/// The reports to create in addition to the log.
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
    /// Returns every secret in the inputs, to be masked and redacted.
    pub fn secrets(&self) -> impl Iterator<Item = &Secret> {
        let build = self.build.secrets.iter().map(|(_, secret)| secret);
        let passwords = self.registry.credentials.iter().map(|credentials| &credentials.password);
        build
            .chain(passwords)
            .chain(&self.registry.caches.secrets)
            .chain(self.notify.secrets())
            .chain(&self.github.token)
            .chain(&self.deploy.ssh.key)
            .chain(&self.deploy.ssh.passphrase)
            .filter(|secret| !secret.is_empty())
    }
}
