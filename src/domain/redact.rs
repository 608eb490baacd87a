//! Takes secrets out of text that is about to be shown.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};

use super::secret::Secret;

/// What stands where a secret stood.
pub const REDACTED: &str = "[redacted]";

/// Replaces every known secret, and its base64 and percent-encoded forms, by [`REDACTED`].
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
        clean
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
}
