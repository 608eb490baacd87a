//! The labels that tell where an image comes from.

use std::collections::BTreeMap;

use crate::inputs::context::GitEvent;

/// The image's labels: the eight of the OCI annotation keys that docker/metadata-action sets
/// (<https://github.com/opencontainers/image-spec/blob/main/annotations.md>), then the user's, which win.
///
/// They come from the event alone. `created` is the time of the commit, not of the build, so that building the same
/// commit again yields the same image. What is unknown gets no label. `version` is the first tag.
pub fn labels_for(event: &GitEvent, version: &str, written: &[(String, String)]) -> BTreeMap<String, String> {
    let known = [
        ("created", event.commit_time.as_deref()),
        ("description", event.description.as_deref()),
        ("licenses", event.license.as_deref()),
        ("revision", Some(event.sha.as_str())),
        ("source", Some(event.repo_url.as_str())),
        ("title", Some(event.repo.as_str())),
        ("url", Some(event.repo_url.as_str())),
        ("version", Some(version)),
    ];
    let mut labels: BTreeMap<String, String> = known
        .into_iter()
        .filter_map(|(key, value)| Some((key, value.filter(|value| !value.is_empty())?)))
        .map(|(key, value)| (format!("org.opencontainers.image.{key}"), value.to_owned()))
        .collect();
    labels.extend(written.iter().cloned());
    labels
}

#[cfg(test)]
mod tests {
    use super::labels_for;
    use crate::inputs::context::GitEvent;

    #[test]
    fn the_users_win_and_the_unknown_is_left_out() {
        let event = GitEvent { sha: "abc".into(), repo: "site".into(), ..GitEvent::default() };
        let written = [("org.opencontainers.image.title", "Site"), ("team", "web")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()));
        let labels = labels_for(&event, "main", &written);
        let shown: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(
            shown,
            [
                "org.opencontainers.image.revision=abc",
                "org.opencontainers.image.title=Site",
                "org.opencontainers.image.version=main",
                "team=web",
            ]
        );
    }
}
