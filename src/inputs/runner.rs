//! The environment in which GitHub's runner starts a container action.
//!
//! `main` takes a snapshot of it, [`RunnerEnv`]. No other code reads `std::env`.

use std::{collections::BTreeMap, ffi::OsString, fmt};

use crate::domain::secret::Secret;

/// Variables whose values are always secret.
const SECRET_VARIABLES: [&str; 5] = [
    "ACTIONS_RUNTIME_TOKEN",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "GITHUB_TOKEN",
];

/// The variable that names the repository's default branch outside GitHub Actions, where no event does.
pub const DEFAULT_BRANCH: &str = "GITHUB_DEFAULT_BRANCH";

/// Prefixes of variables that are internal to the runner or to this action: inputs, service tokens, saved state.
const INTERNAL: [&str; 4] = ["INPUT_", "ACTIONS_", "STATE_", "RUNNER_"];

/// Credentials for GitHub and cloud providers. They are set for steps, not for builds.
const CREDENTIALS: [&str; 9] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "DOCKER_AUTH_CONFIG",
    "GH_ENTERPRISE_TOKEN",
    "GH_TOKEN",
    "GITHUB_ENTERPRISE_TOKEN",
    "GITHUB_PAT",
    "GITHUB_TOKEN",
];

/// The purpose of a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Set by the workflow for its steps.
    Workflow,
    /// A well-known credential for GitHub or a cloud provider.
    Credential,
    /// Internal to the runner or to this action.
    Internal,
}

impl Owner {
    /// Determines the purpose of a variable from its name.
    pub fn of(name: &str) -> Self {
        // The runner's variable names are case-insensitive.
        let name = name.to_ascii_uppercase();
        if INTERNAL.iter().any(|prefix| name.starts_with(prefix)) {
            Self::Internal
        } else if CREDENTIALS.contains(&name.as_str()) {
            Self::Credential
        } else {
            Self::Workflow
        }
    }
}

/// All environment variables of the process. `Debug` shows names only, since any value may be secret.
#[derive(Clone, Default)]
pub struct RunnerEnv {
    vars: BTreeMap<String, String>,
}

impl RunnerEnv {
    /// Takes a snapshot. Invalid UTF-8 is replaced by U+FFFD.
    pub fn new<K, V>(vars: impl IntoIterator<Item = (K, V)>) -> Self
    where
        K: Into<OsString>,
        V: Into<OsString>,
    {
        let text = |os: OsString| os.to_string_lossy().into_owned();
        Self { vars: vars.into_iter().map(|(key, value)| (text(key.into()), text(value.into()))).collect() }
    }

    /// Adds variables that are not set yet.
    #[must_use]
    pub fn with(mut self, more: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        for (name, value) in more {
            self.vars.entry(name.to_owned()).or_insert(value);
        }
        self
    }

    /// Returns a variable's value. An empty value counts as unset, because the runner sets many variables to an empty
    /// value.
    pub fn var(&self, name: &str) -> Option<&str> {
        self.vars.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Returns all variables, for `${VAR}` in compose files and for build arguments without a value.
    pub fn vars(&self) -> impl Iterator<Item = (&str, &str)> {
        self.vars.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Returns the inputs from the workflow's `with:` and the defaults of `action.yml`: name in lower case, and value
    /// without surrounding whitespace. Empty inputs are omitted, since an empty value selects the default.
    pub fn inputs(&self) -> impl Iterator<Item = (String, &str)> {
        self.vars().filter_map(|(key, value)| {
            let name = key.strip_prefix("INPUT_")?;
            // The runner passes these inputs to every container action.
            if name.is_empty() || name == "ARGS" || name == "ENTRYPOINT" || value.trim().is_empty() {
                return None;
            }
            Some((name.to_ascii_lowercase(), value.trim()))
        })
    }

    /// Returns a value that an earlier stage of this step saved under `name` through `GITHUB_STATE`.
    pub fn state(&self, name: &str) -> Option<&str> {
        self.var(&format!("STATE_{name}"))
    }

    /// Whether the output is read by GitHub Actions, which understands workflow commands.
    pub fn is_github_actions(&self) -> bool {
        self.var("GITHUB_ACTIONS") == Some("true")
    }

    /// Returns the directory of the checkout, `/github/workspace` in a container action.
    pub fn workspace(&self) -> Option<&str> {
        self.var("GITHUB_WORKSPACE")
    }

    /// Returns a directory for temporary files that exists inside the container.
    ///
    /// `None` on runners before 2.329.0, which set `RUNNER_TEMP` to a path of the host that is not mounted.
    pub fn temp(&self) -> Option<&str> {
        let temp = self.var("RUNNER_TEMP")?;
        let in_container = self.workspace().is_some_and(|path| path.starts_with("/github/"));
        (!in_container || temp.starts_with("/github/")).then_some(temp)
    }

    /// Returns the values that are always secret: the runner's tokens, the AWS keys, and the passwords of proxies.
    pub fn secrets(&self) -> impl Iterator<Item = Secret> {
        let values = SECRET_VARIABLES.iter().filter_map(|name| self.var(name));
        let proxies = self.vars().filter(|(name, _)| name.to_ascii_lowercase().ends_with("_proxy"));
        values.chain(proxies.filter_map(|(_, url)| password(url))).map(Secret::new)
    }

    /// Returns `owner` and `name` of the repository; both are empty outside an action.
    pub fn repository(&self) -> (&str, &str) {
        self.var("GITHUB_REPOSITORY").and_then(|full| full.split_once('/')).unwrap_or_default()
    }
}

/// The password in a URL.
fn password(url: &str) -> Option<&str> {
    let authority = url.split_once("://")?.1.split(['/', '?', '#']).next()?;
    let (_, password) = authority.rsplit_once('@')?.0.split_once(':')?;
    Some(password).filter(|password| !password.is_empty())
}

impl fmt::Debug for RunnerEnv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.vars.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::RunnerEnv;

    #[test]
    fn drops_empty_inputs_and_the_runners_own() {
        let env = RunnerEnv::new([
            ("INPUT_DRY-RUN", " true\n"),
            ("INPUT_TAGS", ""),
            ("INPUT_LABELS", " \n "),
            ("INPUT_ARGS", "x"),
            ("INPUT_ENTRYPOINT", "y"),
            ("GITHUB_SHA", "z"),
        ]);
        assert_eq!(env.inputs().collect::<Vec<_>>(), [("dry-run".to_owned(), "true")]);
    }

    #[test]
    fn debug_shows_no_value() {
        let env = RunnerEnv::new([("INPUT_PASSWORD", "hunter2"), ("ACTIONS_RUNTIME_TOKEN", "t0ken")]);
        let shown = format!("{env:?}");
        assert!(shown.contains("INPUT_PASSWORD") && !shown.contains("hunter2") && !shown.contains("t0ken"));
    }

    #[test]
    fn the_password_of_a_proxy_is_secret() {
        let env = RunnerEnv::new([
            ("https_proxy", "http://robot:hunter2@proxy.corp:3128"),
            ("HTTP_PROXY", "http://proxy.corp:3128/a@b"),
            ("NO_PROXY", "localhost,.corp"),
        ]);
        assert_eq!(env.secrets().map(|secret| secret.expose().to_owned()).collect::<Vec<_>>(), ["hunter2"]);
    }

    #[test]
    fn an_old_runners_temp_is_not_ours() {
        let temp = |temp, workspace| {
            RunnerEnv::new([("RUNNER_TEMP", temp), ("GITHUB_WORKSPACE", workspace)]).temp().map(str::to_owned)
        };
        assert_eq!(temp("/home/runner/work/_temp", "/github/workspace"), None);
        assert_eq!(temp("/github/runner_temp", "/github/workspace").as_deref(), Some("/github/runner_temp"));
        assert_eq!(temp("/tmp/t", "/home/me/project").as_deref(), Some("/tmp/t"), "outside a container");
    }
}
