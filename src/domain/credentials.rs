//! Registry credentials by host, which are stored in memory only.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::secret::Secret;

/// A user name and a password or token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The user name, which is not secret. Empty with an identity token.
    pub username: String,
    /// The password or token.
    pub password: Secret,
}

impl Login {
    /// Creates a login with an identity token, which `docker login` stores for some registries: an `OAuth2` refresh
    /// token (<https://distribution.github.io/distribution/spec/auth/oauth/>).
    pub fn identity(token: Secret) -> Self {
        Self { username: String::new(), password: token }
    }

    /// Returns the identity token, if the login uses one.
    pub fn identity_token(&self) -> Option<&Secret> {
        self.username.is_empty().then_some(&self.password)
    }

    /// Returns the value of an `Authorization` header with the Basic scheme (RFC 7617). Contains the password.
    pub fn basic(&self) -> String {
        format!("Basic {}", self.basic_token())
    }

    /// Returns the credentials of the Basic scheme: base64 of user name and password.
    pub fn basic_token(&self) -> String {
        STANDARD.encode(format!("{}:{}", self.username, self.password.expose()))
    }
}

/// The logins, by registry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials(Vec<(String, Login)>);

/// The host names of Docker Hub, as used in image references, in `config.json` and by the daemon.
const DOCKER_HUB: [&str; 4] = ["docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"];

impl Credentials {
    /// Sets the login of a registry, given in any form: `ghcr.io`, `https://index.docker.io/v1/`.
    pub fn insert(&mut self, registry: &str, login: Login) {
        let host = canonical(registry);
        self.0.retain(|(known, _)| *known != host);
        self.0.push((host, login));
    }

    /// Sets the login of a registry if it does not have one.
    pub fn insert_missing(&mut self, registry: &str, login: Login) {
        if self.for_host(registry).is_none() {
            self.insert(registry, login);
        }
    }

    /// Returns the login for a registry host.
    pub fn for_host(&self, host: &str) -> Option<&Login> {
        let host = canonical(host);
        self.0.iter().find(|(known, _)| *known == host).map(|(_, login)| login)
    }
}

/// Returns the registry's name in image references: `docker.io` for any name of Docker Hub, such as the one that
/// `docker login` uses.
pub fn as_in_images(registry: &str) -> String {
    let host = canonical(registry);
    let rest = registry.split_once("://").map_or(registry, |(_, rest)| rest);
    let is_whole = rest.split_once('/').is_none_or(|(_, path)| ["", "v1", "v1/"].contains(&path));
    if host == DOCKER_HUB[0] && is_whole { host } else { registry.to_ascii_lowercase() }
}

/// Returns `host[:port]` in lower case, with a single name for Docker Hub.
fn canonical(registry: &str) -> String {
    let registry = registry.trim();
    let rest = registry.split_once("://").map_or(registry, |(_, rest)| rest);
    let host = rest.split('/').next().unwrap_or_default().to_ascii_lowercase();
    if DOCKER_HUB.contains(&host.as_str()) { DOCKER_HUB[0].to_owned() } else { host }
}

#[cfg(test)]
mod tests {
    use super::{Credentials, Login};
    use crate::domain::secret::Secret;

    #[test]
    fn finds_a_registry_by_any_of_its_names() {
        let login = |name: &str| Login { username: name.into(), password: Secret::new("x") };
        let mut all = Credentials::default();
        all.insert("GHCR.io", login("a"));
        all.insert("https://index.docker.io/v1/", login("hub"));
        all.insert("localhost:5000", login("old"));
        all.insert("localhost:5000", login("new"));
        all.insert_missing("ghcr.io", login("late"));
        all.insert_missing("quay.io", login("quay"));
        let name = |host: &str| all.for_host(host).map(|l| l.username.clone());
        assert_eq!((name("ghcr.io").as_deref(), name("quay.io").as_deref()), (Some("a"), Some("quay")));
        assert_eq!(name("registry-1.docker.io").as_deref(), Some("hub"));
        assert_eq!(name("localhost:5000").as_deref(), Some("new"));
        assert_eq!(name("localhost"), None);
    }
}
