//! What `command: deploy` and `command: rollback` deploy: images that exist already.

use futures_util::future::join_all;

use crate::{
    deploy::{
        compose::ComposeTarget,
        release::{Content, Image, Release},
        target::{Present, Target as _},
    },
    domain::{credentials::Credentials, digest::Digest, failure::Failure, stage::Stage, tag::Tag},
    inputs::typed::Inputs,
    plan::{ImagePlan, Plan, images::Purpose},
    registry::{registries::Registries, remote::Access},
};

/// Returns the images of the input `digests`, or else those that the first tag of each image points to.
///
/// # Errors
/// If an image is unknown or does not exist.
pub async fn images(plan: &Plan, inputs: &Inputs, credentials: &Credentials) -> Result<Vec<Image>, Failure> {
    if inputs.deploy.digests.is_empty() {
        return of_first_tag(plan, credentials).await;
    }
    inputs.deploy.digests.iter().map(|(name, value)| given(plan, name, value)).collect()
}

/// Returns an image of the input `digests`: a digest, or a reference with a digest.
fn given(plan: &Plan, name: &str, value: &str) -> Result<Image, Failure> {
    let invalid = |problem: &str, hint: &str| {
        Failure::invalid(Stage::Plan, format!("input `digests`: `{name}`: {problem}"), Some(hint.to_owned()))
    };
    let (repository, digest) = match value.rsplit_once('@') {
        Some((repository, digest)) => (Some(repository.to_owned()), digest),
        None => (None, value),
    };
    let Ok(digest) = digest.parse::<Digest>() else {
        return Err(invalid("is not a digest", "pass the output `digests` of the job that built the images"));
    };
    let planned = || plan.images.iter().find(|image| image.name == name);
    let Some(repository) = repository.or_else(|| Some(planned()?.destinations.repository.to_string())) else {
        let hint = "name an image of this project, or write `repository@digest`";
        return Err(invalid("is not an image of this project", hint));
    };
    let services = planned().map(|image| image.services.clone()).unwrap_or_default();
    Ok(Image { name: name.to_owned(), repository, digest, services })
}

async fn of_first_tag(plan: &Plan, credentials: &Credentials) -> Result<Vec<Image>, Failure> {
    let registries = Registries::new(credentials.clone());
    let wanted = plan.images.iter().filter(|image| image.purpose == Purpose::Wanted);
    let images = join_all(wanted.map(|image| published(image, &registries))).await;
    images.into_iter().collect()
}

/// Returns the image that the first tag points to in the registry.
async fn published(image: &ImagePlan, registries: &Registries) -> Result<Image, Failure> {
    let repository = image.destinations.repository.to_string();
    let failed = |problem: String| {
        let hint = "run the job that builds and pushes the images first, or pass its output `digests`";
        Failure::new(Stage::Preflight, problem, Some(hint.to_owned())).of_image(&image.name)
    };
    let Some(tag) = image.destinations.tags.first().map(Tag::as_str) else {
        return Err(failed(format!("{repository}: no rule of `tags` matches this event")));
    };
    let remote = registries.repository(&repository, Access::Pull);
    let remote = remote.ok_or_else(|| failed(format!("{repository}: not a repository in a registry")))?;
    match remote.digest(tag).await {
        Ok(Some(digest)) => {
            let (name, services) = (image.name.clone(), image.services.clone());
            Ok(Image { name, repository, digest, services })
        }
        Ok(None) => Err(failed(format!("{repository}:{tag} does not exist"))),
        Err(error) => Err(failed(format!("{repository}:{tag}: {error}"))),
    }
}

/// Returns the release that a target is to put back: the one with the id `to`, or else the one before the current release. The
/// target takes the files of that release.
///
/// # Errors
/// If the target cannot be reached or does not have the release.
pub async fn earlier(target: &ComposeTarget, to: Option<&str>) -> Result<Release, Failure> {
    let name = target.name().to_owned();
    let failed =
        |problem: String, hint: Option<String>| Failure::new(Stage::Preflight, format!("{name}: {problem}"), hint);
    let asked = async { tokio::try_join!(target.releases(), target.read()) };
    let (releases, present) = asked.await.map_err(|error| failed(error.chain(), error.hint))?;
    let found = match to {
        Some(id) => releases.iter().find(|one| one.id == id),
        None => before_current(&releases, &present),
    };
    let found = found.cloned().ok_or_else(|| {
        let known: Vec<&str> = releases.iter().map(|one| one.id.as_str()).collect();
        let hint = format!("set `to` to one of {}", known.join(", "));
        match (to, known.is_empty()) {
            (_, true) => failed("has no releases".to_owned(), Some("deploy a release first".to_owned())),
            (Some(id), false) => failed(format!("has no release {id}"), Some(hint)),
            (None, false) => failed("has no earlier release".to_owned(), Some(hint)),
        }
    })?;
    target.take_files_of(&found.id).await.map_err(|error| failed(error.chain(), error.hint))?;
    Ok(found)
}

/// Returns the release before the one that runs; the newest one if none of them runs, such as after a deployment that failed
/// and was not rolled back.
fn before_current<'a>(releases: &'a [Release], present: &Present) -> Option<&'a Release> {
    match releases.iter().position(|release| runs(release, present)) {
        Some(current) => releases.iter().skip(current + 1).find(|release| !runs(release, present)),
        None => releases.first(),
    }
}

/// Whether every service of a release runs its image.
fn runs(release: &Release, present: &Present) -> bool {
    let Content::Services(services) = &release.content else { return false };
    services.iter().all(|(name, image)| {
        let now = present.services.get(name);
        now.is_some_and(|now| !now.runs.is_empty() && now.runs.iter().all(|pin| pin.digest == image.pin.digest))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Content, Present, Release, before_current};
    use crate::{
        deploy::{release::ServiceImage, target::PresentService},
        domain::{deploy::Pin, digest::Digest},
    };

    fn pin(content: &str) -> Pin {
        let digest = Digest::of(content.as_bytes());
        Pin { reference: format!("x/y@{digest}"), digest }
    }

    #[test]
    fn a_rollback_leads_to_the_release_before_the_one_that_runs() {
        let release = |(id, content): (&str, &str)| {
            let services =
                BTreeMap::from([("web".to_owned(), ServiceImage { image: "web".into(), pin: pin(content) })]);
            let (commit, actor, run_url) = (String::new(), String::new(), String::new());
            Release { id: id.into(), commit, actor, run_url, content: Content::Services(services) }
        };
        for (releases, running, want) in [
            (vec![], "a", None),
            (vec![("1", "a")], "a", None),
            (vec![("2", "b"), ("1", "a")], "b", Some("1")),
            // After a rollback to 2, which is not a release of its own.
            (vec![("3", "c"), ("2", "b"), ("1", "a")], "b", Some("1")),
            // The same images were deployed again.
            (vec![("3", "b"), ("2", "a"), ("1", "b")], "b", Some("2")),
            (vec![("3", "b"), ("2", "b"), ("1", "a")], "b", Some("1")),
            // A failed release still runs.
            (vec![("2", "b"), ("1", "a")], "bad", Some("2")),
        ] {
            let all: Vec<Release> = releases.iter().copied().map(release).collect();
            let service = PresentService { runs: vec![pin(running)], is_up: true, ..PresentService::default() };
            let present = Present { services: [("web".to_owned(), service)].into(), ..Present::default() };
            assert_eq!(before_current(&all, &present).map(|one| one.id.as_str()), want, "{releases:?} {running}");
        }
    }
}
