//! The one registry of action inputs: `action.yml`, the tables in the README and `docs/inputs.md`, the command line and
//! `--help` are all made from, or checked against, [`INPUTS`].
//!
//! The order here is the order in all of them.

mod kind;

pub use self::kind::{Fallback, Group, Kind, Support};

use super::builder::ContainerInput;

/// One action input, which is also the command-line flag `--name=value`.
#[derive(Clone, Copy, Debug)]
pub struct InputSpec {
    /// Name, kebab-case.
    pub name: &'static str,
    /// What its value looks like.
    pub kind: Kind,
    /// What leaving it out means.
    pub default: Fallback,
    /// What it is for, in one line.
    pub help: &'static str,
    /// The heading it stands under in the README.
    pub group: Group,
    /// Which of its values this version can act on.
    pub support: Support,
}

impl InputSpec {
    const fn new(group: Group, kind: Kind, name: &'static str, help: &'static str) -> Self {
        Self { name, kind, default: Fallback::None, help, group, support: Support::All }
    }

    const fn or(mut self, value: &'static str) -> Self {
        self.default = Fallback::Literal(value);
        self
    }

    const fn or_expression(mut self, expression: &'static str) -> Self {
        self.default = Fallback::Expression(expression);
        self
    }

    const fn or_else(mut self, words: &'static str) -> Self {
        self.default = Fallback::Described(words);
        self
    }

    /// Marks an input whose behaviour comes with a later version.
    const fn later(mut self) -> Self {
        self.support = Support::DefaultOnly;
        self
    }

    /// Whether it is plumbing between runner and action that no workflow sets.
    pub fn is_hidden(&self) -> bool {
        matches!(self.name, "job-id" | "job-status")
    }
}

/// The input of this name.
pub fn find(name: &str) -> Option<&'static InputSpec> {
    INPUTS.iter().find(|spec| spec.name == name)
}

const fn build(kind: Kind, name: &'static str, help: &'static str) -> InputSpec {
    InputSpec::new(Group::Build, kind, name, help)
}
const fn names(kind: Kind, name: &'static str, help: &'static str) -> InputSpec {
    InputSpec::new(Group::Names, kind, name, help)
}
const fn registry(kind: Kind, name: &'static str, help: &'static str) -> InputSpec {
    InputSpec::new(Group::Registry, kind, name, help)
}
const fn notify(kind: Kind, name: &'static str, help: &'static str) -> InputSpec {
    InputSpec::new(Group::Notify, kind, name, help)
}
const fn deploy(kind: Kind, name: &'static str, help: &'static str) -> InputSpec {
    InputSpec::new(Group::Deploy, kind, name, help)
}
const fn rest(kind: Kind, name: &'static str, help: &'static str) -> InputSpec {
    InputSpec::new(Group::Rest, kind, name, help)
}

use Kind::{Bool, List, Secret, SecretList, Text, Yaml};

/// All inputs.
pub const INPUTS: &[InputSpec] = &[
    build(Text, "working-directory", "Where the project lies, relative to the workspace.").or("."),
    build(List, "compose-file", "Compose files, merged in order as Compose does.").or_else(
        "the first of `compose.yaml`, `compose.yml`, `docker-compose.yml`, `docker-compose.yaml`, \
         `docker-compose.production.yml`, `production.yml`; else a lone `Dockerfile`",
    ),
    build(
        Text,
        "context",
        "Build context of a project that is one image: a directory or a URL. With `context` or `file`, no compose file is \
         looked for.",
    )
    .or_else("the working directory"),
    build(
        Text,
        "file",
        "Dockerfile of a project that is one image, relative to the working directory; for a context elsewhere, a path in \
         it.",
    )
    .or_else("`Dockerfile` in the context"),
    build(List, "profiles", "Compose profiles to switch on. Services without a profile are always in."),
    build(List, "services", "Names or globs of the services to build.").or_else("every service with `build:`"),
    build(
        Yaml,
        "images",
        "Images of a project without a compose file, or overrides of a compose file's: a list of maps with `name` \
         (required), `context`, `dockerfile`, `target`, `build-args`, `build-contexts`, `platforms`, `tags`, `image-name`, \
         `labels`, `secrets`, `cache-from`, `cache-to`, `services`.",
    ),
    build(List, "env-file", "Files with values for `${VAR}` in compose files.").or_else("`.env` if there"),
    build(List, "build-args", "`KEY=value` for every image; a bare `KEY` takes the environment's value."),
    build(
        List,
        "build-contexts",
        "Named contexts: `name=path`, `name=docker-image://…`, `name=https://…`, or `name=target:image` for another \
         image of the run.",
    ),
    build(
        SecretList,
        "secrets",
        "Build secrets, `id=value` a line, or a YAML map for values of many lines. They never touch the disk.",
    ),
    build(List, "secret-files", "Build secrets from files, `id=path` a line."),
    build(List, "secret-envs", "Build secrets from variables of the environment, `id=VARIABLE` a line."),
    build(
        List,
        "ssh",
        "SSH for `RUN --mount=type=ssh`: `default` (the agent of `SSH_AUTH_SOCK`) or `id=path-to-key` a line.",
    ),
    build(Text, "target", "Stage of the Dockerfile to build.").or_else("the compose file's, else the last"),
    build(List, "platforms", "Platforms to build for, such as `linux/arm64`.").or_else("the engine's"),
    build(Text, "network", "Network of `RUN` steps: `default`, `none` or `host`."),
    build(List, "add-hosts", "Entries for `/etc/hosts` of `RUN` steps, `host:ip` a line."),
    build(Text, "shm-size", "Size of `/dev/shm` in `RUN` steps, such as `128m`."),
    build(List, "ulimits", "Limits of `RUN` steps, such as `nofile=1024:2048`."),
    build(Text, "cgroup-parent", "Cgroup that the containers of `RUN` steps are put below."),
    build(Bool, "no-cache", "Build every step anew.").or("false"),
    build(List, "no-cache-filters", "Stages to build anew."),
    build(Bool, "pull", "Ask the registry again for each base image.").or("false"),
    build(
        List,
        "allow",
        "What the files of the checkout may do beyond their project: `network.host`, `security.insecure`, `ssh`, \
         `fs.read=PATH`, `secrets.env=NAME`, `cache-to=REF`. Inputs need no permission.",
    ),
    build(Bool, "check", "Report the warnings of Dockerfile build checks as annotations.").or("true"),
    names(Text, "registry", "Registry host to push to.").or("ghcr.io"),
    names(
        List,
        "image-name",
        "Template of an image's name, lower-cased. Placeholders: `{registry}`, `{owner}`, `{repo}`, `{image}`, \
         `{username}`. With several lines the image is pushed to each; logins for other registries stand in \
         `registries`.",
    )
    .or_else(
        "`{registry}/{owner}/{repo}/{image}`; on `docker.io` `{registry}/{username}/{repo}-{image}`; \
         for a lone Dockerfile without `{image}`",
    ),
    names(List, "tags", "Rules for the tags, in docker/metadata-action's language, or just a tag a line.")
        .or_else("depend on the event"),
    names(
        List,
        "flavor",
        "What holds for all rules: `latest=auto`, `true` or `false`, `prefix=X`, `suffix=X`, the latter two with \
         `,onlatest=true` if need be.",
    )
    .or("latest=auto"),
    names(List, "labels", "Image labels, `key=value` a line, added or overriding. Values may hold expressions.")
        .or_else("the eight `org.opencontainers.image.*`"),
    names(
        List,
        "annotations",
        "`true` or `false`: whether warnings and errors become annotations of the run. Anything else: image \
         annotations, `key=value` or `level:key=value` a line (the run's annotations stay on).",
    )
    .or("true"),
    names(Bool, "tag-compat", "Compute tags exactly as docker/metadata-action, its oddities included.").or("false"),
    registry(Text, "username", "User name for `registry`.")
        .or_else("on `ghcr.io` the actor; for a token of Google, Azure or Amazon ECR what they want"),
    registry(Secret, "password", "Password or token for `registry`.")
        .or_else("on `ghcr.io` the `github-token`; on Amazon ECR a login by `aws-role` or the `AWS_*` variables"),
    registry(
        SecretList,
        "registries",
        "Credentials for further registries (base images, caches): a YAML list of `{registry, username, password}`; \
         `{registry}` alone for one of Amazon ECR, or for `ghcr.io` with the job's token.",
    ),
    registry(Bool, "ecr-create-repository", "Create a repository that Amazon ECR does not have yet.").or("false"),
    registry(
        Text,
        "push",
        "`true`, `false`, or `auto`: everywhere but on pull requests and merge groups. A registry that refuses is an \
         error.",
    )
    .or("auto"),
    registry(
        Text,
        "when-superseded",
        "What to do when the branch has a newer commit whose image is already in the registry. `skip`: the tags that move \
         (the branch, `latest`, `nightly`) stay where they are; `publish`: they are moved.",
    )
    .or("skip"),
    registry(Bool, "load", "Leave the images in the engine.").or("false"),
    registry(
        List,
        "builder",
        "What builds. `auto`: the runner's engine, or a container where the engine cannot do what is asked for; `engine`; \
         `container`; or BuildKit endpoints, `tcp://host:1234`, `unix:///path` or `docker-container://name` a line, each \
         with `platform=linux/arm64,…` and `ca=…,cert=…,key=…` behind it if need be.",
    )
    .or("auto"),
    registry(Text, "buildkit-image", "Image of the `container` builder.").or(ContainerInput::IMAGE),
    registry(List, "buildkit-mirror", "Mirrors for the `container` builder: `mirror` of Docker Hub, or `registry=mirror`."),
    registry(Text, "buildkit-network", "Docker network of the `container` builder.").or_else("the engine's default"),
    registry(
        Text,
        "cache",
        "Build cache. `auto`: GitHub's cache service where job and builder have it, else the builder's own; `gha`; \
         `registry`: the tag `buildcache` beside the image; `inline`; `off`.",
    )
    .or("auto"),
    registry(
        List,
        "cache-from",
        "Caches to read, in BuildKit's syntax: `type=registry,ref=…`, `gha`, `s3`, `azblob`. One that fails is a warning.",
    )
    .or_else("follows `cache`"),
    registry(List, "cache-to", "Caches to write, in BuildKit's syntax. One that fails is a warning.")
        .or_else("follows `cache`"),
    registry(
        Text,
        "provenance",
        "Provenance attestation: `true`, `false` or attributes. `mode=min` leaves build arguments and the Dockerfile out.",
    )
    .or("false"),
    registry(Text, "sbom", "SBOM attestation: `true`, `false` or attributes (`generator=image`).").or("false"),
    registry(
        Text,
        "compression",
        "Layer compression: `gzip`, `zstd`, `estargz` or `uncompressed`. `,compression-level=N` and \
         `,force-compression=true`, which packs the base image's layers anew too, may follow.",
    )
    .or("gzip"),
    notify(SecretList, "discord-webhook", "Discord webhook URLs. Empty means no message and no error."),
    notify(Text, "discord-thread-id", "Thread of the channel to post in."),
    notify(Text, "discord-username", "Name that the message is posted under."),
    notify(Text, "discord-avatar-url", "Picture that the message is posted under."),
    notify(Text, "discord-thumbnail-url", "Picture inside the message."),
    notify(
        Text,
        "discord-mode",
        "`edit`: one message that turns from yellow to green or red. `post`: one at the start and one at the end.",
    )
    .or("edit"),
    notify(SecretList, "slack-webhook", "Slack webhook URLs: the final message only, since it cannot be edited."),
    notify(SecretList, "slack-token", "Slack bot token with the scope `chat:write`: one message, edited."),
    notify(List, "slack-channel", "Channels for `slack-token`, by id or name. The bot must be in them."),
    notify(SecretList, "teams-webhook", "Teams Workflows URLs: the final message only, since it cannot be edited."),
    notify(
        Text,
        "notify-on",
        "When to send: `always`, `failure`, `change` (the run broke what worked or fixed what did not; where the runs \
         before are not known, every failure), `never`, or a list of `started success failure cancelled`.",
    )
    .or("always"),
    notify(
        List,
        "mention",
        "Whom to mention, in a short message of its own: Discord user ids, Discord role ids as `@&id`, Slack user or \
         group ids.",
    ),
    notify(
        Text,
        "mention-on",
        "When to mention: `failure`, `first-failure` (the run before did not fail, or is not known), `never`.",
    )
    .or("failure"),
    notify(Text, "colors", "Colours of the message's states.")
        .or("started=#FEE75C success=#57F287 failure=#ED4245 cancelled=#95A5A6"),
    notify(Bool, "notify-strict", "Fail the step if a message cannot be sent.").or("false"),
    notify(Text, "state", "`command: notify`: what to tell, `started`, `success`, `failure` or `cancelled`.")
        .or_else("how the job stands"),
    notify(
        List,
        "message-id",
        "`command: notify`: the output `message-id` of an earlier step, whose message is edited instead of a new one \
         posted.",
    ),
    deploy(Yaml, "deploy", "Deploy targets: a list of maps.").later(),
    deploy(Secret, "ssh-key", "Private key for `compose:` targets.").later(),
    deploy(Text, "ssh-known-hosts", "Host keys of `compose:` targets.").later(),
    deploy(Secret, "ssh-passphrase", "Passphrase of `ssh-key`.").later(),
    deploy(Secret, "kubeconfig", "Kubernetes configuration: the document, or a path to it.").later(),
    deploy(Text, "aws-region", "AWS region whose endpoint gives `aws-role`.")
        .or_else("`AWS_REGION`, else the registry's"),
    deploy(
        Text,
        "aws-role",
        "ARN of the AWS role to assume with the job's OIDC token (`permissions: id-token: write`).",
    )
    .or_else("the keys in the usual `AWS_*` variables"),
    deploy(Secret, "portainer-token", "Access token for `portainer:` targets.").later(),
    deploy(
        Text,
        "environment",
        "GitHub environment: what is pushed becomes a deployment of it, with its state and links. Needs `deployments: write`.",
    ),
    deploy(Text, "environment-url", "Where the deployed site can be seen, for the `environment`'s link."),
    deploy(Text, "to", "`rollback`: the tag, digest or run number to go back to.").or_else("the release before").later(),
    rest(Secret, "github-token", "Token for GitHub's API and for `ghcr.io`.").or_expression("${{ github.token }}"),
    rest(Text, "job-id", "Set by the runner; links to this job.").or_expression("${{ job.check_run_id }}"),
    rest(Text, "job-status", "Set by the runner; read after the job.").or_expression("${{ job.status }}"),
    rest(Bool, "summary", "Write the job summary.").or("true"),
    rest(
        Bool,
        "pr-comment",
        "Keep one comment on the pull request up to date: images, sizes and how they change. Needs `pull-requests: write`.",
    )
    .or("false"),
    rest(Bool, "dry-run", "Do everything but push, deploy and send messages.").or("false"),
    rest(Text, "timeout", "Limit for the whole run, such as `45m`."),
    rest(Text, "command", "What to do: `run`, `plan`, `notify` or `rollback`.").or("run"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{INPUTS, Support};

    #[test]
    fn names_are_unique_and_kebab_case() {
        let names: BTreeSet<_> = INPUTS.iter().map(|spec| spec.name).collect();
        assert_eq!(names.len(), INPUTS.len());
        for name in names {
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{name}");
        }
    }

    #[test]
    fn secrets_have_no_literal_default() {
        for spec in INPUTS.iter().filter(|spec| spec.kind.is_secret()) {
            assert!(!matches!(spec.default, super::Fallback::Literal(_)), "{}", spec.name);
        }
    }

    #[test]
    fn help_is_one_line() {
        for spec in INPUTS {
            assert!(!spec.help.contains('\n') && spec.help.ends_with('.'), "{}", spec.name);
            assert!(spec.support == Support::All || !spec.is_hidden());
        }
    }
}
