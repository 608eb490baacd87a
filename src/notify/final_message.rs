//! The final message of a run. It is saved before it is sent, so that the post stage can send it if the run could not.
//! PURE.

use serde::{Deserialize, Serialize};

use super::{
    message::{Field, Message, Span},
    policy::{MentionOn, NotifyOn},
};
use crate::domain::run::RunState;

/// Maximum size of [`FinalMessage::to_json`] in bytes. The text becomes an environment variable of the post stage, which
/// Linux limits to 128 KiB (`MAX_ARG_STRLEN`).
pub const LARGEST: usize = 64 << 10;

/// The limits that are tried in turn until the message fits. No service shows more than the first one allows.
const SIZES: [Size; 4] = [
    Size { log: 40, fields: 60, lines: 8, text: 2000 },
    Size { log: 20, fields: 30, lines: 4, text: 400 },
    Size { log: 10, fields: 20, lines: 2, text: 200 },
    Size { log: 0, fields: 0, lines: 0, text: 200 },
];

/// Limits on the parts of a message.
struct Size {
    /// Log lines.
    log: usize,
    /// Fields.
    fields: usize,
    /// Lines of a field.
    lines: usize,
    /// Characters of a text.
    text: usize,
}

/// The final message of a run, and whether to send it and mention someone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FinalMessage {
    /// The message.
    pub message: Message,
    /// Whether `notify-on` includes this outcome. If not, only a message that is already posted is updated.
    pub wanted: bool,
    /// Whether `mention-on` includes this outcome.
    pub mention: bool,
}

impl FinalMessage {
    /// The final message of a finished run.
    pub fn of(state: &RunState, on: NotifyOn, mention_on: MentionOn) -> Self {
        let message = Message::of(state);
        let wanted = on.end(message.phase, state);
        let mention = wanted && mention_on.end(message.phase, state);
        Self { message, wanted, mention }
    }

    /// Serializes the message to at most [`LARGEST`] bytes for [`FinalMessage::from_json`]. A larger message loses its
    /// least important parts. `None` if it is still too large then.
    pub fn to_json(&self) -> Option<String> {
        let mut saved = self.clone();
        SIZES.iter().find_map(|size| {
            size.fit(&mut saved.message);
            serde_json::to_string(&saved).ok().filter(|text| text.len() <= LARGEST)
        })
    }

    /// Reads a saved message; `None` if the text is not one.
    pub fn from_json(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

impl Size {
    fn fit(&self, message: &mut Message) {
        let Message { phase: _, source, status, url: _, intro, failure, fields, links, footer, ended: _ } = message;
        for text in [source, status, footer] {
            self.cut(text);
        }
        intro.iter_mut().flatten().chain(links).for_each(|span| self.span(span));
        if let Some(failure) = failure {
            // The last lines matter most.
            failure.log.drain(..failure.log.len().saturating_sub(self.log));
            failure.instruction.truncate(self.log);
            failure.facts.iter_mut().for_each(|span| self.span(span));
            let texts = failure.log.iter_mut().chain(&mut failure.instruction).chain(&mut failure.hint);
            texts.chain([&mut failure.headline]).for_each(|text| self.cut(text));
        }
        fields.truncate(self.fields);
        for Field { emoji: _, name, lines } in fields {
            self.cut(name);
            lines.truncate(self.lines);
            for line in lines {
                // An image with very many tags has a very long line.
                line.truncate(4 * self.lines);
                for span in line {
                    self.span(span);
                }
            }
        }
    }

    fn span(&self, span: &mut Span) {
        match span {
            // A truncated URL would be a different one.
            Span::Text(text)
            | Span::Strong(text)
            | Span::Code(text)
            | Span::CodeLink(text, _)
            | Span::Link(text, _) => {
                self.cut(text);
            }
            Span::Ago(_) => {}
        }
    }

    fn cut(&self, text: &mut String) {
        if let Some((end, _)) = text.char_indices().nth(self.text) {
            text.truncate(end);
            text.push('…');
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::DateTime;

    use super::{FinalMessage, LARGEST};
    use crate::{
        domain::{
            destinations::Destinations,
            diagnostic::Place,
            failure::Failure,
            history::History,
            outcome::RunOutcome,
            repository::Repository,
            run::{ImageState, ImageStatus, RunInfo, RunState},
            stage::Stage,
            tag::Tag,
        },
        notify::policy::{MentionOn, NotifyOn},
    };

    fn ended(outcome: RunOutcome) -> RunState {
        let info = RunInfo {
            repository: "acme/shop".into(),
            ref_name: "main".into(),
            subject: "Fix \"it\"".into(),
            run_url: "https://github.com/acme/shop/actions/runs/1".into(),
            ..RunInfo::default()
        };
        let mut state = RunState::new(info, DateTime::UNIX_EPOCH);
        state.history = Some(History { failures: 1, succeeded: true });
        state.outcome = Some((outcome, Duration::from_secs(83)));
        state
    }

    fn failure(log: Vec<String>) -> RunOutcome {
        let place = Some(Place { file: "Dockerfile".into(), line: 3, end_line: 3 });
        let failure = Failure { place, log, ..Failure::new(Stage::Build, "no", Some("do".into())) };
        RunOutcome::Failure(Box::new(failure))
    }

    #[test]
    fn a_saved_message_is_read_unchanged() {
        let log = vec!["\u{1b}[31mé\0\n".into(), "```".into()];
        for outcome in [RunOutcome::Success, failure(log), RunOutcome::Cancelled, RunOutcome::TimedOut] {
            let saved = FinalMessage::of(&ended(outcome), NotifyOn::ALWAYS, MentionOn::Failure);
            let text = saved.to_json().unwrap();
            assert_eq!(FinalMessage::from_json(&text), Some(saved), "{text}");
        }
        assert_eq!(FinalMessage::from_json("{}"), None);
    }

    #[test]
    fn decides_whether_to_send_and_to_mention() {
        let of = |outcome, on, mention_on| {
            let saved = FinalMessage::of(&ended(outcome), on, mention_on);
            (saved.wanted, saved.mention)
        };
        assert_eq!(of(failure(vec![]), NotifyOn::ALWAYS, MentionOn::Failure), (true, true));
        assert_eq!(of(failure(vec![]), NotifyOn::ALWAYS, MentionOn::FirstFailure), (true, false));
        assert_eq!(of(failure(vec![]), NotifyOn::NEVER, MentionOn::Failure), (false, false));
        assert_eq!(of(RunOutcome::Success, NotifyOn::ALWAYS, MentionOn::Failure), (true, false));
    }

    #[test]
    fn the_largest_message_fits_and_keeps_its_important_parts() {
        let mut state = ended(failure(vec!["\u{1}".repeat(32 << 10); Failure::LOG_LINES]));
        let tags = vec![Tag::repaired(&"t".repeat(Tag::LONGEST)); 500];
        state.images = (0..500)
            .map(|number| ImageState {
                name: format!("image-{number}"),
                services: vec!["service".into(); 50],
                destinations: Destinations {
                    repository: Repository::parse(&format!("ghcr.io/{}", "r".repeat(Repository::LONGEST))).unwrap(),
                    copies: Vec::new(),
                    tags: tags.clone(),
                },
                publishes: true,
                status: ImageStatus::Cancelled,
                steps: Vec::new(),
                pushing: None,
                ended: None,
                previous: None,
                publication: None,
            })
            .collect();
        let saved = FinalMessage::of(&state, NotifyOn::ALWAYS, MentionOn::Never);
        let text = saved.to_json().unwrap();
        assert!(text.len() <= LARGEST, "{}", text.len());
        let read = FinalMessage::from_json(&text).unwrap().message;
        assert_eq!((read.phase, read.status, read.url), (saved.message.phase, saved.message.status, saved.message.url));
        assert_eq!(read.failure.unwrap().headline, "no");
    }
}
