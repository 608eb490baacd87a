//! What changes the server: the switch, the way back, and the records.

use std::time::Duration;

use chrono::Utc;

use super::{
    ComposeTarget,
    commands::{DIRECTORY, FINISH, LOGS, OPERATE, WRITE, compose, script},
    records::{self, Record},
    remote::with_queue,
    settings::{Strategy, login_by_hand},
};
use crate::{
    deploy::{
        plan::Plan,
        release::{Content, Release, ServiceImage},
        target::TargetError,
    },
    domain::{
        deploy::DeployResult::{self, FailedNotRolledBack},
        failure::Failure,
    },
    ssh::{Command, quote},
};

impl ComposeTarget {
    /// Writes files of ours on the server, in this order. They consist of whole lines.
    pub(super) async fn write(&self, files: &[(&str, String)]) -> Result<(), TargetError> {
        let input: String = files.iter().map(|(_, content)| content.as_str()).collect();
        let mut words = script(WRITE, [self.settings.path.as_str(), &input.len().to_string()]);
        for (name, content) in files {
            words.extend([(*name).to_owned(), content.matches('\n').count().to_string()]);
        }
        let names: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
        let what = format!("write {} in {DIRECTORY}", names.join(", "));
        self.remote.run(&what, &Command::new(words).input(input)).await.map(drop)
    }

    /// Starts the services of the plan with the images of the release.
    ///
    /// Not with `--wait`: without a health check it takes a container that keeps crashing for healthy, and it fails for a
    /// service that does its work and exits. The judge decides instead.
    pub(super) async fn up(&self, plan: &Plan, limit: Duration) -> Result<(), TargetError> {
        if self.settings.strategy == Strategy::Rollout {
            // What follows replaces the others, and finds nothing left to do for these.
            self.roll_out(plan, limit).await?;
        }
        let seen = self.seen().await?;
        let changed = plan.changes.keys().map(String::as_str);
        // Images that others have made are pulled at the first deployment only.
        let has_all = seen.project.dependencies(changed.clone()).into_iter().all(|name| seen.up.contains(name));
        let pull = if has_all { "never" } else { "missing" };
        let files = self.files_with(&release_file(&plan.release)).await?;
        self.operate("docker compose up", &plan.release, limit, self.up_command(&files, pull, changed)).await
    }

    /// Starts what the services of the plan ran before, and removes those that did not exist.
    pub(super) async fn back(&self, plan: &Plan, limit: Duration) -> Result<(), TargetError> {
        self.put_files_back().await?;
        let files = self.files_with(&restore_file(&plan.release)).await?;
        let existed =
            |(name, change): (&_, &crate::deploy::plan::Change)| change.previous.is_some().then(|| String::clone(name));
        let old: Vec<String> = plan.changes.iter().filter_map(existed).collect();
        let new: Vec<String> = plan.changes.keys().filter(|name| !old.contains(name)).cloned().collect();
        let argv = self.up_command(&files, "never", old.iter().map(String::as_str));
        self.operate("docker compose up", &plan.release, limit, argv).await?;
        if new.is_empty() {
            return Ok(());
        }
        let mut argv = compose(self.settings.project.as_deref(), &files);
        argv.extend(["rm", "--stop", "--force", "--"].map(String::from));
        argv.extend(new);
        self.operate("docker compose rm", &plan.release, limit, argv).await
    }

    fn up_command<'a>(&self, files: &[String], pull: &str, services: impl Iterator<Item = &'a str>) -> Vec<String> {
        let mut argv = compose(self.settings.project.as_deref(), files);
        argv.extend(["up", "-d", "--no-build", "--pull", pull, "--remove-orphans", "--"].map(String::from));
        argv.extend(services.map(String::from));
        argv
    }

    /// The commands that put back what ran before.
    pub(super) fn restore_commands(&self, plan: &Plan) -> Vec<String> {
        let ssh = login_by_hand(&self.settings.server);
        let cd = quote(["cd", &self.settings.path]);
        let mut files = self.found.get().map(|found| found.files.clone()).unwrap_or_default();
        let existed = plan.changes.iter().filter(|(_, change)| change.previous.is_some());
        let services: Vec<&str> = existed.map(|(name, _)| name.as_str()).collect();
        let command = if services.is_empty() {
            let mut argv = compose(self.settings.project.as_deref(), &files);
            argv.push("logs".to_owned());
            argv.extend(plan.changes.keys().cloned());
            argv
        } else {
            files.push(format!("{DIRECTORY}/{}", restore_file(&plan.release)));
            let mut argv = compose(self.settings.project.as_deref(), &files);
            argv.extend(["up", "-d", "--no-build", "--pull", "never"].map(String::from));
            argv.extend(services.into_iter().map(String::from));
            argv
        };
        let mut commands = vec![ssh, cd];
        if self.settings.has_files || !self.file_names().is_empty() {
            // They may have been put back already.
            let saved = format!("{DIRECTORY}/before/files");
            commands.push(format!("[ ! -d {saved} ] || cp -a {saved}/. ."));
        }
        commands.push(quote(command));
        commands
    }

    /// Runs a command that changes what runs.
    pub(super) async fn operate(
        &self,
        what: &str,
        release: &str,
        limit: Duration,
        argv: Vec<String>,
    ) -> Result<(), TargetError> {
        let (log, seconds) = (log_file(release), limit.as_secs().max(1).to_string());
        let mut words = script(OPERATE, [self.settings.path.as_str(), &log, &seconds]);
        words.extend(argv);
        self.remote.run_openly(what, &Command::new(words).limit(with_queue(limit))).await
    }

    pub(super) async fn files_with(&self, file: &str) -> Result<Vec<String>, TargetError> {
        let mut files = self.found().await?.files.clone();
        files.push(format!("{DIRECTORY}/{file}"));
        Ok(files)
    }

    /// The last lines of a service: what its health check said, and what it printed.
    pub(super) async fn last_lines(&self, service: &str) -> Result<Vec<String>, TargetError> {
        self.last_lines_of(service, &[]).await
    }

    /// The same without these containers.
    pub(super) async fn last_lines_of(&self, service: &str, without: &[String]) -> Result<Vec<String>, TargetError> {
        let mut lines = Vec::new();
        let mut containers: Vec<_> = self.of_service(service).await?.into_iter().map(|(one, _)| one).collect();
        containers.retain(|container| !without.iter().any(|id| id == container.id()));
        // Of several, each gets its share.
        let share = (Failure::LOG_LINES / containers.len().max(1)).max(5).to_string();
        for container in &containers {
            let command = Command::new(script(LOGS, [container.id(), &share]));
            let output = self.remote.output(&command).await?;
            lines.extend(String::from_utf8_lossy(&output.stdout).lines().map(|line| line.trim_end().to_owned()));
            lines.extend(container.health_output());
        }
        Ok(lines.split_off(lines.len().saturating_sub(Failure::LOG_LINES)))
    }

    /// Appends to the records, points `current.yml` to the release if it runs, and removes what is not needed any more.
    pub(super) async fn write_record(
        &self,
        plan: &Plan,
        release: &Release,
        result: DeployResult,
    ) -> Result<(), TargetError> {
        let seen = self.seen().await?;
        let (_, mut all) = self.state().await?;
        let mut services = records::deployed(&all).first().map(|last| last.services.clone()).unwrap_or_default();
        services.retain(|service, _| seen.project.services.contains_key(service));
        for (service, change) in plan.changes.iter().chain(&plan.same) {
            services.insert(service.clone(), ServiceImage { image: change.image.clone(), pin: change.next.clone() });
        }
        all.push(Record {
            id: file_part(&release.id),
            time: Utc::now().to_rfc3339(),
            commit: release.commit.clone(),
            actor: release.actor.clone(),
            run_url: release.run_url.clone(),
            result,
            is_rollback: matches!(release.content, Content::Services(_)),
            services,
            left: (result == FailedNotRolledBack).then(|| plan.clone()),
        });
        self.write(&[("releases.jsonl", records::render(&all))]).await?;

        let rubbish = records::rubbish(&all, self.settings.keep);
        let is_open = result == FailedNotRolledBack;
        let runs = records::runs(result);
        if !runs && !is_open {
            self.put_files_back().await?;
        }
        let current = if runs { release_file(&release.id) } else { String::new() };
        let closed = if is_open { "open" } else { "closed" };
        let mut files: Vec<String> = records::kept(&all, self.settings.keep)
            .into_iter()
            .flat_map(|record| [release_file, log_file, archive_file, list_file].map(|name| name(&record.id)))
            .collect();
        if is_open {
            files.extend([release_file, restore_file, log_file, archive_file, list_file].map(|name| name(&release.id)));
        }
        let arguments = [self.settings.path.as_str(), &current, closed];
        let arguments = arguments.into_iter().chain(files.iter().map(String::as_str));
        self.remote.run("finish", &Command::new(script(FINISH, arguments))).await?;
        if let Some(seen) = self.seen.lock().await.as_mut() {
            seen.records = all;
        }
        if runs { self.remove_images(&seen.project.name, &rubbish).await } else { Ok(()) }
    }
}

/// A release's id as a part of a file's name.
pub(super) fn file_part(id: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let text: String = id.chars().map(|c| if is_plain(c) { c } else { '-' }).collect();
    text.trim_start_matches('.').to_owned()
}

pub(super) fn release_file(id: &str) -> String {
    format!("release-{}.yml", file_part(id))
}

pub(super) fn restore_file(id: &str) -> String {
    format!("restore-{}.yml", file_part(id))
}

fn log_file(id: &str) -> String {
    format!("release-{}.log", file_part(id))
}

/// The archive with the files of a release.
pub(super) fn archive_file(id: &str) -> String {
    format!("release-{}.tar", file_part(id))
}

/// The names of these files.
pub(super) fn list_file(id: &str) -> String {
    format!("release-{}.list", file_part(id))
}
