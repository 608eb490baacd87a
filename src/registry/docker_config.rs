//! Parses the logins in Docker's `config.json`, which `DOCKER_CONFIG` names. Pure.
//!
//! Format: <https://github.com/docker/cli/blob/master/cli/config/configfile/file.go>. Credential helpers are
//! only listed.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;

use crate::domain::{credentials::Login, secret::Secret};

/// The logins of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DockerConfig {
    /// Registries, as written in the file, and their logins.
    pub logins: Vec<(String, Login)>,
    /// The encoded logins, to mask them.
    pub encoded: Vec<Secret>,
    /// Credential helpers: the registry, unless the helper is for all, and the name of the helper.
    pub helpers: Vec<(Option<String>, String)>,
    /// Registries without a login in the file. Docker lists those whose login is in the helper for all.
    pub empty: Vec<String>,
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
    /// Parses the text of a file; `None` if it has another format. Entries without a login, whose login is in a helper, are
    /// skipped.
    pub fn parse(text: &str) -> Option<Self> {
        let file: File = serde_json::from_str(text).ok()?;
        let mut config = Self::default();
        for (registry, auth) in file.auths {
            config.encoded.extend((!auth.both.is_empty()).then(|| Secret::new(&*auth.both)));
            match auth.login() {
                Some(login) => config.logins.push((registry, login)),
                None => config.empty.push(registry),
            }
        }
        let store = (!file.store.is_empty()).then_some((None, file.store));
        config.helpers = store.into_iter().chain(file.helpers.into_iter().map(|(r, name)| (Some(r), name))).collect();
        Some(config)
    }
}

impl Auth {
    /// The login. As in Docker, an identity token takes precedence over the user name.
    fn login(self) -> Option<Login> {
        if !self.identitytoken.is_empty() {
            return Some(Login::identity(Secret::new(self.identitytoken)));
        }
        let (username, password) = decoded(&self.both).unwrap_or((self.username, self.password));
        let complete = !username.is_empty() && !password.is_empty();
        complete.then(|| Login { username, password: Secret::new(password) })
    }
}

/// Decodes the base64 of `user:password`. Like Docker, drops trailing zero bytes.
fn decoded(auth: &str) -> Option<(String, String)> {
    let text = String::from_utf8(STANDARD.decode(auth).ok()?).ok()?;
    let (username, password) = text.split_once(':')?;
    Some((username.to_owned(), password.trim_end_matches('\0').to_owned()))
}

#[cfg(test)]
mod tests {
    use super::DockerConfig;

    #[test]
    fn parses_files_of_docker_login() {
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
        assert_eq!(config.empty, ["ghcr.io"]);
        assert!(!format!("{config:?}").contains("hunter2"));
        assert_eq!(DockerConfig::parse("{}"), Some(DockerConfig::default()));
        assert_eq!(DockerConfig::parse("nonsense"), None);
    }
}
