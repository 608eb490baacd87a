//! The inputs with their meaning: what [`super::parse`] makes of the texts.

mod notify;

use std::time::Duration;

pub use self::notify::{
    Colors, DiscordInputs, DiscordMode, Mention, MentionOn, Moment, NotifyInputs, NotifyOn, SlackInputs,
};
use crate::domain::{event::Diagnostic, secret::Secret};

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
    /// Who is told.
    pub notify: NotifyInputs,
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

/// One item of the input `images`. `None` and empty mean: as without it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
    /// Platforms.
    pub platforms: Vec<String>,
    /// Tags as written, checked like the input `tags`.
    pub tags: Vec<String>,
    /// Template of the repository.
    pub image_name: Option<String>,
    /// Labels.
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

/// How to build. Applies to every image.
#[derive(Clone, Debug)]
pub struct BuildInputs {
    /// Build arguments.
    pub args: Vec<(String, String)>,
    /// Named contexts.
    pub contexts: Vec<(String, String)>,
    /// Secrets by id.
    pub secrets: Vec<(String, Secret)>,
    /// Files with secrets, by id.
    pub secret_files: Vec<(String, String)>,
    /// Stage.
    pub target: Option<String>,
    /// Platforms; empty means the engine's.
    pub platforms: Vec<String>,
    /// Network of `RUN` steps.
    pub network: Option<Network>,
    /// Entries `host:ip`, with `=` between them as BuildKit wants it.
    pub add_hosts: Vec<(String, String)>,
    /// Bytes of `/dev/shm`.
    pub shm_size: Option<u64>,
    /// Limits `name=soft[:hard]`.
    pub ulimits: Vec<String>,
    /// Stages to build anew.
    pub no_cache: NoCache,
    /// Whether registries are asked again for base images.
    pub pull: bool,
    /// Entitlements.
    pub allow: Vec<String>,
    /// Whether the warnings of build checks are reported.
    pub check: bool,
}

/// Network of `RUN` steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// The builder's own choice.
    Default,
    /// None.
    None,
    /// The host's; needs the entitlement `network.host`.
    Host,
}

/// What is built anew though the cache has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoCache {
    /// Nothing.
    Nothing,
    /// Everything.
    Everything,
    /// These stages.
    Stages(Vec<String>),
}

/// What the images are called.
#[derive(Clone, Debug)]
pub struct NameInputs {
    /// Registry host.
    pub registry: String,
    /// Template, if one was given.
    pub image_name: Option<String>,
    /// Tags, if any were given: names as written, to be made valid by [`crate::plan::tags`].
    pub tags: Vec<String>,
    /// Labels, added or overriding.
    pub labels: Vec<(String, String)>,
    /// Image annotations; a key may begin with BuildKit's levels, as in `index,manifest:key`.
    pub annotations: Vec<(String, String)>,
}

/// Where images go, and the caches.
#[derive(Clone, Debug)]
pub struct RegistryInputs {
    /// Credentials, those for the input `registry` first if there are any.
    pub credentials: Vec<Credentials>,
    /// The input `username`, or on `ghcr.io` the actor.
    pub username: Option<String>,
    /// Whether to push.
    pub push: Push,
    /// Whether to leave images in the engine.
    pub load: bool,
    /// Which build cache.
    pub cache: Cache,
    /// Caches to read, if given.
    pub cache_from: Vec<CacheSpec>,
    /// Caches to write, if given.
    pub cache_to: Vec<CacheSpec>,
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

/// Which build cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cache {
    /// The best that builder and event allow.
    Auto,
    /// None but the engine's own.
    Off,
    /// An image beside the built one.
    Registry,
    /// Inside the built image.
    Inline,
}

/// One cache in BuildKit's syntax: `type=registry,ref=…,mode=max`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheSpec {
    /// `registry` or `inline`.
    pub kind: String,
    /// The other attributes, in the order written.
    pub attributes: Vec<(String, String)>,
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
}

impl Inputs {
    /// Every secret that was handed in, to be masked and redacted.
    pub fn secrets(&self) -> impl Iterator<Item = &Secret> {
        let build = self.build.secrets.iter().map(|(_, secret)| secret);
        let passwords = self.registry.credentials.iter().map(|credentials| &credentials.password);
        build
            .chain(passwords)
            .chain(self.notify.secrets())
            .chain(&self.github.token)
            .filter(|secret| !secret.is_empty())
    }
}
