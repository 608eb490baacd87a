//! What the runner makes of a step's output: lines, workflow commands in both syntaxes, masks.
//!
//! Written after `actions/runner`: `ActionCommandManager.cs`, `ActionCommand.cs`, `OutputManager.cs`.

/// An annotation that the step made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// `error`, `warning` or `notice`.
    pub kind: String,
    /// `file`, `line`, `title`, as given.
    pub properties: Vec<(String, String)>,
    /// The text.
    pub message: String,
}

/// What became of a step's output.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The log, masked; commands that take effect do not stand in it, groups do as `##[group]…`.
    pub log: Vec<String>,
    /// The output as it came, unmasked: what a test looks for secrets in.
    pub raw: String,
    /// Annotations, in order.
    pub annotations: Vec<Annotation>,
    /// Values that the step asked to mask.
    pub masks: Vec<String>,
    /// Commands that a step must not send, such as the deprecated `set-output`.
    pub refused: Vec<String>,
}

impl Outcome {
    /// The text with all masked values replaced.
    pub fn masked(&self, text: &str) -> String {
        masked(text, &self.masks)
    }

    /// The annotations of a kind: `error`, `warning` or `notice`.
    pub fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Annotation> {
        self.annotations.iter().filter(move |annotation| annotation.kind == kind)
    }
}

impl Annotation {
    /// A property, such as `file`.
    pub fn property(&self, name: &str) -> Option<&str> {
        self.properties.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Reads a step's output as it comes.
#[derive(Debug, Default)]
pub struct Console {
    outcome: Outcome,
    partial: [Vec<u8>; 2],
    stopped: Option<String>,
}

struct ParsedCommand {
    name: String,
    properties: Vec<(String, String)>,
    data: String,
}

const COMMANDS: [&str; 15] = [
    "add-mask",
    "add-matcher",
    "remove-matcher",
    "add-path",
    "set-env",
    "set-output",
    "save-state",
    "debug",
    "notice",
    "warning",
    "error",
    "group",
    "endgroup",
    "echo",
    "stop-commands",
];

impl Console {
    /// Takes in bytes of `stream` (0 for stdout, 1 for stderr); `show` gets each line of the log.
    pub fn feed(&mut self, stream: usize, bytes: &[u8], mut show: impl FnMut(&str)) {
        self.outcome.raw.push_str(&String::from_utf8_lossy(bytes));
        for byte in bytes {
            // CR, LF and CRLF end a line; the empty line between CR and LF is nothing.
            if matches!(byte, b'\n' | b'\r') {
                let line = std::mem::take(&mut self.partial[stream]);
                if !line.is_empty() {
                    self.line(&String::from_utf8_lossy(&line), &mut show);
                }
            } else {
                self.partial[stream].push(*byte);
            }
        }
    }

    /// The end of the output.
    pub fn finish(mut self) -> Outcome {
        for stream in [1, 0] {
            let line = std::mem::take(&mut self.partial[stream]);
            if !line.is_empty() {
                self.line(&String::from_utf8_lossy(&line), &mut |_| {});
            }
        }
        self.outcome
    }

    fn line(&mut self, line: &str, show: &mut impl FnMut(&str)) {
        if let Some(token) = &self.stopped {
            if parse_v2(line, &[token]).is_some() || parse_v1(line, &[token]).is_some() {
                self.stopped = None;
            } else {
                self.log(line, show);
            }
            return;
        }
        match parse_v2(line, &COMMANDS).or_else(|| parse_v1(line, &COMMANDS)) {
            Some(command) => self.command(command, show),
            None => self.log(line, show),
        }
    }

    fn log(&mut self, line: &str, show: &mut impl FnMut(&str)) {
        let line = masked(line, &self.outcome.masks);
        show(&line);
        self.outcome.log.push(line);
    }

    fn command(&mut self, command: ParsedCommand, show: &mut impl FnMut(&str)) {
        match command.name.as_str() {
            "add-mask" => {
                let parts = command.data.split(['\r', '\n']).map(str::trim).filter(|part| !part.is_empty());
                self.outcome.masks.extend(parts.map(str::to_owned));
            }
            "stop-commands" => self.stopped = Some(command.data),
            "error" | "warning" | "notice" => {
                let message = masked(&command.data, &self.outcome.masks);
                self.log(&format!("##[{}]{message}", command.name), show);
                let ParsedCommand { name: kind, properties, .. } = command;
                self.outcome.annotations.push(Annotation { kind, properties, message });
            }
            "group" => self.log(&format!("##[group]{}", command.data), show),
            "endgroup" => self.log("##[endgroup]", show),
            "debug" | "echo" | "remove-matcher" => {}
            _ => self.outcome.refused.push(command.name),
        }
    }
}

/// `::name key=value,key=value::data`, at the start of a line.
fn parse_v2(line: &str, names: &[&str]) -> Option<ParsedCommand> {
    let (head, data) = line.trim_start().strip_prefix("::")?.split_once("::")?;
    parsed(head, data, names, (',', &[("%3A", ":"), ("%2C", ",")]), &[])
}

/// `##[name key=value;key=value]data`, anywhere in a line.
fn parse_v1(line: &str, names: &[&str]) -> Option<ParsedCommand> {
    let (head, data) = line.split_once("##[")?.1.split_once(']')?;
    let escapes: &[(&str, &str)] = &[("%3B", ";"), ("%5D", "]")];
    parsed(head, data, names, (';', escapes), escapes)
}

fn parsed(
    head: &str,
    data: &str,
    names: &[&str],
    (separator, escapes): (char, &[(&str, &str)]),
    data_escapes: &[(&str, &str)],
) -> Option<ParsedCommand> {
    let (name, properties) = head.split_once(' ').unwrap_or((head, ""));
    let name = names.iter().find(|known| known.eq_ignore_ascii_case(name))?;
    let properties = properties
        .split(separator)
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (key.trim().to_owned(), unescaped(value, escapes)))
        .collect();
    Some(ParsedCommand { name: (*name).to_owned(), properties, data: unescaped(data, data_escapes) })
}

fn unescaped(text: &str, more: &[(&str, &str)]) -> String {
    let mut text = text.to_owned();
    for (from, to) in [("%0D", "\r"), ("%0A", "\n")].iter().chain(more) {
        text = text.replace(from, to);
    }
    text.replace("%25", "%")
}

fn masked(text: &str, masks: &[String]) -> String {
    let mut masks: Vec<&String> = masks.iter().collect();
    masks.sort_by_key(|mask| std::cmp::Reverse(mask.len()));
    masks.into_iter().fold(text.to_owned(), |text, mask| text.replace(mask.as_str(), "***"))
}

#[cfg(test)]
mod tests {
    use super::{Console, Outcome};

    fn read(text: &str) -> Outcome {
        let mut console = Console::default();
        console.feed(0, text.as_bytes(), |_| {});
        console.finish()
    }

    #[test]
    fn both_syntaxes_are_live_and_a_carriage_return_ends_a_line() {
        let outcome = read("x ##[add-mask]hunter\r  ::error file=a%2Cb,line=3::no%0Away\nhunter2\n::nothing::x\n");
        assert_eq!(outcome.masks, ["hunter"]);
        assert_eq!(outcome.annotations[0].property("file"), Some("a,b"));
        assert_eq!(outcome.annotations[0].message, "no\nway");
        assert_eq!(outcome.log, ["##[error]no\nway", "***2", "::nothing::x"]);
    }

    #[test]
    fn nothing_acts_while_commands_are_stopped() {
        let text = "::stop-commands::t0k\n::error::a\n##[set-output name=x]y\n::t0k::\n::set-output name=x::y\n";
        let outcome = read(text);
        assert!(outcome.annotations.is_empty());
        assert_eq!(outcome.log, ["::error::a", "##[set-output name=x]y"]);
        assert_eq!(outcome.refused, ["set-output"]);
    }
}
