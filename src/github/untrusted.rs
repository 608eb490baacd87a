//! Escapes untrusted text in the log: build output, commit messages, names.
//!
//! The runner searches every output line for commands in two syntaxes: `::name::` at the beginning of a line and `##[name]`
//! anywhere. Every character that the runner or other programs treat as a line end counts as one here.

use crate::domain::visible::clean;

/// A zero-width character that breaks up workflow commands.
const BREAK: char = '\u{200b}';

/// Splits the text into lines that cannot contain commands, move the cursor or color later lines. Colors within a line are
/// kept. Lines end at LF, CR, CRLF, NEL, LS and PS.
pub fn inert(text: &str) -> Vec<String> {
    let unified = text.replace("\r\n", "\n");
    let mut lines: Vec<String> =
        unified.split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']).map(inert_line).collect();
    if lines.len() > 1 && lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}

/// The text as one line without control characters, escape sequences and colors, for pages and messages.
pub fn plain(text: &str) -> String {
    let spaced = text.replace("\r\n", " ").replace(['\n', '\r', '\t', '\u{85}', '\u{2028}', '\u{2029}'], " ");
    let (colored, _) = without_controls(&spaced);
    let mut plain = String::with_capacity(colored.len());
    let mut rest = colored.as_str();
    while let Some((before, sequence)) = rest.split_once("\u{1b}[") {
        plain.push_str(before);
        // Color sequences are the only ones left; they end in `m`.
        rest = sequence.split_once('m').map_or("", |(_, after)| after);
    }
    plain + rest
}

fn inert_line(line: &str) -> String {
    let (plain, colored) = without_controls(line);
    let mut safe = plain.replace("##[", &format!("#{BREAK}#["));
    let start = command_start(&safe);
    if safe[start..].starts_with("::") {
        safe.insert(start + 1, BREAK);
    }
    if colored {
        safe.push_str("\u{1b}[0m");
    }
    safe
}

/// The start of the line's text: after white space, which the runner trims, and colors.
fn command_start(line: &str) -> usize {
    let mut rest = line;
    loop {
        let trimmed = rest.trim_start();
        match color_length(trimmed) {
            Some(length) => rest = &trimmed[length..],
            None => return line.len() - trimmed.len(),
        }
    }
}

/// Removes invisible characters except colors; also returns whether there are any colors.
fn without_controls(line: &str) -> (String, bool) {
    let kept = clean(line);
    let colored = kept.contains('\u{1b}');
    (kept, colored)
}

/// The length of the color sequence (SGR) at the start of the text.
fn color_length(text: &str) -> Option<usize> {
    let parameters = text.strip_prefix("\u{1b}[")?;
    let end = parameters.find(|c: char| !(c.is_ascii_digit() || c == ';' || c == ':'))?;
    parameters[end..].starts_with('m').then_some(end + 3)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, proptest};

    use super::{inert, plain};

    /// Whether the runner would act on the line: `ActionCommand.TryParseV2` and `TryParse`, after their C# source.
    fn is_command(line: &str) -> bool {
        line.trim_start().starts_with("::") || line.find("##[").is_some_and(|start| line[start..].contains(']'))
    }

    #[test]
    fn breaks_both_syntaxes_at_every_line_end() {
        for text in [
            "::set-output name=a::b",
            " \u{a0}::error::x",
            "50%\r::add-mask::a",
            "x\u{85}::a::b\u{2028}::c::d\u{2029}::e::f",
            "a ##[add-mask]b",
            "###[error]x",
            "#\u{0}#[error]x",
            ":\u{8}:error::x",
            "#\u{1b}[2K#[error]x",
            "\u{1b}]0;title\u{7}::error::x",
        ] {
            assert!(inert(text).iter().all(|line| !is_command(line)), "{text:?}: {:?}", inert(text));
        }
    }

    #[test]
    fn colors_stay_and_end_with_the_line() {
        assert_eq!(inert("\u{1b}[1;31mred\u{1b}[2J\ttext\u{7}"), ["\u{1b}[1;31mred\ttext\u{1b}[0m"]);
        assert_eq!(inert("\u{1b}[31m::error::x"), ["\u{1b}[31m:\u{200b}:error::x\u{1b}[0m"]);
    }

    #[test]
    fn plain_text_is_untouched() {
        let text = "a::b\n\n  [2/5] RUN echo \"#1\" # [x] ü 日本 é";
        assert_eq!(inert(text).join("\n"), text);
        assert_eq!(inert("a\r\nb\n"), ["a", "b"]);
        assert_eq!(inert(""), [""]);
    }

    #[test]
    fn plain_text_has_no_colors_either() {
        assert_eq!(plain("\u{1b}[1;31mred\u{1b}[0m\r\nand\t\u{1b}[2Kmore\u{7}"), "red and more");
    }

    proptest! {
        #[test]
        fn nothing_is_ever_a_command(text in any::<String>(), parts in prop::collection::vec(
            prop::sample::select(vec!["::", ":", "##[", "#", "[", "]", "\r", "\n", "\u{1b}[", "\u{1b}]", "\u{1b}", "m", "0",
                                      "\u{85}", "\u{2028}", " ", "\u{0}", "\u{7}", "x", "é", ";", "K", "\\"]), 0..24)) {
            let color = regex::Regex::new("\u{1b}\\[[0-9;:]*m").unwrap();
            for line in inert(&text).iter().chain(&inert(&parts.concat())) {
                assert!(!is_command(line), "{line:?}");
                assert!(!line.contains(['\n', '\r']));
                let without_color = color.replace_all(line, "").into_owned();
                assert!(!without_color.contains('\u{1b}'), "{line:?}");
                assert!(!is_command(&without_color) , "{line:?}");
            }
        }
    }
}
