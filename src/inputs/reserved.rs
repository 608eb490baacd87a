//! Names that are reserved for inputs of later versions.

const RESERVED: [&str; 10] = [
    "cache-mounts",
    "from",
    "keep",
    "kubeconfig",
    "max-growth",
    "max-size",
    "portainer-token",
    "reuse",
    "reuse-max-age",
    "test",
];

/// Whether a name is reserved; no other input is suggested for a reserved name.
pub(super) fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::RESERVED;
    use crate::inputs::spec;

    #[test]
    fn no_input_has_a_reserved_name() {
        assert!(RESERVED.iter().all(|name| spec::find(name).is_none()));
    }
}
