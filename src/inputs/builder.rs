//! What builds the images: the inputs `builder`, `buildkit-image`, `buildkit-mirror` and `buildkit-network`. Pure.

use std::fmt;

use super::{structured::Complaint, values::is_platform};
use crate::domain::repository::is_registry_host;

/// The input `builder`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum BuilderInput {
    /// The cheapest that can do what was asked for.
    #[default]
    Auto,
    /// The BuildKit of the runner's engine.
    Engine,
    /// A BuildKit in a container of the engine.
    Container,
    /// These, each for its own platforms. Never empty.
    Endpoints(Vec<EndpointInput>),
}

/// One line of `builder`: a BuildKit that runs already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointInput {
    /// Where it is.
    pub address: EndpointAddress,
    /// What it is to build for; empty means whatever it says that it can.
    pub platforms: Vec<String>,
    /// How TLS is spoken; `None` for none.
    pub tls: Option<TlsInput>,
}

/// Where a BuildKit is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndpointAddress {
    /// `host:port`.
    Tcp(String),
    /// Path of a socket, relative to the project or absolute.
    Unix(String),
    /// Name of a container of the runner's engine.
    Container(String),
}

/// Files of a TLS connection, relative to the project or absolute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsInput {
    /// Authorities that may have signed the daemon's certificate; `None` for those of the system.
    pub ca: Option<String>,
    /// Our certificate and its key.
    pub identity: Option<(String, String)>,
    /// The name that the daemon's certificate is for, if that is not its host.
    pub server_name: Option<String>,
}

/// What the container of `builder: container` is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerInput {
    /// Its image.
    pub image: String,
    /// Registries and their mirrors, all hosts.
    pub mirrors: Vec<(String, String)>,
    /// Docker network; `None` for the engine's default.
    pub network: Option<String>,
}

impl Default for ContainerInput {
    fn default() -> Self {
        Self { image: Self::IMAGE.to_owned(), mirrors: Vec::new(), network: None }
    }
}

impl ContainerInput {
    /// The image that `docker buildx create` takes too.
    pub const IMAGE: &str = "moby/buildkit:buildx-stable-1";
}

/// Where buildkitd listens if an address has no port.
const PORT: u16 = 1234;

impl fmt::Display for EndpointAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host) => write!(f, "tcp://{host}"),
            Self::Unix(path) => write!(f, "unix://{path}"),
            Self::Container(name) => write!(f, "docker-container://{name}"),
        }
    }
}

/// Reads a line of `builder`: an address, and behind it `platform=…`, `ca=…,cert=…,key=…`, `servername=…`.
pub fn endpoint(line: &str) -> Result<EndpointInput, Complaint> {
    let wrong = |problem: String, fix: &str| Err((problem, fix.to_owned()));
    let mut words = line.split_whitespace();
    let address = address(words.next().unwrap_or_default())?;
    let mut platforms = Vec::new();
    let (mut tls, mut certificate, mut key) = (TlsInput::default(), None, None);
    for (name, value) in words.flat_map(options) {
        match name {
            "platform" | "platforms" => platforms.push(value.to_owned()),
            "ca" | "cacert" => tls.ca = Some(value.to_owned()),
            "cert" => certificate = Some(value.to_owned()),
            "key" => key = Some(value.to_owned()),
            "servername" => tls.server_name = Some(value.to_owned()),
            "" => return wrong(format!("`{value}` is no option"), "write `name=value` behind the address"),
            other => {
                let fix = "an endpoint takes `platform`, `ca`, `cert`, `key` and `servername`";
                return wrong(format!("has the unknown option `{other}`"), fix);
            }
        }
    }
    if let Some(bad) = platforms.iter().find(|platform| !is_platform(platform)) {
        return wrong(format!("`{bad}` is no platform"), "write it like `platform=linux/amd64,linux/arm64`");
    }
    tls.identity = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        (Some(_), None) => return wrong("has `cert` without `key`".to_owned(), "give both"),
        (None, Some(_)) => return wrong("has `key` without `cert`".to_owned(), "give both"),
    };
    let tls = Some(tls).filter(|tls| *tls != TlsInput::default());
    if tls.is_some() && !matches!(address, EndpointAddress::Tcp(_)) {
        return wrong("has TLS files, which only `tcp://` has a use for".to_owned(), "leave them out");
    }
    Ok(EndpointInput { address, platforms, tls })
}

fn address(text: &str) -> Result<EndpointAddress, Complaint> {
    let wrong = |problem: &str, fix: &str| Err((problem.to_owned(), fix.to_owned()));
    match text.split_once("://") {
        Some(("tcp", host)) => {
            let host = host.trim_end_matches('/');
            if !is_registry_host(host) {
                return wrong("has no proper host", "write it like `tcp://builder.example:1234`");
            }
            let has_port = host.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
            Ok(EndpointAddress::Tcp(if has_port { host.to_owned() } else { format!("{host}:{PORT}") }))
        }
        Some(("unix", "")) => wrong("has no path", "write it like `unix:///run/buildkit/buildkitd.sock`"),
        Some(("unix", path)) => Ok(EndpointAddress::Unix(path.to_owned())),
        Some(("docker-container", name)) => {
            let valid = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
            if name.is_empty() || !name.bytes().all(valid) {
                return wrong("names no container", "write it like `docker-container://buildx_buildkit_mine0`");
            }
            Ok(EndpointAddress::Container(name.to_owned()))
        }
        _ => wrong(
            "is not one of its values",
            "write `auto`, `engine`, `container`, or endpoints: `tcp://host:1234`, `unix:///path` or \
             `docker-container://name`, one a line",
        ),
    }
}

/// The options of a word; values that follow without a name belong to the name before them. A word that begins without
/// one yields it under the empty name.
fn options(word: &str) -> Vec<(&str, &str)> {
    let mut name = "";
    let pieces = word.split(',').filter(|piece| !piece.is_empty());
    pieces
        .map(|piece| {
            let (found, value) = piece.split_once('=').unwrap_or((name, piece));
            name = found;
            (name, value)
        })
        .collect()
}

/// Reads a line of `buildkit-mirror`: `registry=mirror`, or a mirror of Docker Hub.
pub fn mirror(line: &str) -> Result<(String, String), Complaint> {
    let (registry, mirror) = line.split_once('=').unwrap_or(("docker.io", line));
    let mirror = mirror.trim().trim_start_matches("https://").trim_end_matches('/');
    // A mirror may lie below a path of its host.
    if !is_registry_host(registry.trim()) || !is_registry_host(mirror.split('/').next().unwrap_or_default()) {
        let fix = "write a host such as `mirror.gcr.io`, or `registry=mirror`";
        return Err(("is no mirror".to_owned(), fix.to_owned()));
    }
    Ok((registry.trim().to_ascii_lowercase(), mirror.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::{EndpointAddress, EndpointInput, TlsInput, endpoint, mirror};

    #[test]
    fn endpoints() {
        let plain = |address| EndpointInput { address, platforms: Vec::new(), tls: None };
        assert_eq!(endpoint("tcp://b.example:9999").unwrap(), plain(EndpointAddress::Tcp("b.example:9999".into())));
        assert_eq!(endpoint("tcp://10.0.0.1").unwrap(), plain(EndpointAddress::Tcp("10.0.0.1:1234".into())));
        assert_eq!(endpoint("tcp://[::1]").unwrap(), plain(EndpointAddress::Tcp("[::1]:1234".into())));
        assert_eq!(endpoint("unix:///run/b.sock").unwrap(), plain(EndpointAddress::Unix("/run/b.sock".into())));
        let container = EndpointAddress::Container("buildx_buildkit_x0".into());
        assert_eq!(endpoint("docker-container://buildx_buildkit_x0").unwrap(), plain(container));
        let full =
            "tcp://arm:1 platform=linux/arm64,linux/arm/v7 ca=c.pem,cert=/a/b.pem,key=k.pem servername=arm.example";
        let tls = TlsInput {
            ca: Some("c.pem".into()),
            identity: Some(("/a/b.pem".into(), "k.pem".into())),
            server_name: Some("arm.example".into()),
        };
        let parsed = endpoint(full).unwrap();
        assert_eq!(parsed.platforms, ["linux/arm64", "linux/arm/v7"]);
        assert_eq!(parsed.tls, Some(tls));
    }

    #[test]
    fn bad_endpoints_are_refused() {
        for bad in [
            "both",
            "http://x",
            "tcp://",
            "tcp://a:b",
            "unix://",
            "docker-container://",
            "docker-container://a/b",
            "tcp://x platform=arm64",
            "tcp://x cert=c",
            "tcp://x key=k",
            "tcp://x colour=red",
            "tcp://x linux/arm64",
            "unix:///x ca=c",
        ] {
            assert!(endpoint(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn mirrors() {
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(mirror("mirror.gcr.io").unwrap(), pair("docker.io", "mirror.gcr.io"));
        assert_eq!(mirror("ghcr.io=https://m.example:5000/ghcr/").unwrap(), pair("ghcr.io", "m.example:5000/ghcr"));
        assert!(mirror("http://x").is_err() && mirror("=x").is_err() && mirror("a=").is_err());
    }
}
