//! Loads images into the engine that a builder outside the engine exports.

use super::engine::Engine;
use crate::buildkit::export::{Archive, ImageReceiver};

#[tonic::async_trait]
impl ImageReceiver for Engine {
    async fn receive(&self, image: Archive) -> Result<(), String> {
        self.load(image).await.map_err(|error| format!("cannot load the image into the Docker engine: {error}"))
    }
}
