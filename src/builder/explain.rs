//! Says in plain words what a build or push error of the daemon means and what to do about it. Pure.
//!
//! BuildKit and registries send most reasons as text only, so text it is that is looked at here, and nowhere else.

use crate::{
    buildkit::{SolveError, caches::NO_ANSWER},
    domain::stage::Stage,
    registry::permissions::{PushTarget, missing_repository_hint, push_hint},
};

/// An error in plain words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// The stage that failed.
    pub stage: Stage,
    /// What went wrong, in one line.
    pub headline: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Explains a failed solve. `instruction` is the Dockerfile instruction that it is about, as written.
pub fn explain(error: &SolveError, instruction: Option<&str>, target: PushTarget<'_>) -> Explained {
    let message = without_wrapping(&error.message);
    if let Some(code) = error.exit_code {
        return exit(code, instruction, message);
    }
    if message.contains("failed to push") {
        return push(message, target);
    }
    let (headline, hint) = build(message, instruction);
    Explained { stage: Stage::Build, headline, hint }
}

/// Explains an error of a push: what the engine or the registry says.
pub fn push(message: &str, target: PushTarget<'_>) -> Explained {
    let registry = target.host;
    let lower = message.to_ascii_lowercase();
    let has = |signs: &[&str]| signs.iter().any(|sign| lower.contains(sign));
    let says = ending(message);
    let unreachable = [
        "no such host",
        "connection refused",
        "i/o timeout",
        "timed out",
        "network is unreachable",
        "no route to host",
    ];
    let (headline, hint) = if has(&["429 too many", "toomanyrequests"]) {
        (format!("{registry} answers that there are too many requests"), "wait and run the job again".to_owned())
    } else if has(&unreachable) {
        let hint = format!("check the input `registry` and the runner's network; the engine says: {says}");
        (format!("{registry} cannot be reached from the engine"), hint)
    } else if has(&["x509", "certificate", "server gave http response to https client"]) {
        let hint = format!("give the engine its CA in /etc/docker/certs.d/{registry}/ca.crt; it says: {says}");
        (format!("the engine does not trust {registry}"), hint)
    } else if has(&["unauthorized", "no basic auth credentials", "authentication required"])
        && !has(&["insufficient_scope"])
    {
        let headline = if target.has_login { "does not accept the credentials" } else { "requires a login" };
        (format!("{registry} {headline}"), refusal_hint(target, message))
    } else if has(&["denied", "403 forbidden", "insufficient_scope"]) {
        (format!("{registry} refuses the push"), refusal_hint(target, message))
    } else if has(&["tag is immutable", "immutability", "cannot be overwritten"]) {
        let hint = format!("use tags that no push has had yet, such as those of the commit; the registry says: {says}");
        (format!("{registry} does not let a tag be moved"), hint)
    } else if has(&["name unknown", "name_unknown", "does not exist in the registry", "404 not found"]) {
        let hint = missing_repository_hint(registry, message);
        (format!("{registry} has no such repository"), format!("{hint}; the registry says: {says}"))
    } else if has(&["got digest ", "did not match uploaded content", "digest_invalid"]) {
        let hint = format!("run the job again; if it fails again, check the proxy or mirror in front of {registry}");
        (format!("{registry} did not receive what was sent"), format!("{hint}; the engine says: {says}"))
    } else if has(&["no space left on device"]) {
        ("a disk is full (the engine's or the registry's)".to_owned(), says)
    } else {
        (format!("the push to {registry} failed"), says)
    };
    Explained { stage: Stage::Publish, headline, hint: Some(hint) }
}

/// Whether an engine that was asked to try a login says that the registry refused it. Engines pass the registry's
/// answer on with a status of their own, such as 500 for a 401.
pub fn is_refused_login(status: Option<u16>, message: &str) -> bool {
    let words = [": denied: ", ": unauthorized: ", "status: 401 Unauthorized"];
    status == Some(401) || message.starts_with("unauthorized: ") || words.iter().any(|words| message.contains(words))
}

/// What to do when a registry does not accept the credentials, or who they belong to, and what it says.
pub fn refusal_hint(target: PushTarget<'_>, says: &str) -> String {
    let hint = push_hint(target, says).unwrap_or_else(|| "check the inputs `username` and `password`".to_owned());
    format!("{hint}; the registry says: {}", ending(says))
}

const FREE_SPACE: &str = "free space on the runner: `docker system prune -af --volumes`, or a larger disk";

/// What to do about a command that failed, where only its own words tell.
pub fn hint_in(log: &[String]) -> Option<String> {
    // Written by the C library, whatever the command.
    if log.iter().any(|line| line.contains("No space left on device")) {
        return Some(format!("the engine's disk is full: {FREE_SPACE}"));
    }
    log.last().is_some_and(|line| line.contains(NOT_FOR_THIS_MACHINE)).then(|| EMULATION.to_owned())
}

/// An error of the build itself: headline and hint.
fn build(message: &str, instruction: Option<&str>) -> (String, Option<String>) {
    if message.contains("no space left on device") {
        return ("the engine's disk is full".to_owned(), Some(FREE_SPACE.to_owned()));
    }
    if let Some(image) = base_image(message) {
        return missing_base(&image, message);
    }
    if is_layer_pull(message) {
        let base = instruction
            .and_then(base_of)
            .map_or_else(|| "the base image".to_owned(), |name| format!("base image {name}"));
        return unpulled(&format!("a layer of {base}"), message);
    }
    if let Some(subject) = refused_pull(message) {
        let hint = "check FROM, or give its registry's login with the input `registries`";
        return (format!("{subject} does not exist or needs a login"), Some(hint.to_owned()));
    }
    if let Some(path) = missing_file(message) {
        let hint = "check the path (it is relative to the context), and whether .dockerignore leaves it out";
        return (format!("{path} is not in the build context"), Some(hint.to_owned()));
    }
    let hint = if message.contains("target stage ") && message.contains("could not be found") {
        "check `target`: it must name a stage of the Dockerfile"
    } else if message.contains("secret ") && message.contains("not found") {
        "give it with the input `secrets` or `secret-files`"
    } else if message.contains(NO_ANSWER) {
        "the builder can do nothing while it waits for this cache: set `cache: off`, and restart the builder (the engine, if that builds) should it hang"
    } else if message.contains("is not allowed") {
        "allow it with the input `allow`"
    } else if message.contains(" ssh forward key ") || message.contains("no SSH key ") {
        "give it with the input `ssh`, or `ssh` in the compose file"
    } else if is_lint(message) {
        "correct what the warnings say, or take `error=true` out of the Dockerfile's `# check=`"
    } else if message.contains(NOT_FOR_THIS_MACHINE) {
        EMULATION
    } else {
        return (message.to_owned(), None);
    };
    (message.to_owned(), Some(hint.to_owned()))
}

/// Whether build checks, which are errors by `# check=error=true`, failed the build.
pub fn is_lint(message: &str) -> bool {
    message.contains("lint violation found for rules: ")
}

/// What the kernel says of a program for another processor.
const NOT_FOR_THIS_MACHINE: &str = "exec format error";
const EMULATION: &str = "the image is for another platform than this engine can run: put docker/setup-qemu-action before \
                         this step, or leave `platforms` out";

/// The base image that could not be had, if that is what the message is about; in its short form.
pub fn missing_base_image(message: &str) -> Option<String> {
    base_image(without_wrapping(message))
}

/// The message without the layers that say only that something failed.
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

fn exit(code: i64, instruction: Option<&str>, message: &str) -> Explained {
    let subject = match instruction {
        Some(text) => {
            let one_line = text.replace('\\', " ").split_whitespace().collect::<Vec<_>>().join(" ");
            format!("`{}`", beginning(&without_flags(&one_line).replace('`', "'")))
        }
        None => beginning(message),
    };
    let hint = match code {
        137 => "the kernel killed it, most often for lack of memory: use less parallelism, or a larger runner",
        127 => "127 means that a command was not found: is it installed in this stage?",
        126 => "126 means that a file cannot be executed: `chmod +x` it, and look for CRLF line ends",
        _ => "",
    };
    Explained {
        stage: Stage::Build,
        headline: format!("{subject} failed with exit code {code}"),
        hint: (!hint.is_empty()).then(|| hint.to_owned()),
    }
}

/// `RUN --mount=… pip install x` without its flags: there is room for the command only.
fn without_flags(instruction: &str) -> String {
    let Some((keyword, rest)) = instruction.split_once(' ') else { return instruction.to_owned() };
    let mut command = rest;
    while let Some((_, after)) = command.split_once(' ').filter(|(word, _)| word.starts_with("--")) {
        command = after;
    }
    format!("{keyword} {command}")
}

/// The words within the first 120 characters. No word is cut, since half a secret would not be known for one.
fn beginning(text: &str) -> String {
    let Some((end, _)) = text.char_indices().nth(120) else { return text.to_owned() };
    let words = text[..end].rfind(char::is_whitespace).unwrap_or(0);
    format!("{}…", text[..words].trim_end())
}

/// The words within the last 160 characters: the cause stands at the end of what BuildKit says.
fn ending(text: &str) -> String {
    let Some((start, _)) = text.char_indices().rev().nth(160) else { return text.to_owned() };
    let words = text[start..].find(char::is_whitespace).map_or(text.len(), |at| start + at);
    format!("…{}", text[words..].trim_start())
}

/// The image of `…: failed to resolve source metadata for docker.io/library/x:1: …`, in all its wordings.
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

/// What was refused, where BuildKit before 0.10 does not say which image: `pulling from host X failed with status code
/// […]: 401 Unauthorized`, or `pull access denied, …`.
fn refused_pull(message: &str) -> Option<String> {
    if message.starts_with("pull access denied") {
        return Some("a base image".to_owned());
    }
    let (_, rest) = message.split_once("pulling from host ")?;
    let (host, reason) = rest.split_once(" failed with status code ")?;
    (reason.contains(": 401 ") || reason.contains(": 403 ")).then(|| format!("a base image on {host}"))
}

fn missing_base(image: &str, message: &str) -> (String, Option<String>) {
    let lower = message.to_ascii_lowercase();
    let has = |signs: &[&str]| signs.iter().any(|sign| lower.contains(sign));
    if image.contains("syft-scanner") {
        let hint = "`sbom: generator=image` names another; a private one needs a login (input `registries`)";
        (format!("{image}, which lists what is in the image for `sbom`, cannot be pulled"), Some(hint.to_owned()))
    } else if has(&["content at http"]) && has(&["not found"]) {
        let hint =
            "run the job again; if it fails again, check the registry and the mirrors and proxies in front of it";
        (format!("the registry does not have the manifest that it names for base image {image}"), Some(hint.to_owned()))
    } else if has(&["not found", "does not exist"]) && !has(&["no such host"]) {
        let hint = "check the name and tag in FROM; a private image needs a login (input `registries`)";
        (format!("base image {image} does not exist"), Some(hint.to_owned()))
    } else if has(&["denied", "unauthorized", "403 forbidden"]) {
        let hint = "check FROM and the login for its registry (input `registries`)";
        (format!("base image {image} does not exist or needs a login"), Some(hint.to_owned()))
    } else {
        unpulled(&format!("base image {image}"), message)
    }
}

/// What to do about a base image, or a layer of one, that exists and cannot be pulled.
fn unpulled(subject: &str, message: &str) -> (String, Option<String>) {
    let lower = message.to_ascii_lowercase();
    let has = |signs: &[&str]| signs.iter().any(|sign| lower.contains(sign));
    if has(&["429 too many", "toomanyrequests"]) {
        let hint = "give a login with the input `registries`, or use a mirror";
        return (format!("{subject}: the registry's pull limit is reached"), Some(hint.to_owned()));
    }
    let hint = if has(&["401 unauthorized", "403 forbidden", "denied"]) {
        "check the login for its registry (input `registries`)"
    } else if has(&["unexpected commit digest", "short read"]) {
        return (
            format!("{subject} arrived damaged"),
            Some(
                "run the job again; if it fails again, check the registry and the mirrors and proxies in front of it"
                    .to_owned(),
            ),
        );
    } else {
        "run the job again"
    };
    (format!("{subject} cannot be pulled"), Some(format!("{hint}; the engine says: {}", ending(message))))
}

/// Whether a step failed since a layer of its base image could not be pulled. BuildKit pulls layers when a step needs
/// them, and blames that step.
pub fn is_layer_pull(message: &str) -> bool {
    const SIGNS: [&str; 3] = ["httpReadSeeker: ", "failed commit on ref \"layer-", "short read: expected "];
    !message.contains("failed to push") && SIGNS.iter().any(|sign| message.contains(sign))
}

/// The repository of the layer that is named in an error, if one is: `…/v2/o/r/blobs/sha256:…`, as a host and a path.
pub fn repository_of_layer(message: &str) -> Option<String> {
    let (before, rest) = message.split_once("/v2/")?;
    let (path, _) = rest.split_once("/blobs/")?;
    let host = before.rsplit("//").next()?;
    let is_plain = |text: &str| !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c == '"');
    (is_plain(host) && is_plain(path)).then(|| format!("{host}/{path}"))
}

/// The image that a `FROM` names.
fn base_of(instruction: &str) -> Option<&str> {
    let mut words = instruction.split_whitespace();
    words.next().filter(|word| word.eq_ignore_ascii_case("from"))?;
    words.find(|word| !word.starts_with("--"))
}

/// The path of a `COPY` or `ADD` whose source is not there.
fn missing_file(message: &str) -> Option<String> {
    let about_copy = ["failed to calculate checksum of ref", "failed to compute cache key"];
    let path = message
        .strip_suffix(": not found")
        .filter(|_| about_copy.iter().any(|sign| message.contains(sign)))
        .and_then(|rest| rest.rsplit(": ").next());
    // Before BuildKit 0.10 the message is `…: "/x" not found: not found`.
    path.map(|path| path.trim_end_matches(" not found").to_owned())
}

#[cfg(test)]
mod tests {
    use super::{explain, hint_in, is_refused_login};
    use crate::{buildkit::SolveError, domain::stage::Stage, registry::permissions::PushTarget};

    const GHCR: PushTarget<'static> = PushTarget { host: "ghcr.io", has_login: true };

    fn fault(message: &str) -> SolveError {
        SolveError { message: message.into(), ..SolveError::default() }
    }

    /// Messages as engines really sent them.
    #[test]
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
                "docker/buildkit-syft-scanner:stable-1, which lists what is in the image for `sbom`, cannot be pulled",
                "generator=",
            ),
            (
                "failed to solve: write /var/lib/docker/containerd/daemon/io.containerd.snapshotter.v1.overlayfs/snapshots/6/fs/big.bin: no space left on device",
                Stage::Build,
                "the engine's disk is full",
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
                "\"/missing.txt\" is not in the build context",
                ".dockerignore",
            ),
            ("failed to load LLB: network.host is not allowed", Stage::Build, "network.host is not allowed", "`allow`"),
            (
                "failed to push 10.213.0.1:5999/live/web:main: failed to do request: Head \"https://x\": dial tcp \
                 10.213.0.1:5999: connect: connection refused",
                Stage::Publish,
                "ghcr.io cannot be reached from the engine",
                "connect: connection refused",
            ),
            (
                "failed to push ghcr.io/o/r:main: unexpected status from POST request to https://ghcr.io/v2/o/r/blobs/uploads/: \
                 403 Forbidden",
                Stage::Publish,
                "ghcr.io refuses the push",
                "`permissions: packages: write`",
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
                "ghcr.io does not let a tag be moved",
                "no push has had yet",
            ),
            (
                "failed to push ghcr.io/o/r:main: push access denied, repository does not exist or may require \
                 authorization: server message: insufficient_scope: authorization failed",
                Stage::Publish,
                "ghcr.io refuses the push",
                "`permissions: packages: write`",
            ),
        ] {
            let explained = explain(&fault(message), None, GHCR);
            assert_eq!((explained.stage, explained.headline.as_str()), (stage, headline), "{message}");
            let told = explained.hint.unwrap_or_default();
            assert!(told.contains(hint), "{told}");
        }
    }

    /// The errors of Docker 28 for a registry that breaks while a base image is pulled.
    #[test]
    fn a_base_image_that_breaks_off_is_named() {
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
                "run the job again; the engine says: ",
            ),
            (
                format!("{layer}unexpected status from GET request to {url}: 429 Too Many Requests\ntoomanyrequests: x"),
                "a layer of base image r.example/o/base:1: the registry's pull limit is reached",
                "give a login",
            ),
            (
                "failed to compute cache key: short read: expected 5150 bytes but got 5149: unexpected EOF".to_owned(),
                "a layer of base image r.example/o/base:1 arrived damaged",
                "proxies",
            ),
            (
                "failed to compute cache key: failed commit on ref \"layer-sha256:ab\": commit failed: unexpected commit \
                 digest sha256:cd, expected sha256:ab: failed precondition"
                    .to_owned(),
                "a layer of base image r.example/o/base:1 arrived damaged",
                "proxies",
            ),
            (
                "r.example/o/base:1: failed to resolve source metadata for r.example/o/base:1: failed to copy: \
                 httpReadSeeker: failed open: content at https://r.example/v2/o/base/manifests/sha256:ab not found: not found"
                    .to_owned(),
                "the registry does not have the manifest that it names for base image r.example/o/base:1",
                "run the job again",
            ),
        ] {
            let explained = explain(&fault(&message), from, GHCR);
            assert_eq!((explained.stage, explained.headline.as_str()), (Stage::Build, headline), "{message}");
            let told = explained.hint.unwrap_or_default();
            assert!(told.contains(hint), "{told}");
        }
    }

    #[test]
    fn a_push_without_a_login_is_not_told_that_its_login_is_wrong() {
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
    fn a_refused_login_is_told_from_a_registry_in_trouble() {
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
        let fault = SolveError { exit_code: Some(2), ..fault("exit code: 2") };
        let run = "RUN --mount=type=cache,target=/root/.cache/uv \\\n    --network=none \\\n    uv sync --locked";
        assert_eq!(explain(&fault, Some(run), GHCR).headline, "`RUN uv sync --locked` failed with exit code 2");
        let bare = explain(&fault, Some("RUN"), GHCR);
        assert_eq!(bare.headline, "`RUN` failed with exit code 2");
    }

    #[test]
    fn a_command_that_met_a_full_disk_is_told_from_one_that_failed() {
        let log = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let full = log(
            "Collecting django\nERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
        );
        assert!(hint_in(&full).is_some_and(|hint| hint.contains("docker system prune")));
        assert_eq!(hint_in(&log("ERROR: No matching distribution found")), None);
    }
}
