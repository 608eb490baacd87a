//! Workflow commands: lines of the output that the runner acts on.
//!
//! Syntax and escaping are those of the runner's `ActionCommand.cs` and the toolkit's `command.ts`. Outputs and
//! state go through files only ([`super::files`]): as commands they are deprecated, and the log is no safe place.

use std::collections::BTreeSet;

use crate::domain::{
    diagnostic::{Place, Severity},
    secrecy::Parts,
    secret::Secret,
};

use super::untrusted::inert;

/// Ends a group.
pub const END_GROUP: &str = "::endgroup::";

/// The runner cuts an annotation's message here, in characters.
const LONGEST_MESSAGE: usize = 4096;

/// The word that ends a bracket in which no command is obeyed. Fresh and random in each run, so that no build
/// output can hold it.
#[derive(Clone, PartialEq, Eq)]
pub struct StopToken(String);

impl StopToken {
    /// Makes a token of 128 random bits. Hex digits are no command's name, which the runner would refuse.
    pub fn new(random: [u8; 16]) -> Self {
        Self(format!("{:032x}", u128::from_be_bytes(random)))
    }

    /// From here on no command is obeyed.
    pub fn stop(&self) -> String {
        format!("::stop-commands::{}", self.0)
    }

    /// From here on commands are obeyed again.
    pub fn resume(&self) -> String {
        format!("::{}::", self.0)
    }
}

/// Begins a group of lines that is folded in the log. Groups do not nest.
pub fn group(title: &str) -> String {
    command("group", &[], &inert(title).join(" "))
}

/// Makes the runner hide a secret from here on, for the rest of the job.
///
/// The runner hides each line of a value by itself, however short, so a line of a key that is one brace would hide
/// all braces of the log. Hence what is to be hidden is handed over one by one: the lines and values that look secret by
/// themselves ([`crate::domain::secrecy`]).
pub fn masks(secret: &Secret) -> Vec<String> {
    let Parts { values, lines } = Parts::of(secret);
    let parts: BTreeSet<String> = values.into_iter().chain(lines).filter(|part| !part.contains(['\r', '\n'])).collect();
    parts.iter().map(|part| command("add-mask", &[], part)).collect()
}

/// An annotation of the run, shown on its page and, where a place is given, on the file's lines.
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
    let title = inert(title).join(" ");
    if !title.is_empty() {
        properties.push(("title", &title));
    }
    let mut text = inert(message).join("\n");
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
        fn the_runner_reads_back_what_was_meant(value in any::<String>(), data in any::<String>()) {
            let line = command("error", &[("file", &value), ("title", "x")], &data);
            assert!(!line.contains(['\r', '\n']));
            let (name, properties, read) = decoded(&line);
            assert_eq!(name, "error");
            assert_eq!(properties, [("file".to_owned(), value), ("title".to_owned(), "x".to_owned())]);
            assert_eq!(read, data);
        }
    }

    #[test]
    fn escapes_are_the_toolkits() {
        let place = Place { file: "a,b:c.Dockerfile".into(), line: 3, end_line: 1 };
        assert_eq!(
            annotation(Severity::Warning, "50%: x", "one\r\ntwo", Some(&place)),
            "::warning file=a%2Cb%3Ac.Dockerfile,line=3,endLine=3,title=50%25%3A x::one%0Atwo"
        );
        assert_eq!(annotation(Severity::Error, "", "m", None), "::error::m");
        assert_eq!(group("django ##[error]x"), "::group::django #\u{200b}#[error]x");
    }

    #[test]
    fn long_messages_end_in_a_sign_of_it() {
        let (_, _, message) = decoded(&annotation(Severity::Error, "t", &"é".repeat(5000), None));
        assert_eq!((message.chars().count(), message.ends_with('…')), (4096, true));
    }

    #[test]
    fn masks_are_one_a_line_and_no_ordinary_words() {
        let secret = Secret::new("{\r\n  \"key\": \"abc%d-1\"\n}\nfailed\ntrue\n5432\n");
        assert_eq!(masks(&secret), ["::add-mask::\"key\": \"abc%25d-1\"", "::add-mask::abc%25d-1"]);
        assert_eq!(masks(&Secret::new("failed")), ["::add-mask::failed"], "handed in by itself it is a secret");
        assert!(masks(&Secret::new("")).is_empty());
    }

    #[test]
    fn the_bracket_closes_with_its_own_token() {
        let token = StopToken::new([0xab; 16]);
        assert_eq!(decoded(&token.stop()), ("stop-commands".into(), vec![], "ab".repeat(16)));
        assert_eq!(decoded(&token.resume()).0, "ab".repeat(16));
    }
}
