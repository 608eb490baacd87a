//! The names that compose files give their images: which of them the run pushes to, and notices about the others.
//!
//! `docker compose push` and `docker buildx bake --push` push to these names. Here they apply if the input `image-name` is
//! not set and the repository belongs to the owner, because anybody who can change the compose file could otherwise choose
//! where the run's credentials are used.

use super::{
    images::{ComposeName, ImageSpec, Purpose},
    naming::{Names, as_path_component},
};
use crate::domain::{
    repository::{Repository, host_of},
    tag::Tag,
};

/// A repository that a compose file names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    /// The repository.
    pub(super) repository: Repository,
    /// The tag that the compose file names.
    pub(super) tag: Option<String>,
    /// The key, such as `services.web.image`.
    pub(super) key: String,
}

/// Returns the repositories of each image, in the order of `specs`, and adds notices about names that are not used.
pub(super) fn repositories(specs: &[ImageSpec], names: Names<'_>, notices: &mut Vec<String>) -> Vec<Vec<Named>> {
    let mut all: Vec<Vec<Named>> = Vec::new();
    let is_only = specs.iter().filter(|spec| spec.purpose == Purpose::Wanted).count() == 1;
    for spec in specs {
        let mut own: Vec<Named> = Vec::new();
        let wanted = spec.purpose == Purpose::Wanted && spec.image_names.is_empty();
        for name in spec.compose_names.iter().filter(|_| wanted) {
            let Some((repository, tag)) = parse(&name.reference) else { continue };
            if !belongs_to_owner(&repository, names) {
                notices.push(not_pushed(spec, name, &repository, names, is_only));
            } else if own.iter().all(|known| known.repository != repository) {
                own.push(Named { repository, tag, key: name.key.clone() });
            }
        }
        all.push(own);
    }
    remove_shared(&mut all, notices);
    all
}

/// Removes repositories that several images have, because all of them get the same tags.
fn remove_shared(all: &mut [Vec<Named>], notices: &mut Vec<String>) {
    let flat: Vec<Named> = all.iter().flatten().cloned().collect();
    for own in all.iter_mut() {
        own.retain(|name| {
            let mut others = flat.iter().filter(|other| other.repository == name.repository && other.key != name.key);
            let Some(other) = others.next() else { return true };
            notices.push(format!(
                "{}: the image is not pushed to `{}`, because {} names the same repository and both would get the same tags; \
                 to choose the names, set `image-name`, or `image-name` and `tags` of an item in `images`",
                name.key, name.repository, other.key
            ));
            false
        });
    }
}

/// Splits a reference into repository and tag. Returns `None` for a name without a registry and a user, which exists only in
/// the local engine, and for an invalid name, which only the local engine would report.
fn parse(reference: &str) -> Option<(Repository, Option<String>)> {
    let name = reference.split('@').next()?;
    let (name, tag) = match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag.to_owned())),
        _ => (name, None),
    };
    if !name.contains('/') {
        return None;
    }
    let repository = Repository::parse(name).or_else(|_| Repository::parse(&format!("docker.io/{name}"))).ok()?;
    Some((repository, tag))
}

/// Whether a repository is below `{registry}/{owner}/`, or on Docker Hub below `{username}/`.
fn belongs_to_owner(repository: &Repository, names: Names<'_>) -> bool {
    let owner = if names.registry == "docker.io" { names.username } else { names.owner };
    let owner = as_path_component(owner);
    let below = || repository.path().split_once('/').is_some_and(|(first, rest)| first == owner && !rest.is_empty());
    !owner.is_empty() && repository.host() == names.registry && below()
}

fn not_pushed(
    spec: &ImageSpec,
    name: &ComposeName,
    repository: &Repository,
    names: Names<'_>,
    is_only: bool,
) -> String {
    let reason = if repository.host() == names.registry {
        "it belongs to another owner".to_owned()
    } else {
        format!("the input `registry` is {}", names.registry)
    };
    let written = name.reference.split('@').next().unwrap_or_default();
    let host = if host_of(written) == repository.host() { "" } else { " on Docker Hub" };
    // The input applies to all images, so several need a name that differs.
    let template = repository.as_str().replacen(&spec.name, "{image}", 1);
    let fix = match (is_only, template.contains("{image}")) {
        (true, _) => format!("set `image-name: {repository}`"),
        (false, true) => format!("set `image-name: \"{template}\"`"),
        (false, false) => format!("set `image-name: {repository}` for `{}` in the input `images`", spec.name),
    };
    format!("{}: the image is not pushed to `{written}`{host}, because {reason}; to push there, {fix}", name.key)
}

/// Returns a notice if the compose file names a tag that the run does not push: a server that pulls it keeps its old image.
pub(super) fn other_tag(name: &Named, tags: &[Tag]) -> Option<String> {
    // `latest` moves only on the default branch, which is no mistake.
    let tag =
        name.tag.as_deref().filter(|tag| *tag != "latest" && tags.iter().all(|pushed| pushed.as_str() != *tag))?;
    Some(format!(
        "{}: the tag `{tag}` of `{}` is not pushed, so a server that pulls it keeps its old image; add `{tag}` to the input \
         `tags` to push it",
        name.key, name.repository
    ))
}

#[cfg(test)]
mod tests {
    use super::{Named, repositories};
    use crate::plan::{
        images::{ComposeName, ImageSpec},
        naming::Names,
    };

    const NAMES: Names<'static> = Names { registry: "ghcr.io", owner: "Acme", repo: "shop", username: "me" };

    fn named(images: &[&[&str]], names: Names<'_>) -> (Vec<Vec<Named>>, Vec<String>) {
        let spec = |(i, references): (usize, &&[&str])| ImageSpec {
            name: format!("s{i}"),
            compose_names: references
                .iter()
                .map(|name| ComposeName { reference: (*name).to_owned(), key: format!("services.s{i}.image") })
                .collect(),
            ..ImageSpec::default()
        };
        let specs: Vec<ImageSpec> = images.iter().enumerate().map(spec).collect();
        let mut notices = Vec::new();
        (repositories(&specs, names, &mut notices), notices)
    }

    #[test]
    fn repositories_of_the_owner_are_used() {
        for (reference, want) in [
            ("ghcr.io/acme/shop", Some(("ghcr.io/acme/shop", None))),
            ("ghcr.io/acme/shop:1.2", Some(("ghcr.io/acme/shop", Some("1.2")))),
            ("ghcr.io/acme/shop/web:1@sha256:abc", Some(("ghcr.io/acme/shop/web", Some("1")))),
            ("shop_production_django", None),
            ("shop:latest", None),
            ("ghcr.io/acme", None),
            ("ghcr.io/acme/", None),
            ("ghcr.io/acmecorp/shop", None),
            ("localhost:5000/acme/shop", None),
            ("acme/shop", None),
            ("not a name/x", None),
        ] {
            let (images, _) = named(&[&[reference]], NAMES);
            let found = images[0].first().map(|name| (name.repository.as_str(), name.tag.as_deref()));
            assert_eq!(found, want, "{reference}");
        }
        let hub = Names { registry: "docker.io", ..NAMES };
        let (images, notices) = named(&[&["me/shop", "docker.io/me/shop:x", "library/shop"]], hub);
        assert_eq!((images[0].len(), images[0][0].repository.as_str()), (1, "docker.io/me/shop"));
        assert_eq!(notices.len(), 1, "{notices:?}");
    }

    #[test]
    fn names_that_are_not_used_are_reported_with_the_input_to_set() {
        let notice = |reference: &str| named(&[&[reference]], NAMES).1.join("");
        for local in ["shop", "shop:1", ""] {
            assert_eq!(notice(local), "");
        }
        assert_eq!(
            notice("ghcr.io/other/shop:1"),
            "services.s0.image: the image is not pushed to `ghcr.io/other/shop:1`, because it belongs to another owner; to push \
             there, set `image-name: ghcr.io/other/shop`"
        );
        assert_eq!(
            notice("acme/shop"),
            "services.s0.image: the image is not pushed to `acme/shop` on Docker Hub, because the input `registry` is ghcr.io; \
             to push there, set `image-name: docker.io/acme/shop`"
        );
    }

    #[test]
    fn the_advice_for_several_images_keeps_their_names_apart() {
        let (_, notices) = named(&[&["other/x-s0"], &["other/y"]], NAMES);
        assert!(notices[0].ends_with("set `image-name: \"docker.io/other/x-{image}\"`"), "{}", notices[0]);
        assert!(
            notices[1].ends_with("set `image-name: docker.io/other/y` for `s1` in the input `images`"),
            "{}",
            notices[1]
        );
    }

    #[test]
    fn images_do_not_share_a_repository() {
        let (images, notices) = named(&[&["ghcr.io/acme/a:x"], &["ghcr.io/acme/a:y", "ghcr.io/acme/b"]], NAMES);
        assert_eq!(images.iter().map(Vec::len).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(notices.len(), 2);
        assert!(notices[0].contains("because services.s1.image names the same repository"), "{}", notices[0]);
    }
}
