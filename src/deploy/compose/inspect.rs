//! Containers and images as the engine's API shows them. Pure.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::{
    deploy::{
        judge::{Container, Health, State},
        plan::repository,
    },
    domain::{deploy::Pin, digest::Digest},
};

/// The label with the service's name.
const SERVICE: &str = "com.docker.compose.service";
/// The label of a container that `docker compose run` made.
const ONE_OFF: &str = "com.docker.compose.oneoff";

/// An element of `GET /containers/json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Listed {
    pub(super) id: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

impl Listed {
    /// The service that it belongs to; `None` for one that `docker compose run` made.
    pub(super) fn service(&self) -> Option<&str> {
        let is_one_off = self.labels.get(ONE_OFF).is_some_and(|value| value.eq_ignore_ascii_case("true"));
        self.labels.get(SERVICE).map(String::as_str).filter(|_| !is_one_off)
    }
}

/// `GET /containers/{id}/json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Inspected {
    id: String,
    /// The id of its image.
    pub(super) image: String,
    #[serde(default)]
    restart_count: u64,
    state: InspectedState,
    config: Config,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InspectedState {
    status: String,
    #[serde(default)]
    exit_code: i64,
    #[serde(default)]
    started_at: String,
    health: Option<InspectedHealth>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InspectedHealth {
    #[serde(default)]
    status: String,
    #[serde(default)]
    log: Option<Vec<HealthResult>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HealthResult {
    #[serde(default)]
    exit_code: i64,
    #[serde(default)]
    output: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    /// The image's name, as the container was made with it.
    #[serde(default)]
    image: String,
}

/// `GET /images/{name}/json`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Image {
    /// Its id.
    #[serde(default)]
    pub(super) id: String,
    /// `repository@digest`, for each registry that it came from or went to.
    #[serde(default)]
    pub(super) repo_digests: Option<Vec<String>>,
    #[serde(default, rename = "RootFS")]
    root_fs: RootFs,
    #[serde(default)]
    config: Value,
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
}

/// The file system of an image.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "PascalCase")]
struct RootFs {
    #[serde(default)]
    layers: Option<Vec<String>>,
}

/// The labels about where an image comes from: commit, version, time and so on
/// (<https://github.com/opencontainers/image-spec/blob/main/annotations.md>). Containers do not read them.
const ORIGIN: &str = "org.opencontainers.image.";

impl Image {
    /// Everything that a container is made of, without the labels about the image's origin; `None` if it is unknown.
    pub(super) fn content(&self) -> Option<(Vec<String>, Value, String, String)> {
        let layers = self.root_fs.layers.clone().filter(|layers| !layers.is_empty())?;
        let mut config = self.config.clone();
        if let Some(labels) = config.get_mut("Labels").and_then(Value::as_object_mut) {
            labels.retain(|name, _| !name.starts_with(ORIGIN));
            if labels.is_empty() {
                config["Labels"] = Value::Null;
            }
        }
        Some((layers, config, self.os.clone(), self.architecture.clone()))
    }

    /// The digests under which it is known, its id first.
    fn digests(&self) -> Vec<String> {
        let of_registries = self.repo_digests.iter().flatten().filter_map(|name| name.split_once('@'));
        let mut digests = vec![self.id.clone()];
        digests.extend(of_registries.map(|(_, digest)| digest.to_owned()));
        digests
    }
}

impl Inspected {
    /// The container, for the judge.
    pub(super) fn container(&self, service: &str, image: &Image) -> Container {
        let state = match self.state.status.as_str() {
            "running" => State::Running,
            "exited" => State::Exited(self.state.exit_code),
            "restarting" => State::Restarting,
            other => State::Other(other.to_owned()),
        };
        let health = match self.state.health.as_ref().map(|health| health.status.as_str()) {
            Some("starting") => Health::Starting,
            Some("healthy") => Health::Healthy,
            Some("unhealthy") => Health::Unhealthy,
            _ => Health::None,
        };
        Container {
            service: service.to_owned(),
            id: self.id.clone(),
            image: image.digests(),
            state,
            restarts: self.restart_count,
            started_at: self.state.started_at.clone(),
            health,
        }
    }

    /// Its id.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Whether it runs, or will again.
    pub(super) fn is_up(&self) -> bool {
        matches!(self.state.status.as_str(), "running" | "restarting" | "paused")
    }

    /// Whether it is neither up nor has done its work.
    pub(super) fn has_failed(&self) -> bool {
        let is_unhealthy = self.state.health.as_ref().is_some_and(|health| health.status == "unhealthy");
        match self.state.status.as_str() {
            "running" => is_unhealthy,
            "exited" => self.state.exit_code != 0,
            _ => true,
        }
    }

    /// The image that it runs. `kept` names an image that came from no registry.
    pub(super) fn pin(&self, image: &Image, kept: impl Fn(&str) -> String) -> Option<Pin> {
        let names = || image.repo_digests.iter().flatten();
        let wanted = repository(&self.config.image);
        let reference = names()
            .find(|name| **name == self.config.image)
            .or_else(|| names().find(|name| repository(name) == wanted))
            .or_else(|| names().next());
        let by_name = reference.and_then(|name| {
            let digest: Digest = name.split_once('@')?.1.parse().ok()?;
            Some(Pin { reference: name.clone(), digest })
        });
        by_name.or_else(|| Some(Pin { reference: kept(&self.image), digest: self.image.parse().ok()? }))
    }

    /// What its health check printed last, if that failed.
    pub(super) fn health_output(&self) -> Vec<String> {
        let last = self.state.health.as_ref().and_then(|health| health.log.as_ref()?.last());
        let failed = last.filter(|result| result.exit_code != 0 && !result.output.trim().is_empty());
        failed
            .into_iter()
            .flat_map(|result| result.output.trim().lines())
            .map(|line| format!("health check: {line}"))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Image, Inspected, Listed};
    use crate::deploy::judge::{Health, State};

    fn hex(digit: char) -> String {
        format!("sha256:{}", digit.to_string().repeat(64))
    }

    fn inspected(status: &str, name: &str) -> Inspected {
        let health = json!({"Status": "unhealthy", "Log": [{"ExitCode": 1, "Output": "no answer\n"}]});
        let state = json!({"Status": status, "ExitCode": 3, "StartedAt": "t", "Health": health});
        serde_json::from_value(json!({
            "Id": "c1", "Image": hex('a'), "RestartCount": 2, "State": state, "Config": {"Image": name}
        }))
        .unwrap()
    }

    #[test]
    fn containers() {
        let image =
            Image { id: hex('a'), repo_digests: Some(vec![format!("ghcr.io/x/y@{}", hex('b'))]), ..Image::default() };
        let container = inspected("running", "x").container("web", &image);
        assert_eq!(container.image, [hex('a'), hex('b')]);
        assert_eq!((container.state, container.health, container.restarts), (State::Running, Health::Unhealthy, 2));
        assert_eq!(inspected("exited", "x").container("web", &image).state, State::Exited(3));
        assert_eq!(inspected("x", "x").health_output(), ["health check: no answer"]);
        assert!(inspected("restarting", "x").is_up() && !inspected("exited", "x").is_up());
        assert!(inspected("exited", "x").has_failed() && inspected("running", "x").has_failed(), "unhealthy");
    }

    #[test]
    fn an_image_is_pinned_by_the_name_that_it_was_started_with() {
        let names =
            [("ghcr.io/x/one", 'b'), ("ghcr.io/x/two", 'c')].map(|(name, digit)| format!("{name}@{}", hex(digit)));
        let image = Image { id: hex('a'), repo_digests: Some(names.to_vec()), ..Image::default() };
        let pin = |name: &str| inspected("running", name).pin(&image, |_| "kept".into()).unwrap();
        assert_eq!(pin("ghcr.io/x/two:latest").reference, names[1]);
        assert_eq!(pin(&names[1]).digest.as_str(), hex('c'));
        assert_eq!(pin("something").reference, names[0]);
        let local =
            inspected("running", "built-here").pin(&Image::default(), |id| format!("kept-{}", id.len())).unwrap();
        assert_eq!((local.reference.as_str(), local.digest.as_str()), ("kept-71", hex('a').as_str()));
    }

    #[test]
    fn containers_of_run_are_not_those_of_the_service() {
        let listed = |one_off: &str| -> Listed {
            let labels = json!({"com.docker.compose.service": "web", "com.docker.compose.oneoff": one_off});
            serde_json::from_value(json!({"Id": "c", "Labels": labels})).unwrap()
        };
        assert_eq!((listed("False").service(), listed("True").service()), (Some("web"), None));
    }

    #[test]
    fn only_labels_about_the_origin_do_not_count() {
        let image = |revision: &str, own: &str, layer: &str, command: &str| -> Image {
            let labels = json!({"org.opencontainers.image.revision": revision, "own": own});
            let config = json!({"Labels": labels, "Cmd": [command]});
            serde_json::from_value(json!({"Id": revision, "RootFS": {"Type": "layers", "Layers": [layer]},
                "Config": config, "Os": "linux", "Architecture": "amd64"}))
            .unwrap()
        };
        let one = image("1", "a", "sha256:1", "run");
        assert_eq!(one.content(), image("2", "a", "sha256:1", "run").content());
        for other in
            [image("1", "b", "sha256:1", "run"), image("1", "a", "sha256:2", "run"), image("1", "a", "sha256:1", "x")]
        {
            assert_ne!(one.content(), other.content());
        }
        assert_eq!(Image::default().content(), None, "nothing is known of it");
    }
}
