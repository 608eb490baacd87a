//! Parses the metadata of the daemon's call. Pure.
//!
//! Source: `decodeOpts` in `session/filesync/filesync.go` of `github.com/moby/buildkit`.

use tonic::{Status, metadata::MetadataMap};

/// A request of the daemon.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Request {
    /// The name of the directory.
    pub(super) dir: String,
    /// Include patterns; empty for everything.
    pub(super) include: Vec<String>,
    /// Exclude patterns.
    pub(super) exclude: Vec<String>,
    /// Paths to include together with all symbolic links in them.
    pub(super) follow: Vec<String>,
}

impl Request {
    /// Parses the metadata of a `DiffCopy` call.
    pub(super) fn new(metadata: &MetadataMap) -> Result<Self, Status> {
        Ok(Self {
            dir: values(metadata, "dir-name")?.into_iter().next().unwrap_or_default(),
            include: values(metadata, "include-patterns")?,
            exclude: values(metadata, "exclude-patterns")?,
            follow: values(metadata, "followpaths")?,
        })
    }

    /// Whether the daemon requests only the ignore file, as it does before it requests the context.
    pub(super) fn is_ignore_file(&self) -> bool {
        self.follow == [".dockerignore"]
    }
}

fn values(metadata: &MetadataMap, key: &str) -> Result<Vec<String>, Status> {
    // If a value is not ASCII, all values of its key are escaped, and another key marks that.
    let escaped = metadata
        .get(format!("{key}-encoded"))
        .is_some_and(|flag| matches!(flag.as_bytes(), b"1" | b"t" | b"T" | b"true" | b"TRUE" | b"True"));
    metadata
        .get_all(key)
        .iter()
        .map(|value| {
            let bytes = if escaped { unescape(value.as_bytes()) } else { Some(value.as_bytes().to_vec()) };
            bytes.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(|| {
                Status::invalid_argument(format!("the metadata `{key}` contains a value that is not UTF-8"))
            })
        })
        .collect()
}

/// Go's `url.QueryUnescape`.
fn unescape(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
                u8::try_from(digit(bytes.next())? * 16 + digit(bytes.next())?).ok()?
            }
            byte => *byte,
        });
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use tonic::metadata::MetadataValue;

    use super::*;

    #[test]
    fn plain_and_escaped_values_are_read() {
        let mut metadata = MetadataMap::new();
        metadata.insert("dir-name", MetadataValue::from_static("context"));
        metadata.append("exclude-patterns", MetadataValue::from_static("*.log"));
        metadata.append("exclude-patterns", MetadataValue::from_static("100%+x"));
        metadata.append("followpaths", MetadataValue::from_static("caf%C3%A9+au%20lait"));
        metadata.append("followpaths", MetadataValue::from_static("a%2Bb"));
        metadata.insert("followpaths-encoded", MetadataValue::from_static("1"));
        let request = Request::new(&metadata).unwrap();
        assert_eq!(request.dir, "context");
        assert_eq!(request.include, Vec::<String>::new());
        assert_eq!(request.exclude, ["*.log", "100%+x"]);
        assert_eq!(request.follow, ["café au lait", "a+b"]);
    }

    #[test]
    fn a_broken_escape_is_refused_by_name() {
        for broken in ["%", "%4", "%zz", "%ff"] {
            let mut metadata = MetadataMap::new();
            metadata.insert("include-patterns", broken.parse().unwrap());
            metadata.insert("include-patterns-encoded", MetadataValue::from_static("1"));
            let status = Request::new(&metadata).unwrap_err();
            assert_eq!(status.code(), tonic::Code::InvalidArgument);
            assert!(status.message().contains("include-patterns"), "{status}");
        }
    }
}
