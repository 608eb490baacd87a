//! What to do about a registry that refuses: which permission is missing, and where it is given.
//!
//! Registries do not say it. GHCR answers the same `denied` for a job without `packages: write` and for a package that
//! another repository owns, so the hint names both.

/// The fix for a push that `host` refused with `message`, or `None` if the message is about something else.
pub fn push_hint(host: &str, message: &str) -> Option<String> {
    let message = message.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    let unknown_user = says(&[
        "unauthorized",
        "unauthenticated",
        "authentication required",
        "no basic auth credentials",
        "incorrect username or password",
        "cannot be authenticated",
        "denied: denied",
    ]);
    let forbidden = says(&["denied", "forbidden", "insufficient_scope", "insufficient scope", "not allowed to"]);
    if !unknown_user && !forbidden {
        return None;
    }
    Some(match host {
        "ghcr.io" if says(&["expected scopes"]) => {
            "the token in `password` lacks the scope `write:packages`; leave `username` and `password` out to use the \
             job's own token, with `permissions: packages: write`"
                .to_owned()
        }
        "ghcr.io" if says(&["create organization package"]) => {
            "add `permissions: packages: write` to the job; if it is there, an owner of the organization must allow the \
             creation of packages (Settings, Packages), or create this one"
                .to_owned()
        }
        "ghcr.io" if unknown_user => {
            "ghcr.io does not know the user; leave `username` and `password` out to use the job's own token, with \
             `permissions: packages: write`, or set a classic token with the scope `write:packages`"
                .to_owned()
        }
        "ghcr.io" => {
            "add `permissions: packages: write` to the job; if it is there, the package belongs to another repository or \
             was pushed by hand: give this repository the role Write in the package's settings, under Manage Actions \
             access"
                .to_owned()
        }
        "docker.io" | "index.docker.io" | "registry-1.docker.io" => {
            "set `username`, and `password` to an access token with the permission Write; the image's name must begin with \
             a user or organization that this user may push to"
                .to_owned()
        }
        _ if unknown_user => format!("check `username` and `password` for {host}"),
        _ => format!("the user in `username` may not push this repository to {host}; check its rights there"),
    })
}

#[cfg(test)]
mod tests {
    use super::push_hint;

    #[test]
    fn refusals_seen_in_the_wild_have_a_fix() {
        for (host, message, want) in [
            ("ghcr.io", "denied: permission_denied: write_package", "Manage Actions access"),
            (
                "ghcr.io",
                "denied: installation not allowed to Write organization package",
                "`permissions: packages: write`",
            ),
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
            ("ghcr.io", "error from registry: denied: denied", "does not know the user"),
            (
                "docker.io",
                "push access denied, repository does not exist or may require authorization",
                "permission Write",
            ),
            ("docker.io", "server message: insufficient_scope: authorization failed", "permission Write"),
            ("r.example:5000", "no basic auth credentials", "check `username` and `password` for r.example:5000"),
            ("r.example", "403 Forbidden", "may not push"),
        ] {
            let hint = push_hint(host, message).unwrap();
            assert!(hint.contains(want), "{message}: {hint}");
        }
    }

    #[test]
    fn other_failures_get_no_such_hint() {
        for message in ["connection reset by peer", "503 Service Unavailable", "429 Too Many Requests", "no space left"]
        {
            assert_eq!(push_hint("ghcr.io", message), None, "{message}");
        }
    }
}
