//! How a run ended, as its last message says it: saved before that message is sent, so that the post stage can send it if
//! the run could not. PURE.

use serde::{Deserialize, Serialize};

use super::{
    message::{Field, Message, Span},
    occasion::{MentionOn, NotifyOn},
};
use crate::domain::run::RunState;

/// Bytes of [`Outcome::to_json`] at most. It becomes a variable of the post stage's environment, of which Linux takes
/// 128 KiB (`MAX_ARG_STRLEN`).
pub const LARGEST: usize = 64 << 10;

/// From all that a message may show to less and less: log lines, fields, lines of a field, and characters of a text. No
/// service shows more than the first.
const SIZES: [Size; 4] = [
    Size { log: 40, fields: 60, lines: 8, text: 2000 },
    Size { log: 20, fields: 30, lines: 4, text: 400 },
    Size { log: 10, fields: 20, lines: 2, text: 200 },
    Size { log: 0, fields: 0, lines: 0, text: 200 },
];

struct Size {
    log: usize,
    fields: usize,
    lines: usize,
    text: usize,
}

/// The last message of a run, and whom it is for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// What it says.
    pub message: Message,
    /// Whether it is worth a message of its own: the input `notify-on`.
    pub wanted: bool,
    /// Whether it calls for a mention: the input `mention-on`.
    pub mention: bool,
}

impl Outcome {
    /// The outcome of a run that has ended.
    pub fn of(state: &RunState, on: NotifyOn, mention_on: MentionOn) -> Self {
        let message = Message::of(state);
        let wanted = on.end(message.phase, state);
        let mention = wanted && mention_on.end(message.phase, state);
        Self { message, wanted, mention }
    }

    /// Text that [`Outcome::from_json`] reads, of [`LARGEST`] bytes at most: a message that is larger loses what matters
    /// least. `None` if even that is not enough.
    pub fn to_json(&self) -> Option<String> {
        let mut outcome = self.clone();
        SIZES.iter().find_map(|size| {
            size.fit(&mut outcome.message);
            serde_json::to_string(&outcome).ok().filter(|text| text.len() <= LARGEST)
        })
    }

    /// Reads what was saved; `None` if it is something else.
    pub fn from_json(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

impl Size {
    fn fit(&self, message: &mut Message) {
        let Message { phase: _, place, status, url: _, intro, failure, fields, links, footer, ended: _ } = message;
        for text in [place, status, footer] {
            self.cut(text);
        }
        intro.iter_mut().flatten().chain(links).for_each(|span| self.span(span));
        if let Some(failure) = failure {
            // The newest lines tell the most.
            failure.log.drain(..failure.log.len().saturating_sub(self.log));
            failure.instruction.truncate(self.log);
            failure.facts.iter_mut().for_each(|span| self.span(span));
            let texts = failure.log.iter_mut().chain(&mut failure.instruction).chain(&mut failure.hint);
            texts.chain([&mut failure.headline]).for_each(|text| self.cut(text));
        }
        fields.truncate(self.fields);
        for Field { sign: _, name, lines } in fields {
            self.cut(name);
            lines.truncate(self.lines);
            for line in lines {
                // A line of an image with very many tags.
                line.truncate(4 * self.lines);
                for span in line {
                    self.span(span);
                }
            }
        }
    }

    fn span(&self, span: &mut Span) {
        match span {
            // An address that is cut leads elsewhere.
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

    use super::{LARGEST, Outcome};
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
        notify::occasion::{MentionOn, NotifyOn},
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
        state.history = Some(History { failures: 1 });
        state.outcome = Some((outcome, Duration::from_secs(83)));
        state
    }

    fn failure(log: Vec<String>) -> RunOutcome {
        let place = Some(Place { file: "Dockerfile".into(), line: 3, end_line: 3 });
        let failure = Failure { place, log, ..Failure::new(Stage::Build, "no", Some("do".into())) };
        RunOutcome::Failure(Box::new(failure))
    }

    #[test]
    fn what_was_saved_is_read_as_it_was() {
        let log = vec!["\u{1b}[31mé\0\n".into(), "```".into()];
        for outcome in [RunOutcome::Success, failure(log), RunOutcome::Cancelled, RunOutcome::TimedOut] {
            let outcome = Outcome::of(&ended(outcome), NotifyOn::ALWAYS, MentionOn::Failure);
            let text = outcome.to_json().unwrap();
            assert_eq!(Outcome::from_json(&text), Some(outcome), "{text}");
        }
        assert_eq!(Outcome::from_json("{}"), None);
    }

    #[test]
    fn says_whom_the_end_is_for() {
        let of = |outcome, on, mention_on| {
            let outcome = Outcome::of(&ended(outcome), on, mention_on);
            (outcome.wanted, outcome.mention)
        };
        assert_eq!(of(failure(vec![]), NotifyOn::ALWAYS, MentionOn::Failure), (true, true));
        assert_eq!(of(failure(vec![]), NotifyOn::ALWAYS, MentionOn::FirstFailure), (true, false));
        assert_eq!(of(failure(vec![]), NotifyOn::NEVER, MentionOn::Failure), (false, false));
        assert_eq!(of(RunOutcome::Success, NotifyOn::ALWAYS, MentionOn::Failure), (true, false));
    }

    #[test]
    fn the_largest_message_still_fits_and_keeps_what_matters() {
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
        let outcome = Outcome::of(&state, NotifyOn::ALWAYS, MentionOn::Never);
        let text = outcome.to_json().unwrap();
        assert!(text.len() <= LARGEST, "{}", text.len());
        let read = Outcome::from_json(&text).unwrap().message;
        assert_eq!(
            (read.phase, read.status, read.url),
            (outcome.message.phase, outcome.message.status, outcome.message.url)
        );
        assert_eq!(read.failure.unwrap().headline, "no");
    }
}
