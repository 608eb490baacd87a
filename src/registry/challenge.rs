//! Parses the `WWW-Authenticate` header of a registry. Pure.

/// An authentication challenge (RFC 9110, section 11.6.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// User name and password.
    Basic,
    /// A token from the token server `realm`.
    Bearer {
        /// URL of the token server.
        realm: String,
        /// Parameters for the token server: `service`, `scope`.
        query: Vec<(String, String)>,
    },
}

impl Challenge {
    /// The best challenge of several headers. Bearer is preferred, since a token server also issues anonymous tokens and
    /// accepts identity tokens.
    pub fn best<'a>(headers: impl Iterator<Item = &'a str>) -> Option<Self> {
        headers.filter_map(Self::parse).min_by_key(|challenge| matches!(challenge, Self::Basic))
    }

    /// Parses the value of the header; `None` if the scheme is unsupported.
    pub fn parse(header: &str) -> Option<Self> {
        let (scheme, rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let mut realm = None;
        let mut query = Vec::new();
        for (name, value) in parameters(rest) {
            match name.as_str() {
                "realm" => realm = Some(value),
                "service" | "scope" => query.push((name, value)),
                _ => {}
            }
        }
        Some(Self::Bearer { realm: realm?, query })
    }
}

/// Parses `name="value",name=value`; quoted values may contain commas.
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut parameters = Vec::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once('=') {
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_once(',').unwrap_or((after, "")),
        };
        parameters.push((name.trim_matches([' ', ',']).to_ascii_lowercase(), value.to_owned()));
        rest = after;
    }
    parameters
}

#[cfg(test)]
mod tests {
    use super::Challenge;

    #[test]
    fn prefers_bearer() {
        let best = |headers: &[&str]| Challenge::best(headers.iter().copied());
        let bearer = r#"Bearer realm="https://r.example/token""#;
        assert_eq!(best(&["Negotiate", "Basic realm=x", bearer]), Challenge::parse(bearer));
        assert_eq!(best(&["Negotiate", "Basic realm=x"]), Some(Challenge::Basic));
        assert_eq!(best(&["Negotiate"]), None);
    }

    #[test]
    fn parses_headers_of_registries() {
        let ghcr =
            r#"Bearer realm="https://ghcr.io/token",service="ghcr.io",scope="repository:o/r:pull,push",error="x""#;
        let query = [("service", "ghcr.io"), ("scope", "repository:o/r:pull,push")];
        assert_eq!(
            Challenge::parse(ghcr),
            Some(Challenge::Bearer {
                realm: "https://ghcr.io/token".into(),
                query: query.map(|(k, v)| (k.into(), v.into())).into(),
            })
        );
        assert_eq!(Challenge::parse("Basic realm=\"x\""), Some(Challenge::Basic));
        assert_eq!(Challenge::parse("Bearer service=\"x\""), None);
        assert_eq!(Challenge::parse("Negotiate"), None);
        assert_eq!(Challenge::parse(""), None);
    }
}
