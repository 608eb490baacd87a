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
    let mut unused: Vec<Unused<'_>> = Vec::new();
    for spec in specs {
        let mut own: Vec<Named> = Vec::new();
        let wanted = spec.purpose == Purpose::Wanted && spec.image_names.is_empty();
        for name in spec.compose_names.iter().filter(|_| wanted) {
            let Some((repository, tag)) = parse(&name.reference) else { continue };
            if !belongs_to_owner(&repository, names) {
                unused.push(Unused { spec, name, repository });
            } else if own.iter().all(|known| known.repository != repository) {
                own.push(Named { repository, tag, key: name.key.clone() });
            }
        }
        all.push(own);
    }
    let wanted = specs.iter().filter(|spec| spec.purpose == Purpose::Wanted).count();
    notices.extend(not_pushed(&unused, wanted, names));
    notices.extend(remove_shared(&mut all));
    all
}

/// A name that is not used, because the repository belongs to somebody else.
struct Unused<'a> {
    spec: &'a ImageSpec,
    name: &'a ComposeName,
    repository: Repository,
}

/// Removes repositories that several images have, because all of them get the same tags. Returns a notice about them.
fn remove_shared(all: &mut [Vec<Named>]) -> Option<String> {
    let flat: Vec<Named> = all.iter().flatten().cloned().collect();
    let mut shared: Vec<Named> = Vec::new();
    for own in all.iter_mut() {
        own.retain(|name| {
            let is_shared = flat.iter().any(|other| other.repository == name.repository && other.key != name.key);
            if is_shared {
                shared.push(name.clone());
            }
            !is_shared
        });
    }
    let first = shared.first()?;
    let keys: Vec<&str> = shared.iter().map(|name| name.key.as_str()).collect();
    Some(format!(
        "{}: the images are not pushed to `{}`, because they would all get the same tags; to push there, {EACH}",
        listed(&keys),
        first.repository
    ))
}

/// The advice for images whose names have no pattern.
const EACH: &str =
    "list the images in the input `images`, each with its `image-name` and `tags`, and set `services: \"*\"`";

/// Returns the first names of a list and the number of the others.
fn listed(names: &[&str]) -> String {
    const SHOWN: usize = 3;
    let shown = names.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN { format!("{shown} and {} more", names.len() - SHOWN) } else { shown }
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

/// Returns a notice about names that are not used, and how to use them. `wanted` is the number of images of the run.
fn not_pushed(unused: &[Unused<'_>], wanted: usize, names: Names<'_>) -> Option<String> {
    let first = unused.first()?;
    let reason = if first.repository.host() == names.registry {
        "they belong to another owner".to_owned()
    } else {
        format!("the input `registry` is {}", names.registry)
    };
    let written = |name: &Unused<'_>| name.name.reference.split('@').next().unwrap_or_default().to_owned();
    let keys: Vec<&str> = unused.iter().map(|name| name.name.key.as_str()).collect();
    let references: Vec<String> = unused.iter().map(|name| format!("`{}`", written(name))).collect();
    let references: Vec<&str> = references.iter().map(String::as_str).collect();
    let hub = if host_of(&written(first)) == first.repository.host() { "" } else { " on Docker Hub" };
    // The input applies to all images of the run.
    let fix = match unused {
        [only] if wanted == 1 => format!("set `image-name: {}`", only.repository),
        all => match template(first) {
            Some(common) if all.len() == wanted && all.iter().all(|name| template(name).as_ref() == Some(&common)) => {
                format!("set `image-name: \"{common}\"`")
            }
            _ => EACH.to_owned(),
        },
    };
    Some(format!(
        "{}: the compose file's names {}{hub} are not used, because {reason}; to push there, {fix}",
        listed(&keys),
        listed(&references)
    ))
}

/// Returns the repository with `{image}` in place of the image's name, if that is the last word of the path.
fn template(name: &Unused<'_>) -> Option<String> {
    let before = name.repository.as_str().strip_suffix(name.spec.name.as_str())?;
    before.ends_with(['/', '-', '_']).then(|| format!("{before}{{image}}"))
}

/// Returns the reference that the compose file names, if the run does not push its tag.
pub(super) fn other_tag(name: &Named, tags: &[Tag]) -> Option<String> {
    // `latest` moves only on the default branch, which is no mistake.
    let tag =
        name.tag.as_deref().filter(|tag| *tag != "latest" && tags.iter().all(|pushed| pushed.as_str() != *tag))?;
    Some(format!("`{}:{tag}`", name.repository))
}

/// Returns a notice about references that the run does not push.
pub(super) fn other_tags(references: &[String]) -> Option<String> {
    let references: Vec<&str> = references.iter().map(String::as_str).collect();
    (!references.is_empty()).then(|| {
        format!(
            "the compose file names {}, which this run does not push, so a server that pulls by it keeps its old image; to push \
             other tags, set the input `tags`, which replaces the default tags, or `tags` of an item in `images`",
            listed(&references)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::{EACH, Named, repositories};
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
    fn names_that_are_not_used_are_reported_once_with_the_input_to_set() {
        let notice = |references: &[&[&str]]| named(references, NAMES).1.join("");
        for local in ["shop", "shop:1", ""] {
            assert_eq!(notice(&[&[local]]), "");
        }
        for (references, want) in [
            (
                &[&["ghcr.io/other/shop:1"][..]][..],
                "services.s0.image: the compose file's names `ghcr.io/other/shop:1` are not used, because they belong to \
                 another owner; to push there, set `image-name: ghcr.io/other/shop`",
            ),
            (
                &[&["acme/shop"]],
                "services.s0.image: the compose file's names `acme/shop` on Docker Hub are not used, because the input \
                 `registry` is ghcr.io; to push there, set `image-name: docker.io/acme/shop`",
            ),
            (&[&["other/x-s0"], &["other/x-s1"]], "to push there, set `image-name: \"docker.io/other/x-{image}\"`"),
            // Only the last word of the path is the image's name, and one template must fit all images.
            (&[&["ghcr.io/s0shop/web"], &["ghcr.io/s0shop/s1"]], EACH),
            (&[&["other/x-s0"], &["other/y-s1"]], EACH),
            (&[&["other/x-s0"], &[]], EACH),
        ] {
            let got = notice(references);
            assert!(got.ends_with(want), "{references:?}: {got}");
        }
        let many: Vec<&[&str]> = vec![&["ghcr.io/other/demo"]; 16];
        let folded = named(&many, NAMES).1;
        assert_eq!(folded.len(), 1);
        assert!(
            folded[0].starts_with("services.s0.image, services.s1.image, services.s2.image and 13 more: "),
            "{}",
            folded[0]
        );
    }

    #[test]
    fn images_do_not_share_a_repository() {
        let (images, notices) = named(&[&["ghcr.io/acme/a:x"], &["ghcr.io/acme/a:y", "ghcr.io/acme/b"]], NAMES);
        assert_eq!(images.iter().map(Vec::len).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(notices.len(), 1);
        let want = "services.s0.image, services.s1.image: the images are not pushed to `ghcr.io/acme/a`, because";
        assert!(notices[0].starts_with(want), "{}", notices[0]);
    }
}
