//! A project as `docker compose config` shows it, and the files that pin its images. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

/// The parts of a project that matter here.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub(super) struct Project {
    /// The project's name.
    pub(super) name: String,
    /// Its services.
    #[serde(default)]
    pub(super) services: BTreeMap<String, Service>,
}

/// A service.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub(super) struct Service {
    /// The image; Compose names one after project and service if it is missing.
    pub(super) image: Option<String>,
    /// The services that it needs.
    #[serde(default)]
    depends_on: BTreeMap<String, Dependency>,
    #[serde(default)]
    ports: Vec<Value>,
    container_name: Option<String>,
    scale: Option<u64>,
    deploy: Option<Deploy>,
    healthcheck: Option<HealthCheck>,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
struct HealthCheck {
    #[serde(default)]
    disable: bool,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
struct Dependency {
    #[serde(default)]
    condition: String,
    required: Option<bool>,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
struct Deploy {
    replicas: Option<u64>,
}

impl Service {
    /// Whether it is to have no containers.
    pub(super) fn is_disabled(&self) -> bool {
        let replicas = self.deploy.as_ref().and_then(|deploy| deploy.replicas);
        self.scale.or(replicas) == Some(0)
    }

    /// Whether it can have more than one container at a time.
    pub(super) fn can_scale(&self) -> bool {
        self.ports.is_empty() && self.container_name.is_none()
    }
}

impl Project {
    /// The services that these need, directly or not, without themselves.
    pub(super) fn dependencies<'a>(&'a self, of: impl IntoIterator<Item = &'a str>) -> BTreeSet<&'a str> {
        let own: BTreeSet<&str> = of.into_iter().collect();
        let (mut open, mut found): (Vec<&str>, _) = (own.iter().copied().collect(), BTreeSet::new());
        while let Some(service) = open.pop() {
            let needed = self.services.get(service).into_iter().flat_map(|service| service.depends_on.keys());
            for name in needed.map(String::as_str) {
                if !own.contains(name) && self.services.contains_key(name) && found.insert(name) {
                    open.push(name);
                }
            }
        }
        found
    }

    /// Whether another service waits until this one has done its work and exited.
    pub(super) fn has_to_complete(&self, service: &str) -> bool {
        self.needs(service).any(|needed| needed.condition == "service_completed_successfully")
    }

    /// Whether it can be waited for until it is healthy. The image's own health check is only known if another service waits
    /// for it.
    pub(super) fn has_health_check(&self, service: &str) -> bool {
        let own = self.services.get(service).and_then(|service| service.healthcheck.as_ref());
        own.is_some_and(|check| !check.disable)
            || self.needs(service).any(|needed| needed.condition == "service_healthy")
    }

    /// Whether another service cannot start if this one fails.
    pub(super) fn is_required(&self, service: &str) -> bool {
        self.needs(service).any(|needed| needed.required != Some(false))
    }

    /// How other services depend on this one.
    fn needs<'a>(&'a self, service: &'a str) -> impl Iterator<Item = &'a Dependency> {
        self.services.values().filter_map(move |other| other.depends_on.get(service))
    }
}

/// A compose file that pins the image of each service. Compose merges it into the files of the project.
///
/// It holds nothing about the release besides the images: anything else would change the configuration of services whose
/// image is the same, and Compose would replace their containers.
pub(super) fn pins<'a>(images: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    // A string of JSON is one of YAML, whatever is in it.
    let text = |value: &str| Value::from(value).to_string();
    let mut file = "# Written by build-deploy, which replaces this file.\nservices:\n".to_owned();
    let mut is_empty = true;
    for (service, image) in images {
        is_empty = false;
        let (service, image) = (text(service), text(image));
        for line in [
            format!("  {service}:"),
            format!("    image: {image}"),
            "    build: !reset null".into(),
            "    pull_policy: never".into(),
        ] {
            file.push_str(&line);
            file.push('\n');
        }
    }
    if is_empty {
        file += "  {}\n";
    }
    file
}

#[cfg(test)]
mod tests {
    use super::{Project, pins};

    #[test]
    fn dependencies() {
        let text = r#"{"name": "site", "services": {
            "web": {"image": "x", "depends_on": {"worker": {}, "db": {"condition": "service_healthy"}}},
            "worker": {"depends_on": {"queue": {}, "web": {}}}, "db": {"healthcheck": {"disable": true}}, "queue": {"healthcheck": {"test": ["CMD", "x"]}, "depends_on": {"gone": {}}},
            "other": {"depends_on": {"init": {"condition": "service_completed_successfully", "required": false}}}, "init": {}}}"#;
        let project: Project = serde_json::from_str(text).unwrap();
        assert_eq!(project.dependencies(["web"]).into_iter().collect::<Vec<_>>(), ["db", "queue", "worker"]);
        assert_eq!(project.dependencies(["web", "worker"]).into_iter().collect::<Vec<_>>(), ["db", "queue"]);
        assert_eq!(project.dependencies(["other", "unknown"]).into_iter().collect::<Vec<_>>(), ["init"]);
        assert!(project.has_to_complete("init") && !project.has_to_complete("db") && !project.has_to_complete("web"));
        assert!(project.has_health_check("db") && project.has_health_check("queue"));
        assert!(!project.has_health_check("worker") && !project.has_health_check("other"));
        assert!(project.is_required("db") && !project.is_required("init") && !project.is_required("other"));
    }

    #[test]
    fn services_without_containers() {
        let service = |text: &str| serde_json::from_str::<super::Service>(text).unwrap().is_disabled();
        assert!(service(r#"{"scale": 0}"#) && service(r#"{"deploy": {"replicas": 0, "resources": {}}}"#));
        assert!(!service(r#"{"scale": 2, "deploy": {"replicas": 2}}"#) && !service("{}"));
    }

    #[test]
    fn pins_are_yaml_whatever_the_names_are() {
        let want = "# Written by build-deploy, which replaces this file.\nservices:\n  \"web: 1\":\n    \
                    image: \"x@sha256:00\"\n    build: !reset null\n    pull_policy: never\n";
        assert_eq!(pins([("web: 1", "x@sha256:00")]), want);
        assert!(pins([]).ends_with("services:\n  {}\n"));
    }
}
