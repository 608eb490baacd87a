//! Converts a daemon's error to the [`Failure`] for the user: explains it and finds its place in the Dockerfile. Pure.

use super::{
    explain::{explain, hint_in, is_layer_pull, missing_base_image, repository_of_layer},
    progress::FailedStep,
};
use crate::{
    buildkit::SolveError,
    domain::{diagnostic::Place, failure::Failure, redact::Redactor, stage::Stage},
    registry::permissions::PushTarget,
};

/// The image whose build failed.
pub struct FailedImage<'a> {
    /// Its name in the plan.
    pub name: &'a str,
    /// The Dockerfile's path in the repository; empty if it is not a file there.
    pub dockerfile_place: &'a str,
    /// The Dockerfile's text, if it can be read.
    pub dockerfile: Option<&'a str>,
    /// The registry that it is pushed to.
    pub target: PushTarget<'a>,
    /// Redacts texts before they are shortened.
    pub redactor: &'a Redactor,
}

/// The failure that the user sees.
pub fn failure(error: &SolveError, step: Option<FailedStep>, image: &FailedImage<'_>) -> Failure {
    let text = error.dockerfile.as_deref().or(image.dockerfile);
    let step_name = step.as_ref().map(|step| step.name.as_str());
    let of_layer = || {
        let text = text.filter(|_| is_layer_pull(&error.message))?;
        let named = repository_of_layer(&error.message).and_then(|repository| find_from(text, &repository));
        // If BuildKit does not name the image, it is that of the stage whose step needed the layer.
        named.or_else(|| nearest_from(text, error.lines.or_else(|| find_instruction(text, step_name?))?.0))
    };
    let lines = of_layer()
        .or(error.lines)
        .or_else(|| find_from(text?, &missing_base_image(&error.message)?))
        .or_else(|| find_instruction(text?, step_name?));
    let instruction = text.zip(lines).and_then(|(text, lines)| instruction_at(text, lines));
    let instruction = instruction.map(|text| image.redactor.redact(&text));
    let explained = explain(error, instruction.as_deref(), image.target);
    let failure = Failure {
        exit_code: error.exit_code,
        ..Failure::new(explained.stage, explained.headline, explained.hint).of_image(image.name)
    };
    if explained.stage != Stage::Build {
        // A push has no place in the Dockerfile.
        return failure;
    }
    let place = lines.filter(|_| !image.dockerfile_place.is_empty()).map(|(line, end_line)| Place {
        file: image.dockerfile_place.to_owned(),
        line,
        end_line,
    });
    let log = step.map(|step| step.log).unwrap_or_default();
    let hint = failure.hint.clone().or_else(|| hint_in(&log));
    Failure { hint, place, instruction, log, ..failure }
}

/// The instruction in these lines, with its continuation lines; `None` if the text does not have the lines.
fn instruction_at(text: &str, (first, last): (u32, u32)) -> Option<String> {
    let lines: Vec<&str> = text.lines().collect();
    let first = usize::try_from(first).ok()?.checked_sub(1)?;
    let last = usize::try_from(last).ok()?.min(lines.len());
    Some(lines.get(first..last)?.join("\n"))
}

/// The lines of the instruction of a step such as `[2/3] RUN make  all`.
fn find_instruction(text: &str, step: &str) -> Option<(u32, u32)> {
    let wanted = squeeze(step.split_once("] ")?.1);
    let lines: Vec<&str> = text.lines().collect();
    let mut first = 0;
    while first < lines.len() {
        let mut last = first;
        let mut whole = String::new();
        while let Some(start) = lines.get(last).and_then(|line| line.trim_end().strip_suffix('\\')) {
            whole.push_str(start);
            whole.push(' ');
            last += 1;
        }
        whole.push_str(lines.get(last).copied().unwrap_or_default());
        if !wanted.is_empty() && squeeze(&whole) == wanted {
            return Some((u32::try_from(first).ok()? + 1, u32::try_from(last).ok()? + 1));
        }
        first = last + 1;
    }
    None
}

/// The line of the first `FROM` with this base image, or an image of this repository, for errors without a line.
fn find_from(text: &str, image: &str) -> Option<(u32, u32)> {
    let named = |line: &str| {
        let mut words = line.split_whitespace();
        let is_from = words.next().is_some_and(|word| word.eq_ignore_ascii_case("from"));
        let name = words.find(|word| !word.starts_with("--"));
        let is_named = |name: &str| name == image || name.ends_with(&format!("/{image}"));
        is_from && name.is_some_and(|name| is_named(name) || is_named(without_tag(name)))
    };
    let line = u32::try_from(text.lines().position(named)?).ok()? + 1;
    Some((line, line))
}

/// The last `FROM` up to a line, which begins the stage that the line belongs to.
fn nearest_from(text: &str, line: u32) -> Option<(u32, u32)> {
    let is_from = |line: &str| line.split_whitespace().next().is_some_and(|word| word.eq_ignore_ascii_case("from"));
    let lines: Vec<&str> = text.lines().take(usize::try_from(line).ok()?).collect();
    let line = u32::try_from(lines.iter().rposition(|line| is_from(line))?).ok()? + 1;
    Some((line, line))
}

/// The repository in `r.example:5000/o/r:1` or `r.example:5000/o/r@sha256:…`.
fn without_tag(name: &str) -> &str {
    let name = name.split('@').next().unwrap_or(name);
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => name,
    }
}

fn squeeze(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use bollard_buildkit_proto::google::{protobuf::Any, rpc};
    use prost::Message as _;

    use super::{FailedImage, failure, find_instruction};
    use crate::{
        builder::progress::FailedStep,
        buildkit::SolveError,
        domain::{diagnostic::Place, redact::Redactor, secret::Secret},
        registry::permissions::PushTarget,
    };

    static REDACTOR: LazyLock<Redactor> = LazyLock::new(|| Redactor::new(&[Secret::new("correct horse battery")]));

    const DOCKERFILE: &str = "FROM python\nRUN pip install \\\n    nope\nCMD x\n";

    fn error(details: &[(&str, String)]) -> SolveError {
        let any = |(kind, json): &(&str, String)| Any {
            type_url: format!("github.com/moby/buildkit/{kind}+json"),
            value: json.clone().into(),
        };
        let message = "process \"/bin/sh -c pip install nope\" did not complete successfully: exit code: 1";
        let status = rpc::Status { code: 2, message: message.into(), details: details.iter().map(any).collect() };
        SolveError::new(message, &status.encode_to_vec())
    }

    fn image() -> FailedImage<'static> {
        FailedImage {
            name: "django",
            dockerfile_place: "compose/Dockerfile",
            dockerfile: Some(DOCKERFILE),
            target: PushTarget { host: "ghcr.io", has_login: true },
            redactor: &REDACTOR,
        }
    }

    /// The headline contains only the beginning of a long instruction.
    #[test]
    fn no_secret_is_cut_in_two() {
        for before in 80..130 {
            let dockerfile = format!("FROM x\nRUN {} correct horse battery && y\n", "-".repeat(before));
            let image = FailedImage { dockerfile: Some(&dockerfile), ..image() };
            let error = SolveError { exit_code: Some(1), lines: Some((2, 2)), ..SolveError::default() };
            let failure = failure(&error, None, &image);
            let shown = format!("{} {:?}", failure.headline, failure.instruction);
            assert!(!shown.contains("correct") && shown.contains("[redacted]"), "{shown}");
        }
    }

    #[test]
    fn typed_details_give_line_instruction_and_code() {
        let source = format!(
            r#"{{"info":{{"filename":"Dockerfile","data":"{}"}},"ranges":[{{"start":{{"line":2}},"end":{{"line":2}}}},{{"start":{{"line":3}},"end":{{"line":3}}}}]}}"#,
            STANDARD.encode(DOCKERFILE)
        );
        let error = error(&[
            ("errdefs.Vertex", r#"{"digest":"sha256:ab"}"#.into()),
            ("gatewayapi.ExitMessage", r#"{"Code":1}"#.into()),
            ("errdefs.Source", source),
            ("stack.Stack", "not even json".into()),
        ]);
        assert_eq!((error.vertex.as_deref(), error.exit_code, error.lines), (Some("sha256:ab"), Some(1), Some((2, 3))));
        let step =
            FailedStep { name: "[2/2] RUN pip install nope".into(), log: vec!["No matching distribution".into()] };
        let failure = failure(&error, Some(step), &image());
        assert_eq!(failure.place, Some(Place { file: "compose/Dockerfile".into(), line: 2, end_line: 3 }));
        assert_eq!(failure.instruction.as_deref(), Some("RUN pip install \\\n    nope"));
        assert_eq!(failure.headline, "`RUN pip install nope` failed with exit code 1");
        assert_eq!(failure.log, ["No matching distribution"]);
    }

    #[test]
    fn without_details_the_dockerfile_has_the_place() {
        let error = SolveError::new(
            "failed to solve with frontend dockerfile.v0: failed to build LLB: executor failed running \
             [/bin/sh -c pip install nope]: exit code: 1",
            &[],
        );
        assert_eq!((error.exit_code, error.lines), (Some(1), None));
        let step = FailedStep { name: "[2/2] RUN pip install     nope".into(), log: Vec::new() };
        let failure = failure(&error, Some(step), &image());
        assert_eq!(failure.place.map(|p| (p.line, p.end_line)), Some((2, 3)));
    }

    #[test]
    fn parse_errors_name_their_line_in_both_wordings() {
        for on in ["", "on "] {
            let message = format!("dockerfile parse error {on}line 4: unknown instruction: CMDD");
            let failure = failure(&SolveError::new(&message, &[]), None, &image());
            assert_eq!(failure.place.map(|p| p.line), Some(4), "{message}");
            assert_eq!(failure.instruction.as_deref(), Some("CMD x"));
        }
    }

    #[test]
    fn without_details_the_base_image_is_found_in_its_from() {
        for (from, message) in [
            ("FROM --platform=linux/amd64 nope:1 AS base", "docker.io/library/nope:1: not found"),
            ("from docker.io/library/nope:1", "docker.io/library/nope:1: not found"),
            ("FROM r.example/a/nope:1", "r.example/a/nope:1: not found"),
        ] {
            let dockerfile = format!("FROM python AS nope\n# FROM nope:1\n{from}\n");
            let image = FailedImage { dockerfile: Some(&dockerfile), ..image() };
            let message =
                format!("failed to solve with frontend dockerfile.v0: failed to create LLB definition: {message}");
            let failure = failure(&SolveError::new(&message, &[]), None, &image);
            assert_eq!(failure.place.map(|p| p.line), Some(3), "{from}");
            assert_eq!(failure.instruction.as_deref(), Some(from));
        }
    }

    /// BuildKit reports the step that needed the layer.
    #[test]
    fn a_layer_that_cannot_be_pulled_belongs_to_its_from() {
        let dockerfile = "FROM r.example:5000/o/tools:2 AS tools\nRUN x\nFROM r.example:5000/o/base@sha256:ab\nCOPY --from=tools /x /\nRUN y\n";
        let image = FailedImage { dockerfile: Some(dockerfile), ..image() };
        let url = |name: &str| format!("https://r.example:5000/v2/o/{name}/blobs/sha256:cd");
        let of = |message: &str, line| {
            let error = SolveError { lines: Some((line, line)), ..SolveError::new(message, &[]) };
            let failure = failure(&error, None, &image);
            assert!(failure.headline.starts_with("a layer of base image r.example:5000/o/"), "{}", failure.headline);
            failure.place.map(|place| place.line)
        };
        let copy = "failed to compute cache key: failed to copy: httpReadSeeker: failed open: ";
        let tools = format!("{copy}unexpected status from GET request to {}: 403 Forbidden", url("tools"));
        let base = format!("{copy}failed to do request: Get \"{}\": EOF", url("base"));
        assert_eq!((of(&tools, 4), of(&base, 4)), (Some(1), Some(3)));
        // Without an address, the stage of the step is used.
        let short = "failed to compute cache key: short read: expected 9 bytes but got 8: unexpected EOF";
        assert_eq!((of(short, 2), of(short, 5)), (Some(1), Some(3)));
    }

    #[test]
    fn an_instruction_of_no_step_is_not_found() {
        assert_eq!(find_instruction(DOCKERFILE, "[1/2] COPY . ."), None);
        assert_eq!(find_instruction(DOCKERFILE, "exporting to image"), None);
        assert_eq!(find_instruction(DOCKERFILE, "[1/2] CMD x"), Some((4, 4)));
    }
}
