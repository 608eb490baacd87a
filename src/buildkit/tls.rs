//! TLS connections to a daemon, with a client certificate if the daemon requires one.
//!
//! What buildkitd requires: <https://docs.docker.com/build/builders/drivers/remote/#example-remote-buildkit-in-docker-container>.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{
        CertificateDer, InvalidDnsNameError, PrivateKeyDer, ServerName,
        pem::{self, PemObject as _},
    },
};
use thiserror::Error;
use tokio_rustls::TlsConnector;

use super::transport::Stream;

/// The files of a TLS connection, as absolute paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificates of the authorities that the daemon's certificate is verified with; `None` for those of the system.
    pub ca: Option<PathBuf>,
    /// The client certificate and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The name that the daemon's certificate must have; `None` for its host.
    pub server_name: Option<String>,
}

/// Why a TLS connection cannot be configured. Never contains text of a file.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file cannot be used.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// The key does not belong to the certificate, or is of an unsupported type.
    #[error("{certificate} and {key}: {source}")]
    Identity {
        /// The client certificate.
        certificate: PathBuf,
        /// Its key.
        key: PathBuf,
        /// The reason.
        #[source]
        source: rustls::Error,
    },
    /// The host cannot be the name in a certificate.
    #[error("`{0}` is not a valid server name")]
    ServerName(String, #[source] InvalidDnsNameError),
}

/// The TLS configuration for one host.
#[derive(Clone)]
pub struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Tls {
    /// Reads the files. The daemon's certificate must be for `host`, unless `files` has a server name.
    pub fn new(files: &TlsFiles, host: &str) -> Result<Self, TlsError> {
        // Refused if the process has one already, which is fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut roots = RootCertStore::empty();
        match &files.ca {
            Some(path) => {
                for certificate in certificates(path)? {
                    roots.add(certificate).map_err(|error| unusable(path, &error))?;
                }
            }
            // Certificates of the system that cannot be parsed are ignored.
            None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
        }
        let builder = ClientConfig::builder().with_root_certificates(roots);
        let mut config = match &files.identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let private = PrivateKeyDer::from_pem_file(key).map_err(|error| pem_error(key, &error))?;
                builder.with_client_auth_cert(certificates(certificate)?, private).map_err(|source| {
                    TlsError::Identity { certificate: certificate.clone(), key: key.clone(), source }
                })?
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        let name = files.server_name.as_deref().unwrap_or(host).trim_matches(['[', ']']);
        let name =
            ServerName::try_from(name.to_owned()).map_err(|error| TlsError::ServerName(name.to_owned(), error))?;
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), name })
    }

    /// Does the TLS handshake on `stream`.
    pub async fn connect(&self, stream: Stream) -> io::Result<Stream> {
        Ok(Box::new(self.connector.connect(self.name.clone(), stream).await?))
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match all.map_err(|error| pem_error(path, &error))? {
        none if none.is_empty() => {
            Err(TlsError::File { path: path.to_owned(), reason: "contains no certificate".into() })
        }
        some => Ok(some),
    }
}

/// Does not use the decoder's own message, which can contain a line of the file, such as a key's.
fn pem_error(path: &Path, error: &pem::Error) -> TlsError {
    let reason = match error {
        pem::Error::Io(error) => error.to_string(),
        pem::Error::NoItemsFound => "contains no PEM section of the expected type".to_owned(),
        _ => "is not valid PEM".to_owned(),
    };
    TlsError::File { path: path.to_owned(), reason }
}

fn unusable(path: &Path, error: &rustls::Error) -> TlsError {
    TlsError::File { path: path.to_owned(), reason: error.to_string() }
}
