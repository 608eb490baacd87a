//! The inputs `builder`, `buildkit-image`, `buildkit-mirror` and `buildkit-network`.

use std::fmt;

use super::values::is_platform;
use crate::domain::{invalid::Invalid, repository::is_registry_host};

/// The input `builder`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum BuilderInput {
    /// The simplest builder that supports everything that is requested.
    #[default]
    Auto,
    /// The BuildKit in the runner's Docker engine.
    Engine,
    /// A BuildKit container on the engine.
    Container,
    /// These endpoints, each for its own platforms. Never empty.
    Endpoints(Vec<EndpointInput>),
}

/// One line of `builder`: a BuildKit that is already running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointInput {
    /// Address.
    pub address: EndpointAddress,
    /// The platforms to build on it. If empty, the platforms that it reports.
    pub platforms: Vec<String>,
    /// TLS files; `None` for a connection without TLS.
    pub tls: Option<TlsInput>,
}

/// The address of a BuildKit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndpointAddress {
    /// `host:port`.
    Tcp(String),
    /// Path of a socket, absolute or relative to the project.
    Unix(String),
    /// Name of a container of the runner's Docker engine.
    Container(String),
}

/// Files of a TLS connection, absolute or relative to the project.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsInput {
    /// Certificate authorities that verify the daemon's certificate; `None` for those of the system.
    pub ca: Option<String>,
    /// The client certificate and its key.
    pub identity: Option<(String, String)>,
    /// The name in the daemon's certificate, if it differs from the host.
    pub server_name: Option<String>,
}

/// Options of the BuildKit container of `builder: container`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerInput {
    /// Image.
    pub image: String,
    /// Registries, each with its mirror.
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
    /// The default image, which `docker buildx create` uses too.
    pub const IMAGE: &str = "moby/buildkit:buildx-stable-1";
}

/// The default port of buildkitd.
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

/// Parses a line of `builder`: an address, followed by `platform=…`, `ca=…,cert=…,key=…` and `servername=…`.
pub fn endpoint(line: &str) -> Result<EndpointInput, Invalid> {
    let wrong = |problem: &str, hint: &str| Err(Invalid::new(problem, hint));
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
            "" => {
                return wrong(
                    &format!("has `{value}`, which is not an option"),
                    "write `name=value` after the address",
                );
            }
            other => {
                let hint = "use `platform`, `ca`, `cert`, `key` or `servername`";
                return wrong(&format!("has the unknown option `{other}`"), hint);
            }
        }
    }
    if let Some(bad) = platforms.iter().find(|platform| !is_platform(platform)) {
        let hint = "use platforms such as `platform=linux/amd64,linux/arm64`";
        return wrong(&format!("has `{bad}`, which is not a platform"), hint);
    }
    tls.identity = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        (Some(_), None) => return wrong("has `cert` without `key`", "set both"),
        (None, Some(_)) => return wrong("has `key` without `cert`", "set both"),
    };
    let tls = Some(tls).filter(|tls| *tls != TlsInput::default());
    if tls.is_some() && !matches!(address, EndpointAddress::Tcp(_)) {
        return wrong("has TLS files, which only `tcp://` endpoints support", "remove them");
    }
    Ok(EndpointInput { address, platforms, tls })
}

fn address(text: &str) -> Result<EndpointAddress, Invalid> {
    let wrong = |problem: &str, hint: &str| Err(Invalid::new(problem, hint));
    match text.split_once("://") {
        Some(("tcp", host)) => {
            let host = host.trim_end_matches('/');
            if !is_registry_host(host) {
                return wrong("has an invalid host", "use an address such as `tcp://builder.example:1234`");
            }
            let has_port = host.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
            Ok(EndpointAddress::Tcp(if has_port { host.to_owned() } else { format!("{host}:{PORT}") }))
        }
        Some(("unix", "")) => wrong("has no path", "use an address such as `unix:///run/buildkit/buildkitd.sock`"),
        Some(("unix", path)) => Ok(EndpointAddress::Unix(path.to_owned())),
        Some(("docker-container", name)) => {
            let valid = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
            if name.is_empty() || !name.bytes().all(valid) {
                return wrong(
                    "has an invalid container name",
                    "use an address such as `docker-container://buildx_buildkit_mine0`",
                );
            }
            Ok(EndpointAddress::Container(name.to_owned()))
        }
        _ => wrong(
            "is not a builder",
            "use `auto`, `engine`, `container`, or one endpoint per line: `tcp://host:1234`, `unix:///path` or \
             `docker-container://name`",
        ),
    }
}

/// Splits a word into options. A value without a name is added to the name before it; at the beginning its name is
/// empty.
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

/// Parses a line of `buildkit-mirror`: `registry=mirror`, or only a mirror, which is for Docker Hub.
pub fn mirror(line: &str) -> Result<(String, String), Invalid> {
    let (registry, mirror) = line.split_once('=').unwrap_or(("docker.io", line));
    let mirror = mirror.trim().trim_start_matches("https://").trim_end_matches('/');
    // A mirror may have a path.
    if !is_registry_host(registry.trim()) || !is_registry_host(mirror.split('/').next().unwrap_or_default()) {
        let hint = "use a host such as `mirror.gcr.io`, or `registry=mirror`";
        return Err(Invalid::new("is not a mirror", hint));
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
