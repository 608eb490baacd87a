//! Makes a [`Failure`] that people understand out of a BuildKit error. Pure.
//!
//! BuildKit sends typed details beside the message since 0.9: JSON under a `…+json` type URL
//! (<https://github.com/moby/buildkit/blob/master/util/grpcerrors/grpcerrors.go>,
//! <https://github.com/moby/buildkit/blob/master/solver/errdefs/errdefs.proto>). Older daemons (Engine 20.10) send
//! the message only; then the Dockerfile itself tells where the failing step stands.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bollard_buildkit_proto::google::rpc;
use prost::Message as _;
use serde::Deserialize;

use super::{
    explain::{explain, hint_in, missing_base_image},
    progress::FailedStep,
};
use crate::domain::{diagnostic::Place, failure::Failure, redact::Redactor, stage::Stage};

/// What an error of the daemon says, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SolveFault {
    /// The message.
    pub message: String,
    /// The digest of the step that failed.
    pub vertex: Option<String>,
    /// The exit code of its command.
    pub exit_code: Option<i64>,
    /// The lines of the Dockerfile that it is about, first and last, from 1.
    pub lines: Option<(u32, u32)>,
    /// The Dockerfile as the daemon has it.
    pub dockerfile: Option<String>,
}

#[derive(Deserialize)]
struct VertexDetail {
    digest: String,
}

#[derive(Deserialize)]
struct ExitDetail {
    #[serde(rename = "Code")]
    code: i64,
}

#[derive(Deserialize)]
struct SourceDetail {
    info: Option<SourceInfo>,
    #[serde(default)]
    ranges: Vec<SourceRange>,
}

#[derive(Deserialize)]
struct SourceInfo {
    #[serde(default)]
    data: String,
}

#[derive(Deserialize)]
struct SourceRange {
    start: Option<SourcePosition>,
    end: Option<SourcePosition>,
}

#[derive(Deserialize)]
struct SourcePosition {
    #[serde(default)]
    line: u32,
}

impl SolveFault {
    /// Takes the daemon's answer apart: its message, and the encoded `google.rpc.Status` that comes with it. Details
    /// that do not parse are left out: the message is always there.
    pub fn new(message: &str, details: &[u8]) -> Self {
        let mut fault = Self { message: message.to_owned(), ..Self::default() };
        let details = rpc::Status::decode(details).map(|status| status.details).unwrap_or_default();
        for detail in details {
            let json = detail.value.as_slice();
            // The type URL is `github.com/moby/buildkit/errdefs.Vertex+json`, or its short form.
            let kind = detail.type_url.rsplit('/').next().unwrap_or_default();
            match kind.trim_end_matches("+json") {
                "errdefs.Vertex" => {
                    fault.vertex = serde_json::from_slice::<VertexDetail>(json).ok().map(|v| v.digest);
                }
                "gatewayapi.ExitMessage" => {
                    fault.exit_code = serde_json::from_slice::<ExitDetail>(json).ok().map(|e| e.code);
                }
                "errdefs.Source" => {
                    if let Ok(source) = serde_json::from_slice::<SourceDetail>(json) {
                        fault.source(source);
                    }
                }
                _ => {}
            }
        }
        fault.exit_code = fault.exit_code.or_else(|| exit_code_of(&fault.message));
        fault
    }

    fn source(&mut self, source: SourceDetail) {
        self.dockerfile =
            source.info.and_then(|info| STANDARD.decode(info.data).ok()).and_then(|raw| String::from_utf8(raw).ok());
        let line = |position: Option<&SourcePosition>| position.map(|p| p.line).filter(|line| *line > 0);
        // An instruction of several lines comes as a range for each of them.
        let first = source.ranges.first().and_then(|range| line(range.start.as_ref()));
        let last = source.ranges.last().and_then(|range| line(range.end.as_ref()));
        self.lines = first.map(|first| (first, last.unwrap_or(first).max(first)));
    }
}

/// What is known about the image whose build failed.
pub struct Subject<'a> {
    /// Its name in the plan.
    pub image: &'a str,
    /// The Dockerfile's path in the repository; empty if it is not a file there.
    pub dockerfile_place: &'a str,
    /// The Dockerfile's text, if it can be read.
    pub dockerfile: Option<&'a str>,
    /// The registry host that it is pushed to.
    pub registry: &'a str,
    /// Takes the secrets out of what is cut.
    pub redactor: &'a Redactor,
}

/// The failure that the user is shown.
pub fn failure(fault: &SolveFault, step: Option<FailedStep>, subject: &Subject<'_>) -> Failure {
    let text = fault.dockerfile.as_deref().or(subject.dockerfile);
    let step_name = step.as_ref().map(|step| step.name.as_str());
    let lines = fault
        .lines
        .or_else(|| line_of_parse_error(&fault.message))
        .or_else(|| find_from(text?, &missing_base_image(&fault.message)?))
        .or_else(|| find_instruction(text?, step_name?));
    let instruction = text.zip(lines).and_then(|(text, lines)| instruction_at(text, lines));
    let instruction = instruction.map(|text| subject.redactor.redact(&text));
    let explained = explain(fault, instruction.as_deref(), subject.registry);
    let failure = Failure {
        exit_code: fault.exit_code,
        ..Failure::new(explained.stage, explained.headline, explained.hint).of_image(subject.image)
    };
    if explained.stage != Stage::Build {
        // An error of the push has no place in the Dockerfile, whatever step was the last.
        return failure;
    }
    let place = lines.filter(|_| !subject.dockerfile_place.is_empty()).map(|(line, end_line)| Place {
        file: subject.dockerfile_place.to_owned(),
        line,
        end_line,
    });
    let log = step.map(|step| step.log).unwrap_or_default();
    let hint = failure.hint.clone().or_else(|| hint_in(&log));
    Failure { hint, place, instruction, log, ..failure }
}

fn exit_code_of(message: &str) -> Option<i64> {
    let (_, rest) = message.rsplit_once("exit code: ")?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// `dockerfile parse error line 3: …` (before BuildKit 0.12) or `… on line 3: …`.
fn line_of_parse_error(message: &str) -> Option<(u32, u32)> {
    let (_, rest) = message.split_once("parse error ")?;
    let rest = rest.strip_prefix("on ").unwrap_or(rest).strip_prefix("line ")?;
    let line = rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
    Some((line, line))
}

/// The instruction as written, continuation lines included; `None` if the lines are not in the text.
fn instruction_at(text: &str, (first, last): (u32, u32)) -> Option<String> {
    let lines: Vec<&str> = text.lines().collect();
    let first = usize::try_from(first).ok()?.checked_sub(1)?;
    let last = usize::try_from(last).ok()?.min(lines.len());
    Some(lines.get(first..last)?.join("\n"))
}

/// Finds the instruction that a step such as `[2/3] RUN make  all` came from.
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

/// Finds the first `FROM` that names this base image, which Engine 20.10 says without a line.
fn find_from(text: &str, image: &str) -> Option<(u32, u32)> {
    let named = |line: &str| {
        let mut words = line.split_whitespace();
        let is_from = words.next().is_some_and(|word| word.eq_ignore_ascii_case("from"));
        let name = words.find(|word| !word.starts_with("--"));
        is_from && name.is_some_and(|name| name == image || name.ends_with(&format!("/{image}")))
    };
    let line = u32::try_from(text.lines().position(named)?).ok()? + 1;
    Some((line, line))
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

    use super::{SolveFault, Subject, failure, find_instruction};
    use crate::{
        builder::progress::FailedStep,
        domain::{diagnostic::Place, redact::Redactor, secret::Secret},
    };

    static REDACTOR: LazyLock<Redactor> = LazyLock::new(|| Redactor::new(&[Secret::new("correct horse battery")]));

    const DOCKERFILE: &str = "FROM python\nRUN pip install \\\n    nope\nCMD x\n";

    fn fault(details: &[(&str, String)]) -> SolveFault {
        let any = |(kind, json): &(&str, String)| Any {
            type_url: format!("github.com/moby/buildkit/{kind}+json"),
            value: json.clone().into(),
        };
        let message = "process \"/bin/sh -c pip install nope\" did not complete successfully: exit code: 1";
        let status = rpc::Status { code: 2, message: message.into(), details: details.iter().map(any).collect() };
        SolveFault::new(message, &status.encode_to_vec())
    }

    fn subject() -> Subject<'static> {
        Subject {
            image: "django",
            dockerfile_place: "compose/Dockerfile",
            dockerfile: Some(DOCKERFILE),
            registry: "ghcr.io",
            redactor: &REDACTOR,
        }
    }

    /// The headline has room for the beginning of an instruction only.
    #[test]
    fn no_secret_is_cut_in_two() {
        for before in 80..130 {
            let dockerfile = format!("FROM x\nRUN {} correct horse battery && y\n", "-".repeat(before));
            let subject = Subject { dockerfile: Some(&dockerfile), ..subject() };
            let fault = SolveFault { exit_code: Some(1), lines: Some((2, 2)), ..SolveFault::default() };
            let failure = failure(&fault, None, &subject);
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
        let fault = fault(&[
            ("errdefs.Vertex", r#"{"digest":"sha256:ab"}"#.into()),
            ("gatewayapi.ExitMessage", r#"{"Code":1}"#.into()),
            ("errdefs.Source", source),
            ("stack.Stack", "not even json".into()),
        ]);
        assert_eq!((fault.vertex.as_deref(), fault.exit_code, fault.lines), (Some("sha256:ab"), Some(1), Some((2, 3))));
        let step =
            FailedStep { name: "[2/2] RUN pip install nope".into(), log: vec!["No matching distribution".into()] };
        let failure = failure(&fault, Some(step), &subject());
        assert_eq!(failure.place, Some(Place { file: "compose/Dockerfile".into(), line: 2, end_line: 3 }));
        assert_eq!(failure.instruction.as_deref(), Some("RUN pip install \\\n    nope"));
        assert_eq!(failure.headline, "`RUN pip install nope` failed with exit code 1");
        assert_eq!(failure.log, ["No matching distribution"]);
    }

    #[test]
    fn without_details_the_dockerfile_tells_where() {
        let fault = SolveFault::new(
            "failed to solve with frontend dockerfile.v0: failed to build LLB: executor failed running \
             [/bin/sh -c pip install nope]: exit code: 1",
            &[],
        );
        assert_eq!((fault.exit_code, fault.lines), (Some(1), None));
        let step = FailedStep { name: "[2/2] RUN pip install     nope".into(), log: Vec::new() };
        let failure = failure(&fault, Some(step), &subject());
        assert_eq!(failure.place.map(|p| (p.line, p.end_line)), Some((2, 3)));
    }

    #[test]
    fn parse_errors_name_their_line_in_both_wordings() {
        for on in ["", "on "] {
            let message = format!("dockerfile parse error {on}line 4: unknown instruction: CMDD");
            let failure = failure(&SolveFault::new(&message, &[]), None, &subject());
            assert_eq!(failure.place.map(|p| p.line), Some(4), "{message}");
            assert_eq!(failure.instruction.as_deref(), Some("CMD x"));
        }
    }

    #[test]
    fn without_details_the_base_image_is_found_in_its_from() {
        for (from, said) in [
            ("FROM --platform=linux/amd64 nope:1 AS base", "docker.io/library/nope:1: not found"),
            ("from docker.io/library/nope:1", "docker.io/library/nope:1: not found"),
            ("FROM r.example/a/nope:1", "r.example/a/nope:1: not found"),
        ] {
            let dockerfile = format!("FROM python AS nope\n# FROM nope:1\n{from}\n");
            let subject = Subject { dockerfile: Some(&dockerfile), ..subject() };
            let message =
                format!("failed to solve with frontend dockerfile.v0: failed to create LLB definition: {said}");
            let failure = failure(&SolveFault::new(&message, &[]), None, &subject);
            assert_eq!(failure.place.map(|p| p.line), Some(3), "{from}");
            assert_eq!(failure.instruction.as_deref(), Some(from));
        }
    }

    #[test]
    fn an_instruction_that_is_not_there_is_not_found() {
        assert_eq!(find_instruction(DOCKERFILE, "[1/2] COPY . ."), None);
        assert_eq!(find_instruction(DOCKERFILE, "exporting to image"), None);
        assert_eq!(find_instruction(DOCKERFILE, "[1/2] CMD x"), Some((4, 4)));
    }
}
