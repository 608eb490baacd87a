//! Creates the index of an image from the parts that several builders pushed. Pure.
//!
//! Formats: <https://github.com/opencontainers/image-spec/blob/main/image-index.md>,
//! <https://distribution.github.io/distribution/spec/manifest-v2-2/>. BuildKit's own order is kept: the images first,
//! then their attestations.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use thiserror::Error;

use super::remote::RawManifest;
use crate::domain::digest::Digest;

const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// The manifest or index that one builder pushed.
#[derive(Clone, Debug)]
pub struct Part {
    /// The manifest or index.
    pub stored: RawManifest,
    /// The platform, if it is a manifest.
    pub platform: String,
}

/// Why the index could not be created.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum IndexError {
    /// A part is neither a manifest nor an index.
    #[error("{0} is not a manifest: {1}")]
    NotAManifest(String, String),
    /// Two parts are for the same platform.
    #[error("two builders built the platform {0}")]
    DuplicatePlatform(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    #[serde(default)]
    manifests: Option<Vec<Value>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Whole<'a> {
    schema_version: u8,
    media_type: &'a str,
    manifests: Vec<Value>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    annotations: Map<String, Value>,
}

/// Creates the index of these parts, in the order of `platforms`, with these annotations. Platforms are compared as text.
pub fn index(
    parts: &[Part],
    platforms: &[String],
    annotations: &[(String, String)],
) -> Result<RawManifest, IndexError> {
    let mut images: Vec<(usize, Value)> = Vec::new();
    let mut attestations = Vec::new();
    for part in parts {
        let entries = entries(part)?;
        for entry in entries {
            let name = platform_name(&entry["platform"]);
            if name == "unknown/unknown" {
                attestations.push(entry);
                continue;
            }
            let place = platforms.iter().position(|platform| *platform == name).unwrap_or(platforms.len());
            if images.iter().any(|(_, known)| known["platform"] == entry["platform"]) {
                return Err(IndexError::DuplicatePlatform(name));
            }
            images.push((place, entry));
        }
    }
    images.sort_by_key(|(place, _)| *place);
    let manifests: Vec<Value> = images.into_iter().map(|(_, entry)| entry).chain(attestations).collect();
    let is_docker = |entry: &Value| entry["mediaType"].as_str().is_some_and(|kind| kind.contains("vnd.docker."));
    // A Docker manifest list has no annotations.
    let docker = annotations.is_empty() && manifests.iter().all(is_docker);
    let media_type = if docker { DOCKER_LIST } else { OCI_INDEX };
    let annotations = annotations.iter().map(|(key, value)| (key.clone(), Value::String(value.clone()))).collect();
    let whole = Whole { schema_version: 2, media_type, manifests, annotations };
    // Serializing strings and numbers cannot fail.
    let body = Bytes::from(serde_json::to_vec_pretty(&whole).unwrap_or_default());
    Ok(RawManifest { digest: Digest::of(&body), media_type: media_type.to_owned(), body })
}

fn entries(part: &Part) -> Result<Vec<Value>, IndexError> {
    let stored = &part.stored;
    let not_a_manifest = |why: String| IndexError::NotAManifest(stored.digest.to_string(), why);
    let document: Document = serde_json::from_slice(&stored.body).map_err(|error| not_a_manifest(error.to_string()))?;
    Ok(match document.manifests {
        Some(manifests) => manifests,
        None if stored.media_type.is_empty() => return Err(not_a_manifest("its media type is missing".to_owned())),
        None => vec![json!({
            "mediaType": stored.media_type,
            "digest": stored.digest.as_str(),
            "size": stored.body.len(),
            "platform": platform(&part.platform),
        })],
    })
}

fn platform(name: &str) -> Value {
    let mut parts = name.split('/');
    let (os, architecture) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let mut platform = json!({"architecture": architecture, "os": os});
    if let Some(variant) = parts.next() {
        platform["variant"] = json!(variant);
    }
    platform
}

fn platform_name(platform: &Value) -> String {
    let parts = ["os", "architecture", "variant"].map(|key| platform[key].as_str().unwrap_or_default());
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::Value;

    use super::{DOCKER_LIST, IndexError, OCI_INDEX, Part, index};
    use crate::{domain::digest::Digest, registry::remote::RawManifest};

    const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

    fn part(media_type: &str, platform: &str, body: &str) -> Part {
        let body = Bytes::from(body.to_owned());
        let stored = RawManifest { digest: Digest::of(&body), media_type: media_type.into(), body };
        Part { stored, platform: platform.into() }
    }

    fn platforms(list: &[&str]) -> Vec<String> {
        list.iter().map(|platform| (*platform).to_owned()).collect()
    }

    #[test]
    fn manifests_are_in_the_given_order() {
        let parts = [
            part(MANIFEST, "linux/arm/v7", r#"{"config":{},"layers":[]}"#),
            part(MANIFEST, "linux/amd64", r#"{"config":{}}"#),
        ];
        let index = index(&parts, &platforms(&["linux/amd64", "linux/arm/v7"]), &[]).unwrap();
        assert_eq!(index.media_type, OCI_INDEX);
        assert_eq!(index.digest, Digest::of(&index.body));
        let body: Value = serde_json::from_slice(&index.body).unwrap();
        assert_eq!((&body["schemaVersion"], &body["mediaType"]), (&Value::from(2), &Value::from(OCI_INDEX)));
        let first = &body["manifests"][0];
        assert_eq!(first["digest"], parts[1].stored.digest.as_str());
        assert_eq!(first["size"], 13);
        assert_eq!(body["manifests"][1]["platform"]["variant"], "v7");
        assert!(body.get("annotations").is_none());
    }

    #[test]
    fn an_index_brings_its_own_entries_and_attestations_come_last() {
        let oci = r#"{"manifests":[
            {"mediaType":"m","digest":"sha256:a","size":1,"platform":{"os":"linux","architecture":"arm64"}},
            {"mediaType":"m","digest":"sha256:b","size":1,"platform":{"os":"unknown","architecture":"unknown"},
             "annotations":{"vnd.docker.reference.digest":"sha256:a"}}]}"#;
        let parts = [part(OCI_INDEX, "", oci), part(MANIFEST, "linux/amd64", "{}")];
        let annotations = [("a".to_owned(), "b".to_owned())];
        let index = index(&parts, &platforms(&["linux/arm64", "linux/amd64"]), &annotations).unwrap();
        let body: Value = serde_json::from_slice(&index.body).unwrap();
        let digests = body["manifests"].as_array().unwrap().iter().map(|m| m["digest"].as_str().unwrap());
        let third = parts[1].stored.digest.as_str();
        assert_eq!(digests.collect::<Vec<_>>(), ["sha256:a", third, "sha256:b"]);
        assert_eq!(body["annotations"]["a"], "b");
    }

    #[test]
    fn docker_manifests_make_a_docker_list() {
        let docker = "application/vnd.docker.distribution.manifest.v2+json";
        let parts = [part(docker, "linux/amd64", "{}"), part(docker, "linux/arm64", "{ }")];
        assert_eq!(index(&parts, &[], &[]).unwrap().media_type, DOCKER_LIST);
        let twice = [part(docker, "linux/amd64", "{}"), part(docker, "linux/amd64", "{ }")];
        assert_eq!(index(&twice, &[], &[]), Err(IndexError::DuplicatePlatform("linux/amd64".into())));
        assert!(matches!(index(&[part(docker, "x", "no")], &[], &[]), Err(IndexError::NotAManifest(..))));
    }
}
