//! Migrations, and what they need.

use std::time::Duration;

use http::Method;
use serde_json::Value;
use tokio::time::sleep;

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
    /// (<https://docs.docker.com/reference/compose-file/services/#long-syntax-1>). What is up is left alone, and so is what
    /// has completed, also if the release changes it: nothing is switched yet.
    async fn start_needed(&self, plan: &Plan, service: &str, limit: Duration) -> Result<(), TargetError> {
        let seen = self.seen().await?;
        let project = &seen.project;
        let is_there =
            |name: &str| seen.up.contains(name) || (project.has_to_complete(name) && seen.completed.contains(name));
        // Also those with an image of the release: at the first deployment, its database does not run.
        let missing: Vec<&str> = project.dependencies([service]).into_iter().filter(|name| !is_there(name)).collect();
        let (completing, lasting): (Vec<&str>, Vec<&str>) =
            missing.iter().copied().partition(|name| project.has_to_complete(name));
        if !completing.is_empty() {
            // Without `--wait`, which takes a container that has exited for one that failed.
            self.start(plan, &[], &missing, limit).await?;
        }
        if !lasting.is_empty() {
            self.start(plan, &["--wait"], &lasting, limit).await?;
        }
        for name in completing {
            self.wait_until_complete(plan, name, limit).await?;
        }
        Ok(())
    }

    /// Starts these services and no others.
    async fn start(
        &self,
        plan: &Plan,
        options: &[&str],
        services: &[&str],
        limit: Duration,
    ) -> Result<(), TargetError> {
        let mut argv = self.compose_with(plan).await?;
        let words = ["up", "-d", "--no-build", "--no-deps"].iter().chain(options).chain(&["--"]).chain(services);
        argv.extend(words.map(|word| (*word).to_owned()));
        self.operate("docker compose up", &plan.release, limit, argv).await
    }

    /// Waits until the containers of a service have exited.
    async fn wait_until_complete(&self, plan: &Plan, service: &str, limit: Duration) -> Result<(), TargetError> {
        let mut argv = ["docker", "wait"].map(String::from).to_vec();
        argv.extend(self.of_service(service).await?.iter().map(|(container, _)| container.id().to_owned()));
        self.operate(&format!("docker wait {service}"), &plan.release, limit, argv).await?;
        for (container, image) in self.of_service(service).await? {
            if let State::Exited(code @ 1..) = container.container(service, &image).state {
                let server = self.remote.server();
                let problem =
                    format!("{server}: `{service}`, which has to complete first, failed with exit code {code}");
                let log = self.last_lines(service).await.unwrap_or_default();
                return Err(TargetError { log, ..TargetError::new(problem) });
            }
        }
        Ok(())
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
