//! The transfers of a step, and the registry that it waits for, as reported by BuildKit. Pure.

use std::collections::HashMap;

use bollard_buildkit_proto::moby::buildkit::v1::VertexStatus;

/// The event that a step waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    /// An answer, or more of a download, from this registry.
    Registry(String),
    /// The end of the image's upload, whose progress BuildKit does not report.
    Upload,
}

/// The bytes of an image that have been downloaded, of those whose download has begun.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// The bytes that have arrived.
    pub bytes: u64,
    /// The bytes of all layers so far.
    pub total: u64,
}

/// The transfers of a step.
#[derive(Debug, Default)]
pub(super) struct Transfers {
    /// Bytes transferred so far, by BuildKit's id of the transfer.
    open: HashMap<String, i64>,
    /// The latest report about each layer.
    layers: HashMap<String, Received>,
    changes: u64,
}

impl Transfers {
    /// Records a status of the step.
    pub(super) fn take(&mut self, status: &VertexStatus) {
        if !status.id.starts_with(LAYER) && !status.id.starts_with(UPLOAD) {
            return;
        }
        let change = if status.completed.is_some() {
            self.open.remove(&status.id).is_some()
        } else {
            self.open.insert(status.id.clone(), status.current) != Some(status.current)
        };
        self.changes += u64::from(change);
        if status.id.starts_with(LAYER) {
            let bytes = |number: i64| u64::try_from(number).unwrap_or(0);
            let received = Received { bytes: bytes(status.current), total: bytes(status.total) };
            self.layers.insert(status.id.clone(), received);
        }
    }

    /// Whether the download of a layer has not ended.
    pub(super) fn is_downloading(&self) -> bool {
        self.has(LAYER)
    }

    /// Returns how much of the layers has arrived; `None` if BuildKit does not report their size.
    pub(super) fn received(&self) -> Option<Received> {
        let sum = |of: fn(&Received) -> u64| self.layers.values().map(of).fold(0, u64::saturating_add);
        let all = Received { bytes: sum(|one| one.bytes), total: sum(|one| one.total) };
        (all.total > 0).then_some(all)
    }

    /// Returns the number of changes, which stays the same while nothing is transferred.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    fn has(&self, prefix: &str) -> bool {
        self.open.keys().any(|id| id.starts_with(prefix))
    }
}

const LAYER: &str = "sha256:";
const UPLOAD: &str = "pushing ";

/// Returns the event that the step `name` waits for, if it involves a registry.
pub(super) fn wait(name: &str, transfers: &Transfers) -> Option<Wait> {
    if transfers.has(UPLOAD) {
        return Some(Wait::Upload);
    }
    let image = name.split_once("] load metadata for ").or_else(|| name.split_once("] FROM "));
    match image {
        Some((_, image)) => Some(Wait::Registry(registry_of(image).to_owned())),
        None => transfers.has(LAYER).then(|| Wait::Registry("the registry of the base image".to_owned())),
    }
}

/// Returns the registry in an image's name as BuildKit writes it.
fn registry_of(image: &str) -> &str {
    let first = image.split('/').next().unwrap_or_default();
    if image.contains('/') && (first.contains(['.', ':']) || first == "localhost") { first } else { "docker.io" }
}

#[cfg(test)]
mod tests {
    use bollard_buildkit_proto::{google::protobuf::Timestamp, moby::buildkit::v1::VertexStatus};

    use super::{Received, Transfers, Wait, wait};

    fn status(id: &str, current: i64, ended: bool) -> VertexStatus {
        let completed = ended.then(Timestamp::default);
        VertexStatus { id: id.into(), current, completed, ..VertexStatus::default() }
    }

    #[test]
    fn only_registries_are_waited_for() {
        let none = Transfers::default();
        let registry = |host: &str| Some(Wait::Registry(host.to_owned()));
        for (name, host) in [
            ("[internal] load metadata for ghcr.io/o/base:1", "ghcr.io"),
            ("[linux/arm64 internal] load metadata for docker.io/library/python:3", "docker.io"),
            ("[build 1/2] FROM localhost:5000/base@sha256:ab", "localhost:5000"),
            ("[1/2] FROM library/python", "docker.io"),
        ] {
            assert_eq!(wait(name, &none), registry(host), "{name}");
        }
        for name in ["[2/3] RUN sleep 1000", "[internal] load build context", "exporting to image"] {
            assert_eq!(wait(name, &none), None, "{name}");
        }
        let mut transfers = Transfers::default();
        transfers.take(&status("exporting layers", 0, false));
        assert_eq!(wait("exporting to image", &transfers), None);
        transfers.take(&status("pushing layers", 0, false));
        assert_eq!(wait("exporting to image", &transfers), Some(Wait::Upload));
        transfers.take(&status("pushing layers", 0, true));
        assert_eq!(wait("exporting to image", &transfers), None);
        transfers.take(&status("sha256:ab", 5, false));
        assert!(wait("[2/2] COPY x /", &transfers).is_some());
    }

    #[test]
    fn a_transfer_that_goes_on_is_no_stall() {
        let mut transfers = Transfers::default();
        for (current, changes) in [(5, 1), (5, 1), (6, 2)] {
            transfers.take(&status("sha256:ab", current, false));
            assert_eq!(transfers.changes(), changes, "{current}");
        }
    }

    #[test]
    fn all_layers_of_a_step_count() {
        let mut transfers = Transfers::default();
        assert_eq!(transfers.received(), None);
        transfers.take(&status("sha256:ab", 5, false));
        assert_eq!(transfers.received(), None, "without a size");
        for (id, current, total) in [("sha256:ab", 7, 7), ("sha256:cd", 1, 9), ("sha256:cd", 3, 9), ("pushing x", 1, 2)]
        {
            transfers.take(&VertexStatus { total, ..status(id, current, false) });
        }
        assert_eq!(transfers.received(), Some(Received { bytes: 10, total: 16 }));
    }
}
