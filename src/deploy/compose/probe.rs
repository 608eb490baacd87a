//! What the server has: tools, rights, the engine's address and the project's files. Pure.

use super::commands::{OLDEST_COMPOSE, listed_files, version};
use crate::deploy::target::TargetError;

/// The result of a probe.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Probe {
    /// The address of the engine.
    pub(super) engine: String,
    /// The project's files.
    pub(super) files: Vec<String>,
}

impl Probe {
    /// Reads what the probe printed.
    ///
    /// # Errors
    /// Something that a deployment needs is missing.
    pub(super) fn parse(printed: &str, server: &str, path: &str) -> Result<Self, TargetError> {
        let wrong = |problem: String| TargetError::new(format!("{server}: {problem}"));
        let mut probe = Self::default();
        for line in printed.lines() {
            let (fact, value) = line.split_once(' ').unwrap_or((line, ""));
            match fact {
                "no-directory" => {
                    return Err(wrong(format!("the directory {path} does not exist"))
                        .hint("create it and put the compose file there, or correct the path of the target"));
                }
                "no-tool" => {
                    let package = match value {
                        "docker" => "install Docker on the server",
                        "flock" => "install util-linux on the server",
                        _ => "install coreutils on the server",
                    };
                    return Err(wrong(format!("`{value}` was not found")).hint(package));
                }
                "not-writable" => {
                    return Err(wrong(format!("cannot write to {path}"))
                        .hint("make the directory writable for the user; releases are recorded in .build-deploy"));
                }
                "no-file" => return Err(wrong(format!("{path}/{value} does not exist")).hint("check `files`")),
                "compose" => match version(value) {
                    Some(found) if found >= OLDEST_COMPOSE => {}
                    Some(_) => {
                        return Err(
                            wrong(format!("Docker Compose {value} is too old")).hint("install version 2.24 or later")
                        );
                    }
                    None => {
                        return Err(wrong(format!("Docker Compose was not found: {value}"))
                            .hint("install the plugin docker-compose on the server"));
                    }
                },
                "engine" => value.clone_into(&mut probe.engine),
                "files" => probe.files = listed_files(value),
                "file" => probe.files.push(value.to_owned()),
                _ => {}
            }
        }
        if probe.files.is_empty() {
            return Err(wrong(format!("there is no compose file in {path}")).hint("name it in `files`"));
        }
        Ok(probe)
    }
}

#[cfg(test)]
mod tests {
    use super::Probe;

    #[test]
    fn facts() {
        let printed = "compose 2.40.3-3\nengine unix:///run/docker.sock\nfile compose.yml\nfile compose.override.yml\n";
        let probe = Probe::parse(printed, "vps", "/srv/app").unwrap();
        assert_eq!(probe.files, ["compose.yml", "compose.override.yml"]);
        assert_eq!(probe.engine, "unix:///run/docker.sock");
        let listed = Probe::parse("compose 5.5.0\nfiles a.yml:.build-deploy/current.yml\n", "vps", "/srv/app").unwrap();
        assert_eq!(listed.files, ["a.yml"]);
    }

    #[test]
    fn what_is_missing_is_named() {
        for (printed, want) in [
            ("no-directory\n", "vps: the directory /srv/app does not exist"),
            ("no-tool docker\ncompose sh: docker: not found\n", "vps: `docker` was not found"),
            ("not-writable\n", "vps: cannot write to /srv/app"),
            ("compose 2.17.2\n", "vps: Docker Compose 2.17.2 is too old"),
            (
                "compose docker: 'compose' is not a docker command.\n",
                "vps: Docker Compose was not found: docker: 'compose' is not a docker command.",
            ),
            ("compose 2.24.0\nno-file prod.yml\n", "vps: /srv/app/prod.yml does not exist"),
            ("compose 2.24.0\n", "vps: there is no compose file in /srv/app"),
        ] {
            let error = Probe::parse(printed, "vps", "/srv/app").unwrap_err();
            assert_eq!(error.headline, want);
            assert!(error.hint.is_some(), "{want}");
        }
    }
}
