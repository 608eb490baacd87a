//! The environment of a run outside GitHub Actions: the facts of the Git checkout in the current directory, and the keys and
//! tokens of its user.
//!
//! Everything is passed on as the variables and inputs that a runner sets, so that nothing else distinguishes the two.
//! Variables and inputs that are set already are kept.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::inputs::runner::{DEFAULT_BRANCH, RunnerEnv};

/// The private keys that OpenSSH tries by default, best first.
const KEYS: [&str; 3] = ["id_ed25519", "id_ecdsa", "id_rsa"];

/// Completes the environment. Does nothing if a runner or a test describes the checkout.
pub fn complete(env: RunnerEnv) -> RunnerEnv {
    let described = ["GITHUB_ACTIONS", "GITHUB_REPOSITORY", "GITHUB_WORKSPACE"];
    if described.iter().any(|name| env.var(name).is_some()) {
        return env;
    }
    let mut found = env.var("HOME").map(|home| of_user(Path::new(home), &env)).unwrap_or_default();
    if let Ok(here) = std::env::current_dir() {
        found.extend(of_checkout(&here, &env));
    }
    env.with(found)
}

/// Returns the keys and logins in a home directory.
fn of_user(home: &Path, env: &RunnerEnv) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    let ssh = |file: &str| fs::read_to_string(home.join(".ssh").join(file)).ok();
    found.extend(ssh("known_hosts").map(|hosts| ("INPUT_SSH-KNOWN-HOSTS", hosts)));
    let keys: Vec<String> = KEYS.into_iter().filter_map(ssh).collect();
    found.extend((!keys.is_empty()).then(|| ("INPUT_SSH-KEY", keys.join("\n"))));
    let docker = home.join(".docker");
    if docker.join("config.json").is_file() {
        found.push(("DOCKER_CONFIG", docker.display().to_string()));
    }
    let token = ["GITHUB_TOKEN", "GH_TOKEN"].into_iter().find_map(|name| env.var(name).map(str::to_owned));
    let token = token.or_else(|| output(home, "gh", ["auth", "token"], env));
    found.extend(token.map(|token| ("INPUT_GITHUB-TOKEN", token)));
    found
}

/// Returns the facts of the checkout that contains a directory. Empty if it is not in a checkout.
fn of_checkout(here: &Path, env: &RunnerEnv) -> Vec<(&'static str, String)> {
    let git = |arguments: &[&str]| output(here, "git", arguments, env);
    let Some(top) = git(&["rev-parse", "--show-toplevel"]).map(PathBuf::from) else { return Vec::new() };
    let mut found = vec![("GITHUB_WORKSPACE", top.display().to_string())];
    if let Some(below) = here.strip_prefix(&top).ok().and_then(Path::to_str).filter(|below| !below.is_empty()) {
        found.push(("INPUT_WORKING-DIRECTORY", below.to_owned()));
    }
    if let Some(Remote { server, owner, name }) = git(&["remote", "get-url", "origin"]).and_then(|url| remote(&url)) {
        let api = if server == "github.com" {
            "https://api.github.com".to_owned()
        } else {
            format!("https://{server}/api/v3")
        };
        found.extend([
            ("GITHUB_SERVER_URL", format!("https://{server}")),
            ("GITHUB_API_URL", api),
            ("GITHUB_REPOSITORY", format!("{owner}/{name}")),
            ("GITHUB_REPOSITORY_OWNER", owner),
        ]);
    }
    found.extend(git(&["rev-parse", "--verify", "HEAD"]).map(|sha| ("GITHUB_SHA", sha)));
    found.extend(git(&["symbolic-ref", "--quiet", "HEAD"]).map(|reference| ("GITHUB_REF", reference)));
    found.extend(git(&["config", "user.name"]).map(|name| ("GITHUB_ACTOR", name)));
    let of_origin = git(&["symbolic-ref", "--quiet", "refs/remotes/origin/HEAD"]);
    let branch = of_origin.and_then(|name| name.strip_prefix("refs/remotes/origin/").map(str::to_owned));
    found.extend(branch.map(|branch| (DEFAULT_BRANCH, branch)));
    found
}

/// Runs a program and returns what it prints; `None` if it fails or prints nothing.
fn output<A: AsRef<OsStr>>(
    directory: &Path,
    program: &str,
    arguments: impl IntoIterator<Item = A>,
    env: &RunnerEnv,
) -> Option<String> {
    let done = Command::new(program)
        .args(arguments)
        .current_dir(directory)
        .env_clear()
        .envs(env.vars())
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(done.stdout).ok()?.trim().to_owned();
    (done.status.success() && !text.is_empty()).then_some(text)
}

#[derive(Debug, PartialEq, Eq)]
struct Remote {
    server: String,
    owner: String,
    name: String,
}

/// Parses the URL of a remote: `https://`, `ssh://`, or `git@host:owner/name`.
fn remote(url: &str) -> Option<Remote> {
    let rest = match url.split_once("://") {
        Some((_, rest)) => rest.to_owned(),
        None => url.replacen(':', "/", 1),
    };
    let (authority, path) = rest.split_once('/')?;
    let host = authority.rsplit('@').next()?;
    let server = host.split(':').next()?.to_ascii_lowercase();
    let (owner, name) = path.trim_matches('/').rsplit_once('/')?;
    let name = name.strip_suffix(".git").unwrap_or(name);
    let is_plain = |text: &str| !text.is_empty() && !text.contains('/');
    (is_plain(&server) && is_plain(owner) && is_plain(name)).then(|| Remote {
        server,
        owner: owner.to_owned(),
        name: name.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::{fs, process::Command};

    use super::{Remote, of_checkout, of_user, remote};
    use crate::inputs::runner::RunnerEnv;

    #[test]
    fn remotes() {
        let want = || Some(Remote { server: "github.com".into(), owner: "acme".into(), name: "shop".into() });
        for url in [
            "https://github.com/acme/shop",
            "https://user:token@github.com/acme/shop.git",
            "git@github.com:acme/shop.git",
            "ssh://git@github.com:22/acme/shop.git/",
        ] {
            assert_eq!(remote(url), want(), "{url}");
        }
        for bad in ["/srv/git/shop.git", "shop", "https://github.com/shop", ""] {
            assert_eq!(remote(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_checkout_describes_itself() {
        let base = tempfile::tempdir().unwrap();
        let top = base.path().canonicalize().unwrap();
        let env = RunnerEnv::new(std::env::vars_os().filter(|(name, _)| name == "PATH"));
        assert_eq!(of_checkout(&top, &env), []);
        for line in [
            "init -q -b main",
            "remote add origin git@github.com:acme/shop.git",
            "config user.name Ada",
            "-c user.email=a@b commit -q --allow-empty -m first",
            "update-ref refs/remotes/origin/main HEAD",
            "symbolic-ref refs/remotes/origin/HEAD refs/remotes/origin/main",
        ] {
            let done = Command::new("git").args(line.split(' ')).current_dir(&top).status().unwrap();
            assert!(done.success(), "git {line}");
        }
        fs::create_dir(top.join("site")).unwrap();
        let found = of_checkout(&top.join("site"), &env);
        let value = |name: &str| found.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str());
        assert_eq!(value("GITHUB_WORKSPACE"), top.to_str());
        assert_eq!(value("INPUT_WORKING-DIRECTORY"), Some("site"));
        assert_eq!(value("GITHUB_REPOSITORY"), Some("acme/shop"));
        assert_eq!(value("GITHUB_REF"), Some("refs/heads/main"));
        assert_eq!(value("GITHUB_SHA").map(str::len), Some(40));
        assert_eq!(value("GITHUB_ACTOR"), Some("Ada"));
        assert_eq!(value("GITHUB_DEFAULT_BRANCH"), Some("main"));
        assert_eq!(value("GITHUB_API_URL"), Some("https://api.github.com"));
    }

    #[test]
    fn the_users_keys_and_tokens_are_found() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir_all(home.path().join(".ssh")).unwrap();
        fs::write(home.path().join(".ssh/known_hosts"), "hosts").unwrap();
        fs::write(home.path().join(".ssh/id_rsa"), "rsa").unwrap();
        fs::write(home.path().join(".ssh/id_ed25519"), "ed25519").unwrap();
        let env = RunnerEnv::new([("GH_TOKEN", "t0ken")]);
        let found = of_user(home.path(), &env);
        let want =
            [("INPUT_SSH-KNOWN-HOSTS", "hosts"), ("INPUT_SSH-KEY", "ed25519\nrsa"), ("INPUT_GITHUB-TOKEN", "t0ken")];
        assert_eq!(found, want.map(|(name, value)| (name, value.to_owned())));
    }
}
