//! Decides which texts are secret: by their name, by their appearance, and as parts of a secret.
//!
//! A given secret is always hidden as a whole. A part of it is hidden only if it looks like a secret itself, since it would
//! be hidden in all output of a job: a secret file with the line `failed` must not hide that word. The rules:
//!
//! 1. A single-line secret is hidden as a whole.
//! 2. A line of a multi-line secret is hidden if it has at least 8 bytes and is not [ordinary](is_ordinary). The BEGIN and
//!    END lines of a PEM block are not hidden.
//! 3. The value of `KEY=value`, `key: value` and `"key": "value"` is hidden if the key [names a secret](names_a_secret)
//!    and the value is not a [word](is_word), or if rule 2 applies to it.
//! 4. A word of a line that [looks random](looks_random) is hidden.

use std::collections::BTreeSet;

use serde_json::Value;

use super::secret::Secret;

/// Minimum length in bytes of a hidden text.
pub const SHORTEST: usize = 4;
/// Minimum length in bytes of a line that is hidden by itself.
const SHORTEST_LINE: usize = 8;
/// Minimum length in bytes of a value that looks random.
const SHORTEST_RANDOM: usize = 16;
/// Maximum number of words and numbers in a name or version, and in an address.
const MOST_ORDINARY: usize = 3;
const MOST_IN_ADDRESS: usize = 12;
/// Maximum nesting of values in JSON.
const MOST_NESTED: usize = 8;

/// The parts of a secret that are hidden.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// The whole secret, and values in it.
    pub values: BTreeSet<String>,
    /// Lines of a multi-line secret.
    pub lines: BTreeSet<String>,
}

impl Parts {
    /// Determines the parts of a secret.
    pub fn of(secret: &Secret) -> Self {
        let whole = secret.expose().trim();
        let mut parts = Self::default();
        parts.values.insert(whole.to_owned());
        parts.add_text(whole, 0);
        parts.values.retain(|value| value.len() >= SHORTEST);
        parts
    }

    fn add_text(&mut self, text: &str, depth: usize) {
        if depth < MOST_NESTED
            && text.starts_with(['{', '['])
            && let Ok(json) = serde_json::from_str(text)
        {
            self.add_json(None, &json, depth + 1);
        }
        let has_many_lines = text.contains(['\n', '\r']);
        for line in text.split(['\n', '\r']).map(str::trim).filter(|line| !line.starts_with("-----")) {
            if has_many_lines && line.len() >= SHORTEST_LINE && !is_ordinary(line) {
                self.lines.insert(line.to_owned());
            }
            if let Some((key, value)) = assignment(line) {
                self.add_value(Some(key), value);
            }
            let words = line.split(|c: char| c.is_whitespace() || "\"'`,;=".contains(c));
            self.values.extend(words.filter(|word| looks_random(word)).map(str::to_owned));
        }
    }

    fn add_value(&mut self, key: Option<&str>, value: &str) {
        let named = key.is_some_and(names_a_secret) && !is_word(value);
        if named || (value.len() >= SHORTEST_LINE && !is_ordinary(value)) {
            self.values.insert(value.to_owned());
        }
    }

    fn add_json(&mut self, key: Option<&str>, json: &Value, depth: usize) {
        match json {
            Value::String(text) => {
                self.add_value(key, text.trim());
                if text.trim().contains(['\n', '\r']) {
                    self.add_text(text.trim(), depth);
                }
            }
            Value::Array(list) => list.iter().for_each(|inner| self.add_json(key, inner, depth)),
            Value::Object(map) => map.iter().for_each(|(key, inner)| self.add_json(Some(key), inner, depth)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

/// Returns the key and value of `KEY=value`, `export KEY='value'`, `key: value` and `"key": "value",`.
fn assignment(line: &str) -> Option<(&str, &str)> {
    let line = line.strip_prefix("export ").unwrap_or(line);
    ['=', ':'].iter().find_map(|separator| {
        let (key, value) = line.split_once(*separator)?;
        let key = key.trim().trim_matches(['"', '\'']);
        let value = value.trim().trim_end_matches(',');
        let quoted = ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
        let is_key =
            !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-/@:".contains(&byte));
        is_key.then(|| (key, quoted.unwrap_or(value)))
    })
}

/// Whether the name suggests that a variable contains a secret: `NPM_TOKEN`, `db-password`, `apiKey`, but not
/// `TOKEN_FILE` or `PUBLIC_KEY`.
pub fn names_a_secret(name: &str) -> bool {
    const WITHIN: [&str; 8] =
        ["TOKEN", "SECRET", "PASSW", "PASSPHRASE", "CREDENTIAL", "APIKEY", "PRIVATEKEY", "WEBHOOK"];
    const WORDS: [&str; 8] = ["KEY", "KEYS", "PASS", "PWD", "PAT", "PIN", "AUTH", "DSN"];
    // Names with these endings describe a secret but do not contain it.
    const DESCRIBING: [&str; 24] = [
        "FILE",
        "FILES",
        "PATH",
        "DIR",
        "URL",
        "URI",
        "ID",
        "NAME",
        "SOCK",
        "SOCKET",
        "HOST",
        "PORT",
        "TYPE",
        "LENGTH",
        "SIZE",
        "TTL",
        "EXPIRY",
        "ENDPOINT",
        "ALGORITHM",
        "FINGERPRINT",
        "SERVER",
        "ENABLED",
        "VERSION",
        "METHOD",
    ];
    const PUBLIC: [&str; 4] = ["PUBLIC", "CACHE", "PRIMARY", "SORT"];
    if matches!(name, "PWD" | "OLDPWD") {
        return false;
    }
    let words = words_of(name);
    let describes = words.last().is_none_or(|last| DESCRIBING.contains(&last.as_str()));
    let is_webhook = words.iter().any(|word| word == "WEBHOOK");
    let public = words.iter().any(|word| PUBLIC.contains(&word.as_str()));
    let secret =
        words.iter().any(|word| WORDS.contains(&word.as_str()) || WITHIN.iter().any(|part| word.contains(part)));
    secret && !public && (!describes || is_webhook)
}

/// Returns the words of a name, in upper case: `MY_TOKEN`, `my-token`, `myToken`.
fn words_of(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for c in name.chars() {
        let begins = c.is_uppercase() && (before.is_lowercase() || before.is_ascii_digit());
        if begins || !c.is_alphanumeric() {
            words.push(String::new());
        }
        if c.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(c.to_uppercase());
        }
        before = c;
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Whether a text is too common to be a secret: up to three words and numbers, such as `failed`, `us-east-1`,
/// `linux/amd64`, `python3` or `1.2.3`, or an address made of words, such as `ghcr.io/acme/shop/web`.
pub fn is_ordinary(text: &str) -> bool {
    let pieces: Vec<&str> = text.split(|c: char| !c.is_alphanumeric()).filter(|piece| !piece.is_empty()).collect();
    let marks = text.chars().filter(|c| !c.is_alphanumeric() && !c.is_whitespace()).count();
    // As in generated passwords: more punctuation than words, or punctuation that does not occur in names.
    let odd = text.trim_matches(|c: char| !c.is_alphanumeric()).contains(|c| "!#$%^&*~?<>|".contains(c));
    let is_odd = marks > 2 * pieces.len().max(1) + 1 || odd && text.contains(|c: char| c.is_ascii_digit());
    let is_address = !text.contains(char::is_whitespace) && text.contains(['/', '.', '@']);
    let most = if is_address { MOST_IN_ADDRESS } else { MOST_ORDINARY };
    pieces.len() <= most && !is_odd && pieces.into_iter().all(is_piece)
}

/// Whether a text is one word or a short number, such as `true`, `postgres` or `5432`.
pub fn is_word(text: &str) -> bool {
    let number = text.len() <= 6 && text.bytes().all(|byte| byte.is_ascii_digit());
    number || text.chars().all(char::is_alphabetic) && is_piece(text)
}

/// Whether a text is a word, a number, or both in sequence, such as `sha256` or `64bit`.
fn is_piece(piece: &str) -> bool {
    let changes = changes(piece, |c| c.is_ascii_digit());
    let digits = piece.chars().filter(char::is_ascii_digit).count();
    let cases = [char::is_uppercase, char::is_lowercase];
    match (changes, digits) {
        (2.., _) if cases.iter().all(|is| piece.contains(*is)) => false,
        (0, 0) => is_pronounceable(piece),
        (0, _) => digits <= 8,
        // `k8s`, `i18n`, `v1beta1`.
        _ if piece.chars().count() <= 7 => true,
        (1, _) => digits <= 4 && piece.chars().count() <= 12,
        _ => false,
    }
}

/// Whether letters could form one or two words: at most 20, with vowels, and with capitals only where words begin.
fn is_pronounceable(letters: &str) -> bool {
    let count = letters.chars().count();
    let is_vowel = |c: char| !c.is_ascii() || "aeiouyAEIOUY".contains(c);
    let vowels = letters.chars().filter(|c| is_vowel(*c)).count();
    let (mut run, mut longest) = (0, 0);
    for c in letters.chars() {
        run = if is_vowel(c) { 0 } else { run + 1 };
        longest = longest.max(run);
    }
    count <= 5 || (count <= 20 && humps(letters) * 3 <= count && longest <= 5 && vowels * 8 >= count)
}

/// Counts the words in a `camelCase` text.
fn humps(letters: &str) -> usize {
    let upper: Vec<bool> = letters.chars().map(char::is_uppercase).collect();
    let begins = |at: usize| upper[at] && (!upper[at - 1] || upper.get(at + 1) == Some(&false));
    1 + (1..upper.len()).filter(|at| begins(*at)).count()
}

/// Whether a text looks generated: at least 16 characters without spaces, including a sequence of 12 letters and digits
/// that is not a word. Digests with their algorithm (`sha256:…`) are public and do not count.
pub fn looks_random(text: &str) -> bool {
    let is_digest = ["sha256:", "sha384:", "sha512:", "sha1:", "md5:"].iter().any(|name| text.contains(name));
    let runs = text.split(|c: char| !c.is_ascii_alphanumeric());
    let is_random = |run: &str| {
        let mixed = changes(run, |c| c.is_ascii_digit()) >= 2;
        let digits = run.bytes().all(|byte| byte.is_ascii_digit());
        run.len() >= 12 && !digits && (mixed || humps(run) * 4 > run.len())
    };
    text.len() >= SHORTEST_RANDOM
        && !is_digest
        && !text.contains(char::is_whitespace)
        && runs.into_iter().any(is_random)
}

/// Counts how often neighboring characters differ in this property.
fn changes(text: &str, is: impl Fn(char) -> bool + Copy) -> usize {
    text.chars().zip(text.chars().skip(1)).filter(|(one, next)| is(*one) != is(*next)).count()
}

#[cfg(test)]
mod tests {
    use super::{Parts, is_ordinary, is_word, looks_random, names_a_secret};
    use crate::domain::secret::Secret;

    /// Returns the hidden parts of a secret, without the whole secret.
    fn hidden(text: &str) -> Vec<String> {
        let parts = Parts::of(&Secret::new(text));
        let mut all: Vec<String> =
            parts.values.into_iter().chain(parts.lines).filter(|one| one != text.trim()).collect();
        all.sort();
        all.dedup();
        all
    }

    #[test]
    fn distinguishes_ordinary_words_from_secrets() {
        for ordinary in [
            "failed",
            "true",
            "main",
            "latest",
            "error",
            "5432",
            "localhost",
            "production",
            "us-east-1",
            "linux/amd64",
            "python3",
            "postgres16",
            "1.2.3",
            "2024-01-31",
            "12:30:00",
            "127.0.0",
            "docker.io",
            "k8s",
            "HelloWorld",
            "DEBUG=true",
            "\"type\": \"service_account\",",
            "exit code 1",
            "{",
            "",
            "---",
            "internationalization",
            "application/json",
            "sha256",
            "ubuntu2404",
            "Größe",
            "ghcr.io/acme/shop/web",
            "127.0.0.1",
            "SITE_URL=https://shop.example.com/api/v1",
            "robot@project.iam.gserviceaccount.com",
        ] {
            assert!(is_ordinary(ordinary), "{ordinary}");
        }
        for secret in [
            "p4ssw0rd-x",
            "Passw0rd!",
            "correct horse battery staple",
            "correct-horse-battery-staple",
            "postgres://app:x9Q7vzk2@db/app",
            "kJhGtRfDsA",
            "xkqzvbnmwrtp",
            "a1b2c3d4",
            "npm_0123456789abcdefABCDEF",
            "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC",
            "second-line-93e1f2a0b",
            "!!$$%%&&//(())x",
            "abcdefghijklmnopqrstuvwxyz",
            "1234567890",
        ] {
            assert!(!is_ordinary(secret), "{secret}");
        }
        for word in ["true", "postgres", "failed", "5432", "Größe"] {
            assert!(is_word(word), "{word}");
        }
        for value in ["hunter2", "1234567", "build-time-only", "xkqzvbnmwrtp"] {
            assert!(!is_word(value), "{value}");
        }
    }

    #[test]
    fn recognizes_names_of_secrets() {
        for secret in [
            "NPM_TOKEN",
            "STEP_SECRET",
            "POSTGRES_PASSWORD",
            "apiKey",
            "db-password",
            "SECRET_KEY_BASE",
            "MY_PAT",
            "DB_PWD",
            "AWS_SECRET_ACCESS_KEY",
            "SENTRY_DSN",
            "DISCORD_WEBHOOK_URL",
            "GCP_CREDENTIALS",
            "private_key",
            "_authToken",
        ] {
            assert!(names_a_secret(secret), "{secret}");
        }
        for open in [
            "VERSION",
            "PWD",
            "TOKEN_FILE",
            "SECRETS_PATH",
            "SSH_AUTH_SOCK",
            "AWS_ACCESS_KEY_ID",
            "PUBLIC_KEY",
            "CACHE_KEY",
            "KEYBOARD",
            "AUTHOR",
            "MONKEY",
            "PATH",
            "COMPASS",
            "token_url",
            "ACTIONS_ID_TOKEN_REQUEST_URL",
            "",
        ] {
            assert!(!names_a_secret(open), "{open}");
        }
    }

    #[test]
    fn distinguishes_random_texts_from_names() {
        for random in [
            "0123456789abcdef0123456789abcdef01234567",
            "npm_a1B2c3D4e5F6g7H8i9J0",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKEY",
            "kJhGtRfDsAqWeRtYuI",
            "AIzaSyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY",
        ] {
            assert!(looks_random(random), "{random}");
        }
        for name in [
            "sha256:0123456789abcdef0123456789abcdef01234567",
            "https://example.com/path/to/a/file",
            "2024-01-31T12:30:00Z",
            "registry.example.com/team/service",
            "1700000000123456789",
            "feature/add-login-page",
            "internationalization",
            "LegacyKeyValueFormat",
        ] {
            assert!(!looks_random(name), "{name}");
        }
    }

    #[test]
    fn a_line_is_hidden_only_if_it_looks_secret() {
        assert_eq!(hidden("failed\ntrue\nmain\n5432\nlatest\nerror\n"), [""; 0]);
        assert_eq!(hidden("failed\nx9Q!vz7#Lm2p\n"), ["x9Q!vz7#Lm2p"]);
        assert_eq!(hidden("failed"), [""; 0]);
        assert_eq!(Parts::of(&Secret::new("failed")).values.len(), 1, "handed in by itself it is a secret");
        assert_eq!(
            hidden("-----BEGIN RSA PRIVATE KEY-----\nMIIEvQIBADANBgkqhk9\n-----END RSA PRIVATE KEY-----"),
            ["MIIEvQIBADANBgkqhk9"]
        );
    }

    #[test]
    fn values_of_variables_are_hidden() {
        let dotenv =
            "DEBUG=true\nPORT=5432\nBRANCH=main\nDB_PASSWORD='hunter2'\nPOSTGRES_PASSWORD=postgres\nURL=http://h\n";
        assert_eq!(hidden(dotenv), ["hunter2"]);
        let json = r#"{"type": "service_account", "private_key": "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhk9\n-----END PRIVATE KEY-----\n",
            "nested": [{"token": "abc-def-1"}]}"#;
        let parts = hidden(json);
        for part in ["MIIEvQIBADANBgkqhk9", "abc-def-1"] {
            assert!(parts.iter().any(|one| one == part), "{part}: {parts:?}");
        }
        assert_eq!(hidden("//registry.npmjs.org/:_authToken=npm_a1B2c3D4e5F6g7H8i9J0"), ["npm_a1B2c3D4e5F6g7H8i9J0"]);
        let netrc = hidden("machine github.com login x password a1B2c3D4e5F6g7H8i9J0\n");
        assert!(netrc.contains(&"a1B2c3D4e5F6g7H8i9J0".to_owned()), "{netrc:?}");
    }
}
