//! GitHub's cache service, as far as the job may use it, and caches in BuildKit's syntax. Pure.
//!
//! The runner provides `ACTIONS_RESULTS_URL`, `ACTIONS_RUNTIME_TOKEN` and, since runner 2.336, `ACTIONS_CACHE_MODE`
//! (<https://github.com/actions/toolkit/blob/main/packages/cache/src/internal/config.ts>). The token is a JSON Web
//! Token. Its claim `ac` lists the branches whose caches it gives access to, and the permission for each.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;

use super::{runner::RunnerEnv, values::pair};
use crate::domain::{invalid::Invalid, secret::Secret};

/// GitHub's cache service, version 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheService {
    /// The service's URL.
    pub url: String,
    /// The token, which is valid for this job and its branches only.
    pub token: Secret,
    /// The operations that the token permits.
    pub access: CacheAccess,
}

/// A job's permissions for GitHub's cache service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheAccess {
    /// Read and write.
    Full,
    /// Read only.
    Read,
    /// Write only.
    Write,
    /// No access.
    None,
}

impl CacheAccess {
    /// Whether caches may be read.
    pub fn reads(self) -> bool {
        matches!(self, Self::Full | Self::Read)
    }

    /// Whether caches may be written.
    pub fn writes(self) -> bool {
        matches!(self, Self::Full | Self::Write)
    }
}

/// Events that anyone can trigger without permissions in the repository. GitHub issues read-only tokens for them
/// (<https://github.blog/changelog/>, 2026-06-26), but older runners do not report that.
const LOW_TRUST: [&str; 8] = [
    "pull_request_target",
    "issue_comment",
    "issues",
    "discussion",
    "discussion_comment",
    "fork",
    "watch",
    "workflow_run",
];

impl CacheService {
    /// Returns the service if the runner offers it. GitHub Enterprise Server does not have version 2 of the service.
    pub fn of(env: &RunnerEnv) -> Option<Self> {
        let (url, token) = (env.var("ACTIONS_RESULTS_URL")?, env.var("ACTIONS_RUNTIME_TOKEN")?);
        if is_enterprise_server(env.var("GITHUB_SERVER_URL").unwrap_or("https://github.com")) {
            return None;
        }
        // BuildKit fails the build if it cannot parse the token.
        let granted = granted(token)?;
        let access = match env.var("ACTIONS_CACHE_MODE") {
            Some("none") => CacheAccess::None,
            Some("read") => CacheAccess::Read,
            Some("write-only") => CacheAccess::Write,
            None if env.var("GITHUB_EVENT_NAME").is_some_and(|event| LOW_TRUST.contains(&event)) => CacheAccess::Read,
            Some(_) | None => granted,
        };
        Some(Self { url: url.to_owned(), token: Secret::new(token), access })
    }
}

/// Whether the URL belongs to a GitHub Enterprise Server, not to `github.com`, a tenant of `ghe.com` or a developer's
/// own `*.localhost`.
fn is_enterprise_server(server: &str) -> bool {
    let rest = server.split_once("://").map_or(server, |(_, rest)| rest);
    let host = rest.split(['/', ':']).next().unwrap_or_default().to_ascii_lowercase();
    host != "github.com" && !host.ends_with(".ghe.com") && !host.ends_with(".localhost")
}

/// The header of a token.
#[derive(Deserialize)]
struct Header {
    #[serde(rename = "alg")]
    _algorithm: String,
}

/// The claims that BuildKit requires in a token
/// (<https://github.com/tonistiigi/go-actions-cache/blob/master/cache.go>).
#[derive(Deserialize)]
struct Claims {
    ac: String,
    #[serde(rename = "exp")]
    _expires: f64,
    #[serde(rename = "nbf")]
    _begins: f64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Grant {
    #[serde(rename = "Scope")]
    _scope: String,
    /// Bit mask: 1 permits reading, 2 permits writing.
    permission: u32,
}

/// Returns the permissions that a token grants, or `None` if BuildKit would reject the token.
fn granted(token: &str) -> Option<CacheAccess> {
    let mut parts = token.split('.');
    let (header, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    let _: Header = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()?;
    let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    let grants: Vec<Grant> = serde_json::from_str(&claims.ac).ok()?;
    let writes = grants.iter().any(|grant| grant.permission & 2 != 0);
    Some(if writes { CacheAccess::Full } else { CacheAccess::Read })
}

/// One cache in BuildKit's syntax, such as `type=registry,ref=…,mode=max`. `Debug` and `Display` show no credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct CacheSpec {
    /// `registry`, `gha`, `inline`, `s3` or `azblob`.
    pub kind: String,
    /// The other attributes, in the order written.
    pub attributes: Vec<(String, String)>,
}

/// Cache attributes that contain credentials.
const SECRET_ATTRIBUTES: [&str; 4] = ["token", "ghtoken", "secret_access_key", "session_token"];

impl CacheSpec {
    /// Returns the credentials in the attributes.
    pub fn secrets(&self) -> impl Iterator<Item = Secret> + '_ {
        let secret = self.attributes.iter().filter(|(key, _)| SECRET_ATTRIBUTES.contains(&key.as_str()));
        secret.map(|(_, value)| Secret::new(value.clone()))
    }

    /// Returns the value of an attribute.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Writes BuildKit's syntax, without credentials.
impl fmt::Display for CacheSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "type={}", self.kind)?;
        for (key, value) in &self.attributes {
            let value = if SECRET_ATTRIBUTES.contains(&key.as_str()) { "***" } else { value };
            write!(f, ",{key}={value}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for CacheSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Parses a cache in BuildKit's syntax. A reference alone means `type=registry,ref=…`.
pub fn cache_spec(line: &str) -> Result<CacheSpec, Invalid> {
    let wrong = |problem: &str, hint: &str| Err(Invalid::new(problem, hint));
    if !line.contains('=') && !line.contains(',') {
        return Ok(CacheSpec { kind: "registry".to_owned(), attributes: vec![("ref".to_owned(), line.to_owned())] });
    }
    let mut kind = None;
    let mut attributes = Vec::new();
    for field in line.split(',') {
        match pair(field) {
            Some(("type", text)) => kind = Some(text.to_owned()),
            Some((key, value)) => attributes.push((key.to_owned(), value.to_owned())),
            None => return wrong("has an attribute without `=`", "write attributes as in `type=registry,ref=…`"),
        }
    }
    let Some(kind) = kind else {
        return wrong("has no `type`", "begin with `type=registry`, `type=gha` or `type=inline`");
    };
    let spec = CacheSpec { kind, attributes };
    let required: &[&str] = match spec.kind.as_str() {
        "registry" => &["ref"],
        "inline" | "gha" => &[],
        "s3" => &["bucket"],
        "azblob" => &["account_url"],
        "local" => {
            let problem = "has the type `local`, whose directory would be deleted together with the step's container";
            return wrong(problem, "use `type=gha` or `type=registry`");
        }
        other => {
            let hint = "use `registry`, `gha`, `inline`, `s3` or `azblob`";
            return wrong(&format!("has the unknown type `{other}`"), hint);
        }
    };
    match required.iter().find(|name| spec.attribute(name).is_none_or(str::is_empty)) {
        Some(name) => wrong(&format!("has no `{name}`"), &format!("add `{name}=…`")),
        None => Ok(spec),
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

    use super::{CacheAccess, CacheService, cache_spec};
    use crate::inputs::runner::RunnerEnv;

    fn token(ac: &str) -> String {
        let payload = serde_json::json!({"ac": ac, "exp": 4_000_000_000_u64, "nbf": 0}).to_string();
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256"}"#);
        format!("{header}.{}.c2ln", URL_SAFE_NO_PAD.encode(payload))
    }

    fn access(more: &[(&str, &str)]) -> Option<CacheAccess> {
        let token = token(r#"[{"Scope":"refs/heads/x","Permission":3},{"Scope":"refs/heads/main","Permission":1}]"#);
        let mut env = vec![("ACTIONS_RESULTS_URL", "https://results.example/"), ("ACTIONS_RUNTIME_TOKEN", &token)];
        env.extend_from_slice(more);
        CacheService::of(&RunnerEnv::new(env)).map(|service| service.access)
    }

    #[test]
    fn what_a_job_may_do_with_the_service() {
        assert_eq!(access(&[]), Some(CacheAccess::Full));
        assert_eq!(access(&[("GITHUB_EVENT_NAME", "push")]), Some(CacheAccess::Full));
        assert_eq!(access(&[("GITHUB_EVENT_NAME", "pull_request_target")]), Some(CacheAccess::Read));
        let trusted = [("GITHUB_EVENT_NAME", "workflow_run"), ("ACTIONS_CACHE_MODE", "write")];
        assert_eq!(access(&trusted), Some(CacheAccess::Full), "the runner knows better");
        for (mode, want) in
            [("read", CacheAccess::Read), ("none", CacheAccess::None), ("write-only", CacheAccess::Write)]
        {
            assert_eq!(access(&[("ACTIONS_CACHE_MODE", mode)]), Some(want));
        }
        let read_only = token(r#"[{"Scope":"refs/heads/main","Permission":1}]"#);
        assert_eq!(access(&[("ACTIONS_RUNTIME_TOKEN", &read_only)]), Some(CacheAccess::Read));
    }

    #[test]
    fn no_service() {
        assert_eq!(access(&[("GITHUB_SERVER_URL", "https://ghe.example.com")]), None);
        assert_eq!(access(&[("GITHUB_SERVER_URL", "https://us.ghe.com")]), Some(CacheAccess::Full));
        assert_eq!(access(&[("GITHUB_SERVER_URL", "https://github.com/")]), Some(CacheAccess::Full));
        assert_eq!(access(&[("ACTIONS_RESULTS_URL", "")]), None);
        for odd in ["t0ken", "a.b.c", "e30.e30.e30", "..", &token("all")] {
            assert_eq!(access(&[("ACTIONS_RUNTIME_TOKEN", odd)]), None, "{odd}");
        }
    }

    #[test]
    fn caches() {
        let spec = cache_spec("type=registry,ref=ghcr.io/o/r:cache,mode=max").unwrap();
        assert_eq!(spec.kind, "registry");
        assert_eq!(spec.attributes[1], ("mode".to_owned(), "max".to_owned()));
        assert_eq!(cache_spec("o/r:cache").unwrap().attributes, [("ref".to_owned(), "o/r:cache".to_owned())]);
        for good in
            ["type=inline", "type=gha", "type=gha,scope=x", "type=s3,bucket=b,region=r", "type=azblob,account_url=u"]
        {
            assert_eq!(cache_spec(good).unwrap().to_string(), good);
        }
        for bad in [
            "type=registry",
            "ref=x",
            "type=registry,ref=",
            "a,b",
            "type=local,dest=x",
            "type=s3",
            "type=azblob",
            "type=x",
        ] {
            assert!(cache_spec(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn credentials_of_a_cache_are_not_shown() {
        let spec = cache_spec("type=s3,bucket=b,secret_access_key=hunter2,session_token=hunter3").unwrap();
        assert_eq!(spec.to_string(), "type=s3,bucket=b,secret_access_key=***,session_token=***");
        assert!(!format!("{spec:?}").contains("hunter"));
        assert_eq!(spec.secrets().count(), 2);
    }
}
