//! Takes secrets out of text that is about to be shown.

use std::sync::LazyLock;

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
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

/// Replaces every known secret, and its base64 and percent-encoded forms, by [`REDACTED`]; and what looks like a
/// credential of one of the kinds that are told by their form.
///
/// A many-line secret is also looked for line by line, since output is. Texts shorter than
/// [`Redactor::SHORTEST`] are not looked for: to replace each `a` would hide nothing and destroy the log.
#[derive(Clone, Debug, Default)]
pub struct Redactor {
    /// Longest first, so that a secret that contains another is replaced whole.
    needles: Vec<Secret>,
}

impl Redactor {
    /// Fewer bytes than this are not treated as secret.
    pub const SHORTEST: usize = 4;

    /// A redactor of these secrets.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Self {
        let mut forms: Vec<String> = Vec::new();
        for secret in secrets {
            let whole = secret.expose();
            for part in std::iter::once(whole).chain(whole.lines()).map(str::trim) {
                if part.len() >= Self::SHORTEST {
                    forms.extend([
                        part.to_owned(),
                        percent_encoded(part),
                        STANDARD.encode(part),
                        URL_SAFE_NO_PAD.encode(part),
                    ]);
                }
            }
        }
        forms.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        forms.dedup();
        Self { needles: forms.into_iter().map(Secret::new).collect() }
    }

    /// The text without any secret.
    pub fn redact(&self, text: &str) -> String {
        let mut clean = text.to_owned();
        for needle in &self.needles {
            if clean.contains(needle.expose()) {
                clean = clean.replace(needle.expose(), REDACTED);
            }
        }
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

fn percent_encoded(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
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
