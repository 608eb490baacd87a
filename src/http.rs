//! The one way to make an HTTP client: rustls with ring, the CA roots of `SSL_CERT_FILE` or the system, proxies by
//! `HTTPS_PROXY` and `NO_PROXY`.

use std::{
    sync::{Once, OnceLock},
    time::Duration,
};

use reqwest::{Client, ClientBuilder, redirect};

static PROVIDER: Once = Once::new();

/// A server that has not accepted the connection by then is down.
const CONNECT: Duration = Duration::from_secs(5);
/// The same for the whole of a request.
const TOTAL: Duration = Duration::from_secs(10);

/// Makes ring the cryptography of every rustls connection of the process, which must be done before the first.
pub fn install_crypto() {
    // A second installation is refused, which is as good.
    PROVIDER.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
}

/// A builder with our limits. No redirect is followed: a credential goes to the host that it is for, or nowhere.
pub fn builder() -> ClientBuilder {
    install_crypto();
    Client::builder().connect_timeout(CONNECT).timeout(TOTAL).redirect(redirect::Policy::none())
}

/// A client that is made when it is first needed: runs whose engine builds and keeps the cache do without, and to read
/// the system's certificates takes a good part of a build of which nothing changed.
#[derive(Debug, Default)]
pub struct OnDemand(OnceLock<Option<Client>>);

impl OnDemand {
    /// The client; `None` if there can be none, as without certificates.
    pub fn client(&self) -> Option<&Client> {
        self.0.get_or_init(|| builder().build().ok()).as_ref()
    }
}
