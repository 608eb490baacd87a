//! A repository of a registry: the name of an image without tag and digest.

use std::fmt;

use serde::Serialize;
use thiserror::Error;

/// A repository with its registry's host, such as `ghcr.io/owner/site/django`, without tag and digest. Always valid:
/// <https://github.com/distribution/reference/blob/main/reference.go>.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Repository(String);

/// Error for a text that, in lower case, is not a repository name with a registry's host.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("`{0}` is not a valid repository name")]
pub struct InvalidRepository(pub String);

impl Repository {
    /// Maximum length of the path, in characters.
    pub const LONGEST: usize = 255;

    /// Parses a full name in any case.
    ///
    /// # Errors
    /// Fails if the host is missing or invalid, or if the path is too long or contains other characters than lower-case
    /// letters, digits and single separators.
    pub fn parse(text: &str) -> Result<Self, InvalidRepository> {
        let full = text.to_lowercase();
        let Some((host, path)) = full.split_once('/') else { return Err(InvalidRepository(full)) };
        // Without a dot or a port, Docker reads the first component as a path on Docker Hub.
        let host_valid = is_registry_host(host) && (host.contains(['.', ':']) || host == "localhost");
        let path_valid = path.len() <= Self::LONGEST && path.split('/').all(is_path_component);
        if host_valid && path_valid { Ok(Self(full)) } else { Err(InvalidRepository(full)) }
    }

    /// Returns the full name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the registry's host, with its port.
    pub fn host(&self) -> &str {
        host_of(&self.0)
    }

    /// Returns the path within the registry.
    pub fn path(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, path)| path)
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns the registry's host in the full name of a repository, with its port.
pub fn host_of(name: &str) -> &str {
    name.split('/').next().unwrap_or_default()
}

/// Whether the text separates two words of a path component: `.`, `_`, `__` or dashes.
pub fn is_separator(text: &str) -> bool {
    matches!(text, "." | "_" | "__") || (!text.is_empty() && text.bytes().all(|b| b == b'-'))
}

/// Whether the text matches `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`.
fn is_path_component(text: &str) -> bool {
    let valid = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let ends = |b: Option<&u8>| b.is_some_and(|b| valid(*b));
    ends(text.as_bytes().first())
        && ends(text.as_bytes().last())
        && text
            .split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            .all(|gap| gap.is_empty() || is_separator(gap))
}

/// Whether the text can be a registry's host: a name or address with an optional port, no scheme and no path
/// (`domain` of <https://github.com/distribution/reference/blob/main/reference.go>).
pub fn is_registry_host(text: &str) -> bool {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let Some((address, tail)) = rest.split_once(']') else { return false };
        let valid = !address.is_empty() && address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':');
        (valid, tail.strip_prefix(':').or_else(|| tail.is_empty().then_some("0")))
    } else {
        let (name, port) = text.split_once(':').map_or((text, "0"), |(name, port)| (name, port));
        let label = |label: &str| {
            let ends = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
            ends(label.as_bytes().first())
                && ends(label.as_bytes().last())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        (name.split('.').all(label), Some(port))
    };
    host && port.is_some_and(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use proptest::proptest;

    use super::{Repository, is_registry_host};

    #[test]
    fn registry_hosts() {
        for good in ["ghcr.io", "localhost:5000", "docker.io", "127.0.0.1:5000", "[::1]:5000", "[::1]", "A-b.example"] {
            assert!(is_registry_host(good), "{good}");
        }
        for bad in ["", "https://ghcr.io", "ghcr.io/owner", "ghcr.io/", "a:b", "a:", "-a", "a..b", "[x]", "[::1", "a b"]
        {
            assert!(!is_registry_host(bad), "{bad}");
        }
    }

    proptest! {
        /// The regular expression is from the distribution project.
        #[test]
        fn agrees_with_the_published_grammar(text in "[a-zA-Z0-9._/-]{0,12}") {
            let grammar = regex::Regex::new(r"^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$").unwrap();
            let full = format!("ghcr.io/{text}");
            assert_eq!(Repository::parse(&full).is_ok(), grammar.is_match(&text.to_lowercase()), "{text}");
        }
    }
}
