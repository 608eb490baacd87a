//! Makes an endpoint of an engine's BuildKit, with or without TLS.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use build_deploy::buildkit::transport::{self, Address, Duplex};
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer},
    server::WebPkiClientVerifier,
};
use tokio::net::{TcpListener, UnixListener};
use tokio_rustls::TlsAcceptor;

use crate::lab::{self, Engine};

/// A bridge. It counts its connections.
pub(crate) struct Bridge {
    pub(crate) connections: Arc<AtomicUsize>,
    pub(crate) address: SocketAddr,
}

impl Bridge {
    pub(crate) async fn tcp(engine: Engine, tls: Option<TlsAcceptor>) -> Self {
        Self::at("127.0.0.1:0", engine, tls).await
    }

    /// One that containers in the engines can reach.
    pub(crate) async fn near_engines(engine: Engine) -> Self {
        Self::at(&format!("{}:0", lab::var("LAB_ADDR")), engine, None).await
    }

    async fn at(listen: &str, engine: Engine, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind(listen).await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::Relaxed);
                let tls = tls.clone();
                tokio::spawn(async move {
                    match tls {
                        None => carry(engine, stream).await,
                        // Who does not come through the handshake has learnt it.
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                carry(engine, stream).await;
                            }
                        }
                    }
                });
            }
        });
        Self { connections, address }
    }

    pub(crate) fn count(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

/// The same on a socket.
pub(crate) fn unix(engine: Engine, path: &Path) {
    let listener = UnixListener::bind(path).unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(carry(engine, stream));
        }
    });
}

async fn carry(engine: Engine, mut stream: impl Duplex) {
    let upgraded = transport::upgrade(&Address::Unix(engine.socket()), "/grpc", &[]).await.unwrap().unwrap();
    // Either side may end it.
    let _ = tokio::io::copy_bidirectional(&mut stream, &mut TokioIo::new(upgraded)).await;
}

/// An authority, and the files of both sides in a directory.
pub(crate) struct Certificates {
    directory: PathBuf,
    roots: RootCertStore,
    server: (CertificateDer<'static>, PrivateKeyDer<'static>),
}

impl Certificates {
    /// A server for these names, and a client.
    pub(crate) fn new(directory: &Path, names: &[&str]) -> Self {
        let mut ca = CertificateParams::new(Vec::new()).unwrap();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap();
        let write = |name: &str, text: String| std::fs::write(directory.join(name), text).unwrap();
        write("ca.pem", ca.pem());
        let signed = |names: &[&str], purpose| {
            let mut params = CertificateParams::new(names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>()).unwrap();
            params.extended_key_usages = vec![purpose];
            let key = KeyPair::generate().unwrap();
            (params.signed_by(&key, &ca).unwrap(), key)
        };
        let (client, client_key) = signed(&["build-deploy"], ExtendedKeyUsagePurpose::ClientAuth);
        write("cert.pem", client.pem());
        write("key.pem", client_key.serialize_pem());
        let (server, server_key) = signed(names, ExtendedKeyUsagePurpose::ServerAuth);
        let mut roots = RootCertStore::empty();
        roots.add(ca.der().clone()).unwrap();
        let key = PrivateKeyDer::try_from(server_key.serialize_der()).unwrap();
        Self { directory: directory.to_owned(), roots, server: (server.der().clone(), key) }
    }

    /// Takes only clients that the authority knows.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let verifier = WebPkiClientVerifier::builder(Arc::new(self.roots.clone())).build().unwrap();
        let (certificate, key) = (self.server.0.clone(), self.server.1.clone_key());
        let mut config = ServerConfig::builder()
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![certificate], key)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        TlsAcceptor::from(Arc::new(config))
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.directory.join(name).display().to_string()
    }
}
