//! The inputs with their meaning: what [`super::parse`] makes of the texts.

use std::{collections::BTreeSet, time::Duration};

use super::rules::{Rule, TagInputs};
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
    /// Platforms.
    pub platforms: Vec<String>,
    /// Rules for its tags, like the input `tags`.
    pub tags: Vec<Rule>,
    /// Template of the repository.
    pub image_name: Option<String>,
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
    /// How tags are made.
    pub tags: TagInputs,
    /// Labels, added or overriding. Names and values may hold expressions, as rules do.
    pub labels: Vec<(String, String)>,
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
    /// Its name. It may hold expressions, as rules do.
    pub name: String,
    /// Its value, likewise.
    pub value: String,
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

/// Who is told, when and how.
#[derive(Clone, Debug)]
pub struct NotifyInputs {
    /// Discord.
    pub discord: DiscordInputs,
    /// At which moments a message is sent or changed.
    pub on: BTreeSet<Moment>,
    /// Colours of the states.
    pub colors: Colors,
    /// Whether a message that cannot be sent fails the step.
    pub strict: bool,
}

/// Discord.
#[derive(Clone, Debug)]
pub struct DiscordInputs {
    /// Webhook URLs; each begins with `https://` or `http://`.
    pub webhooks: Vec<Secret>,
    /// Thread to post in: digits.
    pub thread_id: Option<String>,
    /// Name to post under.
    pub username: Option<String>,
    /// Picture to post under.
    pub avatar_url: Option<String>,
    /// Picture inside the message.
    pub thumbnail_url: Option<String>,
    /// One message or two.
    pub mode: DiscordMode,
}

/// One message or two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiscordMode {
    /// One that is edited.
    Edit,
    /// One at the start and one at the end.
    Post,
}

/// A moment of the run at which a message may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// The build has begun.
    Started,
    /// It went well.
    Success,
    /// It failed.
    Failure,
    /// It was stopped.
    Cancelled,
}

impl Moment {
    /// All, in order.
    pub const ALL: [Self; 4] = [Self::Started, Self::Success, Self::Failure, Self::Cancelled];

    /// The word for it in inputs and in the plan.
    pub fn word(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Colours `0xRRGGBB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colors {
    /// Yellow.
    pub started: u32,
    /// Green.
    pub success: u32,
    /// Red.
    pub failure: u32,
    /// Grey.
    pub cancelled: u32,
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
            .chain(&self.notify.discord.webhooks)
            .chain(&self.github.token)
            .filter(|secret| !secret.is_empty())
    }
}
