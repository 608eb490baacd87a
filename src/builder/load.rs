//! Images in the engine's store: those that a builder outside the engine exports, and the names that Compose looks for.

use super::{engine::Engine, spec::BuildSpec};
use crate::{
    buildkit::export::{Archive, ImageReceiver},
    domain::{
        diagnostic::{Diagnostic, Severity},
        event::Event,
    },
    events::Events,
};

#[tonic::async_trait]
impl ImageReceiver for Engine {
    async fn receive(&self, image: Archive) -> Result<(), String> {
        self.load(image).await.map_err(|error| format!("cannot load the image into the Docker engine: {error}"))
    }
}

/// Gives a loaded image the names under which `docker compose` looks for it, and returns all of its names.
pub(super) async fn name(engine: &Engine, spec: &BuildSpec, events: &Events) -> Vec<String> {
    let mut names = spec.image_names().tagged;
    let Some(loaded) = names.first().cloned() else { return names };
    for name in &spec.local_names {
        if names.contains(name) {
            continue;
        }
        match engine.tag(&loaded, name).await {
            Ok(()) => names.push(name.clone()),
            Err(error) => {
                let message = format!("{}: cannot name the image `{name}` in the engine: {error}", spec.name);
                let (severity, title) = (Severity::Warning, "load".to_owned());
                events.emit(Event::Diagnostic(Diagnostic { severity, title, message, place: None })).await;
            }
        }
    }
    names
}
