//! The registries of a run: one [`Remote`] for each repository, with the login of its host.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::Semaphore;

use super::remote::{Access, Remote};
use crate::{
    domain::credentials::{Credentials, Login},
    http::OnDemand,
};

/// Requests that may be under way at a time: a run of many images with many tags is no reason to be throttled.
const AT_ONCE: usize = 16;

/// All registries that a run may talk to. A repository's token is used again by whoever asks next.
#[derive(Debug)]
pub struct Registries {
    credentials: Credentials,
    http: OnDemand,
    gate: Arc<Semaphore>,
    open: Mutex<HashMap<(String, Access), Arc<Remote>>>,
}

impl Registries {
    /// Registries with these logins. No connection is made before it is needed.
    pub fn new(credentials: Credentials) -> Self {
        Self { credentials, http: OnDemand::default(), gate: Arc::new(Semaphore::new(AT_ONCE)), open: Mutex::default() }
    }

    /// The logins.
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// The login for the registry of `repository`.
    pub fn login(&self, repository: &str) -> Option<&Login> {
        self.credentials.for_host(repository.split('/').next().unwrap_or_default())
    }

    /// The HTTP client of all of them.
    pub fn http(&self) -> &OnDemand {
        &self.http
    }

    /// The repository `host/path`; `None` if that is not one, or if there can be no HTTP client.
    pub fn repository(&self, name: &str, access: Access) -> Option<Arc<Remote>> {
        // A value of this map is whole at any time.
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (name.to_owned(), access);
        if let Some(known) = open.get(&key) {
            return Some(known.clone());
        }
        let http = self.http.client()?.clone();
        let remote = Arc::new(Remote::new(http, name, self.login(name).cloned(), access, self.gate.clone())?);
        open.insert(key, remote.clone());
        Some(remote)
    }
}
