//! Reads `builder` and the inputs of its container.

use super::Reader;
use crate::inputs::{
    builder::{self, BuilderInput, ContainerInput, EndpointInput},
    values::lines,
};

impl Reader<'_> {
    pub(super) fn builder(&mut self) -> BuilderInput {
        let Some(text) = self.raw.get("builder") else { return BuilderInput::Auto };
        match text {
            "auto" => return BuilderInput::Auto,
            "engine" => return BuilderInput::Engine,
            "container" => return BuilderInput::Container,
            _ => {}
        }
        let mut endpoints: Vec<EndpointInput> = Vec::new();
        for line in lines(text) {
            match builder::endpoint(line) {
                Ok(endpoint) if endpoints.iter().any(|known| known.address == endpoint.address) => {
                    self.wrong("builder", line, "names an endpoint twice", "give all its `platform=` on one line");
                }
                Ok(endpoint) => endpoints.push(endpoint),
                Err((problem, fix)) => self.wrong("builder", line, problem, fix),
            }
        }
        // Nothing but comments is as nothing at all.
        if endpoints.is_empty() { BuilderInput::Auto } else { BuilderInput::Endpoints(endpoints) }
    }

    pub(super) fn builder_container(&mut self) -> ContainerInput {
        let mut mirrors = Vec::new();
        for line in self.list("buildkit-mirror") {
            match builder::mirror(&line) {
                Ok(mirror) => mirrors.push(mirror),
                Err((problem, fix)) => self.wrong("buildkit-mirror", &line, problem, fix),
            }
        }
        ContainerInput {
            image: self.text("buildkit-image").unwrap_or_else(|| ContainerInput::IMAGE.to_owned()),
            mirrors,
            network: self.text("buildkit-network"),
        }
    }
}
