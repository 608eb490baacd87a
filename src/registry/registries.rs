//! The registries of a run: a [`Remote`] for each repository, with the login of its host.

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

/// Maximum number of concurrent requests, so that a run with many images and tags is not rate limited.
const CONCURRENT: usize = 16;

/// All registries of a run. The token of a repository is shared by all requests.
#[derive(Debug)]
pub struct Registries {
    credentials: Credentials,
    http: OnDemand,
    gate: Arc<Semaphore>,
    open: Mutex<HashMap<(String, Access), Arc<Remote>>>,
}

impl Registries {
    /// Creates registries with these logins. Connections are made only when needed.
    pub fn new(credentials: Credentials) -> Self {
        Self {
            credentials,
            http: OnDemand::default(),
            gate: Arc::new(Semaphore::new(CONCURRENT)),
            open: Mutex::default(),
        }
    }

    /// The logins.
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// The login for the registry of `repository`.
    pub fn login(&self, repository: &str) -> Option<&Login> {
        self.credentials.for_host(repository.split('/').next().unwrap_or_default())
    }

    /// The shared HTTP client.
    pub fn http(&self) -> &OnDemand {
        &self.http
    }

    /// The repository `host/path`; `None` if the name is invalid or the HTTP client could not be created.
    pub fn repository(&self, name: &str, access: Access) -> Option<Arc<Remote>> {
        // The map is valid even after a panic.
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
