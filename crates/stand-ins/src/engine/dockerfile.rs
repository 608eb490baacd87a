//! Reads a Dockerfile as far as the steps are concerned.

use serde_json::json;

/// Lines of a Dockerfile, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lines {
    pub(super) first: usize,
    pub(super) last: usize,
}

/// An instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Instruction {
    /// In capital letters.
    pub(super) keyword: String,
    /// What follows it, on one line.
    pub(super) rest: String,
    pub(super) lines: Lines,
}

/// A step: an instruction for which something is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// What BuildKit calls it.
    pub(super) name: String,
    /// What identifies it: the step before it and its instruction.
    pub(super) definition: Vec<u8>,
    pub(super) digest: String,
    pub(super) instruction: Instruction,
}

/// A mistake in a Dockerfile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mistake {
    pub(super) message: String,
    pub(super) line: usize,
}

const KEYWORDS: [&str; 18] = [
    "FROM",
    "RUN",
    "COPY",
    "ADD",
    "WORKDIR",
    "ENV",
    "ARG",
    "LABEL",
    "CMD",
    "ENTRYPOINT",
    "EXPOSE",
    "USER",
    "VOLUME",
    "SHELL",
    "STOPSIGNAL",
    "HEALTHCHECK",
    "ONBUILD",
    "MAINTAINER",
];
const STEPS: [&str; 5] = ["FROM", "RUN", "COPY", "ADD", "WORKDIR"];

/// Takes a text apart into instructions.
pub(super) fn parse(text: &str) -> Result<Vec<Instruction>, Mistake> {
    let mut instructions = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (index, line) in text.lines().enumerate() {
        let trimmed = line.trim();
        if trimmed.starts_with('#') || (trimmed.is_empty() && open.is_none()) {
            continue;
        }
        let (first, mut whole) = open.take().unwrap_or((index + 1, String::new()));
        if let Some(part) = trimmed.strip_suffix('\\') {
            whole.push_str(part.trim_end());
            whole.push(' ');
            open = Some((first, whole));
        } else {
            whole.push_str(trimmed);
            instructions.push(instruction(&whole, Lines { first, last: index + 1 })?);
        }
    }
    if instructions.is_empty() {
        return Err(Mistake { message: "the Dockerfile cannot be empty".to_owned(), line: 0 });
    }
    Ok(instructions)
}

fn instruction(text: &str, lines: Lines) -> Result<Instruction, Mistake> {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let keyword = word.to_uppercase();
    if !KEYWORDS.contains(&keyword.as_str()) {
        let message = format!("dockerfile parse error on line {}: unknown instruction: {word}", lines.first);
        return Err(Mistake { message, line: lines.first });
    }
    let rest = rest.split_whitespace().collect::<Vec<_>>().join(" ");
    Ok(Instruction { keyword, rest, lines })
}

/// The steps of a stage: the last one, or the one that is called `target`. Other stages are not executed here.
pub(super) fn steps(instructions: &[Instruction], target: Option<&str>) -> Result<Vec<Step>, String> {
    let mut stages: Vec<Vec<&Instruction>> = Vec::new();
    for instruction in instructions {
        match (instruction.keyword.as_str(), stages.last_mut()) {
            ("FROM", _) => stages.push(vec![instruction]),
            (_, Some(stage)) => stage.push(instruction),
            // `ARG` before the first `FROM`.
            (_, None) => {}
        }
    }
    let stage = match target {
        None => stages.last(),
        Some(target) => stages.iter().find(|stage| name_of(stage) == Some(target)),
    };
    let stage = stage.ok_or_else(|| format!("target stage {:?} could not be found", target.unwrap_or_default()))?;
    let prefix = name_of(stage).map(|name| format!("{name} ")).unwrap_or_default();
    let own: Vec<_> = stage.iter().filter(|one| STEPS.contains(&one.keyword.as_str())).collect();
    let mut steps: Vec<Step> = Vec::new();
    for (index, instruction) in own.iter().enumerate() {
        let text = format!("{} {}", instruction.keyword, instruction.rest);
        let before = steps.last().map(|step| step.digest.as_str());
        let definition = json!({ "after": before, "do": text }).to_string().into_bytes();
        steps.push(Step {
            name: format!("[{prefix}{}/{}] {text}", index + 1, own.len()),
            digest: crate::registry::digest(&definition),
            definition,
            instruction: (**instruction).clone(),
        });
    }
    Ok(steps)
}

/// The name of a stage.
fn name_of<'a>(stage: &[&'a Instruction]) -> Option<&'a str> {
    let mut words = stage.first()?.rest.split(' ').skip_while(|word| !word.eq_ignore_ascii_case("as"));
    words.nth(1)
}

#[cfg(test)]
mod tests {
    use super::{Lines, parse, steps};

    #[test]
    fn a_dockerfile_is_taken_apart() {
        let text = "# syntax=x\nARG a\nFROM busybox:1.36 AS base\n\nFROM base\nCOPY . /app\n# b\nRUN echo a && \\\n    exit 7\nCMD x\n";
        let instructions = parse(text).unwrap();
        let last = steps(&instructions, None).unwrap();
        assert_eq!(
            last.iter().map(|step| step.name.as_str()).collect::<Vec<_>>(),
            ["[1/3] FROM base", "[2/3] COPY . /app", "[3/3] RUN echo a && exit 7"]
        );
        assert_eq!(last[2].instruction.lines, Lines { first: 8, last: 9 });
        assert_eq!(steps(&instructions, Some("base")).unwrap()[0].name, "[base 1/1] FROM busybox:1.36 AS base");
        assert!(steps(&instructions, Some("x")).is_err());
        let mistake = parse("FROM a\n\nRUM echo").unwrap_err();
        assert_eq!(
            (mistake.message.as_str(), mistake.line),
            ("dockerfile parse error on line 3: unknown instruction: RUM", 3)
        );
    }
}
