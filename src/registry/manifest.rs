//! The parts of manifests and indexes that are needed for sizes and labels. Pure.
//!
//! Format: <https://github.com/opencontainers/image-spec/blob/main/manifest.md> and `image-index.md`.

use serde::Deserialize;

/// A manifest or an index.
#[derive(Debug, Default, Deserialize)]
pub struct Manifest {
    /// The configuration of a manifest.
    config: Option<Descriptor>,
    /// The layers of a manifest.
    #[serde(default)]
    layers: Vec<Descriptor>,
    /// The manifests of an index.
    #[serde(default)]
    manifests: Vec<Descriptor>,
}

#[derive(Debug, Deserialize)]
struct Descriptor {
    digest: String,
    size: u64,
}

impl Manifest {
    /// The compressed size of layers and configuration in bytes; 0 for an index.
    pub fn size(&self) -> u64 {
        self.layers.iter().chain(&self.config).fold(0, |total, part| total.saturating_add(part.size))
    }

    /// The digest of a manifest's configuration.
    pub fn config(&self) -> Option<&str> {
        self.config.as_ref().map(|config| config.digest.as_str())
    }

    /// The digests of an index's manifests; empty for a manifest.
    pub fn children(&self) -> impl Iterator<Item = &str> {
        self.manifests.iter().map(|child| child.digest.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::Manifest;

    #[test]
    fn a_size_beyond_all_bounds_is_the_largest() {
        let layer = format!(r#"{{"digest":"sha256:b","size":{}}}"#, u64::MAX);
        let manifest: Manifest = serde_json::from_str(&format!(r#"{{"layers":[{layer},{layer}]}}"#)).unwrap();
        assert_eq!(manifest.size(), u64::MAX);
    }

    #[test]
    fn counts_layers_and_configuration() {
        let manifest: Manifest = serde_json::from_str(
            r#"{"schemaVersion":2,"config":{"digest":"sha256:a","size":10,"mediaType":"x"},
                "layers":[{"digest":"sha256:b","size":100},{"digest":"sha256:c","size":1000}]}"#,
        )
        .unwrap();
        assert_eq!(manifest.size(), 1110);
        let index: Manifest = serde_json::from_str(r#"{"manifests":[{"digest":"sha256:d","size":946}]}"#).unwrap();
        assert_eq!((index.size(), index.children().collect::<Vec<_>>()), (0, vec!["sha256:d"]));
    }
}
