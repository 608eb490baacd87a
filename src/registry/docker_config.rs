//! Logins in a `config.json` of Docker's, which a workflow hands over with `DOCKER_CONFIG`. Pure.
//!
//! Format: <https://github.com/docker/cli/blob/master/cli/config/configfile/file.go>. Credential helpers are programs of
//! the runner's machine, out of reach of the container that we run in; they are only named.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;

use crate::domain::{credentials::Login, secret::Secret};

/// The logins of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DockerConfig {
    /// Registry, as it is spelled there, and login; by registry.
    pub logins: Vec<(String, Login)>,
    /// The encoded forms in which the file holds them.
    pub encoded: Vec<Secret>,
    /// Helpers that keep logins elsewhere: the registry that one is for, if it is not for all, and its name.
    pub helpers: Vec<(Option<String>, String)>,
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    auths: BTreeMap<String, Auth>,
    #[serde(default, rename = "credsStore")]
    store: String,
    #[serde(default, rename = "credHelpers")]
    helpers: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Auth {
    #[serde(rename = "auth")]
    both: String,
    username: String,
    password: String,
    identitytoken: String,
}

impl DockerConfig {
    /// Reads a file's text; `None` if it is none of Docker's. An entry without a login is one whose login a helper has.
    pub fn parse(text: &str) -> Option<Self> {
        let file: File = serde_json::from_str(text).ok()?;
        let mut config = Self::default();
        for (registry, auth) in file.auths {
            config.encoded.extend((!auth.both.is_empty()).then(|| Secret::new(&*auth.both)));
            config.logins.extend(auth.login().map(|login| (registry, login)));
        }
        let store = (!file.store.is_empty()).then_some((None, file.store));
        config.helpers = store.into_iter().chain(file.helpers.into_iter().map(|(r, name)| (Some(r), name))).collect();
        Some(config)
    }
}

impl Auth {
    /// An identity token is worth more than the user name beside it, as Docker has it.
    fn login(self) -> Option<Login> {
        if !self.identitytoken.is_empty() {
            return Some(Login::identity(Secret::new(self.identitytoken)));
        }
        let (username, password) = decoded(&self.both).unwrap_or((self.username, self.password));
        let complete = !username.is_empty() && !password.is_empty();
        complete.then(|| Login { username, password: Secret::new(password) })
    }
}

/// Base64 of `user:password`; Docker drops zero bytes at its end.
fn decoded(auth: &str) -> Option<(String, String)> {
    let text = String::from_utf8(STANDARD.decode(auth).ok()?).ok()?;
    let (username, password) = text.split_once(':')?;
    Some((username.to_owned(), password.trim_end_matches('\0').to_owned()))
}

#[cfg(test)]
mod tests {
    use super::DockerConfig;

    #[test]
    fn reads_what_docker_login_writes() {
        let text = r#"{
            "auths": {
                "https://index.docker.io/v1/": {"auth": "aHViOmh1bnRlcjI="},
                "r.example:5000": {"username": "u", "password": "p:w"},
                "site.azurecr.io": {"auth": "MDAwMDogAA==", "identitytoken": "eyJ"},
                "ghcr.io": {}
            },
            "credsStore": "desktop",
            "credHelpers": {"gcr.io": "gcloud"},
            "HttpHeaders": {"User-Agent": "Docker"}
        }"#;
        let config = DockerConfig::parse(text).unwrap();
        let shown: Vec<_> = config
            .logins
            .iter()
            .map(|(host, login)| (host.as_str(), login.username.as_str(), login.password.expose()))
            .collect();
        assert_eq!(
            shown,
            [
                ("https://index.docker.io/v1/", "hub", "hunter2"),
                ("r.example:5000", "u", "p:w"),
                ("site.azurecr.io", "", "eyJ")
            ]
        );
        assert_eq!(config.helpers, [(None, "desktop".to_owned()), (Some("gcr.io".to_owned()), "gcloud".to_owned())]);
        assert!(!format!("{config:?}").contains("hunter2"));
        assert_eq!(DockerConfig::parse("{}"), Some(DockerConfig::default()));
        assert_eq!(DockerConfig::parse("nonsense"), None);
    }
}
