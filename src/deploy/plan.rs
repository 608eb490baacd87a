//! The difference between what a target runs and a release. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    judge::Expected,
    release::{Content, Image, Release, ServiceImage},
    target::{Migration, Present, PresentService},
};
use crate::domain::{
    deploy::{DeployedService, Pin},
    digest::Digest,
};

/// What a deployment changes, and the way back. It is saved before anything is changed, so that whoever finds a deployment
/// that was killed can finish or undo it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The release's id.
    pub release: String,
    /// The services that change.
    pub changes: BTreeMap<String, Change>,
    /// The services that run the release already.
    pub same: BTreeMap<String, Change>,
}

/// One service of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The image's name.
    pub image: String,
    /// What it is to run.
    pub next: Pin,
    /// What it ran before and was proved to run, as far as that is known; `None` if it did not exist.
    pub previous: Option<Pin>,
    /// Whether it was up.
    pub was_up: bool,
}

/// Which of the two states of a plan is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The release.
    Next,
    /// What ran before.
    Previous,
}

/// Why a release does not fit a target.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum PlanError {
    /// No service uses any of the images.
    #[error("no service of the target uses an image of this release; its services are: {0}")]
    NoService(String),
    /// The input `services` names an unknown service.
    #[error("`services`: the target has no service `{0}`; its services are: {1}")]
    UnknownService(String, String),
    /// The input `migrate` names an unknown service.
    #[error("`migrate`: the target has no service `{0}`; its services are: {1}")]
    UnknownMigration(String, String),
    /// The input `services` names an unknown image.
    #[error("`services`: this release has no image `{0}`; its images are: {1}")]
    UnknownImage(String, String),
}

/// Checks that a target has the services that the inputs `services` and `migrate` name.
///
/// # Errors
/// The first unknown service.
pub fn check_names(
    has: &BTreeSet<String>,
    mapping: &BTreeMap<String, String>,
    migrations: &[Migration],
) -> Result<(), PlanError> {
    let known = || has.iter().map(String::as_str);
    if let Some(service) = mapping.keys().find(|service| !has.contains(*service)) {
        return Err(PlanError::UnknownService(service.clone(), listed(known())));
    }
    let mut migrated = migrations.iter().map(|migration| &migration.service);
    match migrated.find(|service| !has.contains(*service)) {
        Some(service) => Err(PlanError::UnknownMigration(service.clone(), listed(known()))),
        None => Ok(()),
    }
}

impl Plan {
    /// The difference. `mapping` is the input `services`: the image of each service, by name; services are matched by
    /// repository, by service or by name if it is empty.
    ///
    /// # Errors
    /// The release does not fit the target.
    pub fn new(present: &Present, release: &Release, mapping: &BTreeMap<String, String>) -> Result<Self, PlanError> {
        let wanted = match &release.content {
            Content::Services(services) => services.clone(),
            Content::Images(images) => matched(present, images, mapping)?,
        };
        let (mut changes, mut same) = (BTreeMap::new(), BTreeMap::new());
        for (service, ServiceImage { image, pin }) in wanted {
            let now = present.services.get(&service).ok_or_else(|| unknown_service(&service, present))?;
            // What has failed is started again, and judged.
            let is_same =
                !now.runs.is_empty() && !now.has_failed && now.runs.iter().all(|one| one.digest == pin.digest);
            let mut open = [&present.unfinished, &present.left].into_iter().flatten();
            let unproven = open.find_map(|plan| plan.changes.get(&service));
            // What a deployment that was not finished has switched was never proved: the way back leads to what ran before.
            let was_switched = unproven.filter(|change| now.runs.iter().any(|one| one.digest == change.next.digest));
            let previous = match was_switched {
                Some(change) => change.previous.clone(),
                None => now.runs.first().cloned(),
            };
            let was_up = was_switched.map_or(now.is_up, |change| change.was_up);
            let change = Change { image, next: pin, previous, was_up };
            if is_same && was_switched.is_none() && !present.is_outdated {
                same.insert(service, change);
            } else {
                changes.insert(service, change);
            }
        }
        Ok(Self { release: release.id.clone(), changes, same })
    }

    /// Leaves services what they run.
    pub fn leave(&mut self, services: &BTreeSet<String>) {
        for service in services {
            let Some((service, change)) = self.changes.remove_entry(service) else { continue };
            match change.previous.clone() {
                Some(next) => self.same.insert(service, Change { next, ..change }),
                None => self.changes.insert(service, change),
            };
        }
    }

    /// Whether the release runs already.
    pub fn is_done(&self) -> bool {
        self.changes.is_empty()
    }

    /// Whether there is something to put back for every service that existed.
    pub fn has_way_back(&self) -> bool {
        self.changes.values().any(|change| change.previous.is_some())
    }

    /// What the services that change must run. Of those that did not exist before, nothing is expected on the way back.
    pub fn expected(&self, side: Side) -> BTreeMap<String, Expected> {
        let of = |(service, change): (&String, &Change)| {
            let (digest, before) = match side {
                Side::Next => (&change.next, change.previous.as_ref()),
                Side::Previous => (change.previous.as_ref()?, Some(&change.next)),
            };
            let before = before.map(|pin| pin.digest.clone());
            let expected = Expected { digest: digest.digest.clone(), before, was_up: change.was_up };
            Some((service.clone(), expected))
        };
        self.changes.iter().filter_map(of).collect()
    }

    /// The services that change, for people.
    pub fn difference(&self) -> BTreeMap<String, DeployedService> {
        self.changes.iter().map(|(service, change)| (service.clone(), change.summary())).collect()
    }

    /// All services of the release, for people.
    pub fn services(&self) -> BTreeMap<String, DeployedService> {
        self.changes.iter().chain(&self.same).map(|(service, change)| (service.clone(), change.summary())).collect()
    }
}

impl Change {
    fn summary(&self) -> DeployedService {
        let previous: Option<Digest> = self.previous.as_ref().map(|pin| pin.digest.clone());
        DeployedService { image: self.image.clone(), digest: self.next.digest.clone(), previous }
    }
}

/// The image of each service: as `mapping` says, or else the one with the repository that the service names, the one that the
/// service runs in the checkout, or the one with the service's name.
fn matched(
    present: &Present,
    images: &[Image],
    mapping: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, ServiceImage>, PlanError> {
    let with = |image: &Image| ServiceImage { image: image.name.clone(), pin: image.pin() };
    if !mapping.is_empty() {
        let pair = |(service, name): (&String, &String)| {
            if !present.services.contains_key(service) {
                return Err(unknown_service(service, present));
            }
            let image = images.iter().find(|image| image.name == *name || image.repository == *name);
            let names = || images.iter().map(|image| image.name.as_str()).collect::<Vec<_>>().join(", ");
            let image = image.ok_or_else(|| PlanError::UnknownImage(name.clone(), names()))?;
            Ok((service.clone(), with(image)))
        };
        return mapping.iter().map(pair).collect();
    }
    let find = |service: &str, now: &PresentService| {
        let defined = now.defined.as_deref().map(repository);
        let by_repository = images.iter().find(|image| defined.as_deref() == Some(image.repository.as_str()));
        let by_service = || images.iter().find(|image| image.services.iter().any(|one| one == service));
        by_repository.or_else(by_service).or_else(|| images.iter().find(|image| image.name == service))
    };
    let found: BTreeMap<String, ServiceImage> = present
        .services
        .iter()
        .filter_map(|(service, now)| Some((service.clone(), with(find(service, now)?))))
        .collect();
    if found.is_empty() { Err(PlanError::NoService(names(present))) } else { Ok(found) }
}

fn unknown_service(service: &str, present: &Present) -> PlanError {
    PlanError::UnknownService(service.to_owned(), names(present))
}

fn names(present: &Present) -> String {
    listed(present.services.keys().map(String::as_str))
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    if names.is_empty() { "(none)".to_owned() } else { names.join(", ") }
}

/// `registry/path` of an image reference, without tag and digest, and in full for Docker Hub
/// (<https://github.com/distribution/reference/blob/main/normalize.go>).
pub fn repository(reference: &str) -> String {
    let name = reference.split('@').next().unwrap_or_default();
    let name = match name.rsplit_once(':') {
        Some((before, tag)) if !tag.contains('/') => before,
        _ => name,
    };
    match name.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => name.to_owned(),
        Some(_) => format!("docker.io/{name}"),
        None => format!("docker.io/library/{name}"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Change, Plan, PlanError, Side, repository};
    use crate::{
        deploy::{
            release::{Content, Image, Release},
            target::{Present, PresentService},
        },
        domain::{deploy::Pin, digest::Digest},
    };

    fn image(name: &str, content: &str) -> Image {
        Image {
            name: name.into(),
            repository: format!("ghcr.io/octo/{name}"),
            digest: Digest::of(content.as_bytes()),
            services: Vec::new(),
        }
    }

    fn release(images: &[Image]) -> Release {
        let content = Content::Images(images.to_vec());
        Release { id: "2".into(), commit: "c2".into(), actor: "octocat".into(), run_url: String::new(), content }
    }

    fn service(defined: &str, runs: &[Pin]) -> PresentService {
        PresentService {
            defined: Some(defined.into()),
            runs: runs.to_vec(),
            is_up: !runs.is_empty(),
            has_failed: false,
        }
    }

    fn plan(present: &Present, images: &[Image], mapping: &[(&str, &str)]) -> Result<Plan, PlanError> {
        let mapping = mapping.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        Plan::new(present, &release(images), &mapping)
    }

    fn changed(plan: &Plan) -> Vec<&str> {
        plan.changes.keys().map(String::as_str).collect()
    }

    #[test]
    fn services_are_matched_by_repository_then_by_service_then_by_name() {
        let services = BTreeMap::from([
            ("web".to_owned(), service("ghcr.io/octo/django:latest", &[])),
            ("worker".to_owned(), service("ghcr.io/octo/django", &[])),
            ("docs".to_owned(), service("local-docs", &[])),
            ("db".to_owned(), service("postgres:17", &[])),
        ]);
        let present = Present { services, ..Present::default() };
        let images = [image("django", "d"), image("docs", "o")];
        let made = plan(&present, &images, &[]).unwrap();
        assert_eq!(changed(&made), ["docs", "web", "worker"]);
        assert_eq!(made.changes["worker"].next, images[0].pin());
        let mut shared = images.clone();
        shared[0].services = ["django", "db", "docs", "worker"].map(String::from).to_vec();
        let made = plan(&present, &shared, &[]).unwrap();
        let names: Vec<_> = made.changes.iter().map(|(name, change)| (name.as_str(), change.image.as_str())).collect();
        assert_eq!(names, [("db", "django"), ("docs", "django"), ("web", "django"), ("worker", "django")]);
        let only = plan(&present, &images, &[("db", "ghcr.io/octo/docs")]).unwrap();
        assert_eq!((changed(&only), only.changes["db"].image.as_str()), (vec!["db"], "docs"));
        let unknown = PlanError::UnknownImage("x".into(), "django, docs".into());
        assert_eq!(plan(&present, &images, &[("db", "x")]), Err(unknown));
        let unknown = PlanError::UnknownService("cache".into(), "db, docs, web, worker".into());
        assert_eq!(plan(&present, &images, &[("cache", "docs")]), Err(unknown));
        let none = PlanError::NoService("db, docs, web, worker".into());
        assert_eq!(plan(&present, &[image("other", "x")], &[]), Err(none));
    }

    #[test]
    fn only_what_differs_changes() {
        let (old, new) = (image("django", "old").pin(), image("django", "new").pin());
        let with = |runs: &[Pin]| Present {
            services: BTreeMap::from([("django".to_owned(), service("x", runs))]),
            ..Present::default()
        };
        let images = [image("django", "new")];
        let same = plan(&with(std::slice::from_ref(&new)), &images, &[]).unwrap();
        assert!(same.is_done() && same.services().contains_key("django"));
        let outdated = Present { is_outdated: true, ..with(std::slice::from_ref(&new)) };
        let files = plan(&outdated, &images, &[]).unwrap();
        assert_eq!((changed(&files), &files.changes["django"].previous), (vec!["django"], &Some(new.clone())));
        let mut failed = with(std::slice::from_ref(&new));
        failed.services.values_mut().for_each(|service| service.has_failed = true);
        assert_eq!(changed(&plan(&failed, &images, &[]).unwrap()), ["django"]);
        let half = plan(&with(&[new.clone(), old.clone()]), &images, &[]).unwrap();
        assert_eq!(changed(&half), ["django"]);
        let first = plan(&with(&[]), &images, &[]).unwrap();
        assert!(!first.is_done() && !first.has_way_back() && first.expected(Side::Previous).is_empty());
        let usual = plan(&with(std::slice::from_ref(&old)), &images, &[]).unwrap();
        assert_eq!(usual.expected(Side::Next)["django"].digest, new.digest);
        assert_eq!(usual.expected(Side::Previous)["django"].digest, old.digest);
        assert_eq!(usual.difference()["django"].previous, Some(old.digest));
    }

    #[test]
    fn the_way_back_skips_what_was_never_proved() {
        let [old, bad, new] = ["old", "bad", "new"].map(|text| image("django", text).pin());
        let change = Change { image: "django".into(), next: bad.clone(), previous: Some(old.clone()), was_up: true };
        let unfinished = Plan {
            release: "1".into(),
            changes: BTreeMap::from([("django".to_owned(), change)]),
            same: BTreeMap::new(),
        };
        let now = |runs: &Pin| Present {
            services: BTreeMap::from([("django".to_owned(), service("x", std::slice::from_ref(runs)))]),
            unfinished: Some(unfinished.clone()),
            ..Present::default()
        };
        let next = plan(&now(&bad), &[image("django", "new")], &[]).unwrap();
        assert_eq!((&next.changes["django"].next, &next.changes["django"].previous), (&new, &Some(old.clone())));
        let again = plan(&now(&bad), &[image("django", "bad")], &[]).unwrap();
        assert_eq!(again.changes["django"].previous, Some(old.clone()), "it still has to be proved");
        let undone = plan(&now(&old), &[image("django", "old")], &[]).unwrap();
        assert!(undone.is_done(), "it was never switched");
    }

    #[test]
    fn repositories() {
        for (reference, want) in [
            ("nginx", "docker.io/library/nginx"),
            ("octo/site:1", "docker.io/octo/site"),
            ("ghcr.io/octo/site", "ghcr.io/octo/site"),
            ("localhost:5000/site:1", "localhost:5000/site"),
            ("10.0.0.1:5000/a/b@sha256:00", "10.0.0.1:5000/a/b"),
            ("ghcr.io/octo/site:1@sha256:00", "ghcr.io/octo/site"),
        ] {
            assert_eq!(repository(reference), want);
        }
    }
}
