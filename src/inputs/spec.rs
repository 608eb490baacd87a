//! The registry of all action inputs. `action.yml`, the tables in the README and in `docs/inputs.md`, the command line
//! and `--help` are generated from [`INPUTS`] or checked against it. All of them use the order of [`INPUTS`].

mod kind;

pub use self::kind::{Fallback, Group, Kind};

use super::builder::ContainerInput;

/// An action input, which is also the command-line flag `--name=value`.
#[derive(Clone, Copy, Debug)]
pub struct InputSpec {
    /// Name, in kebab case.
    pub name: &'static str,
    /// Type of its value.
    pub kind: Kind,
    /// Default.
    pub default: Fallback,
    /// One-line description.
    pub help: &'static str,
    /// Heading in `docs/inputs.md`.
    pub group: Group,
}

impl InputSpec {
    const fn new(group: Group, kind: Kind, name: &'static str, help: &'static str) -> Self {
        Self { name, kind, default: Fallback::None, help, group }
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

    /// Whether the runner sets this input, so that workflows do not.
    pub fn is_hidden(&self) -> bool {
        matches!(self.name, "job-id" | "job-status")
    }
}

/// Returns the input with this name.
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
    build(Text, "working-directory", "Directory of the project, relative to the workspace.").or("."),
    build(List, "compose-file", "Compose files, merged in order.").or_else(
        "the files that the variable `COMPOSE_FILE` names, otherwise the first that exists of `compose.yaml`, \
         `compose.yml`, `docker-compose.yml`, `docker-compose.yaml`, `docker-compose.production.yml`, `production.yml`; \
         a `Dockerfile` if no service has `build:`",
    ),
    build(
        Text,
        "context",
        "Build context of a project with a single image: a directory or a URL. With `context` or `file`, Compose files \
         are ignored.",
    )
    .or_else("the working directory"),
    build(
        Text,
        "file",
        "Dockerfile of a project with a single image, relative to the working directory, or to `context` if that is a URL.",
    )
    .or_else("`Dockerfile` in the context"),
    build(List, "profiles", "Compose profiles to enable. Services without a profile are always enabled."),
    build(List, "services", "Names or globs of the services, and of the items of `images`, to build.")
        .or_else("all items of `images`, or all services with `build:`"),
    build(
        Yaml,
        "images",
        "Images to build, even if there is a Compose file: a list of maps with `name` (required), `context`, `dockerfile`, \
         `target`, `build-args`, `build-contexts`, `platforms`, `tags`, `image-name`, `labels`, `secrets`, `cache-from`, \
         `cache-to`, `services`. An item with the name of a service overrides the Compose file. The input `services` can \
         add other services.",
    ),
    build(List, "env-file", "Files with values for `${VAR}` in Compose files.").or_else("`.env`, if it exists"),
    build(
        List,
        "build-args",
        "Build arguments of all images, one `KEY=value` per line. A `KEY` alone takes its value from the environment. \
         Values can contain expressions, such as `{{version}}`.",
    ),
    build(
        List,
        "build-contexts",
        "Named build contexts: `name=path`, `name=docker-image://…`, `name=https://…`, or `name=target:IMAGE` for another \
         image of the run.",
    ),
    build(
        SecretList,
        "secrets",
        "Build secrets, one `id=value` per line, or a YAML map for values with several lines. They are never written to \
         disk.",
    ),
    build(List, "secret-files", "Build secrets from files, one `id=path` per line."),
    build(List, "secret-envs", "Build secrets from environment variables, one `id=VARIABLE` per line."),
    build(
        List,
        "ssh",
        "SSH agents and keys for `RUN --mount=type=ssh`: `default` (the agent of `SSH_AUTH_SOCK`, whose socket \
         must be in the workspace or in `RUNNER_TEMP`) or `id=path-to-key`.",
    ),
    build(Text, "target", "Stage of the Dockerfile to build.")
        .or_else("the stage in the Compose file, otherwise the last stage"),
    build(List, "platforms", "Platforms to build for, such as `linux/amd64,linux/arm64`.")
        .or_else("the platform of the engine"),
    build(Text, "network", "Network of `RUN` steps: `default`, `none` or `host`."),
    build(List, "add-hosts", "Additional host names for `RUN` steps, one `host:ip` per line."),
    build(Text, "shm-size", "Size of `/dev/shm` in `RUN` steps, such as `128m`."),
    build(List, "ulimits", "Limits of `RUN` steps, such as `nofile=1024:2048`."),
    build(Text, "cgroup-parent", "Parent cgroup of the containers of `RUN` steps."),
    build(Bool, "no-cache", "Build all stages without the cache.").or("false"),
    build(List, "no-cache-filters", "Stages to build without the cache."),
    build(Bool, "pull", "Look for newer base images in their registries.").or("false"),
    build(
        List,
        "allow",
        "Permissions for the files of the checkout: `network.host`, `security.insecure`, `ssh`, `fs.read=PATH`, \
         `secrets.env=NAME`, `cache-to=REF`. Inputs need no permission.",
    ),
    build(Bool, "check", "Report warnings of Dockerfile build checks as annotations.").or("true"),
    names(Text, "registry", "Host of the registry to push to.").or("ghcr.io"),
    names(
        List,
        "image-name",
        "Name of every image with its registry, converted to lower case, such as `{registry}/{owner}/app`. Placeholders: \
         `{registry}`, `{owner}`, `{repo}`, `{image}`, `{username}`. With several lines, every image is pushed to each of them; add logins for other registries to \
         `registries`.",
    )
    .or_else(
        "the names in the Compose file below `{registry}/{owner}/` (on `docker.io`: `{registry}/{username}/`), otherwise \
         `{registry}/{owner}/{repo}/{image}`; on `docker.io`: `{registry}/{username}/{repo}-{image}`; without `{image}` \
         for a single Dockerfile",
    ),
    names(List, "tags", "Tags, or rules in the language of docker/metadata-action, one per line.")
        .or_else("depends on the event"),
    names(
        List,
        "flavor",
        "Settings of all rules: `latest=auto`, `latest=true` or `latest=false`, `prefix=TEXT`, `suffix=TEXT`. A prefix or \
         suffix applies to `latest` too if `,onlatest=true` follows.",
    )
    .or("latest=auto"),
    names(
        List,
        "labels",
        "Image labels, one `key=value` per line, in addition to the default labels or replacing them. Values can contain \
         expressions, such as `{{version}}`.",
    )
    .or_else("the eight `org.opencontainers.image.*` labels"),
    names(
        List,
        "annotations",
        "`true` or `false`: whether warnings and errors become annotations of the run. Any other value: annotations of \
         the images, one `key=value` or `level:key=value` per line. Values can contain expressions, such as `{{version}}`.",
    )
    .or("true"),
    names(Bool, "tag-compat", "Compute tags exactly like docker/metadata-action.").or("false"),
    registry(Text, "username", "User name for `registry`.")
        .or_else("on `ghcr.io`: the actor; on Google, Azure and Amazon ECR: the user name for access tokens"),
    registry(Secret, "password", "Password or token for `registry`.")
        .or_else("on `ghcr.io`: `github-token`; on Amazon ECR: a login with `aws-role` or the `AWS_*` variables"),
    registry(
        SecretList,
        "registries",
        "Logins for further registries: a YAML list of `{registry, username, password}`. `{registry}` alone is sufficient \
         for Amazon ECR, and for `ghcr.io` with the job's token.",
    ),
    registry(Text, "aws-region", "AWS region whose endpoint issues the credentials of `aws-role`.")
        .or_else("`AWS_REGION`, otherwise the registry's region"),
    registry(
        Text,
        "aws-role",
        "ARN of the AWS role that the job assumes with its OIDC token. Needs `id-token: write`.",
    )
    .or_else("credentials in the `AWS_*` variables"),
    registry(Bool, "ecr-create-repository", "Create Amazon ECR repositories that do not exist.").or("false"),
    registry(Text, "push", "`true`, `false`, or `auto`: on all events except pull requests and merge queues.").or("auto"),
    registry(
        Text,
        "when-superseded",
        "What to do if the image of a newer commit of the branch is already in the registry. `skip`: tags that the newer \
         commit also gets, such as the branch and `latest`, are not moved. `publish`: they are moved.",
    )
    .or("skip"),
    registry(
        Bool,
        "load",
        "Load the images into the Docker engine. They also get the names that `docker compose` looks for: `image:` of each \
         service, or `<project>-<service>`.",
    )
    .or("false"),
    registry(
        List,
        "builder",
        "`auto`: the runner's Docker engine, or a BuildKit container if the engine does not support what the inputs ask \
         for; `engine`; `container`; or addresses of BuildKit daemons, one `tcp://host:1234`, `unix:///path` or \
         `docker-container://name` per line, optionally followed by `platform=linux/arm64,…` and `ca=…,cert=…,key=…`.",
    )
    .or("auto"),
    registry(Text, "buildkit-image", "Image of the BuildKit container.").or(ContainerInput::IMAGE),
    registry(
        List,
        "buildkit-mirror",
        "Registry mirrors for the BuildKit container: a mirror of Docker Hub, or `registry=mirror`.",
    ),
    registry(Text, "buildkit-network", "Docker network of the BuildKit container.")
        .or_else("the engine's default network"),
    registry(
        Text,
        "cache",
        "Build cache. `auto`: GitHub's cache service if the job and the builder support it, otherwise the builder's own \
         cache; `gha`: GitHub's cache service; `registry`: the tag `buildcache` in the image's repository; `inline`: part \
         of the image; `off`.",
    )
    .or("auto"),
    registry(
        List,
        "cache-from",
        "Caches to read, in BuildKit's syntax: `type=registry,ref=…`, `gha`, `s3`, `azblob`. A cache that fails is a \
         warning.",
    )
    .or_else("depends on `cache`"),
    registry(List, "cache-to", "Caches to write, in BuildKit's syntax. A cache that fails is a warning.")
        .or_else("depends on `cache`"),
    registry(
        Text,
        "provenance",
        "Provenance attestation: `true`, `false`, or attributes such as `mode=min`, which omits build arguments and the \
         Dockerfile.",
    )
    .or("false"),
    registry(Text, "sbom", "SBOM attestation: `true`, `false`, or attributes such as `generator=IMAGE`.").or("false"),
    registry(
        Text,
        "compression",
        "Compression of layers: `gzip`, `zstd`, `estargz` or `uncompressed`, optionally followed by \
         `,compression-level=N` and by `,force-compression=true`, which also compresses the layers of the base image.",
    )
    .or("gzip"),
    notify(SecretList, "discord-webhook", "Discord webhook URLs. An empty value sends no message."),
    notify(Text, "discord-thread-id", "Id of the Discord thread to post in."),
    notify(Text, "discord-username", "Name of the sender in Discord."),
    notify(Text, "discord-avatar-url", "URL of the sender's picture in Discord."),
    notify(Text, "discord-thumbnail-url", "URL of a small picture in the Discord message."),
    notify(
        Text,
        "discord-mode",
        "`edit`: one message that is edited during the run. `post`: one message at the start and one at the end.",
    )
    .or("edit"),
    notify(SecretList, "slack-webhook", "Slack webhook URLs, for one message at the end of the run."),
    notify(
        SecretList,
        "slack-token",
        "Slack bot token with the scope `chat:write`, for one message that is edited during the run. One for all \
         channels, or one per channel.",
    ),
    notify(List, "slack-channel", "Channels for `slack-token`, by id or name. The bot must be a member."),
    notify(SecretList, "teams-webhook", "URLs of Teams workflows, for one message at the end of the run."),
    notify(
        Text,
        "notify-on",
        "When to send messages: `always`, `failure`, `change` (a failure after a success, a success after a failure, or a \
         failure of the first run; if earlier runs are unknown, every failure), `never`, or a list of \
         `started success failure cancelled`.",
    )
    .or("always"),
    notify(
        List,
        "mention",
        "Who is mentioned, in a separate message: Discord user ids, Discord role ids as `@&id`, Slack user or group ids.",
    ),
    notify(
        Text,
        "mention-on",
        "When to mention: `failure`, `first-failure` (the previous run did not fail, or is unknown), `never`.",
    )
    .or("failure"),
    notify(Text, "colors", "Colors of the message for each state.")
        .or("started=#FEE75C success=#57F287 failure=#ED4245 cancelled=#95A5A6"),
    notify(Bool, "notify-strict", "Fail the step if a message cannot be sent.").or("false"),
    notify(
        Text,
        "state",
        "With `command: notify`: the state to report, `started`, `success`, `failure` or `cancelled`.",
    )
    .or_else("the status of the job"),
    notify(
        List,
        "message-id",
        "With `command: notify`: the output `message-id` of an earlier step, whose message is edited.",
    ),
    deploy(
        Yaml,
        "deploy",
        "Servers that the images are deployed to: a list of maps, a single map, or the path of a YAML file. Keys: `compose` \
         (required), `jump`, `name`, `refs`, `services`, `migrate`, `http-check`, `files`, `project`, `sync`, `strategy`, \
         `timeout`, `settle`, `lock-wait`, `rollback`, `keep`, `at-once`, `environment`, `url`.",
    ),
    deploy(Secret, "ssh-key", "Private key for the servers of `deploy`, or several keys, one below the other."),
    deploy(Secret, "ssh-passphrase", "Passphrase of `ssh-key`."),
    deploy(
        Text,
        "ssh-known-hosts",
        "Public keys of the servers of `deploy`, as `ssh-keyscan` prints them. Other servers are refused.",
    ),
    deploy(
        Text,
        "digests",
        "With `command: deploy`: the images to deploy, the output `digests` of the job that built them.",
    )
    .or_else("the images of the first tag"),
    deploy(Text, "to", "With `command: rollback`: the id of the release to put back.").or_else("the previous release"),
    deploy(
        Text,
        "environment",
        "GitHub environment in which a run that pushes is recorded as a deployment. Needs `deployments: write`.",
    ),
    deploy(Text, "environment-url", "URL of the deployed site, for the GitHub deployment."),
    rest(Secret, "github-token", "Token for the GitHub API and for `ghcr.io`.").or_expression("${{ github.token }}"),
    rest(Text, "job-id", "Set by the runner; used for links to the job.").or_expression("${{ job.check_run_id }}"),
    rest(Text, "job-status", "Set by the runner; read after the job.").or_expression("${{ job.status }}"),
    rest(Bool, "summary", "Write the job summary.").or("true"),
    rest(
        Bool,
        "pr-comment",
        "Keep one comment on the pull request with the images, their sizes and changes. Needs `pull-requests: write`.",
    )
    .or("false"),
    rest(Bool, "dry-run", "Build without pushing, writing caches, or sending messages and comments.").or("false"),
    rest(Text, "timeout", "Time limit of the run, such as `45m`."),
    rest(
        Text,
        "command",
        "What to do: `run`; `plan`, which prints what a run would do and sets the outputs `plan`, `tags`, `labels` and \
         `version`; `deploy`, which deploys existing images; `rollback`, which puts back an earlier release; or `notify`, \
         which sends a message.",
    )
    .or("run"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::INPUTS;

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
        }
    }
}
