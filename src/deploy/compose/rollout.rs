//! The strategy `rollout`: new containers are started beside the old ones, which are stopped once the new ones are up. For
//! services behind a proxy that finds containers by itself and tries another one if a connection is refused.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::{Instant, sleep};

use super::{
    ComposeTarget,
    commands::compose,
    inspect::{Image, Inspected},
    operate::release_file,
};
use crate::deploy::{
    judge::{Container, Expected, Health, Judge, Verdict},
    plan::{Change, Plan},
    target::TargetError,
};

/// How long a new container must stay up before the old ones are stopped.
const UP: Duration = Duration::from_secs(10);
/// The same for one whose health check has succeeded.
const HEALTHY: Duration = Duration::from_secs(2);
/// How long a proxy may take to notice that a container has stopped. Traefik waits this long before it changes its routes.
const NOTICE: Duration = Duration::from_secs(2);
/// How often the new containers are looked at.
const INTERVAL: Duration = Duration::from_millis(500);

impl ComposeTarget {
    /// Replaces the containers of the services that can have more than one at a time. If the new ones of a service fail, they
    /// are removed, and the old ones were never stopped.
    pub(super) async fn roll_out(&self, plan: &Plan, limit: Duration) -> Result<(), TargetError> {
        let seen = self.seen().await?;
        for (service, change) in &plan.changes {
            let can_scale = seen.project.services.get(service).is_some_and(super::project::Service::can_scale);
            if can_scale && seen.up.contains(service) {
                self.roll(plan, service, change, limit).await?;
            }
        }
        Ok(())
    }

    async fn roll(&self, plan: &Plan, service: &str, change: &Change, limit: Duration) -> Result<(), TargetError> {
        let runs_next = |(inspected, image): &(Inspected, Image)| {
            let container = inspected.container(service, image);
            container.image.iter().any(|digest| digest == change.next.digest.as_str())
        };
        let (mut new, mut old): (Vec<_>, Vec<_>) = self.of_service(service).await?.into_iter().partition(runs_next);
        if old.is_empty() {
            // Only the settings differ: the image does not tell old from new.
            old = std::mem::take(&mut new);
        }
        let old: Vec<String> = old.iter().map(|(inspected, _)| inspected.id().to_owned()).collect();
        let scale = format!("{service}={}", 2 * old.len().max(1));
        let mut files = self.found().await?.files.clone();
        files.push(format!("{}/{}", super::commands::DIRECTORY, release_file(&plan.release)));
        let mut argv = compose(self.settings.project.as_deref(), &files);
        let options =
            ["up", "-d", "--no-deps", "--no-build", "--pull", "never", "--no-recreate", "--scale", &scale, "--"];
        argv.extend(options.into_iter().chain([service]).map(String::from));
        self.operate("docker compose up", &plan.release, limit, argv).await?;
        if let Err(problem) = self.wait_for_new(service, change, &old, limit).await? {
            let log = self.last_lines_of(service, &old).await?;
            let new = self.of_service(service).await?;
            let new = new.iter().map(|(inspected, _)| inspected.id()).filter(|id| !old.iter().any(|one| one == id));
            let argv = ["docker", "rm", "--force", "--volumes"].into_iter().chain(new).map(String::from).collect();
            self.operate("docker rm", &plan.release, limit, argv).await?;
            return Err(TargetError { log, ..TargetError::new(format!("{service}: {problem}")) });
        }
        for (n, id) in old.iter().enumerate() {
            // A proxy that has not noticed yet tries one container in vain, and not all of them.
            if n > 0 {
                sleep(NOTICE).await;
            }
            for argv in [["docker", "stop", id], ["docker", "rm", id]] {
                let what = format!("{} {}", argv[0], argv[1]);
                self.operate(&what, &plan.release, limit, argv.map(String::from).to_vec()).await?;
            }
        }
        Ok(())
    }

    /// Waits until the new containers are up. The inner error is the problem of one that is not.
    async fn wait_for_new(
        &self,
        service: &str,
        change: &Change,
        old: &[String],
        limit: Duration,
    ) -> Result<Result<(), String>, TargetError> {
        // None of them was there before, so that one that exits has failed.
        let expected = Expected { digest: change.next.digest.clone(), before: None, was_up: true };
        let (began, mut judge) = (Instant::now(), None);
        loop {
            let containers = self.of_service(service).await?;
            let containers = containers.iter().map(|(inspected, image)| inspected.container(service, image));
            let new: Vec<Container> = containers.filter(|container| !old.contains(&container.id)).collect();
            let settle = if new.iter().all(|container| container.health != Health::None) { HEALTHY } else { UP };
            let judge = judge.get_or_insert_with(|| {
                let expected = BTreeMap::from([(service.to_owned(), expected.clone())]);
                Judge::new(expected, settle, limit)
            });
            match judge.see(began.elapsed(), &new) {
                Verdict::Good => return Ok(Ok(())),
                Verdict::Bad(fault) | Verdict::Foreign(fault) => return Ok(Err(fault.problem)),
                Verdict::Pending => sleep(INTERVAL).await,
            }
        }
    }
}
