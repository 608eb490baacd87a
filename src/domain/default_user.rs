//! The user names that registries want where a token alone is the credential.

use super::ecr::EcrHost;

/// The user name to go with `password` on a registry whose tokens belong to no named user; `None` where one is needed.
pub fn default_user(host: &str, password: &str) -> Option<&'static str> {
    let below = |domains: &[&str]| {
        domains
            .iter()
            .any(|domain| host == *domain || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.')))
    };
    // https://cloud.google.com/artifact-registry/docs/docker/authentication
    if host.ends_with("-docker.pkg.dev") || below(&["docker.pkg.dev", "gcr.io"]) {
        return Some(if password.trim_start().starts_with('{') { "_json_key" } else { "oauth2accesstoken" });
    }
    // https://learn.microsoft.com/azure/container-registry/container-registry-authentication
    if below(&["azurecr.io", "azurecr.cn", "azurecr.us"]) {
        return Some("00000000-0000-0000-0000-000000000000");
    }
    // https://docs.aws.amazon.com/AmazonECR/latest/userguide/registry_auth.html
    EcrHost::parse(host).map(|_| "AWS")
}

#[cfg(test)]
mod tests {
    use super::default_user;

    #[test]
    fn only_where_a_token_is_enough() {
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
