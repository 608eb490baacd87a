//! What becomes of a build's result.

use std::collections::{BTreeMap, HashMap};

use bollard_buildkit_proto::moby::buildkit::v1::SolveRequest;
use serde_json::{Value, json};
use tonic::Status;

use super::{
    Seen, Setup, Store,
    build::Made,
    job::{End, Job},
    push::{self, Identity},
    state::{Image, State},
};
use crate::registry::digest;

/// An exporter that a caller asks for.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) kind: String,
    pub(super) attributes: BTreeMap<String, String>,
}

impl Target {
    fn is(&self, name: &str) -> bool {
        self.attributes.get(name).is_some_and(|value| value == "true")
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.attributes.get("name").into_iter().flat_map(|names| names.split(',')).filter(|name| !name.is_empty())
    }
}

/// The exporters of a request; those that this engine does not have are refused.
pub(super) fn targets(setup: &Setup, request: &SolveRequest) -> Result<Vec<Target>, Status> {
    let of_old = (&request.exporter_deprecated, &request.exporter_attrs_deprecated);
    // BuildKit before 0.13 knows only the old members.
    let is_old = setup.buildkit.is_none();
    let new = request.exporters.iter().map(|one| (&one.r#type, &one.attrs)).filter(|_| !is_old);
    let mut all: Vec<_> = new.collect();
    if all.is_empty() && !of_old.0.is_empty() {
        all.push(of_old);
    }
    let target = |(kind, attributes): (&String, &HashMap<String, String>)| {
        let known: &[&str] = match setup.store {
            Store::Containerd => &["image", "moby", "oci", "docker", "local", "tar"],
            Store::Classic => &["moby", "local", "tar"],
        };
        if !known.contains(&kind.as_str()) {
            return Err(Status::unknown(format!("exporter {kind:?} could not be found")));
        }
        Ok(Target { kind: kind.clone(), attributes: attributes.clone().into_iter().collect() })
    };
    all.into_iter().map(target).collect()
}

/// Exports a result. Returns what callers are told of it.
pub(super) async fn export(
    state: &State,
    job: &Job,
    session: &str,
    made: &Made,
    targets: &[Target],
) -> Result<HashMap<String, String>, Status> {
    let mut told = HashMap::new();
    for target in targets {
        let image = store(state, made, &target.attributes);
        let name = "exporting to image";
        let vertex = digest(format!("{name} {session} {}", target.kind).as_bytes());
        let started = job.started(&vertex, name);
        let done = one(state, job, (session, &vertex), &image, target).await;
        let end = done.as_ref().map_or_else(|status| End::Failed(status.message()), |()| End::Done);
        job.completed(&vertex, name, started, end);
        done?;
        // The classic store knows images by their configuration.
        let digest = if state.setup.store == Store::Classic { &image.id } else { &image.manifest };
        told.insert("containerimage.digest".to_owned(), digest.clone());
        told.insert("containerimage.config.digest".to_owned(), image.id);
        if let Some(names) = target.attributes.get("name") {
            told.insert("image.name".to_owned(), names.clone());
        }
    }
    Ok(told)
}

async fn one(
    state: &State,
    job: &Job,
    (session, vertex): (&str, &str),
    image: &Image,
    target: &Target,
) -> Result<(), Status> {
    if target.kind == "moby" || (target.kind == "image" && !target.is("push") && target.names().next().is_some()) {
        for name in target.names() {
            state.name_image(name, image.clone());
        }
        return Ok(());
    }
    if target.kind != "image" || !target.is("push") {
        return Ok(());
    }
    let by_digest = target.is("push-by-digest");
    for name in target.names() {
        let (repository, tag) = split(name);
        if by_digest && tag.is_some() {
            return Err(Status::unknown(format!("can't push tagged ref {name} by digest")));
        }
        let fail = |reason: &str| Err(Status::unknown(format!("failed to push {name}: {reason}")));
        job.part(vertex, "pushing layers");
        job.part(vertex, &format!("pushing manifest for {name}@{}", image.manifest));
        if let Err(status) = state.meet(Seen::Push(repository.to_owned()), session).await {
            return fail(status.message());
        }
        let reference = if by_digest { image.manifest.as_str() } else { tag.unwrap_or("latest") };
        let Some(manifest) = state.content(&image.manifest) else { return fail("content not found") };
        let login = async || {
            let open = state.sessions.get(session).await?;
            let host = repository.split('/').next().unwrap_or_default();
            let login = open.credentials(host).await?;
            let identity =
                (!login.secret.is_empty()).then_some(Identity { user: login.username, secret: login.secret });
            Ok::<_, Status>(identity)
        };
        // BuildKit gets hold of the session before it pushes.
        let identity = login().await?;
        if let Err(reason) = push::put(repository, reference, manifest, identity.as_ref()).await {
            return fail(&reason);
        }
    }
    Ok(())
}

/// The repository and the tag of a name.
pub(super) fn split(name: &str) -> (&str, Option<&str>) {
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
        _ => (name, None),
    }
}

/// Makes an image of a result.
fn store(state: &State, made: &Made, attributes: &BTreeMap<String, String>) -> Image {
    let config = json!({"architecture": "amd64", "os": "linux", "config": {"Labels": made.labels},
        "rootfs": {"type": "layers", "diff_ids": [made.key]}});
    let config = config.to_string().into_bytes();
    let size = config.len();
    let id = state.store(config);
    let annotations: BTreeMap<&str, &String> =
        attributes.iter().filter_map(|(name, value)| Some((name.strip_prefix("annotation.")?, value))).collect();
    let manifest: Value = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": id, "size": size},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": made.key, "size": 1234}],
        "annotations": annotations,
    });
    let manifest = state.store(manifest.to_string().into_bytes());
    Image { id, manifest }
}
