//! Determines the names of the repositories that an image is pushed to.

use thiserror::Error;

use crate::domain::repository::{InvalidRepository, Repository, is_separator};

/// Why an image has no valid repository name.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum NamingError {
    /// An unknown `{…}`.
    #[error(
        "input `image-name`: unknown placeholder `{0}`; use {{registry}}, {{owner}}, {{repo}}, {{image}} or {{username}}"
    )]
    Placeholder(String),
    /// A placeholder without a value.
    #[error("input `image-name`: `{{{placeholder}}}` is unknown; {fix}")]
    Unknown {
        /// The placeholder's name.
        placeholder: &'static str,
        /// The hint, in the imperative.
        fix: &'static str,
    },
    /// Two templates result in the same name.
    #[error("input `image-name`: two lines result in {0}; remove one of them")]
    Twice(Repository),
    /// The result is not a valid repository name.
    #[error(
        "input `image-name`: `{0}` is not a valid image name; use `host/path` without a tag, in lower-case letters and digits \
         separated by `/`, `.`, `_`, `__` or dashes; on Docker Hub `docker.io/user/name`"
    )]
    Invalid(String),
}

/// The values of the placeholders. Empty means unknown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Names<'a> {
    /// `{registry}`: the registry's host.
    pub registry: &'a str,
    /// `{owner}`: the owner of the Git repository.
    pub owner: &'a str,
    /// `{repo}`: the Git repository's name.
    pub repo: &'a str,
    /// `{username}`: the registry's user.
    pub username: &'a str,
}

/// The kind of project, which decides the default name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Project {
    /// Images from a compose file or a list.
    Images,
    /// One Dockerfile and no compose file: the image is named after the Git repository.
    LoneDockerfile,
}

/// Fills in all templates, or the default one if there are none. Returns the image's own repository and its copies.
///
/// # Errors
/// If a template has an unknown placeholder, two templates result in the same name, or a name is invalid.
pub fn destinations(
    templates: &[String],
    project: Project,
    names: Names<'_>,
    image: &str,
) -> Result<(Repository, Vec<Repository>), NamingError> {
    let named = |template: Option<&str>| named(template, project, names, image);
    let Some((first, rest)) = templates.split_first() else { return Ok((named(None)?, Vec::new())) };
    let own = named(Some(first))?;
    let mut copies: Vec<Repository> = Vec::with_capacity(rest.len());
    for template in rest {
        let copy = named(Some(template))?;
        if copy == own || copies.contains(&copy) {
            return Err(NamingError::Twice(copy));
        }
        copies.push(copy);
    }
    Ok((own, copies))
}

/// Fills in a template, or the default one for the registry and project.
fn named(template: Option<&str>, project: Project, names: Names<'_>, image: &str) -> Result<Repository, NamingError> {
    let template = template.unwrap_or_else(|| default_template(names.registry, project));
    let mut full = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((name, tail)) = after.split_once('}') else {
            return Err(NamingError::Placeholder(format!("{{{after}")));
        };
        full.push_str(before);
        full.push_str(&value_of(name, names, image)?);
        rest = tail;
    }
    full.push_str(rest);
    Repository::parse(&full).map_err(|InvalidRepository(name)| NamingError::Invalid(name))
}

/// Returns the default template. Docker Hub supports only two levels, `user/name`.
fn default_template(registry: &str, project: Project) -> &'static str {
    match (registry == "docker.io", project) {
        (true, Project::Images) => "{registry}/{username}/{repo}-{image}",
        (true, Project::LoneDockerfile) => "{registry}/{username}/{repo}",
        (false, Project::Images) => "{registry}/{owner}/{repo}/{image}",
        (false, Project::LoneDockerfile) => "{registry}/{owner}/{repo}",
    }
}

fn value_of(name: &str, names: Names<'_>, image: &str) -> Result<String, NamingError> {
    let of_repository = "add the Git remote `origin`, or set `image-name` without this placeholder";
    let (placeholder, value, fix) = match name {
        "registry" => return Ok(names.registry.to_owned()),
        "owner" => ("owner", names.owner, of_repository),
        "repo" => ("repo", names.repo, of_repository),
        "username" => ("username", names.username, "set the input `username`"),
        "image" => ("image", image, "give the image a name"),
        _ => return Err(NamingError::Placeholder(format!("{{{name}}}"))),
    };
    let component = as_path_component(value);
    if component.is_empty() { Err(NamingError::Unknown { placeholder, fix }) } else { Ok(component) }
}

/// Converts a name to a valid path component. The name may be fixed: Git repositories can be called `.github` or `a__-b`,
/// and compose services `_web`. A separator that registries reject becomes `-`.
pub(super) fn as_path_component(name: &str) -> String {
    let lower = name.to_lowercase();
    let mut component = String::with_capacity(lower.len());
    let mut rest = lower.as_str();
    while !rest.is_empty() {
        let plain = rest.bytes().take_while(u8::is_ascii_alphanumeric).count();
        let (word, tail) = rest.split_at(plain);
        component.push_str(word);
        let next = tail.find(|c: char| c.is_ascii_alphanumeric()).unwrap_or(tail.len());
        let (separator, tail) = tail.split_at(next);
        if !component.is_empty() && !tail.is_empty() {
            component.push_str(if is_separator(separator) { separator } else { "-" });
        }
        rest = tail;
    }
    component
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::{Names, NamingError, Project, Repository, as_path_component, destinations};

    const NAMES: Names<'static> = Names { registry: "ghcr.io", owner: "MyOrg", repo: "My-Site", username: "Me" };

    fn named(template: Option<&str>, registry: &str, project: Project, image: &str) -> Result<String, NamingError> {
        let names = Names { registry, ..NAMES };
        super::named(template, project, names, image).map(|repository| repository.as_str().to_owned())
    }

    #[test]
    fn defaults() {
        for (registry, project, want) in [
            ("ghcr.io", Project::Images, "ghcr.io/myorg/my-site/django"),
            ("ghcr.io", Project::LoneDockerfile, "ghcr.io/myorg/my-site"),
            ("docker.io", Project::Images, "docker.io/me/my-site-django"),
            ("docker.io", Project::LoneDockerfile, "docker.io/me/my-site"),
            ("localhost:5000", Project::Images, "localhost:5000/myorg/my-site/django"),
        ] {
            assert_eq!(named(None, registry, project, "django").as_deref(), Ok(want));
        }
    }

    #[test]
    fn templates() {
        let with = |template, image| named(Some(template), "ghcr.io", Project::Images, image);
        assert_eq!(with("{registry}/Team/{repo}-{image}", "Web").as_deref(), Ok("ghcr.io/team/my-site-web"));
        assert_eq!(with("quay.io/x/{image}", "_web").as_deref(), Ok("quay.io/x/web"));
        assert_eq!(with("{registry}/{x}", "a"), Err(NamingError::Placeholder("{x}".into())));
        assert_eq!(with("{registry}/{image", "a"), Err(NamingError::Placeholder("{image".into())));
        for bad in ["nginx", "team/app", "ghcr.io/", "ghcr.io/a//b", "ghcr.io/a b", "ghcr.io/a:tag", "ghcr.io/-a"] {
            assert!(matches!(with(bad, "a"), Err(NamingError::Invalid(_))), "{bad}");
        }
        let long = format!("ghcr.io/{}", "x".repeat(256));
        assert!(matches!(with(&long, "a"), Err(NamingError::Invalid(_))));
    }

    #[test]
    fn several_templates_are_several_repositories() {
        let all = |templates: &[&str]| {
            let templates: Vec<String> = templates.iter().map(|text| (*text).to_owned()).collect();
            destinations(&templates, Project::Images, NAMES, "web").map(|(own, copies)| {
                [own].into_iter().chain(copies).map(|repository| repository.to_string()).collect::<Vec<_>>()
            })
        };
        assert_eq!(all(&[]).unwrap(), ["ghcr.io/myorg/my-site/web"]);
        assert_eq!(
            all(&["{registry}/a/{image}", "docker.io/Me/{image}"]).unwrap(),
            ["ghcr.io/a/web", "docker.io/me/web"]
        );
        let twice = all(&["ghcr.io/a", "docker.io/a/b", "GHCR.io/A"]).unwrap_err();
        assert_eq!(twice.to_string(), "input `image-name`: two lines result in ghcr.io/a; remove one of them");
        assert!(all(&["ghcr.io/a", "user/app"]).unwrap_err().to_string().contains("docker.io/user/name"));
    }

    #[test]
    fn the_unknown_is_named() {
        let names = Names { username: "", registry: "docker.io", ..NAMES };
        let error = super::named(None, Project::Images, names, "web").unwrap_err().to_string();
        assert_eq!(error, "input `image-name`: `{username}` is unknown; set the input `username`");
    }

    #[test]
    fn names_that_git_allows_are_made_to_fit() {
        for (name, want) in [(".github", "github"), ("a__b", "a__b"), ("a___b", "a-b"), ("a.-b", "a-b"), ("x_", "x")] {
            assert_eq!(as_path_component(name), want);
        }
    }

    proptest! {
        #[test]
        fn any_name_becomes_a_valid_path_component_or_none(name in any::<String>()) {
            let component = as_path_component(&name);
            assert!(component.is_empty() || Repository::parse(&format!("ghcr.io/{component}")).is_ok(), "{component}");
        }
    }
}
