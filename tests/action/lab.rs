//! Where the lab's engines, registries and tools are (`scripts/lab.sh env`), and what they say.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use serde_json::Value;

/// A kind of engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    /// The containerd image store.
    C8d,
    /// The classic store.
    Classic,
    /// Docker 20.10.
    Old,
    /// The containerd image store, and the lab under the names of the world.
    Named,
}

impl Engine {
    /// The kinds that differ.
    pub(crate) const ALL: [Self; 3] = [Self::C8d, Self::Classic, Self::Old];

    pub(crate) fn socket(self) -> PathBuf {
        let url = var(match self {
            Self::C8d => "LAB_C8D",
            Self::Classic => "LAB_CLASSIC",
            Self::Old => "LAB_OLD",
            Self::Named => "LAB_NAMED",
        });
        PathBuf::from(url.trim_start_matches("unix://"))
    }

    /// What a docker command prints on this engine.
    pub(crate) fn docker(self, args: &[&str]) -> String {
        stdout(&mut self.command(args))
    }

    /// A docker command on this engine.
    pub(crate) fn command(self, args: &[&str]) -> Command {
        let host = format!("unix://{}", self.socket().display());
        let mut command = Command::new(docker());
        command.args(args).env("DOCKER_HOST", host);
        command
    }
}

/// What an engine answers to a request of its API. A docker command costs ten times as much, and tests ask often.
pub(crate) fn get(socket: &Path, path: &str) -> Value {
    let mut stream = UnixStream::connect(socket).unwrap();
    // As an answer of HTTP/1.0, the body ends with the connection.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: engine\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.split(' ').nth(1) == Some("200"), "{path}: {answer}");
    serde_json::from_str(body).unwrap()
}

/// The containers of an engine that pass a filter, also those that do not run.
pub(crate) fn containers(socket: &Path, filter: &Value) -> Vec<Value> {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    let filter: String = filter.to_string().bytes().map(encode).collect();
    let listed = get(socket, &format!("/containers/json?all=true&filters={filter}"));
    listed.as_array().unwrap().clone()
}

/// One of `scripts/lab.sh env`'s variables.
pub(crate) fn var(name: &str) -> String {
    static VARS: OnceLock<BTreeMap<String, String>> = OnceLock::new();
    let vars = VARS.get_or_init(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/lab.sh");
        let text = stdout(Command::new(script).arg("env"));
        text.lines().filter_map(|line| line.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
    });
    std::env::var(name).ok().or_else(|| vars.get(name).cloned()).unwrap_or_else(|| panic!("the lab has no {name}"))
}

pub(crate) fn docker() -> PathBuf {
    PathBuf::from(var("LAB_DOCKER"))
}

/// The registry without logins.
pub(crate) fn plain() -> String {
    var("LAB_PLAIN")
}

/// What crane prints.
pub(crate) fn crane(args: &[&str]) -> String {
    stdout(Command::new(var("LAB_CRANE")).arg("--insecure").args(args))
}

/// The configuration of an image in a registry.
pub(crate) fn image_config(reference: &str) -> Value {
    serde_json::from_str(&crane(&["config", reference])).unwrap()
}

/// A manifest or an index in a registry.
pub(crate) fn manifest(reference: &str) -> Value {
    serde_json::from_str(&crane(&["manifest", reference])).unwrap()
}

/// The predicates of the attestations to an index, by type.
pub(crate) fn attestations(reference: &str) -> BTreeMap<String, Value> {
    let repository = reference.rsplit_once([':', '@']).unwrap().0;
    let mut predicates = BTreeMap::new();
    for child in manifest(reference)["manifests"].as_array().unwrap() {
        if child["annotations"]["vnd.docker.reference.type"] != "attestation-manifest" {
            continue;
        }
        let attestation = manifest(&format!("{repository}@{}", child["digest"].as_str().unwrap()));
        for layer in attestation["layers"].as_array().unwrap() {
            let blob = crane(&["blob", &format!("{repository}@{}", layer["digest"].as_str().unwrap())]);
            let statement: Value = serde_json::from_str(&blob).unwrap();
            predicates.insert(statement["predicateType"].as_str().unwrap().to_owned(), statement["predicate"].clone());
        }
    }
    predicates
}

/// Digests of an image's layers.
pub(crate) fn layers(reference: &str) -> Vec<String> {
    let manifest = manifest(reference);
    let layers = manifest["layers"].as_array().unwrap();
    layers.iter().map(|layer| layer["digest"].as_str().unwrap().to_owned()).collect()
}

/// The names of files in an image that the engines' base image does not have.
pub(crate) fn files_below(reference: &str, directory: &str) -> Vec<String> {
    let mut export = Command::new(var("LAB_CRANE"));
    export.args(["--insecure", "export", reference, "-"]);
    let tar = export.output().unwrap();
    assert!(tar.status.success(), "{}", String::from_utf8_lossy(&tar.stderr));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("image.tar");
    std::fs::write(&path, tar.stdout).unwrap();
    let list = stdout(Command::new("tar").arg("-tf").arg(&path));
    let prefix = format!("{directory}/");
    let names = list.lines().filter_map(|line| line.strip_prefix(&prefix));
    let mut names: Vec<String> = names.filter(|name| !name.is_empty()).map(str::to_owned).collect();
    names.sort();
    names
}

#[track_caller]
pub(crate) fn stdout(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    assert!(output.status.success(), "{command:?}: {}{}", text(&output.stderr), text(&output.stdout));
    text(&output.stdout)
}
