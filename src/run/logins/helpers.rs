//! Logins that `docker login` keeps in a credential helper, such as `docker-credential-desktop`.
//!
//! Helpers are programs on a laptop. The action's container has none, and never runs one.
//!
//! Protocol: <https://github.com/docker/docker-credential-helpers#development>.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Stdio,
};

use serde::Deserialize;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::Command,
};

use crate::{
    domain::{
        credentials::{Login, as_in_images},
        secret::Secret,
    },
    inputs::runner::{Owner, RunnerEnv},
};

/// The name that helpers know Docker Hub by.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";
/// The user name that marks an identity token.
const TOKEN: &str = "<token>";
/// What helpers print if they have no login for a registry.
const NONE: &str = "credentials not found";
/// Maximum size of a helper's output in bytes.
const LARGEST: u64 = 64 << 10;
/// Maximum number of characters shown of a helper's error.
const SHOWN: usize = 200;

/// The credential helpers of a `config.json`.
#[derive(Debug, Default)]
pub(super) struct Helpers {
    /// The file.
    pub(super) file: String,
    /// The helper of all other registries.
    store: Option<String>,
    /// Helpers by registry, as written in images.
    by_registry: BTreeMap<String, String>,
    /// Registries whose login is in the helper of all others.
    listed: BTreeSet<String>,
}

/// The reason why a helper was not used.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unused {
    /// It cannot run here.
    Absent,
    /// Its error.
    Failed(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(default)]
    username: String,
    secret: String,
}

impl Helpers {
    /// `listed` are the registries whose login is in the helper of all.
    pub(super) fn new(file: String, helpers: Vec<(Option<String>, String)>, listed: &[String]) -> Self {
        let listed = listed.iter().map(|registry| as_in_images(registry)).collect();
        let mut all = Self { file, listed, ..Self::default() };
        for (registry, helper) in helpers {
            match registry {
                Some(registry) => drop(all.by_registry.insert(as_in_images(&registry), helper)),
                None => all.store = Some(helper),
            }
        }
        all
    }

    /// Returns the helper of a registry, if it has one.
    pub(super) fn of(&self, registry: &str) -> Option<&str> {
        self.by_registry.get(&as_in_images(registry)).or(self.store.as_ref()).map(String::as_str)
    }

    /// Returns the registries whose login is known to be in a helper, and that are named in a text, such as a Dockerfile.
    pub(super) fn named_in<'a>(&'a self, text: &'a str) -> impl Iterator<Item = &'a str> {
        let is_part = |c: char| c.is_ascii_alphanumeric() || ['.', '-', ':'].contains(&c);
        text.split(move |c| !is_part(c))
            .filter(|word| self.by_registry.contains_key(*word) || self.listed.contains(*word))
    }
}

/// Asks a helper for the login of a registry. Returns `None` if it has none.
pub(super) async fn login(helper: &str, registry: &str, env: &RunnerEnv) -> Result<Option<Login>, Unused> {
    // The checkout must not decide which programs run.
    if env.is_github_actions() {
        return Err(Unused::Absent);
    }
    let failed = |problem: &str| Unused::Failed(problem.chars().take(SHOWN).collect());
    if helper.contains(['/', '\\']) {
        return Err(failed("the name of a helper must not contain a path"));
    }
    let server = if as_in_images(registry) == "docker.io" { DOCKER_HUB } else { registry };
    let started = Command::new(format!("docker-credential-{helper}"))
        .arg("get")
        .env_clear()
        // All that its user has set, such as keys of a cloud, but nothing of ours, such as the user's SSH keys.
        .envs(env.vars().filter(|(name, _)| Owner::of(name) != Owner::Internal))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    let mut program = started.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Unused::Absent,
        _ => failed(&error.to_string()),
    })?;
    if let Some(mut input) = program.stdin.take() {
        // A helper that does not read it says what is wrong.
        let _ = input.write_all(format!("{server}\n").as_bytes()).await;
    }
    let mut printed = Vec::new();
    if let Some(output) = program.stdout.take() {
        let read = output.take(LARGEST).read_to_end(&mut printed).await;
        read.map_err(|error| failed(&error.to_string()))?;
    }
    let status = program.wait().await.map_err(|error| failed(&error.to_string()))?;
    if !status.success() {
        let text = String::from_utf8_lossy(&printed);
        let problem = text.trim();
        return match problem {
            problem if problem.starts_with(NONE) => Ok(None),
            "" => Err(failed(&status.to_string())),
            problem => Err(failed(problem)),
        };
    }
    // The output is not quoted: it may be secret.
    let answer: Answer = serde_json::from_slice(&printed).map_err(|_| failed("it did not print a login"))?;
    let Answer { username, secret } = answer;
    Ok((!secret.is_empty()).then(|| match username.as_str() {
        TOKEN => Login::identity(Secret::new(secret)),
        _ => Login { username, password: Secret::new(secret) },
    }))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

    use super::{Helpers, Login, Secret, Unused, login};
    use crate::inputs::runner::RunnerEnv;

    /// Writes a helper that knows Docker Hub and one registry, as the real ones answer
    /// (<https://github.com/docker/docker-credential-helpers/blob/master/credentials/credentials.go>).
    fn helper(directory: &Path) -> RunnerEnv {
        let program = directory.join("docker-credential-test");
        let script = r#"#!/bin/sh
            read -r server
            case "$1 $server" in
            "get https://index.docker.io/v1/") echo '{"ServerURL":"x","Username":"hub","Secret":"hunter2"}' ;;
            "get site.azurecr.io") echo '{"ServerURL":"x","Username":"<token>","Secret":"refresh"}' ;;
            "get broken.example") echo 'the keychain is locked'; exit 1 ;;
            "get odd.example") echo 'hunter2' ;;
            "get endless.example") yes ;;
            "get keys.example") echo "${AWS_ACCESS_KEY_ID}-${INPUT_KEY}"; exit 1 ;;
            *) echo 'credentials not found in native keychain'; exit 1 ;;
            esac
        "#;
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!("{}:/bin:/usr/bin", directory.display());
        RunnerEnv::new([("PATH", &*path), ("AWS_ACCESS_KEY_ID", "AKIA"), ("INPUT_KEY", "ours")])
    }

    #[tokio::test]
    async fn a_helper_is_asked_as_docker_asks_it() {
        let directory = tempfile::tempdir().unwrap();
        let env = helper(directory.path());
        let user = Login { username: "hub".into(), password: Secret::new("hunter2") };
        assert_eq!(login("test", "docker.io", &env).await, Ok(Some(user)));
        let token = Login::identity(Secret::new("refresh"));
        assert_eq!(login("test", "site.azurecr.io", &env).await, Ok(Some(token)));
        assert_eq!(login("test", "ghcr.io", &env).await, Ok(None));
        let failed = |problem: &str| Err(Unused::Failed(problem.to_owned()));
        assert_eq!(login("test", "broken.example", &env).await, failed("the keychain is locked"));
        assert_eq!(login("test", "odd.example", &env).await, failed("it did not print a login"));
        assert!(matches!(login("test", "endless.example", &env).await, Err(Unused::Failed(_))));
        assert_eq!(login("test", "keys.example", &env).await, failed("AKIA-"));
        assert_eq!(login("other", "ghcr.io", &env).await, Err(Unused::Absent));
        let path = "the name of a helper must not contain a path";
        assert_eq!(login("../test", "ghcr.io", &env).await, failed(path));
        let env = env.with([("GITHUB_ACTIONS", "true".to_owned())]);
        assert_eq!(login("test", "docker.io", &env).await, Err(Unused::Absent));
    }

    #[test]
    fn the_helper_of_a_registry_comes_before_that_of_all() {
        let own = |registry: &str, helper: &str| (Some(registry.to_owned()), helper.to_owned());
        let all =
            vec![(None, "desktop".to_owned()), own("gcr.io", "gcloud"), own("https://index.docker.io/v1/", "hub")];
        let helpers = Helpers::new("config.json".into(), all, &["quay.io".to_owned()]);
        assert_eq!(helpers.of("gcr.io"), Some("gcloud"));
        assert_eq!(helpers.of("docker.io"), Some("hub"));
        assert_eq!(helpers.of("ghcr.io"), Some("desktop"));
        let text = "FROM gcr.io/a/b\nCOPY --from=eu.gcr.io/c /d /e\nFROM quay.io/f";
        assert_eq!(helpers.named_in(text).collect::<Vec<_>>(), ["gcr.io", "quay.io"]);
        assert_eq!(Helpers::default().of("gcr.io"), None);
    }
}
