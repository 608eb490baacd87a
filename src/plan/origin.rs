//! The origin of an image: its commit, and the run that built it.

use chrono::DateTime;

/// A commit, for the provenance. Fields are empty if unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commit {
    /// The URL of the repository.
    pub source: String,
    /// 40 hex digits.
    pub revision: String,
}

/// Adds the run to a provenance's attributes as the builder, as docker/build-push-action does.
pub(super) fn name_builder(attributes: &mut String, run_url: &str) {
    if run_url.is_empty() || attributes.split(',').any(|attribute| attribute.starts_with("builder-id=")) {
        return;
    }
    if !attributes.is_empty() {
        attributes.push(',');
    }
    attributes.push_str("builder-id=");
    attributes.push_str(run_url);
}

/// Parses an RFC 3339 time as seconds since 1970; `None` if it is invalid.
pub(super) fn seconds_since_1970(time: &str) -> Option<i64> {
    DateTime::parse_from_rfc3339(time).ok().map(|time| time.timestamp())
}

#[cfg(test)]
mod tests {
    use super::{name_builder, seconds_since_1970};

    #[test]
    fn the_run_is_the_builder_unless_another_is_named() {
        for (before, after) in [
            ("", "builder-id=https://x/1"),
            ("mode=max", "mode=max,builder-id=https://x/1"),
            ("mode=max,builder-id=y", "mode=max,builder-id=y"),
        ] {
            let mut attributes = before.to_owned();
            name_builder(&mut attributes, "https://x/1");
            assert_eq!(attributes, after);
        }
        let mut attributes = String::new();
        name_builder(&mut attributes, "");
        assert_eq!(attributes, "", "outside a run");
    }

    #[test]
    fn times_have_zones() {
        assert_eq!(seconds_since_1970("1970-01-01T01:00:00+01:00"), Some(0));
        assert_eq!(seconds_since_1970("yesterday"), None);
    }
}
