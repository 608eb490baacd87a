//! The images of a plan, on the server: fetched by digest before the switch, and protected from being removed.

use std::collections::{BTreeMap, BTreeSet};

use http::Method;

use super::{
    ComposeTarget,
    engine::{Engine, encoded},
    inspect::Image,
    kept_tag,
    project::pins,
    read::Seen,
    records::Rubbish,
};
use crate::{
    deploy::{
        plan::{Change, Plan},
        target::TargetError,
    },
    domain::{deploy::Pin, repository::host_of},
    retry::{Retry, RetryPolicy, Transient},
    ssh::{Command, ExitStatus},
};

/// The free space that a server must have before anything is pulled. The sizes of the images are not known before.
const FREE: u64 = 512 << 20;

impl ComposeTarget {
    /// Pulls what is missing and protects all images of the plan from `docker image prune`.
    pub(super) async fn fetch(&self, plan: &Plan, project: &str) -> Result<(), TargetError> {
        let engine = &self.found().await?.engine;
        let next: BTreeSet<&Pin> = plan.changes.values().map(|change| &change.next).collect();
        let mut missing = Vec::new();
        for pin in &next {
            if lookup(engine, &pin.reference).await?.is_none() {
                missing.push(*pin);
            }
        }
        if !missing.is_empty() {
            self.check_space(engine).await?;
        }
        for pin in missing {
            let login = self.settings.credentials.for_host(host_of(&pin.reference));
            // An engine retries a layer, but not the questions before it.
            let pull = async || engine.pull(&pin.reference, login).await.map_err(PullError);
            RetryPolicy::attempts(3).quietly(pull).await.map_err(|PullError(error)| error)?;
        }
        let previous = plan.changes.values().filter_map(|change| change.previous.as_ref());
        for pin in next.into_iter().chain(previous).collect::<BTreeSet<_>>() {
            protect(engine, project, pin).await?;
        }
        Ok(())
    }

    /// Which of these services run the same content already. Their new images are removed again, unless a release that is
    /// recorded has them.
    pub(super) async fn alike(
        &self,
        plan: &Plan,
        may_stay: &BTreeSet<String>,
        seen: &Seen,
    ) -> Result<BTreeSet<String>, TargetError> {
        let engine = &self.found().await?.engine;
        let (project, mut contents) = (&seen.project.name, BTreeMap::new());
        let candidates = plan.changes.iter().filter(|(service, _)| may_stay.contains(*service));
        for pin in candidates.clone().flat_map(|(_, change)| change.previous.iter().chain([&change.next])) {
            // Several services use one image.
            if !contents.contains_key(pin) {
                let image = lookup(engine, &kept_tag(project, pin.digest.as_str())).await?;
                contents.insert(pin, image.and_then(|image| image.content()));
            }
        }
        let content = |pin: &Pin| contents.get(pin).and_then(Option::as_ref);
        let is_alike = |change: &Change| {
            content(&change.next).is_some() && content(&change.next) == change.previous.as_ref().and_then(content)
        };
        let alike: BTreeSet<String> =
            candidates.filter(|(_, change)| is_alike(change)).map(|(service, _)| service.clone()).collect();
        let (stay, switch): (Vec<_>, Vec<_>) =
            plan.changes.iter().partition(|(service, _)| alike.contains(service.as_str()));
        let recorded = seen.records.iter().flat_map(|record| record.services.values()).map(|one| &one.pin);
        let needed = switch.into_iter().map(|(_, change)| &change.next).chain(recorded);
        let needed: BTreeSet<_> = needed.map(|pin| &pin.digest).collect();
        let left: BTreeSet<&Pin> = stay.into_iter().map(|(_, change)| &change.next).collect();
        for pin in left.into_iter().filter(|pin| !needed.contains(&pin.digest)) {
            for name in [kept_tag(project, pin.digest.as_str()), pin.reference.clone()] {
                engine.request(Method::DELETE, &format!("/images/{}", encoded(&name))).await?;
            }
        }
        Ok(alike)
    }

    async fn check_space(&self, engine: &Engine) -> Result<(), TargetError> {
        let info: Option<serde_json::Value> = engine.get("/info").await?;
        let root = info.and_then(|info| info.get("DockerRootDir")?.as_str().map(String::from)).unwrap_or_default();
        let output = self.remote.output(&Command::new(["df", "-Pk", &root])).await?;
        // The user may not be allowed to look there; the pull itself will say it.
        if root.is_empty() || output.status != ExitStatus::Exited(0) {
            return Ok(());
        }
        match free_space(&String::from_utf8_lossy(&output.stdout)) {
            Some(free) if free < FREE => {
                let server = self.remote.server();
                let problem = format!("{server}: only {} MiB are free in {root}; 512 MiB are required", free >> 20);
                Err(TargetError::new(problem).hint("free disk space, for example with `docker image prune`"))
            }
            _ => Ok(()),
        }
    }

    /// The compose file that pins the release. Services that the release has no image for keep what they were pinned to.
    pub(super) fn pins_of_release(plan: &Plan, seen: &Seen) -> String {
        let next = plan.changes.iter().chain(&plan.same).map(|(service, change)| (service.as_str(), &change.next));
        let mut images = pinned_before(seen);
        images.extend(next.map(|(service, pin)| (service, pin.reference.as_str())));
        pins(images)
    }

    /// The compose file that pins what ran before.
    pub(super) async fn pins_of_restore(&self, plan: &Plan, seen: &Seen) -> Result<String, TargetError> {
        let engine = &self.found().await?.engine;
        let mut references: BTreeMap<&str, String> = BTreeMap::new();
        for (service, change) in &plan.changes {
            let Some(pin) = &change.previous else { continue };
            // A name that leads elsewhere by now is replaced with the tag that protects the image.
            let is_there = lookup(engine, &pin.reference).await?.is_some();
            let kept = || kept_tag(&seen.project.name, pin.digest.as_str());
            references.insert(service, if is_there { pin.reference.clone() } else { kept() });
        }
        let mut images = pinned_before(seen);
        let same = plan.same.iter().map(|(service, Change { next, .. })| (service.as_str(), next.reference.as_str()));
        images.extend(same);
        images.extend(references.iter().map(|(service, reference)| (*service, reference.as_str())));
        Ok(pins(images))
    }

    /// Removes images that no kept release needs. Those in use stay, since the engine refuses to remove them.
    pub(super) async fn remove_images(&self, project: &str, rubbish: &Rubbish) -> Result<(), TargetError> {
        let engine = &self.found().await?.engine;
        let tags = rubbish.digests.iter().map(|digest| kept_tag(project, digest));
        for name in tags.chain(rubbish.images.iter().cloned()) {
            engine.request(Method::DELETE, &format!("/images/{}", encoded(&name))).await?;
        }
        Ok(())
    }
}

/// What the last release has pinned, of the services that still exist.
fn pinned_before(seen: &Seen) -> BTreeMap<&str, &str> {
    let last = super::records::deployed(&seen.records).into_iter().next();
    let services = last.into_iter().flat_map(|record| &record.services);
    services
        .filter(|(service, _)| seen.project.services.contains_key(*service))
        .map(|(service, image)| (service.as_str(), image.pin.reference.as_str()))
        .collect()
}

/// A pull that failed.
struct PullError(TargetError);

impl Transient for PullError {
    fn retry(&self) -> Retry {
        let text = self.0.chain().to_lowercase();
        let signs =
            ["timeout", "connection reset", "unexpected eof", "toomanyrequests", " 500 ", " 502 ", " 503 ", " 504 "];
        if self.0.is_outage || signs.iter().any(|sign| text.contains(sign)) { Retry::Later } else { Retry::Never }
    }
}

async fn lookup(engine: &Engine, reference: &str) -> Result<Option<Image>, TargetError> {
    engine.get(&format!("/images/{}/json", encoded(reference))).await
}

/// Gives an image a tag of ours. Without one, `docker image prune` would remove an image that was pulled by its digest.
async fn protect(engine: &Engine, project: &str, pin: &Pin) -> Result<(), TargetError> {
    let tag = kept_tag(project, pin.digest.as_str());
    let (name, tag) = tag.split_once(':').unwrap_or((&tag, "latest"));
    for reference in [&pin.reference, &pin.digest.to_string()] {
        let path = format!("/images/{}/tag?repo={}&tag={}", encoded(reference), encoded(name), encoded(tag));
        if engine.request(Method::POST, &path).await? {
            break;
        }
    }
    Ok(())
}

/// The bytes that are free, from the output of `df -Pk`.
fn free_space(printed: &str) -> Option<u64> {
    let kilobytes: u64 = printed.lines().last()?.split_whitespace().nth(3)?.parse().ok()?;
    Some(kilobytes << 10)
}

#[cfg(test)]
mod tests {
    use super::{PullError, TargetError, free_space};
    use crate::retry::{Retry, Transient as _};

    #[test]
    fn what_may_pass_is_tried_again() {
        let retry = |text: &str| PullError(TargetError::new(text)).retry();
        assert_eq!(retry("unexpected status from HEAD request to http://x: 503 Service Unavailable"), Retry::Later);
        assert_eq!(retry("net/http: TLS handshake timeout"), Retry::Later);
        assert_eq!(retry("unexpected status from HEAD request to http://x: 401 Unauthorized"), Retry::Never);
        assert_eq!(retry("no space left on device"), Retry::Never);
    }

    #[test]
    fn reads_df() {
        let printed = "Filesystem 1024-blocks  Used Available Capacity Mounted on\n/dev/vda1 1000 500 400 56% /\n";
        assert_eq!((free_space(printed), free_space("")), (Some(400 << 10), None));
    }
}
