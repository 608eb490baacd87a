//! Parses the inputs of the group "GitHub deployments".

use super::Reader;
use crate::inputs::typed::DeployInputs;

/// Maximum length of an environment's name on GitHub, in characters.
const LONGEST_ENVIRONMENT: usize = 255;

impl Reader<'_> {
    pub(super) fn deploy(&mut self) -> DeployInputs {
        let (no_name, hint) = ("is not a valid environment name", "use at most 255 characters in one line");
        let (no_url, url_hint) = ("is not a URL", "use a URL that begins with `https://`");
        let deploy = DeployInputs {
            environment: self.checked("environment", environment, no_name, hint),
            environment_url: self.checked("environment-url", url, no_url, url_hint),
        };
        if deploy.environment_url.is_some() && self.raw.get("environment").is_none() {
            let message = "`environment-url` has no effect without `environment`".to_owned();
            self.warn("unused environment-url", message);
        }
        deploy
    }
}

fn environment(text: &str) -> Option<String> {
    let fits = text.chars().count() <= LONGEST_ENVIRONMENT && !text.contains(char::is_control);
    fits.then(|| text.to_owned())
}

/// Parses an `http` or `https` URL; GitHub accepts no other scheme.
fn url(text: &str) -> Option<String> {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))?;
    let fits =
        !host.is_empty() && !host.starts_with('/') && !text.contains(|c: char| c.is_whitespace() || c.is_control());
    fits.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{environment, url};

    #[test]
    fn environments_and_their_urls() {
        assert_eq!(environment("review/pr-7").as_deref(), Some("review/pr-7"));
        assert_eq!(environment(&"x".repeat(256)), None);
        assert_eq!(environment("a\nb"), None);
        assert_eq!(url("https://shop.example/a?b").as_deref(), Some("https://shop.example/a?b"));
        for bad in ["shop.example", "javascript:alert(1)", "https://", "https:///x", "https://a b"] {
            assert_eq!(url(bad), None, "{bad}");
        }
    }
}
