//! Migrations, and what they need.

use std::time::Duration;

use http::Method;
use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::{
    ComposeTarget,
    commands::compose,
    engine::encoded,
    operate::{file_part, release_file},
};
use crate::{
    deploy::{
        judge::State,
        plan::Plan,
        target::{Migration, TargetError},
    },
    ssh::quote,
};

/// How often the removal of a container is tried.
const REMOVALS: usize = 20;
/// How long to wait before a container is looked at again. Compose waits as long for the containers of conditions.
const LOOK: Duration = Duration::from_millis(500);

impl ComposeTarget {
    /// Starts the services that a migration needs and that do not run, then runs it.
    pub(super) async fn run_migration(
        &self,
        plan: &Plan,
        migration: &Migration,
        limit: Duration,
    ) -> Result<(), TargetError> {
        let project = self.seen().await?.project;
        let Migration { service, command } = migration;
        if !project.services.contains_key(service) {
            let names: Vec<&str> = project.services.keys().map(String::as_str).collect();
            let problem =
                format!("`migrate`: the project has no service `{service}`; its services are: {}", names.join(", "));
            return Err(TargetError::new(problem));
        }
        self.start_needed(plan, service, limit).await?;
        let name = format!("{}-migrate-{}", project.name, file_part(&plan.release));
        let mut argv = self.compose_with(plan).await?;
        argv.extend(["run", "--rm", "-T", "--no-deps", "--name", &name, "--"].map(String::from));
        argv.push(service.clone());
        argv.extend(command.iter().cloned());
        // Left by a client that was killed: nobody else uses the name.
        self.remove_container(&name).await?;
        let what = format!("docker compose run {service} {}", quote(command));
        let done = self.operate(&what, &plan.release, limit, argv).await;
        if done.as_ref().is_err_and(|error| !error.is_outage) {
            // The end of the client, as after a timeout, is not the end of the container. The error of the migration
            // matters more than one of its removal.
            let _ = self.remove_container(&name).await;
        }
        done
    }

    /// Starts the services that a service needs, and waits for them under the conditions of Compose
    /// (<https://docs.docker.com/reference/compose-file/services/#long-syntax-1>); for those with a health check always until
    /// it succeeds. What is up is left alone, and so is what has completed, also if the release changes it: nothing is
    /// switched yet.
    async fn start_needed(&self, plan: &Plan, service: &str, limit: Duration) -> Result<(), TargetError> {
        let seen = self.seen().await?;
        let project = &seen.project;
        // Also those with an image of the release: at the first deployment, its database does not run.
        let needed = project.dependencies([service]);
        let (completing, lasting): (Vec<&str>, Vec<&str>) =
            needed.into_iter().partition(|name| project.has_to_complete(name));
        let is_open = |name: &&str| !seen.completed.contains(*name) && !seen.started.contains(*name);
        let completing: Vec<&str> = completing.into_iter().filter(is_open).collect();
        let is_down = |name: &&&str| !seen.up.contains(**name) && !seen.started.contains(**name);
        let lasting: Vec<&str> = lasting.iter().filter(is_down).copied().collect();
        let missing: Vec<&str> = completing.iter().filter(is_down).chain(&lasting).copied().collect();
        // Without `--wait`, which takes a container that has exited for one that failed; and not yet with `--no-deps`: older
        // versions of Compose then give a container another configuration.
        self.start(plan, &[], &missing, limit).await?;
        let checked: Vec<&str> = lasting.iter().copied().filter(|name| project.has_health_check(name)).collect();
        self.start(plan, &["--wait", "--no-deps"], &checked, limit).await?;
        for name in &completing {
            let done = self.wait_until_complete(name, limit).await;
            if project.is_required(name) {
                done?;
            }
        }
        // Another migration may need the same.
        if let Some(seen) = self.seen.lock().await.as_mut() {
            seen.started.extend(lasting.into_iter().chain(completing).map(String::from));
        }
        Ok(())
    }

    /// Starts these services with the images of the release, unless they run. Does nothing without any.
    async fn start(
        &self,
        plan: &Plan,
        options: &[&str],
        services: &[&str],
        limit: Duration,
    ) -> Result<(), TargetError> {
        if services.is_empty() {
            return Ok(());
        }
        let mut argv = self.compose_with(plan).await?;
        let words = ["up", "-d", "--no-build", "--no-recreate"].iter().chain(options).chain(&["--"]).chain(services);
        argv.extend(words.map(|word| (*word).to_owned()));
        self.operate("docker compose up", &plan.release, limit, argv).await
    }

    /// Waits until the containers of a service have exited. One that its engine starts again after a failure has not.
    async fn wait_until_complete(&self, service: &str, limit: Duration) -> Result<(), TargetError> {
        let exits = async {
            loop {
                let containers = self.of_service(service).await?;
                let states = containers.iter().map(|(container, image)| container.container(service, image).state);
                let exited = |state| if let State::Exited(code) = state { Some(code) } else { None };
                if let Some(codes) = states.map(exited).collect::<Option<Vec<i64>>>() {
                    return Ok::<_, TargetError>(codes);
                }
                sleep(LOOK).await;
            }
        };
        let problem = match timeout(limit, exits).await {
            Ok(codes) => match codes?.into_iter().find(|code| *code != 0) {
                Some(code) => format!("failed with exit code {code}"),
                None => return Ok(()),
            },
            Err(_) => "timed out".to_owned(),
        };
        let log = self.last_lines(service).await.unwrap_or_default();
        let problem = format!("{}: `{service}`, which has to complete first, {problem}", self.remote.server());
        Err(TargetError { log, ..TargetError::new(problem) })
    }

    /// The beginning of a call of Compose with the images of the release.
    async fn compose_with(&self, plan: &Plan) -> Result<Vec<String>, TargetError> {
        let files = self.files_with(&release_file(&plan.release)).await?;
        Ok(compose(self.settings.project.as_deref(), &files))
    }

    /// Makes sure that there is no container of this name.
    async fn remove_container(&self, name: &str) -> Result<(), TargetError> {
        let engine = &self.found().await?.engine;
        for _ in 0..REMOVALS {
            engine.request(Method::DELETE, &format!("/containers/{}?force=true&v=true", encoded(name))).await?;
            // Somebody else may be removing it, which takes a moment.
            if engine.get::<Value>(&format!("/containers/{}/json", encoded(name))).await?.is_none() {
                break;
            }
            sleep(Duration::from_millis(250)).await;
        }
        Ok(())
    }
}
