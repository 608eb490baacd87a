//! Removes secrets from text before it is shown.
//!
//! Secrets are searched for in the visible part of the text ([`super::visible`]). Invisible characters are removed too,
//! so that no program that shows the text can reassemble a secret.

mod forms;
mod hex;

use std::{
    fmt,
    ops::Range,
    sync::{Arc, LazyLock},
};

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use regex::Regex;

use super::{
    deploy::DeployStep,
    diagnostic::Diagnostic,
    event::{Event, ImageEvent, StepOutcome},
    failure::Failure,
    outcome::RunOutcome,
    secrecy::{Parts, SHORTEST},
    secret::Secret,
    visible::{Escapes, Skeleton, clean, is_plain},
};

/// The replacement for a secret.
pub const REDACTED: &str = "[redacted]";

/// Credentials that are recognized by their form, even if they are not known secrets. The groups `keep`, `argument` and
/// `at` are not replaced.
static CREDENTIALS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(&CREDENTIAL_FORMS.join("|")).ok());

const CREDENTIAL_FORMS: [&str; 9] = [
    // GitHub, Slack, AWS.
    r"\bgh[pousr]_[A-Za-z0-9]{20,}",
    r"\bgithub_pat_[A-Za-z0-9_]{20,}",
    r"\bxox[a-z]-[A-Za-z0-9-]{8,}",
    r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    // Webhooks of Discord, Slack and Teams.
    r"https://(?:[a-z]+\.)?discord(?:app)?\.com/api/(?:v[0-9]+/)?webhooks/[0-9]+/[A-Za-z0-9_-]+",
    r"https://hooks\.slack(?:-gov)?\.com/services/[A-Za-z0-9/]+",
    r"https://[A-Za-z0-9.:-]+/(?:[A-Za-z0-9._-]+/)*workflows/\S*[?&]sig=[A-Za-z0-9%_-]+",
    // A private key, up to its end or the end of the text.
    r"(?s-u:-----BEGIN [A-Z ]*PRIVATE KEY-----)(?:[A-Za-z0-9+/=\s]*[A-Za-z0-9+/=])?(?:\s?-----END [A-Z ]*PRIVATE KEY-----)?",
    // User name and password in a URL; a build argument whose name suggests a secret.
    r#"(?<keep>[a-z]+://)[^/\s:@"']+:[^/\s@"']+(?<at>@)|(?<argument>--build-arg[= ]["']?[A-Za-z0-9_]*(?:TOKEN|SECRET|PASSW|KEY|token|secret|passw)[A-Za-z0-9_]*=)[^\s"']+"#,
];

/// Number of bytes held back at the end of an incomplete line, in addition to the longest form of a secret, because a
/// recognizable credential may begin there.
const HELD_BACK: usize = 512;
/// Maximum number of bytes held back. Longer forms of secrets are not considered.
const MOST_HELD_BACK: usize = 256 << 10;

/// Replaces known secrets and recognizable credentials by [`REDACTED`].
///
/// Secrets are found in the encodings that programs use: base64, also within a longer text, percent-encoding, JSON and
/// XML escapes, and hex digits with or without separators.
///
/// Output is redacted line by line, so the lines and values of a multi-line secret are searched for too
/// ([`super::secrecy`] decides which). Texts shorter than [`Redactor::SHORTEST`] are not searched for: replacing every
/// `a` would hide nothing and make the log unreadable.
#[derive(Clone, Default)]
pub struct Redactor {
    texts: Needles,
    digits: Needles,
    /// The length of the longest form.
    longest: usize,
    /// The secrets it was created from, for [`Redactor::with`].
    secrets: Arc<[Secret]>,
}

/// The texts to search for.
#[derive(Clone, Default)]
enum Needles {
    #[default]
    Nothing,
    /// Texts that are found in a single pass, regardless of their number, since every line of output is searched.
    These(Arc<AhoCorasick>),
    /// Too many to search for: every text is redacted as a whole.
    TooMany,
}

impl Needles {
    fn new(mut forms: Vec<String>) -> Self {
        forms.sort_unstable();
        forms.dedup();
        if forms.is_empty() {
            return Self::Nothing;
        }
        // Other automaton kinds are faster, but need much memory for large secrets.
        let automaton = AhoCorasick::builder().kind(Some(AhoCorasickKind::ContiguousNFA)).build(&forms);
        automaton.map_or(Self::TooMany, |automaton| Self::These(Arc::new(automaton)))
    }

    /// Returns all matches in the text, including overlapping ones.
    fn find(&self, text: &str) -> Vec<Range<usize>> {
        match self {
            Self::Nothing => Vec::new(),
            Self::These(automaton) => automaton.find_overlapping_iter(text).map(|hit| hit.range()).collect(),
            Self::TooMany if text.is_empty() => Vec::new(),
            Self::TooMany => Vec::from_iter(Some(0..text.len())),
        }
    }
}

impl fmt::Debug for Redactor {
    /// Shows nothing, since the state contains the secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redactor")
    }
}

impl Redactor {
    /// Minimum length in bytes of a secret.
    pub const SHORTEST: usize = SHORTEST;

    /// Creates a redactor for these secrets.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Self {
        let secrets: Arc<[Secret]> = secrets.into_iter().cloned().collect();
        let (mut texts, mut digits) = (Vec::new(), Vec::new());
        for secret in &*secrets {
            let Parts { values, lines } = Parts::of(secret);
            texts.extend(lines.iter().flat_map(|line| forms::of_line(line)));
            for value in values {
                texts.extend(forms::of_value(&value));
                digits.extend(hex::windows(&value));
            }
        }
        // Search for the visible part of each form.
        let mut texts: Vec<String> =
            texts.iter().map(|form| Skeleton::new(form, Escapes::Whole).text.trim().to_owned()).collect();
        texts.retain(|form| form.len() >= Self::SHORTEST);
        let longest = texts.iter().map(String::len).max().unwrap_or_default();
        Self { texts: Needles::new(texts), digits: Needles::new(digits), longest, secrets }
    }

    /// Creates a redactor for an additional secret.
    #[must_use]
    pub fn with(&self, secret: &Secret) -> Self {
        Self::new(self.secrets.iter().chain([secret]))
    }

    /// Replaces secrets and removes invisible characters ([`clean`]).
    pub fn redact(&self, text: &str) -> String {
        let once = self.pass(text);
        // Replacing one secret may join the parts of another.
        if once == text || is_plain(text) { once } else { self.pass(&once) }
    }

    fn pass(&self, text: &str) -> String {
        let mut redacted = String::with_capacity(text.len());
        let mut shown = 0;
        for hit in merged(self.find(text)) {
            redacted.push_str(&clean(text.get(shown..hit.start).unwrap_or_default()));
            redacted.push_str(REDACTED);
            shown = hit.end;
        }
        redacted.push_str(&clean(text.get(shown..).unwrap_or_default()));
        redacted
    }

    /// Redacts the beginning of an incomplete text and returns it with its original length in bytes. The end of the
    /// text, where a secret may begin, is omitted.
    pub fn redact_beginning(&self, text: &str) -> (String, usize) {
        let hits = self.find(text);
        let held_back = self.held_back().min(text.len());
        let mut end = text.len() - held_back;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let open = hits.iter().filter(|hit| hit.end > end).map(|hit| hit.start).min();
        let cut = match open.map_or(end, |start| start.min(end)) {
            // A secret longer than the maximum line.
            0 => merged(hits.clone()).first().map_or(end, |first| first.end.max(end)),
            cut => cut,
        };
        let hits: Vec<Range<usize>> =
            hits.into_iter().filter(|hit| hit.start < cut).map(|hit| hit.start..hit.end.min(cut)).collect();
        let mut redacted = String::new();
        let mut shown = 0;
        for hit in merged(hits) {
            redacted.push_str(&clean(text.get(shown..hit.start).unwrap_or_default()));
            redacted.push_str(REDACTED);
            shown = hit.end;
        }
        redacted.push_str(&clean(text.get(shown..cut).unwrap_or_default()));
        (redacted, cut)
    }

    /// Returns the number of bytes at the end of an incomplete text in which a secret may begin.
    pub fn held_back(&self) -> usize {
        (self.longest + HELD_BACK).min(MOST_HELD_BACK)
    }

    /// Finds secrets and credentials in the text.
    fn find(&self, text: &str) -> Vec<Range<usize>> {
        if is_plain(text) {
            return self.find_visible(text);
        }
        // Terminals parse invalid escapes differently, so search every interpretation.
        let readings: &[Escapes] = if text.contains(|c| matches!(c, '\u{1b}' | '\u{80}'..='\u{9f}')) {
            &[Escapes::Whole, Escapes::Long, Escapes::Bare]
        } else {
            &[Escapes::Whole]
        };
        let mut found = Vec::new();
        for escapes in readings {
            let skeleton = Skeleton::new(text, *escapes);
            found.extend(self.find_visible(&skeleton.text).iter().map(|hit| skeleton.place(hit)));
        }
        found
    }

    fn find_visible(&self, text: &str) -> Vec<Range<usize>> {
        let mut found = self.texts.find(text);
        if !matches!(self.digits, Needles::Nothing) {
            let spelled = hex::Spelled::new(text);
            found.extend(self.digits.find(&spelled.digits).iter().map(|hit| spelled.place(hit, text)));
        }
        let Some(credentials) = CREDENTIALS.as_ref() else { return found };
        for credential in credentials.captures_iter(text) {
            let Some(whole) = credential.get(0) else { continue };
            let before = credential.name("keep").or_else(|| credential.name("argument"));
            let start = before.map_or(whole.start(), |kept| kept.end());
            found.push(start..credential.name("at").map_or(whole.end(), |at| at.start()));
        }
        found
    }

    /// Redacts all texts of an event.
    pub fn event(&self, mut event: Event) -> Event {
        match &mut event {
            Event::Diagnostic(diagnostic) => self.diagnostic(diagnostic),
            Event::Deploy { step, .. } => self.step(step),
            Event::Note(text) => self.text(text),
            Event::Finished(RunOutcome::Failure(failure)) => self.failure(failure),
            Event::StageStarted(_)
            | Event::SecretLearned(_)
            | Event::History(_)
            | Event::Superseded(_)
            | Event::JobUrl(_)
            | Event::Finished(_) => {}
            Event::Image { event, .. } => match event {
                ImageEvent::StepStarted { name: text, .. }
                | ImageEvent::StepLog { line: text, .. }
                | ImageEvent::Retrying { reason: text, .. }
                | ImageEvent::StepFinished { outcome: StepOutcome::Failed(text), .. } => self.text(text),
                ImageEvent::Failed(failure) => self.failure(failure),
                // A compose file can write a variable into the name of an image.
                ImageEvent::Finished(result) => result.loaded.iter_mut().for_each(|name| self.text(name)),
                ImageEvent::Started
                | ImageEvent::StepFinished { .. }
                | ImageEvent::Pushing
                | ImageEvent::Compared(_)
                | ImageEvent::Published(_)
                | ImageEvent::Cancelled => {}
            },
        }
        event
    }

    /// Redacts the texts of a step of a deployment.
    pub fn step(&self, step: &mut DeployStep) {
        match step {
            DeployStep::FoundUnfinished(text)
            | DeployStep::Waiting(text)
            | DeployStep::Migrating { command: text, .. }
            | DeployStep::RollingBack { reason: text }
            | DeployStep::Warning(text) => self.text(text),
            DeployStep::Finished(report) => {
                for text in
                    report.reason.iter_mut().chain(&mut report.hint).chain(&mut report.log).chain(&mut report.by_hand)
                {
                    self.text(text);
                }
            }
            DeployStep::Planned(_)
            | DeployStep::Preparing
            | DeployStep::Alike(_)
            | DeployStep::Switching
            | DeployStep::Watching
            | DeployStep::WatchingPrevious => {}
        }
    }

    /// Redacts the texts of a diagnostic, including the file name, which comes from the checkout.
    pub fn diagnostic(&self, diagnostic: &mut Diagnostic) {
        self.text(&mut diagnostic.title);
        self.text(&mut diagnostic.message);
        if let Some(place) = &mut diagnostic.place {
            self.text(&mut place.file);
        }
    }

    fn text(&self, text: &mut String) {
        *text = self.redact(text);
    }

    fn failure(&self, failure: &mut Failure) {
        self.text(&mut failure.headline);
        let place = failure.place.as_mut().map(|place| &mut place.file);
        for text in failure.hint.iter_mut().chain(&mut failure.instruction).chain(&mut failure.log).chain(place) {
            self.text(text);
        }
    }
}

/// Sorts the ranges and merges overlapping ones.
fn merged(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_unstable_by_key(|range| (range.start, range.end));
    let mut merged: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start < last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::Redactor;
    use crate::domain::secret::Secret;

    #[test]
    fn finds_encoded_and_multi_line_forms() {
        let secrets = [Secret::new("p@ss word"), Secret::new("line one\nx9Q-line two\n"), Secret::new("abc")];
        let redactor = Redactor::new(&secrets);
        assert_eq!(redactor.redact("a p@ss word b"), "a [redacted] b");
        assert_eq!(redactor.redact("u=p%40ss%20word&v"), "u=[redacted]&v");
        assert_eq!(redactor.redact("cEBzcyB3b3Jk"), "[redacted]");
        assert_eq!(redactor.redact("2: x9Q-line two"), "2: [redacted]");
        assert_eq!(redactor.redact("1: line one"), "1: line one", "such a line is no secret");
        assert_eq!(redactor.redact("line one\r\nx9Q-line two"), "[redacted]", "the whole is");
        assert_eq!(redactor.redact("abc"), "abc", "too short to be a secret");
    }

    #[test]
    fn finds_encodings_of_programs() {
        let secret = r#"pä/ss "w&rd<\>"#;
        let long = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
        let redactor = Redactor::new(&[Secret::new(secret), Secret::new(long), Secret::new("hunter22")]);
        for (written, program) in [
            ("p%C3%A4/ss%20%22w%26rd%3C%5C%3E", "python urllib.parse.quote"),
            ("p%c3%a4%2fss%20%22w%26rd%3c%5c%3e", "perl uri_escape, in lower case"),
            ("p%C3%A4%2Fss+%22w%26rd%3C%5C%3E", "go url.QueryEscape"),
            (r#"pä/ss \"w\u0026rd\u003c\\\u003e"#, "go json.Marshal"),
            (r#"p\u00e4/ss \"w&rd<\\>"#, "python json.dumps"),
            (r"pä/ss &quot;w&amp;rd&lt;\&gt;", "python html.escape"),
            (r"pä/ss &#34;w&amp;rd&lt;\&gt;", "go html.EscapeString"),
            ("MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXZ3eHl6QUJDREVGR0hJSktMTU5PUFFSU1RV", "base64, first line"),
        ] {
            assert_eq!(redactor.redact(&format!("a {written} b")), "a [redacted] b", "{program}");
        }
        // The surrounding text and a few bits of the last letter remain.
        for (written, want, of) in [
            ("aHVudGVyMjIK", "[redacted]IK", "it and a line's end"),
            ("dXNlcjpodW50ZXIyMg==", "dXNlcjp[redacted]g==", "user:it"),
            ("Y2k6aHVudGVyMjI=", "Y2k6[redacted]", "ci:it"),
            ("Ym9iOmh1bnRlcjIyCg==", "Ym9iOm[redacted]Cg==", "bob:it and a line's end"),
            ("VldYWVowMTIzNDU2Nzg5Cg==", "[redacted]Cg==", "the last line of the long one"),
        ] {
            assert_eq!(redactor.redact(written), want, "{of}");
        }
    }

    #[test]
    fn overlapping_secrets_are_removed_completely() {
        let redactor = Redactor::new(&["abcdef", "defghi", "cd12", "bcde"].map(Secret::new));
        assert_eq!(redactor.redact("xabcdefghix abcd12 abcdef"), "x[redacted]x ab[redacted] [redacted]");
        assert_eq!(redactor.redact("abcdefabcdef"), "[redacted][redacted]");
        assert_eq!(format!("{redactor:?}"), "Redactor");
    }

    #[test]
    fn invisible_characters_hide_no_secret() {
        let redactor = Redactor::new(&["hunter-2-canary", "two words", "pässwörd-1"].map(Secret::new));
        let between = |inserted: &str| "hunter-2-canary".chars().map(String::from).collect::<Vec<_>>().join(inserted);
        for inserted in [
            "\u{0}",
            "\u{1b}[31m",
            "\u{1b}[K",
            "\u{b}",
            "\u{8}",
            "\u{1b}]0;title\u{7}",
            "\u{1b}]8;;http://e\u{1b}\\",
            "\u{1b}(B",
            "\u{1b}7",
            "\u{1b}",
            "\u{9b}1m",
            "\u{200b}",
            "\u{ad}",
            "\u{202e}",
            "\u{2060}",
            "\u{feff}",
            "\u{fffd}",
            "\u{fe0f}",
            "\u{200d}",
            "\u{1b}P1$r\u{1b}\\",
            "\u{1b}[3\u{0}1m",
            "\u{7f}",
            "\u{e0041}",
        ] {
            assert_eq!(redactor.redact(&format!("a {} b", between(inserted))), "a [redacted] b", "{inserted:?}");
        }
        assert_eq!(
            redactor.redact("a two \t\u{a0} words\nb"),
            "a [redacted]\nb",
            "blanks are one where they are shown"
        );
        assert_eq!(redactor.redact("p\u{fffd}ssw\u{fffd}rd-1"), "[redacted]", "Latin-1 and UTF-16");
        // Invisible characters are removed; colors are kept.
        assert_eq!(
            redactor.redact("\u{1b}[32mok\u{1b}[0m\u{1b}[K\u{0} 👩\u{200d}👩"),
            "\u{1b}[32mok\u{1b}[0m 👩\u{200d}👩"
        );
        assert_eq!(redactor.redact("\u{1b}[32ma hunter-2-canary\u{1b}[0m  b"), "\u{1b}[32ma [redacted]\u{1b}[0m  b");
        let token = "ghp_0123456789abcdefghijABCDEFGHIJ012345";
        assert_eq!(redactor.redact(&format!("{}\u{1b}[0m{}", &token[..9], &token[9..])), "[redacted]");
    }

    #[test]
    fn finds_hex_digits() {
        let redactor = Redactor::new(&["hunter-2-canary-with-a-tail", "hunt"].map(Secret::new));
        let bytes = "hunter-2-canary-with-a-tail".as_bytes();
        let joined = |prefix: &str, separator: &str| {
            bytes.iter().map(|byte| format!("{prefix}{byte:02x}")).collect::<Vec<_>>().join(separator)
        };
        let lower = ["", ":", " ", "%"].map(|separator| joined("", separator));
        for written in lower.iter().cloned().chain(lower.iter().map(|text| text.to_uppercase())) {
            assert_eq!(redactor.redact(&format!("a {written} b")), "a [redacted] b", "{written}");
        }
        assert_eq!(redactor.redact(&joined("0x", ", ")), "0x[redacted]");
        assert_eq!(redactor.redact(&joined(r"\x", "")), r"\x[redacted]");
        assert_eq!(redactor.redact("sum 68756e74"), "sum [redacted]");
        for (dump, want) in [
            ("00000000: 6875 6e74 6572 2d32 2d63 616e 6172 792d  hunter-2-canary-", "00000000: [redacted]"),
            ("00000000  68 75 6e 74 65 72 2d 32  2d 63 61 6e 61 72 79 2d  |hunter-2-canary-|", "00000000  [redacted]"),
            ("00000010: 7769 7468 2d61 2d74 6169 6c              with-a-tail", "00000010: [redacted]"),
            ("0000000 68 75 6e 74 65 72 2d 32 2d 63 61 6e 61 72 79 2d", "0000000 [redacted]"),
            ("0000000 7568 746e 7265 322d 632d 6e61 7261 2d79", "0000000 [redacted]"),
            ("68756e7465722d322d63616e6172792d776974682d612d7461696c0a", "[redacted]0a"),
        ] {
            assert_eq!(redactor.redact(dump), want);
        }
        let digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
        assert_eq!(redactor.redact(digest), digest);
    }

    #[test]
    fn an_incomplete_line_is_not_cut_within_a_secret() {
        let secret = "x9Q-canary-of-some-length";
        let redactor = Redactor::new(&[Secret::new(secret)]);
        let before = "-".repeat(2000);
        for cut in 0..=secret.len() + 700 {
            let text = format!("{before}{secret}{}", "+".repeat(700));
            let (shown, taken) = redactor.redact_beginning(&text[..before.len() + cut]);
            assert!(taken >= before.len() - redactor.held_back(), "{cut}");
            let whole = shown + &redactor.redact(&text[taken..]);
            assert_eq!(whole, format!("{before}[redacted]{}", "+".repeat(700)), "{cut}");
        }
    }

    #[test]
    fn many_secrets_do_not_slow_down_a_line() {
        let lines: Vec<String> =
            (0..1000_u32).map(|i| format!("{:064x}", u64::from(i).wrapping_mul(0x9E37_79B9_7F4A_7C15))).collect();
        let redactor = Redactor::new(&[Secret::new(lines.join("\n"))]);
        let began = std::time::Instant::now();
        for _ in 0..2_000 {
            assert!(
                !redactor.redact("Collecting django==5.1 (from -r requirements.txt (line 1))").contains("[redacted]")
            );
        }
        // A separate search for each form used to take a minute.
        assert!(began.elapsed() < std::time::Duration::from_secs(5), "{:?}", began.elapsed());
        assert_eq!(redactor.redact(&format!("k: {}", lines[999])), "k: [redacted]");
    }

    #[test]
    fn finds_credentials_by_their_form() {
        let redactor = Redactor::default();
        for (text, want) in [
            ("token ghp_0123456789abcdefghijABCDEFGHIJ012345 .", "token [redacted] ."),
            ("github_pat_11ABCDEFG0abcdefghijkl_mnopqrstuvwxyz", "[redacted]"),
            ("xoxb-123456789012-abcdef", "[redacted]"),
            ("key=AKIAIOSFODNN7EXAMPLE;", "key=[redacted];"),
            ("https://discord.com/api/webhooks/1/abc", "[redacted]"),
            ("https://canary.discordapp.com/api/v10/webhooks/12/a-b_c?wait=true", "[redacted]?wait=true"),
            ("https://hooks.slack.com/services/T0/B0/xyz.", "[redacted]."),
            ("https://p.logic.azure.com:443/workflows/0a/triggers/x?a=b&sig=S_x", "[redacted]"),
            ("https://user:pass@host/x", "https://[redacted]@host/x"),
            ("docker build --build-arg NPM_TOKEN=s3cret .", "docker build --build-arg NPM_TOKEN=[redacted] ."),
            ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nnext", "[redacted]\nnext"),
            ("--build-arg VERSION=1 ghp_short AKIA https://host:80/a@b sha256:0a1b git@github.com:o/r", ""),
        ] {
            assert_eq!(redactor.redact(text), if want.is_empty() { text } else { want });
        }
    }
}
