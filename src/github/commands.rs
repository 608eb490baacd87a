//! Workflow commands: lines of the output that the runner executes.
//!
//! Syntax and escaping follow the runner's `ActionCommand.cs` and the toolkit's `command.ts`. Outputs and state are written
//! to files ([`super::files`]): their commands are deprecated, and the log is not a safe place for them.

use std::collections::BTreeSet;

use crate::domain::{
    diagnostic::{Place, Severity},
    secrecy::Parts,
    secret::Secret,
    visible::colorless,
};

use super::untrusted::inert;

/// Ends a group.
pub const END_GROUP: &str = "::endgroup::";

/// Maximum length of an annotation's message in characters; the runner cuts longer ones.
const LONGEST_MESSAGE: usize = 4096;

/// The token that re-enables workflow commands. Random in each run, so that build output cannot contain it.
#[derive(Clone, PartialEq, Eq)]
pub struct StopToken(String);

impl StopToken {
    /// Creates a token from 128 random bits. The runner rejects tokens that are names of commands; hex digits are not.
    pub fn new(random: [u8; 16]) -> Self {
        Self(format!("{:032x}", u128::from_be_bytes(random)))
    }

    /// The command that disables workflow commands.
    pub fn stop(&self) -> String {
        format!("::stop-commands::{}", self.0)
    }

    /// The command that enables workflow commands again.
    pub fn resume(&self) -> String {
        format!("::{}::", self.0)
    }
}

/// The command that begins a collapsible group in the log. Groups do not nest.
pub fn group(title: &str) -> String {
    command("group", &[], &inert(title).join(" "))
}

/// The commands that mask a secret in the log for the rest of the job.
///
/// The runner masks every line of a value separately, even a single brace, which would mask all braces in the log. So only
/// the lines and values that look secret themselves ([`crate::domain::secrecy`]) are masked, one by one.
pub fn masks(secret: &Secret) -> Vec<String> {
    let Parts { values, lines } = Parts::of(secret);
    let parts: BTreeSet<String> = values.into_iter().chain(lines).filter(|part| !part.contains(['\r', '\n'])).collect();
    parts.iter().map(|part| command("add-mask", &[], part)).collect()
}

/// The command for an annotation, shown on the page of the run and, if `place` is given, in the file.
pub fn annotation(severity: Severity, title: &str, message: &str, place: Option<&Place>) -> String {
    let name = match severity {
        Severity::Notice => "notice",
        Severity::Warning => "warning",
        Severity::Error => "error",
    };
    let lines = place.map(|place| (place.line.to_string(), place.end_line.max(place.line).to_string()));
    let mut properties: Vec<(&str, &str)> = Vec::new();
    if let (Some(place), Some((line, end_line))) = (place, &lines) {
        properties.extend([("file", place.file.as_str()), ("line", line), ("endLine", end_line)]);
    }
    // GitHub does not show colors in annotations.
    let title = inert(&colorless(title)).join(" ");
    if !title.is_empty() {
        properties.push(("title", &title));
    }
    let mut text = inert(&colorless(message)).join("\n");
    if let Some((end, _)) = text.char_indices().nth(LONGEST_MESSAGE - 1) {
        text.truncate(end);
        text.push('…');
    }
    command(name, &properties, &text)
}

fn command(name: &str, properties: &[(&str, &str)], data: &str) -> String {
    let properties: Vec<String> =
        properties.iter().map(|(key, value)| format!("{key}={}", escaped_property(value))).collect();
    let space = if properties.is_empty() { "" } else { " " };
    format!("::{name}{space}{}::{}", properties.join(","), escaped(data))
}

fn escaped(data: &str) -> String {
    data.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn escaped_property(value: &str) -> String {
    escaped(value).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::{StopToken, annotation, command, group, masks};
    use crate::domain::{
        diagnostic::{Place, Severity},
        secret::Secret,
    };

    /// Reads a command as the runner's `ActionCommand.TryParseV2` does, written after its C# source.
    fn decoded(line: &str) -> (String, Vec<(String, String)>, String) {
        let data = |text: &str| text.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%");
        let property = |text: &str| {
            let text = text.replace("%0D", "\r").replace("%0A", "\n").replace("%3A", ":").replace("%2C", ",");
            text.replace("%25", "%")
        };
        let rest = line.trim_start().strip_prefix("::").unwrap();
        let (head, tail) = rest.split_once("::").unwrap();
        let (name, properties) = head.split_once(' ').unwrap_or((head, ""));
        let properties = properties
            .split(',')
            .filter_map(|pair| pair.split_once('='))
            .map(|(key, value)| (key.to_owned(), property(value)))
            .collect();
        (name.to_owned(), properties, data(tail))
    }

    proptest! {
        #[test]
        fn the_runner_reads_the_same_values(value in any::<String>(), data in any::<String>()) {
            let line = command("error", &[("file", &value), ("title", "x")], &data);
            assert!(!line.contains(['\r', '\n']));
            let (name, properties, read) = decoded(&line);
            assert_eq!(name, "error");
            assert_eq!(properties, [("file".to_owned(), value), ("title".to_owned(), "x".to_owned())]);
            assert_eq!(read, data);
        }
    }

    #[test]
    fn escapes_like_the_toolkit() {
        let place = Place { file: "a,b:c.Dockerfile".into(), line: 3, end_line: 1 };
        assert_eq!(
            annotation(Severity::Warning, "50%: x", "one\r\ntwo", Some(&place)),
            "::warning file=a%2Cb%3Ac.Dockerfile,line=3,endLine=3,title=50%25%3A x::one%0Atwo"
        );
        assert_eq!(annotation(Severity::Error, "", "m", None), "::error::m");
        assert_eq!(
            annotation(Severity::Error, "", "a\u{fffd} \u{1b}[31mred\u{1b}[0m b", None),
            "::error::a\u{fffd} red b"
        );
        assert_eq!(group("django ##[error]x"), "::group::django #\u{200b}#[error]x");
    }

    #[test]
    fn long_messages_end_in_an_ellipsis() {
        let (_, _, message) = decoded(&annotation(Severity::Error, "t", &"é".repeat(5000), None));
        assert_eq!((message.chars().count(), message.ends_with('…')), (4096, true));
    }

    #[test]
    fn masks_single_lines_but_no_ordinary_words() {
        let secret = Secret::new("{\r\n  \"key\": \"abc%d-1\"\n}\nfailed\ntrue\n5432\n");
        assert_eq!(masks(&secret), ["::add-mask::\"key\": \"abc%25d-1\"", "::add-mask::abc%25d-1"]);
        assert_eq!(masks(&Secret::new("failed")), ["::add-mask::failed"], "handed in by itself it is a secret");
        assert!(masks(&Secret::new("")).is_empty());
    }

    #[test]
    fn commands_are_enabled_by_the_same_token() {
        let token = StopToken::new([0xab; 16]);
        assert_eq!(decoded(&token.stop()), ("stop-commands".into(), vec![], "ab".repeat(16)));
        assert_eq!(decoded(&token.resume()).0, "ab".repeat(16));
    }
}
