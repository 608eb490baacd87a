//! What runs on the server, and what is recorded there.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use serde_json::json;

use super::{
    ComposeTarget, Found,
    commands::{PROBE, RUN, STATE, compose, script},
    engine::{Engine, encoded},
    inspect::{Image, Inspected, Listed},
    kept_tag,
    probe::Probe,
    project::Project,
    records::{self, Record},
};
use crate::{
    deploy::{
        judge::Container,
        plan::Plan,
        release::Release,
        target::{Present, PresentService, Recorded, TargetError},
    },
    ssh::Command,
};

/// How long a project is taken as read if no deployment has ended meanwhile. Compose takes a moment to read it.
const KNOWN: Duration = Duration::from_secs(30);

/// What was read last. Later steps go by it.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) project: Project,
    is_outdated: bool,
    pub(super) records: Vec<Record>,
    unfinished: Option<Plan>,
    at: Instant,
    /// The services with a container that is up.
    pub(super) up: BTreeSet<String>,
    /// The services whose containers have done their work and exited.
    pub(super) completed: BTreeSet<String>,
    /// The services that were started since then for a migration. `rollout` has nothing older to
    /// replace there, so they are not in `up`.
    pub(super) started: BTreeSet<String>,
}

/// A container with its service and image.
struct Located {
    service: String,
    inspected: Inspected,
    image: Image,
}

impl ComposeTarget {
    /// Looks at the server, once.
    pub(super) async fn found(&self) -> Result<&Found, TargetError> {
        let probe = async {
            let directory = self.view().await?.directory;
            let path = directory.as_str();
            let arguments = std::iter::once(path).chain(self.settings.files.iter().map(String::as_str));
            let printed = self.remote.run("sh", &Command::new(script(PROBE, arguments))).await?;
            let Probe { engine, files } =
                Probe::parse(&printed, &self.settings.server.to_string(), &self.settings.path)?;
            let engine = Engine::new(self.remote.clone(), engine);
            Ok(Found { files, engine })
        };
        self.found.get_or_try_init(|| probe).await
    }

    /// The project with the files of the release, without any pins; and whether these files differ from those in place.
    pub(super) async fn project(&self) -> Result<(Project, bool), TargetError> {
        let files = &self.found().await?.files;
        let view = self.view().await?;
        let mut argv = script(RUN, [view.directory.as_str(), &view.remove]);
        argv.extend(compose(self.settings.project.as_deref(), files));
        argv.extend(["config", "--format", "json"].map(String::from));
        let command = Command { keep: 8 << 20, ..Command::new(argv) };
        // Contains the environment of services, secrets among it: never shown.
        let text = self.remote.run("docker compose config", &command).await?;
        // The user's shell may print a greeting first.
        let json = text.find("\n{").filter(|_| !text.starts_with('{')).map_or(text.as_str(), |at| &text[at..]);
        let parsed = serde_json::from_str(json);
        let project = parsed.map_err(|error| {
            let server = self.remote.server();
            TargetError::new(format!("{server}: unexpected output of `docker compose config`: {error}"))
        })?;
        Ok((project, view.differs))
    }

    /// What is recorded in the project's directory.
    pub(super) async fn state(&self) -> Result<(Option<Plan>, Vec<Record>), TargetError> {
        let command = Command { keep: 8 << 20, ..Command::new(script(STATE, [self.settings.path.as_str()])) };
        let text = self.remote.run("sh", &command).await?;
        let unfinished = text.lines().find_map(|line| line.strip_prefix("unfinished "));
        let plan = unfinished.and_then(|line| serde_json::from_str(line).ok());
        let records = records::parse(text.lines().filter_map(|line| line.strip_prefix("release ")));
        Ok((plan, records))
    }

    /// The releases that were deployed and are kept, the newest first, without those that put back an earlier one. Each can
    /// be deployed again, without a registry.
    ///
    /// # Errors
    /// The server cannot be reached.
    pub async fn releases(&self) -> Result<Vec<Release>, TargetError> {
        let (_, records) = self.state().await?;
        let kept = records::deployed(&records).into_iter().take(self.settings.keep.max(1));
        Ok(kept.filter(|record| !record.is_rollback).map(Record::release).collect())
    }

    pub(super) async fn present(&self) -> Result<Present, TargetError> {
        self.found().await?;
        let (unfinished, records) = self.state().await?;
        let known =
            self.seen.lock().await.clone().filter(|seen| {
                seen.at.elapsed() < KNOWN && (&seen.unfinished, &seen.records) == (&unfinished, &records)
            });
        let (project, is_outdated) = match known {
            Some(seen) => (seen.project, seen.is_outdated),
            None => self.project().await?,
        };
        let containers = self.containers(&project.name, |_| true).await?;

        let mut services: BTreeMap<String, PresentService> = BTreeMap::new();
        for (name, service) in project.services.iter().filter(|(_, service)| !service.is_disabled()) {
            services
                .insert(name.clone(), PresentService { defined: service.image.clone(), ..PresentService::default() });
        }
        for Located { service, inspected, image } in &containers {
            // A container of a service that the project does not have any more is none of the release's.
            let Some(now) = services.get_mut(service) else { continue };
            now.is_up |= inspected.is_up();
            now.has_failed |= inspected.has_failed();
            let pin = inspected.pin(image, |id| kept_tag(&project.name, id));
            now.runs.extend(pin.filter(|pin| !now.runs.contains(pin)));
        }
        let last = records::deployed(&records)
            .first()
            .map(|record| Recorded { id: record.id.clone(), commit: record.commit.clone() });
        let left = records::left_running(&records, |service, digest| {
            services.get(service).is_some_and(|now| now.runs.iter().any(|pin| pin.digest == *digest))
        });
        let up = services.iter().filter(|(_, now)| now.is_up).map(|(name, _)| name.clone()).collect();
        let completed = services.iter().filter(|(_, now)| !now.runs.is_empty() && !now.is_up && !now.has_failed);
        let completed = completed.map(|(name, _)| name.clone()).collect();
        let seen = Seen {
            project,
            is_outdated,
            records,
            unfinished: unfinished.clone(),
            at: Instant::now(),
            up,
            completed,
            started: BTreeSet::new(),
        };
        *self.seen.lock().await = Some(seen);
        Ok(Present { services, last, unfinished, left, is_outdated })
    }

    /// A sample of these services.
    pub(super) async fn sample(&self, services: &BTreeSet<&str>) -> Result<Vec<Container>, TargetError> {
        let project = self.seen().await?.project.name;
        let containers = self.containers(&project, |service| services.contains(service)).await?;
        Ok(containers.iter().map(|one| one.inspected.container(&one.service, &one.image)).collect())
    }

    /// The containers of a service with their images.
    pub(super) async fn of_service(&self, service: &str) -> Result<Vec<(Inspected, Image)>, TargetError> {
        let project = self.seen().await?.project.name;
        let containers = self.containers(&project, |name| name == service).await?;
        Ok(containers.into_iter().map(|one| (one.inspected, one.image)).collect())
    }

    async fn containers(&self, project: &str, wanted: impl Fn(&str) -> bool) -> Result<Vec<Located>, TargetError> {
        let engine = &self.found().await?.engine;
        let filter = json!({"label": [format!("com.docker.compose.project={project}")]}).to_string();
        let listed: Option<Vec<Listed>> =
            engine.get(&format!("/containers/json?all=true&filters={}", encoded(&filter))).await?;
        let listed = listed.unwrap_or_default();
        let wanted = listed.iter().filter(|one| one.service().is_some_and(&wanted));
        // Requests overlap, because a server may be far away.
        let concurrency = engine.concurrency();
        let inspected = stream::iter(wanted.map(async |one| {
            let inspected = engine.get::<Inspected>(&format!("/containers/{}/json", encoded(&one.id))).await?;
            Ok::<_, TargetError>(inspected.map(|inspected| (one, inspected)))
        }));
        let inspected: Vec<_> = inspected.buffered(concurrency).try_collect().await?;
        // What is missing was removed meanwhile.
        let inspected: Vec<_> = inspected.into_iter().flatten().collect();
        let ids: BTreeSet<String> = inspected.iter().map(|(_, inspected)| inspected.image.clone()).collect();
        let images = stream::iter(ids.into_iter().map(async |id| {
            let image = engine.get::<Image>(&format!("/images/{}/json", encoded(&id))).await?;
            let mut image = image.unwrap_or_default();
            image.id.clone_from(&id);
            Ok::<_, TargetError>((id, image))
        }));
        let images: BTreeMap<String, Image> = images.buffered(concurrency).try_collect().await?;
        let located = |(one, inspected): (&Listed, Inspected)| {
            let (service, image) = (one.service()?.to_owned(), images.get(&inspected.image)?.clone());
            Some(Located { service, inspected, image })
        };
        Ok(inspected.into_iter().filter_map(located).collect())
    }

    /// What was read last.
    pub(super) async fn seen(&self) -> Result<Seen, TargetError> {
        if let Some(seen) = self.seen.lock().await.clone() {
            return Ok(seen);
        }
        self.present().await?;
        let seen = self.seen.lock().await.clone();
        seen.ok_or_else(|| TargetError::new(format!("{}: the project was not read", self.remote.server())))
    }
}
