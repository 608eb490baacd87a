//! Default user names for registries whose tokens do not belong to a user.

use super::ecr::EcrHost;

/// Returns the user name to send with `password`, or `None` if the registry requires a real one.
pub fn default_user(host: &str, password: &str) -> Option<&'static str> {
    let is_in = |domains: &[&str]| {
        domains
            .iter()
            .any(|domain| host == *domain || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.')))
    };
    // https://cloud.google.com/artifact-registry/docs/docker/authentication
    if host.ends_with("-docker.pkg.dev") || is_in(&["docker.pkg.dev", "gcr.io"]) {
        return Some(if password.trim_start().starts_with('{') { "_json_key" } else { "oauth2accesstoken" });
    }
    // https://learn.microsoft.com/azure/container-registry/container-registry-authentication
    if is_in(&["azurecr.io", "azurecr.cn", "azurecr.us"]) {
        return Some("00000000-0000-0000-0000-000000000000");
    }
    // https://docs.aws.amazon.com/AmazonECR/latest/userguide/registry_auth.html
    EcrHost::parse(host).map(|_| "AWS")
}

#[cfg(test)]
mod tests {
    use super::default_user;

    #[test]
    fn only_for_registries_that_accept_a_token_alone() {
        for (host, password, want) in [
            ("europe-west1-docker.pkg.dev", "ya29.x", Some("oauth2accesstoken")),
            ("eu.gcr.io", "ya29.x", Some("oauth2accesstoken")),
            ("gcr.io", "{\"type\": \"service_account\"}", Some("_json_key")),
            ("site.azurecr.io", "eyJ", Some("00000000-0000-0000-0000-000000000000")),
            ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "x", Some("AWS")),
            ("public.ecr.aws", "x", Some("AWS")),
            ("evilgcr.io", "x", None),
            ("docker.io", "x", None),
            ("r.example:5000", "x", None),
        ] {
            assert_eq!(default_user(host, password), want, "{host}");
        }
    }
}
