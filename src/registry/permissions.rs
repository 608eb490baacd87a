//! Hints for a rejected push: which permission is missing, and where to grant it.
//!
//! Registries do not say. GHCR answers `denied` both for a job without `packages: write` and for a package of another
//! repository, so the hint names both.

use crate::domain::{default_user::default_user, ecr::EcrHost};

/// The registry that a push goes to, reduced to the facts that hints depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PushTarget<'a> {
    /// Its host.
    pub host: &'a str,
    /// Whether the run has a login for it.
    pub has_login: bool,
}

/// The fix for a push that the registry refused with `message`, or `None` if the message is about something else.
pub fn push_hint(target: PushTarget<'_>, message: &str) -> Option<String> {
    let PushTarget { host, has_login } = target;
    let message = message.to_ascii_lowercase();
    let contains = |words: &[&str]| words.iter().any(|word| message.contains(word));
    let unknown_user = contains(&[
        "unauthorized",
        "unauthenticated",
        "authentication required",
        "no basic auth credentials",
        "incorrect username or password",
        "cannot be authenticated",
        "denied: denied",
    ]);
    let forbidden = contains(&["denied", "forbidden", "insufficient_scope", "insufficient scope", "not allowed to"]);
    if !unknown_user && !forbidden {
        return None;
    }
    Some(match host {
        "ghcr.io" if contains(&["expected scopes"]) => {
            "the token in `password` lacks the scope `write:packages`; remove `username` and `password` to use the job's \
             own token, with `packages: write` in the job's `permissions`"
                .to_owned()
        }
        "ghcr.io" if contains(&["create organization package"]) => {
            "add `packages: write` to the job's `permissions`; if it is already there, an owner of the organization must allow \
             the creation of packages (Settings > Packages) or create this one"
                .to_owned()
        }
        "ghcr.io" if unknown_user => {
            "ghcr.io does not accept the user name and password; remove `username` and `password` to use the job's own \
             token, with `packages: write` in the job's `permissions`, or use a classic token with the scope `write:packages`"
                .to_owned()
        }
        "ghcr.io" => {
            "add `packages: write` to the job's `permissions`; if it is already there, the package belongs to another \
             repository or was pushed by hand: grant this repository the role Write in the package's settings, under \
             Manage Actions access"
                .to_owned()
        }
        "docker.io" | "index.docker.io" | "registry-1.docker.io" => {
            "set `username`, and set `password` to an access token with the permission Write; the image's name must begin \
             with a user or organization to which this user may push"
                .to_owned()
        }
        _ if EcrHost::parse(host).is_some() && unknown_user => format!(
            "configure a login for {host}: `aws-role` with `permissions: id-token: write`, the AWS_* variables, or \
             `username` and `password`"
        ),
        _ if EcrHost::parse(host).is_some() => format!(
            "grant the role or user these permissions on this repository of {host}: \
             `ecr:BatchCheckLayerAvailability`, `ecr:InitiateLayerUpload`, `ecr:UploadLayerPart`, \
             `ecr:CompleteLayerUpload`, `ecr:PutImage`, `ecr:BatchGetImage`"
        ),
        _ if default_user(host, "") == Some("oauth2accesstoken") => format!(
            "grant the role Artifact Registry Writer on the repository of {host} to the account whose token is in \
             `password`; such a token is valid for one hour"
        ),
        _ if !has_login => format!("no login for {host} is given; set `username` and `password`, or `registries`"),
        _ if unknown_user => format!("check `username` and `password` for {host}"),
        _ => format!(
            "the login for {host} (`username` or `registries`) may not push to this repository; check its rights there"
        ),
    })
}

/// The hint for a repository that does not exist on `host`.
pub fn missing_repository_hint(host: &str, message: &str) -> String {
    match EcrHost::parse(host) {
        Some(ecr) => {
            let name = repository_in(host, message).unwrap_or("NAME");
            let command = match ecr {
                EcrHost::Private { region, .. } => {
                    format!("aws ecr create-repository --region {region} --repository-name {name}")
                }
                EcrHost::Public => {
                    format!("aws ecr-public create-repository --region us-east-1 --repository-name {name}")
                }
            };
            format!("create it with `{command}`, or set `ecr-create-repository: true`")
        }
        None => "create the repository there, and check `registry` and `image-name`".to_owned(),
    }
}

/// The path of the repository in an error message of a registry or BuildKit.
fn repository_in<'a>(host: &str, message: &'a str) -> Option<&'a str> {
    let after = |marker: &str| message.split_once(marker).map(|(_, rest)| rest);
    let path = match (after("repository with name '"), after(&format!("{host}/v2/"))) {
        (Some(rest), _) => rest.split('\'').next(),
        (None, Some(rest)) => rest.split("/blobs/").next()?.split("/manifests/").next(),
        (None, None) => None,
    };
    path.filter(|path| !path.is_empty() && !path.contains(char::is_whitespace))
}

#[cfg(test)]
mod tests {
    use super::{PushTarget, missing_repository_hint, push_hint};

    #[test]
    fn a_missing_repository_of_amazons_comes_with_the_command() {
        let host = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
        let want = "`aws ecr create-repository --region eu-west-1 --repository-name o/r/web`";
        for message in [
            "name unknown: The repository with name 'o/r/web' does not exist in the registry with id '123456789012'",
            "failed to push 123456789012.dkr.ecr.eu-west-1.amazonaws.com/o/r/web:main: unknown: The repository with name \
             'o/r/web' does not exist in the registry with id '123456789012'",
            "failed to push 123456789012.dkr.ecr.eu-west-1.amazonaws.com/o/r/web:main: unexpected status from POST request \
             to https://123456789012.dkr.ecr.eu-west-1.amazonaws.com/v2/o/r/web/blobs/uploads/: 404 Not Found",
        ] {
            let hint = missing_repository_hint(host, message);
            assert!(hint.contains(want) && hint.contains("`ecr-create-repository: true`"), "{hint}");
        }
        assert!(missing_repository_hint("r.example", "404 Not Found").contains("`image-name`"));
    }

    #[test]
    fn refusals_seen_in_the_wild_have_a_fix() {
        for (host, message, want) in [
            ("ghcr.io", "denied: permission_denied: write_package", "Manage Actions access"),
            ("ghcr.io", "denied: installation not allowed to Write organization package", "`packages: write`"),
            ("ghcr.io", "denied: installation not allowed to Create organization package", "creation of packages"),
            (
                "ghcr.io",
                "unexpected status from HEAD request to https://ghcr.io/v2/o/r/blobs/x: 403 Forbidden",
                "packages: write",
            ),
            (
                "ghcr.io",
                "denied: permission_denied: The token provided does not match expected scopes.",
                "lacks the scope `write:packages`",
            ),
            ("ghcr.io", "failed to authorize: 401 Unauthorized", "job's own token"),
            ("ghcr.io", "error from registry: denied: denied", "does not accept the user name"),
            (
                "docker.io",
                "push access denied, repository does not exist or may require authorization",
                "permission Write",
            ),
            ("docker.io", "server message: insufficient_scope: authorization failed", "permission Write"),
            ("r.example:5000", "no basic auth credentials", "check `username` and `password` for r.example:5000"),
            ("r.example", "403 Forbidden", "may not push"),
            ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "no basic auth credentials", "`aws-role`"),
            (
                "123456789012.dkr.ecr.eu-west-1.amazonaws.com",
                "denied: User: arn:aws:sts::1:x is not authorized to perform: ecr:InitiateLayerUpload on resource: y",
                "`ecr:InitiateLayerUpload`",
            ),
            ("europe-west1-docker.pkg.dev", "403 Forbidden", "Artifact Registry Writer"),
        ] {
            let hint = push_hint(PushTarget { host, has_login: true }, message).unwrap();
            assert!(hint.contains(want), "{message}: {hint}");
        }
    }

    #[test]
    fn a_run_without_a_login_is_not_told_to_check_it() {
        for message in ["403 Forbidden", "unauthorized: authentication required", "no basic auth credentials"] {
            let hint = |has_login| push_hint(PushTarget { host: "r.example", has_login }, message).unwrap();
            assert!(hint(false).contains("no login for r.example is given"), "{message}: {}", hint(false));
            assert!(!hint(true).contains("is given"), "{message}: {}", hint(true));
        }
    }

    #[test]
    fn other_failures_get_no_such_hint() {
        for message in ["connection reset by peer", "503 Service Unavailable", "429 Too Many Requests", "no space left"]
        {
            assert_eq!(push_hint(PushTarget { host: "ghcr.io", has_login: true }, message), None, "{message}");
        }
    }
}
