//! Manifests and indexes of a registry.

#![no_main]

use build_deploy_fuzz::{
    bounded,
    domain::digest::Digest,
    parts,
    registry::{
        index::{Part, index},
        manifest::Manifest,
        remote::RawManifest,
    },
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let texts = parts(data);
    bounded(|| {
        let mut all = Vec::new();
        for (text, platform) in texts.iter().zip(["linux/amd64", "linux/arm64", "linux/arm/v7", "x"]) {
            if let Ok(manifest) = serde_json::from_str::<Manifest>(text) {
                let _ = (manifest.size(), manifest.config(), manifest.children().count());
            }
            let body = text.clone().into_bytes().into();
            let stored = RawManifest { digest: Digest::of(text.as_bytes()), media_type: platform.to_owned(), body };
            all.push(Part { stored, platform: platform.to_owned() });
        }
        let platforms = ["linux/amd64".to_owned()];
        if let Ok(whole) = index(&all, &platforms, &[("a".to_owned(), "b".to_owned())]) {
            assert_eq!(whole.digest, Digest::of(&whole.body));
            assert!(serde_json::from_slice::<serde_json::Value>(&whole.body).is_ok());
        }
    });
});
