//! Parses `builder` and the inputs for the BuildKit container.

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
                    self.reject("builder", line, "is a duplicate endpoint", "list all its platforms in one line");
                }
                Ok(endpoint) => endpoints.push(endpoint),
                Err(reason) => self.reject("builder", line, reason.problem, reason.hint),
            }
        }
        // An input that contains only comments counts as empty.
        if endpoints.is_empty() { BuilderInput::Auto } else { BuilderInput::Endpoints(endpoints) }
    }

    pub(super) fn builder_container(&mut self) -> ContainerInput {
        let mut mirrors = Vec::new();
        for line in self.list("buildkit-mirror") {
            match builder::mirror(&line) {
                Ok(mirror) => mirrors.push(mirror),
                Err(reason) => self.reject("buildkit-mirror", &line, reason.problem, reason.hint),
            }
        }
        ContainerInput {
            image: self.text("buildkit-image").unwrap_or_else(|| ContainerInput::IMAGE.to_owned()),
            mirrors,
            network: self.text("buildkit-network"),
        }
    }
}
