//! The sessions of callers: streams on which the engine calls them.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use bollard_buildkit_proto::{
    health::{HealthCheckRequest, health_client::HealthClient},
    moby::{
        buildkit::secrets::v1::{GetSecretRequest, secrets_client::SecretsClient},
        filesync::v1::{CredentialsRequest, CredentialsResponse, auth_client::AuthClient},
    },
};
use http::HeaderMap;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, copy_bidirectional, duplex},
    sync::watch,
    time::{sleep, timeout},
};
use tonic::{
    Code, Status,
    transport::{Channel, Endpoint},
};
use tower::service_fn;

use crate::receiver::lock;

/// How long a session is waited for that a build names.
const APPEARS: Duration = Duration::from_secs(5);
/// How often a session may fail to answer in a row.
const FAILURES: u32 = 2;

/// What a caller offers in its session.
#[derive(Clone, Debug, Default)]
pub(super) struct Offer {
    pub(super) id: String,
    methods: Vec<String>,
}

impl Offer {
    pub(super) fn of_headers(headers: &HeaderMap) -> Self {
        let text = |value: &http::HeaderValue| value.to_str().unwrap_or_default().to_owned();
        Self {
            id: headers.get("x-docker-expose-session-uuid").map(text).unwrap_or_default(),
            methods: headers.get_all("x-docker-expose-session-grpc-method").iter().map(text).collect(),
        }
    }
}

/// The sessions that are open, by id.
#[derive(Default)]
pub(super) struct Sessions {
    open: Mutex<HashMap<String, Arc<Session>>>,
    changed: watch::Sender<()>,
}

/// An open session.
pub(super) struct Session {
    channel: Channel,
    methods: Vec<String>,
    over: watch::Sender<bool>,
}

impl Sessions {
    /// Keeps a session open until its stream ends, or the caller does not answer.
    pub(super) async fn serve(&self, offer: Offer, mut stream: impl AsyncRead + AsyncWrite + Unpin, health: Duration) {
        let (near, mut far) = duplex(64 << 10);
        let mut near = Some(TokioIo::new(near));
        let connector = service_fn(move |_| {
            let near = near.take().ok_or_else(|| io::Error::other("the session is over"));
            async move { near }
        });
        let channel = Endpoint::from_static("http://session").connect_with_connector_lazy(connector);
        let session = Arc::new(Session { channel, methods: offer.methods, over: watch::Sender::new(false) });
        lock(&self.open).insert(offer.id.clone(), session.clone());
        self.changed.send_replace(());
        let mut over = session.over.subscribe();
        tokio::select! {
            _ = copy_bidirectional(&mut stream, &mut far) => {}
            _ = over.wait_for(|over| *over) => {}
            () = session.dies(health) => {}
        }
        lock(&self.open).remove(&offer.id);
    }

    /// The session with this id, which may be a moment late.
    pub(super) async fn get(&self, id: &str) -> Result<Arc<Session>, Status> {
        let mut changes = self.changed.subscribe();
        let found = async {
            loop {
                if let Some(session) = lock(&self.open).get(id) {
                    return session.clone();
                }
                if changes.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        let late = |_| Status::unknown(format!("no active session for {id}: context deadline exceeded"));
        timeout(APPEARS, found).await.map_err(late)
    }

    pub(super) fn count(&self) -> usize {
        lock(&self.open).len()
    }

    /// Breaks the stream of a session.
    pub(super) fn end(&self, id: &str) {
        if let Some(session) = lock(&self.open).remove(id) {
            session.over.send_replace(true);
        }
    }

    pub(super) fn end_all(&self) {
        for (_, session) in lock(&self.open).drain() {
            session.over.send_replace(true);
        }
    }
}

impl Session {
    pub(super) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// Whether the caller serves a method, such as `/moby.filesync.v1.FileSync/DiffCopy`.
    pub(super) fn serves(&self, method: &str) -> bool {
        self.methods.iter().any(|served| served.eq_ignore_ascii_case(method))
    }

    /// Resolves when the caller has not said often enough that it lives.
    async fn dies(&self, every: Duration) {
        let mut failures = 0;
        while failures < FAILURES {
            sleep(every).await;
            let mut client = HealthClient::new(self.channel.clone());
            let answer = timeout(every * 3, client.check(HealthCheckRequest::default())).await;
            failures = if matches!(answer, Ok(Ok(_))) { 0 } else { failures + 1 };
        }
    }

    /// The caller's credentials for a registry.
    pub(super) async fn credentials(&self, host: &str) -> Result<CredentialsResponse, Status> {
        let mut client = AuthClient::new(self.channel.clone());
        Ok(client.credentials(CredentialsRequest { host: host.to_owned() }).await?.into_inner())
    }

    /// A secret; `None` if the caller has none with this id.
    pub(super) async fn secret(&self, id: &str) -> Result<Option<Vec<u8>>, Status> {
        let mut client = SecretsClient::new(self.channel.clone());
        match client.get_secret(GetSecretRequest { id: id.to_owned(), ..GetSecretRequest::default() }).await {
            Ok(answer) => Ok(Some(answer.into_inner().data)),
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) => Err(status),
        }
    }
}
