//! TLS to a BuildKit of its own, with a certificate that proves who we are where it asks for one.
//!
//! What buildkitd wants: <https://docs.docker.com/build/builders/drivers/remote/#example-remote-buildkit-in-docker-container>.

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

/// The files of a TLS connection, absolute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificates of the authorities that may have signed the daemon's; `None` for those of the system.
    pub ca: Option<PathBuf>,
    /// Our certificate and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The name that the daemon's certificate must be for; `None` for its host.
    pub server_name: Option<String>,
}

/// Why there is no TLS connection. No text of a file stands in it.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file cannot be used.
    #[error("{path}: {reason}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The key does not fit the certificate, or is of a kind that is not known.
    #[error("{certificate} and {key}: {source}")]
    Identity {
        /// Our certificate.
        certificate: PathBuf,
        /// Its key.
        key: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// The host is no name that a certificate can be for.
    #[error("`{0}` is no server name")]
    ServerName(String, #[source] InvalidDnsNameError),
}

/// How to speak TLS to one host.
#[derive(Clone)]
pub struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Tls {
    /// Reads the files. `host` is whom the certificate must be for unless the files' server name says otherwise.
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
            // Some of a system's may be of no use, which says nothing about the others.
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

    /// Shakes hands on `stream`.
    pub async fn connect(&self, stream: Stream) -> io::Result<Stream> {
        Ok(Box::new(self.connector.connect(self.name.clone(), stream).await?))
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match all.map_err(|error| pem_error(path, &error))? {
        none if none.is_empty() => Err(TlsError::File { path: path.to_owned(), reason: "holds no certificate".into() }),
        some => Ok(some),
    }
}

/// The decoder's own text can repeat a line of the file, which may be a key's.
fn pem_error(path: &Path, error: &pem::Error) -> TlsError {
    let reason = match error {
        pem::Error::Io(error) => error.to_string(),
        pem::Error::NoItemsFound => "holds nothing of what is wanted in PEM".to_owned(),
        _ => "is no proper PEM".to_owned(),
    };
    TlsError::File { path: path.to_owned(), reason }
}

fn unusable(path: &Path, error: &rustls::Error) -> TlsError {
    TlsError::File { path: path.to_owned(), reason: error.to_string() }
}
