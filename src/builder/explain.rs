//! Explains errors of builds and pushes: what went wrong, and what to do about it. Pure.
//!
//! BuildKit and registries report most reasons as text only. This is the only place that interprets it.

use crate::{
    buildkit::{SolveError, caches::NO_ANSWER},
    domain::stage::Stage,
    registry::permissions::{PushTarget, missing_repository_hint, push_hint},
};

/// An explained error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The stage that failed.
    pub stage: Stage,
    /// What went wrong, in one line.
    pub headline: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Explains a failed solve. `instruction` is the Dockerfile instruction that failed, as written; `target` is the
/// registry that the image is pushed to.
pub fn explain(error: &SolveError, instruction: Option<&str>, target: PushTarget<'_>) -> Explanation {
    let message = without_wrapping(&error.message);
    if let Some(code) = error.exit_code {
        return exit(code, instruction, message);
    }
    if message.contains("failed to push") {
        return push(message, target);
    }
    let (headline, hint) = build(message, instruction);
    Explanation { stage: Stage::Build, headline, hint }
}

/// Explains a failed push to `target`, from the message of the builder, the engine or the registry.
pub fn push(message: &str, target: PushTarget<'_>) -> Explanation {
    let registry = target.host;
    let lower = message.to_ascii_lowercase();
    let has = |signs: &[&str]| signs.iter().any(|sign| lower.contains(sign));
    let cause = last_part(message);
    let unreachable = [
        "no such host",
        "connection refused",
        "i/o timeout",
        "timed out",
        "network is unreachable",
        "no route to host",
    ];
    let (headline, hint) = if has(&["429 too many", "toomanyrequests"]) {
        (format!("{registry} received too many requests"), "wait a few minutes, then run the job again".to_owned())
    } else if has(&unreachable) {
        let hint = format!("check the input `registry` and the network of the runner; the error is: {cause}");
        (format!("the builder cannot reach {registry}"), hint)
    } else if has(&["server gave http response to https client"]) {
        let hint = "use a registry with TLS, or add it to `insecure-registries` in /etc/docker/daemon.json".to_owned();
        (format!("{registry} does not use TLS"), hint)
    } else if has(&["x509", "certificate"]) {
        let hint = format!(
            "copy the CA of its certificate to /etc/docker/certs.d/{registry}/ca.crt on the engine's host; the error is: \
             {cause}"
        );
        (format!("the engine does not trust {registry}"), hint)
    } else if has(&["unauthorized", "no basic auth credentials", "authentication required"])
        && !has(&["insufficient_scope"])
    {
        let problem = if target.has_login { "does not accept the credentials" } else { "requires a login" };
        (format!("{registry} {problem}"), refusal_hint(target, message))
    } else if has(&["denied", "403 forbidden", "insufficient_scope"]) {
        (format!("{registry} refuses the push"), refusal_hint(target, message))
    } else if has(&["tag is immutable", "immutability", "cannot be overwritten"]) {
        let hint = format!("use tags that are new for every push, such as `type=sha`; the registry answered: {cause}");
        (format!("{registry} does not allow tags to be moved"), hint)
    } else if has(&["name unknown", "name_unknown", "does not exist in the registry", "404 not found"]) {
        let hint = missing_repository_hint(registry, message);
        (format!("{registry} has no such repository"), format!("{hint}; the registry answered: {cause}"))
    } else if has(&["got digest ", "did not match uploaded content", "digest_invalid"]) {
        let hint = format!("run the job again; if it fails again, check proxies and mirrors in front of {registry}");
        (format!("the upload to {registry} was damaged"), format!("{hint}; the error is: {cause}"))
    } else if has(&["no space left on device"]) {
        let hint = format!("free disk space there, then run the job again; the error is: {cause}");
        (format!("no disk space is left on the engine's host or on {registry}"), hint)
    } else {
        (format!("the push to {registry} failed"), cause)
    };
    Explanation { stage: Stage::Publish, headline, hint: Some(hint) }
}

/// Whether an engine that tried a login reports that the registry refused it. Engines replace the status of the registry's
/// answer, for example a 401 by a 500.
pub fn is_refused_login(status: Option<u16>, message: &str) -> bool {
    let signs = [": denied: ", ": unauthorized: ", "status: 401 Unauthorized"];
    status == Some(401) || message.starts_with("unauthorized: ") || signs.iter().any(|sign| message.contains(sign))
}

/// Returns the hint for credentials that a registry does not accept or that lack a permission, with the registry's answer.
pub fn refusal_hint(target: PushTarget<'_>, answer: &str) -> String {
    let hint = push_hint(target, answer).unwrap_or_else(|| "check the inputs `username` and `password`".to_owned());
    format!("{hint}; the registry answered: {}", last_part(answer))
}

const FREE_SPACE: &str =
    "free disk space on the runner with `docker system prune -af --volumes`, or use a runner with a larger disk";

/// Returns the hint for a command that failed, if its output shows the reason.
pub fn hint_in(log: &[String]) -> Option<String> {
    // The message of the C library, for any command.
    if log.iter().any(|line| line.contains("No space left on device")) {
        return Some(format!("no disk space is left: {FREE_SPACE}"));
    }
    log.last().is_some_and(|line| line.contains(WRONG_PLATFORM)).then(|| EMULATION.to_owned())
}

/// Explains an error of the build itself: headline and hint.
fn build(message: &str, instruction: Option<&str>) -> (String, Option<String>) {
    if message.contains("no space left on device") {
        return ("no disk space is left for the build".to_owned(), Some(FREE_SPACE.to_owned()));
    }
    if let Some(image) = base_image(message) {
        let is_frontend = instruction.is_some_and(|text| text.trim_start().starts_with('#'));
        return missing_base(&image, message, is_frontend);
    }
    if is_layer_pull(message) {
        let base =
            instruction.and_then(base_of).map_or("the base image".to_owned(), |name| format!("base image {name}"));
        return failed_pull(&format!("a layer of {base}"), message);
    }
    if let Some(subject) = refused_pull(message) {
        let hint = "check FROM, or add a login for its registry to the input `registries`";
        return (format!("{subject} does not exist or needs a login"), Some(hint.to_owned()));
    }
    if let Some(path) = missing_file(message) {
        let hint = "check the path, which is relative to the build context, and whether .dockerignore excludes it";
        return (format!("{path} is not in the build context"), Some(hint.to_owned()));
    }
    if message.contains("header key \"followpaths\" contains value with non-printable") {
        let headline = "a path in the Dockerfile contains a control character, such as a tab or a line break";
        let hint = "rename the file, or copy the directory that contains it; BuildKit cannot transfer such a path";
        return (headline.to_owned(), Some(hint.to_owned()));
    }
    let hint = if message.contains("target stage ") && message.contains("could not be found") {
        "set `target` to a stage of the Dockerfile"
    } else if message.contains("secret ") && message.contains("not found") {
        "pass the secret with the input `secrets` or `secret-files`"
    } else if message.contains(NO_ANSWER) {
        "set `cache: off`; if the builder still hangs, restart it (or the Docker engine, if that is the builder)"
    } else if message.contains("is not allowed") {
        "add it to the input `allow`"
    } else if message.contains(" ssh forward key ") || message.contains("no SSH key ") {
        "pass the key with the input `ssh`, or with `ssh` in the compose file"
    } else if is_lint(message) {
        "correct the Dockerfile as the warnings say, or remove `error=true` from its `# check=`"
    } else if message.contains(WRONG_PLATFORM) {
        EMULATION
    } else {
        return (message.to_owned(), None);
    };
    (message.to_owned(), Some(hint.to_owned()))
}

/// Whether build checks failed the build, which they do with `# check=error=true`.
pub fn is_lint(message: &str) -> bool {
    message.contains("lint violation found for rules: ")
}

/// The kernel's message for a program that was compiled for another processor.
const WRONG_PLATFORM: &str = "exec format error";
const EMULATION: &str = "the builder cannot run programs for this platform: add docker/setup-qemu-action before this step, \
                         or remove the platform from `platforms`";

/// The base image that could not be pulled, in its short form; `None` if the message is about something else.
pub fn missing_base_image(message: &str) -> Option<String> {
    base_image(without_wrapping(message))
}

/// The message without the prefixes that say only that something failed.
fn without_wrapping(message: &str) -> &str {
    const LAYERS: [&str; 6] = [
        "failed to solve: ",
        "failed to solve with frontend dockerfile.v0: ",
        "failed to build LLB: ",
        "failed to create LLB definition: ",
        "failed to load LLB: ",
        "rpc error: code = Unknown desc = ",
    ];
    let mut rest = message.trim();
    while let Some(inner) = LAYERS.iter().find_map(|layer| rest.strip_prefix(layer)) {
        rest = inner;
    }
    rest
}

/// Explains a command that failed.
fn exit(code: i64, instruction: Option<&str>, message: &str) -> Explanation {
    let subject = match instruction {
        Some(text) => {
            let one_line = text.replace('\\', " ").split_whitespace().collect::<Vec<_>>().join(" ");
            format!("`{}`", beginning(&without_flags(&one_line).replace('`', "'")))
        }
        None => beginning(message),
    };
    let hint = match code {
        137 => {
            "the kernel killed the command, most often because memory ran out: use less parallelism, or a larger runner"
        }
        127 => "exit code 127 means that a command was not found: install it in this stage",
        126 => {
            "exit code 126 means that a file could not be executed: make it executable with `chmod +x`, and convert \
             Windows line ends (CRLF)"
        }
        _ => "",
    };
    Explanation {
        stage: Stage::Build,
        headline: format!("{subject} failed with exit code {code}"),
        hint: (!hint.is_empty()).then(|| hint.to_owned()),
    }
}

/// `RUN --mount=… pip install x` without its flags, to leave room for the command.
fn without_flags(instruction: &str) -> String {
    let Some((keyword, rest)) = instruction.split_once(' ') else { return instruction.to_owned() };
    let mut command = rest;
    while let Some((_, after)) = command.split_once(' ').filter(|(word, _)| word.starts_with("--")) {
        command = after;
    }
    format!("{keyword} {command}")
}

/// The words within the first 120 characters. No word is cut, since half of a secret would not be redacted.
fn beginning(text: &str) -> String {
    let Some((end, _)) = text.char_indices().nth(120) else { return text.to_owned() };
    let words = text[..end].rfind(char::is_whitespace).unwrap_or(0);
    format!("{}…", text[..words].trim_end())
}

/// The words within the last 160 characters. BuildKit's messages end with the cause.
fn last_part(text: &str) -> String {
    let Some((start, _)) = text.char_indices().rev().nth(160) else { return text.to_owned() };
    let words = text[start..].find(char::is_whitespace).map_or(text.len(), |at| start + at);
    format!("…{}", text[words..].trim_start())
}

/// The image in `…: failed to resolve source metadata for docker.io/library/x:1: …` and its variants.
fn base_image(message: &str) -> Option<String> {
    let marker = ["failed to resolve source metadata for ", "failed to load metadata for "]
        .iter()
        .find(|marker| message.contains(**marker));
    let name = match marker {
        Some(marker) => message.split(*marker).nth(1)?.split(": ").next()?,
        // Before BuildKit 0.10: `docker.io/library/x:1: not found`.
        None => message.strip_suffix(": not found").filter(|name| name.contains('/') && !name.contains([' ', '"']))?,
    };
    let short = name.strip_prefix("docker.io/library/").or_else(|| name.strip_prefix("docker.io/")).unwrap_or(name);
    (!short.is_empty()).then(|| short.to_owned())
}

/// The image in messages of BuildKit before 0.10, which do not name it: `pulling from host X failed with status code […]:
/// 401 Unauthorized`, or `pull access denied, …`.
fn refused_pull(message: &str) -> Option<String> {
    if message.starts_with("pull access denied") {
        return Some("a base image".to_owned());
    }
    let (_, rest) = message.split_once("pulling from host ")?;
    let (host, reason) = rest.split_once(" failed with status code ")?;
    (reason.contains(": 401 ") || reason.contains(": 403 ")).then(|| format!("a base image on {host}"))
}

/// Explains why an image cannot be pulled: a base image, or that of the frontend that `# syntax=` names.
fn missing_base(image: &str, message: &str, is_frontend: bool) -> (String, Option<String>) {
    let (kind, place) = if is_frontend { ("Dockerfile frontend", "`# syntax=`") } else { ("base image", "FROM") };
    let lower = message.to_ascii_lowercase();
    let has = |signs: &[&str]| signs.iter().any(|sign| lower.contains(sign));
    if image.contains("syft-scanner") {
        let hint = "use another generator with `sbom: generator=IMAGE`, or add a login for its registry to the input \
                    `registries`";
        (format!("{image}, which generates the SBOM, cannot be pulled"), Some(hint.to_owned()))
    } else if has(&["content at http"]) && has(&["not found"]) {
        let headline = format!("the registry lists a manifest of {kind} {image} that it does not have");
        (headline, Some(DAMAGED_PULL.to_owned()))
    } else if has(&["not found", "does not exist"]) && !has(&["no such host", "access denied"]) {
        let hint = format!(
            "check the name and tag in {place}; if the image is private, add a login to the input `registries`"
        );
        (format!("{kind} {image} does not exist"), Some(hint))
    } else if has(&["denied", "unauthorized", "403 forbidden"]) {
        let hint = format!("check {place}, and the login for its registry in the input `registries`");
        (format!("{kind} {image} does not exist or needs a login"), Some(hint))
    } else {
        failed_pull(&format!("{kind} {image}"), message)
    }
}

const DAMAGED_PULL: &str =
    "run the job again; if it fails again, check the registry, and proxies and mirrors in front of it";

/// Explains why a base image, or a layer of one, that exists cannot be pulled.
fn failed_pull(subject: &str, message: &str) -> (String, Option<String>) {
    let lower = message.to_ascii_lowercase();
    let has = |signs: &[&str]| signs.iter().any(|sign| lower.contains(sign));
    if has(&["429 too many", "toomanyrequests"]) {
        let hint = "add a login for its registry to the input `registries`, or use a mirror";
        return (format!("{subject} cannot be pulled: the registry's rate limit is exceeded"), Some(hint.to_owned()));
    }
    let hint = if has(&["401 unauthorized", "403 forbidden", "denied"]) {
        "check the login for its registry in the input `registries`"
    } else if has(&["unexpected commit digest", "short read"]) {
        return (format!("{subject} was damaged during the download"), Some(DAMAGED_PULL.to_owned()));
    } else {
        "run the job again"
    };
    (format!("{subject} cannot be pulled"), Some(format!("{hint}; the error is: {}", last_part(message))))
}

/// Whether a step failed because a layer of its base image could not be pulled. BuildKit pulls layers when a step needs
/// them, and reports the error as that step's.
pub fn is_layer_pull(message: &str) -> bool {
    const SIGNS: [&str; 3] = ["httpReadSeeker: ", "failed commit on ref \"layer-", "short read: expected "];
    !message.contains("failed to push") && SIGNS.iter().any(|sign| message.contains(sign))
}

/// The repository in the address of a layer, `…/v2/o/r/blobs/sha256:…`, with its host.
pub fn repository_of_layer(message: &str) -> Option<String> {
    let (before, rest) = message.split_once("/v2/")?;
    let (path, _) = rest.split_once("/blobs/")?;
    let host = before.rsplit("//").next()?;
    let is_plain = |text: &str| !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c == '"');
    (is_plain(host) && is_plain(path)).then(|| format!("{host}/{path}"))
}

/// The image in a `FROM` instruction.
fn base_of(instruction: &str) -> Option<&str> {
    let mut words = instruction.split_whitespace();
    words.next().filter(|word| word.eq_ignore_ascii_case("from"))?;
    words.find(|word| !word.starts_with("--"))
}

/// The source of a `COPY` or `ADD` that does not exist.
fn missing_file(message: &str) -> Option<String> {
    let about_copy = ["failed to calculate checksum of ref", "failed to compute cache key"];
    let path = message
        .strip_suffix(": not found")
        .filter(|_| about_copy.iter().any(|sign| message.contains(sign)))
        .and_then(|rest| rest.rsplit(": ").next())?;
    // Before BuildKit 0.10 the message is `…: "/x" not found: not found`.
    let path = path.trim_end_matches(" not found");
    Some(format!("`{}`", path.trim_matches('"')))
}

#[cfg(test)]
mod tests {
    use super::{explain, hint_in, is_refused_login};
    use crate::{buildkit::SolveError, domain::stage::Stage, registry::permissions::PushTarget};

    const GHCR: PushTarget<'static> = PushTarget { host: "ghcr.io", has_login: true };

    fn error(message: &str) -> SolveError {
        SolveError { message: message.into(), ..SolveError::default() }
    }

    /// Messages that engines sent.
    #[test]
    #[expect(clippy::too_many_lines, reason = "one table")]
    fn real_messages_are_understood() {
        for (message, stage, headline, hint) in [
            (
                "failed to solve: nope/nope:1: failed to resolve source metadata for docker.io/nope/nope:1: \
                 docker.io/nope/nope:1: not found",
                Stage::Build,
                "base image nope/nope:1 does not exist",
                "check the name and tag",
            ),
            (
                "failed to resolve source metadata for docker.io/docker/buildkit-syft-scanner:stable-1: \
                 docker.io/docker/buildkit-syft-scanner:stable-1: not found",
                Stage::Build,
                "docker/buildkit-syft-scanner:stable-1, which generates the SBOM, cannot be pulled",
                "generator=",
            ),
            (
                "failed to solve: write /var/lib/docker/containerd/daemon/io.containerd.snapshotter.v1.overlayfs/snapshots/6/fs/big.bin: no space left on device",
                Stage::Build,
                "no disk space is left for the build",
                "docker system prune",
            ),
            (
                "failed to solve with frontend dockerfile.v0: failed to create LLB definition: r.example/nope/nope:1: not found",
                Stage::Build,
                "base image r.example/nope/nope:1 does not exist",
                "check the name and tag",
            ),
            (
                "failed to solve with frontend dockerfile.v0: failed to create LLB definition: pulling from host \
                 r.example:5001 failed with status code [manifests sha256:fbce]: 401 Unauthorized",
                Stage::Build,
                "a base image on r.example:5001 does not exist or needs a login",
                "`registries`",
            ),
            (
                "failed to load LLB: pull access denied, repository does not exist or may require authorization: server \
                 message: insufficient_scope: authorization failed",
                Stage::Build,
                "a base image does not exist or needs a login",
                "`registries`",
            ),
            (
                "failed to compute cache key: failed to calculate checksum of ref ob37::jveu: \"/missing.txt\": not found",
                Stage::Build,
                "`/missing.txt` is not in the build context",
                ".dockerignore",
            ),
            (
                "failed to compute cache key: rpc error: code = Internal desc = header key \"followpaths\" contains value \
                 with non-printable ASCII characters",
                Stage::Build,
                "a path in the Dockerfile contains a control character, such as a tab or a line break",
                "rename the file",
            ),
            ("failed to load LLB: network.host is not allowed", Stage::Build, "network.host is not allowed", "`allow`"),
            (
                "failed to push 10.213.0.1:5999/live/web:main: failed to do request: Head \"https://x\": dial tcp \
                 10.213.0.1:5999: connect: connection refused",
                Stage::Publish,
                "the builder cannot reach ghcr.io",
                "connect: connection refused",
            ),
            (
                "failed to push r.example/o/r:main: failed to do request: Head \"https://r.example/v2/o/r/blobs/x\": http: \
                 server gave HTTP response to HTTPS client",
                Stage::Publish,
                "ghcr.io does not use TLS",
                "`insecure-registries`",
            ),
            (
                "failed to push ghcr.io/o/r:main: unexpected status from POST request to https://ghcr.io/v2/o/r/blobs/uploads/: \
                 403 Forbidden",
                Stage::Publish,
                "ghcr.io refuses the push",
                "`packages: write`",
            ),
            (
                "failed to push x/o/r:main: unexpected status from HEAD request to \
                 http://x/v2/o/r/blobs/sha256:32733a4e200886fba1d1af514017d6346c13b3768732950815c42c52b94248fd: \
                 503 Service Unavailable",
                Stage::Publish,
                "the push to ghcr.io failed",
                "503 Service Unavailable",
            ),
            (
                "failed to push 123456789012.dkr.ecr.eu-west-1.amazonaws.com/o/r:main: unexpected status from POST request \
                 to https://123456789012.dkr.ecr.eu-west-1.amazonaws.com/v2/o/r/blobs/uploads/: 404 Not Found",
                Stage::Publish,
                "ghcr.io has no such repository",
                "404 Not Found",
            ),
            (
                "failed to push x/o/r:v1: tag invalid: The image tag 'v1' already exists in the 'o/r' repository and \
                 cannot be overwritten because the tag is immutable.",
                Stage::Publish,
                "ghcr.io does not allow tags to be moved",
                "new for every push",
            ),
            (
                "failed to push ghcr.io/o/r:main: push access denied, repository does not exist or may require \
                 authorization: server message: insufficient_scope: authorization failed",
                Stage::Publish,
                "ghcr.io refuses the push",
                "`packages: write`",
            ),
        ] {
            let explained = explain(&error(message), None, GHCR);
            assert_eq!((explained.stage, explained.headline.as_str()), (stage, headline), "{message}");
            let shown = explained.hint.unwrap_or_default();
            assert!(shown.contains(hint), "{shown}");
        }
    }

    /// The errors of Docker 28 for a registry that breaks while a base image is pulled.
    #[test]
    fn a_base_image_that_cannot_be_downloaded_is_named() {
        let from = Some("FROM --platform=linux/amd64 r.example/o/base:1 AS build");
        let layer = "failed to compute cache key: failed to copy: httpReadSeeker: failed open: ";
        let url = "https://r.example/v2/o/base/blobs/sha256:ab";
        for (message, headline, hint) in [
            (
                format!("{layer}unexpected status from GET request to {url}: 403 Forbidden\ndenied: x"),
                "a layer of base image r.example/o/base:1 cannot be pulled",
                "check the login for its registry",
            ),
            (
                format!("{layer}failed to do request: Get \"{url}\": read tcp 1.2.3.4:5->6.7.8.9:443: connection reset by peer"),
                "a layer of base image r.example/o/base:1 cannot be pulled",
                "run the job again; the error is: ",
            ),
            (
                format!("{layer}unexpected status from GET request to {url}: 429 Too Many Requests\ntoomanyrequests: x"),
                "a layer of base image r.example/o/base:1 cannot be pulled: the registry's rate limit is exceeded",
                "add a login",
            ),
            (
                "failed to compute cache key: short read: expected 5150 bytes but got 5149: unexpected EOF".to_owned(),
                "a layer of base image r.example/o/base:1 was damaged during the download",
                "proxies",
            ),
            (
                "failed to compute cache key: failed commit on ref \"layer-sha256:ab\": commit failed: unexpected commit \
                 digest sha256:cd, expected sha256:ab: failed precondition"
                    .to_owned(),
                "a layer of base image r.example/o/base:1 was damaged during the download",
                "proxies",
            ),
            (
                "r.example/o/base:1: failed to resolve source metadata for r.example/o/base:1: failed to copy: \
                 httpReadSeeker: failed open: content at https://r.example/v2/o/base/manifests/sha256:ab not found: not found"
                    .to_owned(),
                "the registry lists a manifest of base image r.example/o/base:1 that it does not have",
                "run the job again",
            ),
        ] {
            let explained = explain(&error(&message), from, GHCR);
            assert_eq!((explained.stage, explained.headline.as_str()), (Stage::Build, headline), "{message}");
            let shown = explained.hint.unwrap_or_default();
            assert!(shown.contains(hint), "{shown}");
        }
    }

    #[test]
    fn a_frontend_is_no_base_image() {
        let message = "failed to resolve source metadata for docker.io/docker/dockerfile:9: docker.io/docker/dockerfile:9: not found";
        let explained = explain(&error(message), Some("# syntax=docker/dockerfile:9"), GHCR);
        assert_eq!(explained.headline, "Dockerfile frontend docker/dockerfile:9 does not exist");
        assert!(explained.hint.is_some_and(|hint| hint.starts_with("check the name and tag in `# syntax=`")));
    }

    #[test]
    fn a_push_without_a_login_requires_one() {
        let anonymous = PushTarget { host: "r.example", has_login: false };
        let explained = super::push("failed to push r.example/o/r: unauthorized: authentication required", anonymous);
        assert_eq!(explained.headline, "r.example requires a login");
        for message in ["failed to push r.example/o/r: denied: x", "403 Forbidden", "unauthorized: x"] {
            let hint = super::push(message, anonymous).hint.unwrap();
            assert!(hint.starts_with("no login for r.example is given"), "{message}: {hint}");
        }
    }

    /// Answers of Docker 20.10 and 28.
    #[test]
    fn a_refused_login_differs_from_a_registry_in_trouble() {
        for (status, message) in [
            (401, "Get \"https://ghcr.io/v2/\": unauthorized: incorrect username or password"),
            (403, "Get \"https://ghcr.io/v2/\": denied: denied"),
            (500, "Get \"https://ghcr.io/v2/\": denied: denied"),
            (500, "login attempt to http://r.example/v2/ failed with status: 401 Unauthorized"),
            (200, "unauthorized: authentication required"),
        ] {
            assert!(is_refused_login(Some(status), message), "{message}");
        }
        for (status, message) in [
            (500, "Get \"https://r.example/v2/\": dial tcp: connect: connection refused"),
            (500, "login attempt to http://r.example/v2/ failed with status: 503 Service Unavailable"),
        ] {
            assert!(!is_refused_login(Some(status), message), "{message}");
        }
    }

    #[test]
    fn a_command_that_failed_is_named_without_the_flags_of_its_run() {
        let failed = SolveError { exit_code: Some(2), ..error("exit code: 2") };
        let run = "RUN --mount=type=cache,target=/root/.cache/uv \\\n    --network=none \\\n    uv sync --locked";
        assert_eq!(explain(&failed, Some(run), GHCR).headline, "`RUN uv sync --locked` failed with exit code 2");
        let bare = explain(&failed, Some("RUN"), GHCR);
        assert_eq!(bare.headline, "`RUN` failed with exit code 2");
    }

    #[test]
    fn a_full_disk_shows_in_the_output_of_a_command() {
        let log = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let full = log(
            "Collecting django\nERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
        );
        assert!(hint_in(&full).is_some_and(|hint| hint.contains("docker system prune")));
        assert_eq!(hint_in(&log("ERROR: No matching distribution found")), None);
    }
}
