//! Takes secrets out of text that is about to be shown.

use std::{
    fmt,
    ops::Range,
    sync::{Arc, LazyLock},
};

use aho_corasick::{AhoCorasick, AhoCorasickKind};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use regex::{Captures, Regex};

use super::secret::Secret;

/// What stands where a secret stood.
pub const REDACTED: &str = "[redacted]";

/// What is a credential whoever it belongs to, by its form: a build may print one that nobody told us of. The group
/// `keep` stays.
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
    // A private key, to its end or the text's.
    r"(?s-u:-----BEGIN [A-Z ]*PRIVATE KEY-----)[A-Za-z0-9+/=\s]*(?:-----END [A-Z ]*PRIVATE KEY-----)?",
    // Name and password in an address; a build argument that is named like a secret.
    r#"(?<keep>[a-z]+://)[^/\s:@"']+:[^/\s@"']+@|(?<argument>--build-arg[= ]["']?[A-Za-z0-9_]*(?:TOKEN|SECRET|PASSW|KEY|token|secret|passw)[A-Za-z0-9_]*=)[^\s"']+"#,
];

/// Replaces every known secret by [`REDACTED`], in the forms that programs write it in too: base64, also as a part of
/// something longer, percent-encoded, and escaped for JSON or XML; and what looks like a credential of one of the kinds
/// that are told by their form.
///
/// A many-line secret is also looked for line by line, since output is. Texts shorter than
/// [`Redactor::SHORTEST`] are not looked for: to replace each `a` would hide nothing and destroy the log.
#[derive(Clone, Default)]
pub struct Redactor {
    needles: Needles,
}

/// What is looked for.
#[derive(Clone, Default)]
enum Needles {
    #[default]
    Nothing,
    /// Found in one pass, however many they are: every line of a build's output is searched.
    These(Arc<AhoCorasick>),
    /// More than can be searched for.
    TooMany,
}

impl fmt::Debug for Redactor {
    /// Nothing: its states spell the secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redactor")
    }
}

impl Redactor {
    /// Fewer bytes than this are not treated as secret.
    pub const SHORTEST: usize = 4;

    /// A redactor of these secrets.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Self {
        let mut forms: Vec<String> = Vec::new();
        for secret in secrets {
            let whole = secret.expose();
            for line in whole.lines().map(str::trim).filter(|line| line.len() >= Self::SHORTEST) {
                forms.push(line.to_owned());
                forms.extend(escaped(line));
            }
            let whole = whole.trim();
            if whole.len() >= Self::SHORTEST {
                forms.push(whole.to_owned());
                forms.extend(in_base64(whole));
                forms.extend(percent_encoded(whole));
                forms.extend(escaped(whole));
            }
        }
        forms.retain(|form| form.len() >= Self::SHORTEST);
        forms.sort_unstable();
        forms.dedup();
        if forms.is_empty() {
            return Self::default();
        }
        // Secrets of many kilobytes would make a faster kind large.
        let automaton = AhoCorasick::builder().kind(Some(AhoCorasickKind::ContiguousNFA)).build(&forms);
        Self { needles: automaton.map_or(Needles::TooMany, |automaton| Needles::These(Arc::new(automaton))) }
    }

    /// The text without those secrets; where two of them overlap, without both.
    fn without_needles(&self, text: &str) -> String {
        let automaton = match &self.needles {
            Needles::Nothing => return text.to_owned(),
            Needles::These(automaton) => automaton,
            Needles::TooMany => return REDACTED.to_owned(),
        };
        // By their ends, so that one may reach over several that were found before it.
        let mut found: Vec<Range<usize>> = Vec::new();
        for hit in automaton.find_overlapping_iter(text) {
            let mut start = hit.start();
            while let Some(last) = found.pop_if(|last| last.end > start) {
                start = start.min(last.start);
            }
            found.push(start..hit.end());
        }
        let mut clean = String::with_capacity(text.len());
        let mut shown = 0;
        for hit in found {
            clean.push_str(text.get(shown..hit.start).unwrap_or_default());
            clean.push_str(REDACTED);
            shown = hit.end;
        }
        clean.push_str(text.get(shown..).unwrap_or_default());
        clean
    }

    /// The text without any secret.
    pub fn redact(&self, text: &str) -> String {
        let clean = self.without_needles(text);
        let Some(credentials) = CREDENTIALS.as_ref() else { return clean };
        let redacted = credentials.replace_all(&clean, |found: &Captures<'_>| {
            let part = |name: &str| found.name(name).map(|part| part.as_str().to_owned());
            match (part("keep"), part("argument")) {
                (Some(scheme), _) => format!("{scheme}{REDACTED}@"),
                (None, Some(argument)) => format!("{argument}{REDACTED}"),
                (None, None) => REDACTED.to_owned(),
            }
        });
        redacted.into_owned()
    }
}

/// What base64 makes of the text, of the text and a line's end, and of something longer that contains it, such as
/// `user:password`: only the characters that the text alone decides. Also in lines, as `base64` and `openssl` cut it.
fn in_base64(text: &str) -> Vec<String> {
    let mut forms = vec![STANDARD.encode(text)];
    for before in 0..3 {
        let bytes = [&b"xx"[..before], text.as_bytes()].concat();
        let decided = (before * 8).div_ceil(6)..bytes.len() * 8 / 6;
        for encoded in [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
            forms.extend(encoded.get(decided.clone()).map(str::to_owned));
        }
    }
    let whole = forms[1].clone();
    for columns in [76, 64] {
        // What is left for a last line may be a word of its own.
        let lines = whole.as_bytes().chunks(columns).filter(|line| (8..whole.len()).contains(&line.len()));
        forms.extend(lines.map(|line| String::from_utf8_lossy(line).into_owned()));
    }
    forms
}

/// The spellings differ in what is left as it is, in the case of the digits, and in what a blank becomes.
fn percent_encoded(text: &str) -> [String; 5] {
    let encoded = |left: &[u8], hex: fn(u8) -> String| -> String {
        let left = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) || left.contains(&byte);
        text.bytes().map(|byte| if left(byte) { char::from(byte).to_string() } else { hex(byte) }).collect()
    };
    let upper = |byte| format!("%{byte:02X}");
    let strict = encoded(b"", upper);
    let lower = encoded(b"", |byte| format!("%{byte:02x}"));
    [encoded(b"/", upper), encoded(b"!*'()", upper), strict.replace("%20", "+"), lower, strict]
}

/// As text of JSON, as Go and Python write it too, and of XML.
fn escaped(text: &str) -> [String; 6] {
    // A string can always be written.
    let quoted = serde_json::to_string(text).unwrap_or_default();
    let json = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
    let html = json.replace('<', r"\u003c").replace('>', r"\u003e").replace('&', r"\u0026");
    let ascii = json.chars().fold(String::new(), |mut out, c| {
        if c.is_ascii() {
            out.push(c);
        } else {
            out.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!(r"\u{unit:04x}")));
        }
        out
    });
    let xml = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    let [python, go] = ["&#x27;", "&#39;"].map(|quote| xml.replace('\'', quote));
    // Go writes double quotes as a number too.
    let go = go.replace("&quot;", "&#34;");
    [json.to_owned(), html, ascii, xml, python, go]
}

#[cfg(test)]
mod tests {
    use super::Redactor;
    use crate::domain::secret::Secret;

    #[test]
    fn finds_encoded_and_many_line_forms() {
        let secrets = [Secret::new("p@ss word"), Secret::new("line one\nline two\n"), Secret::new("abc")];
        let redactor = Redactor::new(&secrets);
        assert_eq!(redactor.redact("a p@ss word b"), "a [redacted] b");
        assert_eq!(redactor.redact("u=p%40ss%20word&v"), "u=[redacted]&v");
        assert_eq!(redactor.redact("cEBzcyB3b3Jk"), "[redacted]");
        assert_eq!(redactor.redact("2: line two"), "2: [redacted]");
        assert_eq!(redactor.redact("abc"), "abc", "too short to be a secret");
    }

    #[test]
    fn finds_what_programs_make_of_a_secret() {
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
        // What is left are what surrounds it and a few bits of its last letter.
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
    fn overlapping_secrets_are_gone_with_all_their_ends() {
        let redactor = Redactor::new(&["abcdef", "defghi", "cd12", "bcde"].map(Secret::new));
        assert_eq!(redactor.redact("xabcdefghix abcd12 abcdef"), "x[redacted]x ab[redacted] [redacted]");
        assert_eq!(redactor.redact("abcdefabcdef"), "[redacted][redacted]");
        assert_eq!(format!("{redactor:?}"), "Redactor");
    }

    #[test]
    fn many_secrets_cost_a_line_no_time() {
        let lines: Vec<String> =
            (0..1000_u32).map(|i| format!("{:064x}", u64::from(i).wrapping_mul(0x9E37_79B9_7F4A_7C15))).collect();
        let redactor = Redactor::new(&[Secret::new(lines.join("\n"))]);
        let began = std::time::Instant::now();
        for _ in 0..2_000 {
            assert!(
                !redactor.redact("Collecting django==5.1 (from -r requirements.txt (line 1))").contains("[redacted]")
            );
        }
        // Searched for one after another it took a minute.
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
