//! A session: the services that the daemon calls during a build.
//!
//! The daemon is the gRPC client here (<https://github.com/moby/buildkit/blob/master/session/session.go>). Each session
//! serves one build, so that no other build can read its secrets. Its shared key identifies a separate copy of the context
//! in the daemon: builds that copy different files from the same context would otherwise overwrite each other's copy.

use std::{
    collections::HashMap,
    io,
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bollard_buildkit_proto::{
    health::{
        HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse,
        health_check_response::ServingStatus,
        health_server::{Health, HealthServer},
    },
    moby::{
        buildkit::secrets::v1::{
            GetSecretRequest, GetSecretResponse,
            secrets_server::{Secrets, SecretsServer},
        },
        filesync::{
            packet::file_sync_server::FileSyncServer,
            v1::{
                CredentialsRequest, CredentialsResponse, FetchTokenRequest, FetchTokenResponse,
                GetTokenAuthorityRequest, GetTokenAuthorityResponse, VerifyTokenAuthorityRequest,
                VerifyTokenAuthorityResponse,
                auth_server::{Auth, AuthServer},
                file_send_server::FileSendServer,
            },
        },
        sshforward::v1::ssh_server::SshServer,
    },
};
use futures_util::{Stream, StreamExt as _, stream};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    task::JoinHandle,
};
use tonic::{Request, Response, Status, transport::server::Connected};

use super::{
    Client, Endpoint,
    export::{ImageReceiver, Receiver},
    filesync::{self, FileSync},
    ssh::Agents,
    transport::{self, Stream as ByteStream, TransportError},
    tunnel,
};
use crate::{
    domain::{credentials::Credentials, secret::Secret},
    regular_file,
};

/// The methods that we serve, in the form that the daemon expects. It calls `grpc.health.v1.Health/Check` every 5 s and
/// ends the session after two failures.
const METHODS: [&str; 10] = [
    "/moby.filesync.v1.FileSync/DiffCopy",
    "/moby.filesync.v1.FileSync/TarStream",
    "/moby.filesync.v1.Auth/Credentials",
    "/moby.filesync.v1.Auth/FetchToken",
    "/moby.filesync.v1.Auth/GetTokenAuthority",
    "/moby.filesync.v1.Auth/VerifyTokenAuthority",
    "/moby.buildkit.secrets.v1.Secrets/GetSecret",
    "/moby.sshforward.v1.SSH/CheckAgent",
    "/moby.sshforward.v1.SSH/ForwardAgent",
    "/grpc.health.v1.Health/Check",
];

/// The method of an [`ImageReceiver`].
const EXPORT: &str = "/moby.filesync.v1.FileSend/DiffCopy";

/// The services that a session offers to the daemon. BuildKit calls these attachables.
pub struct Attachables {
    /// Directories (contexts, the Dockerfile's) by name.
    pub files: FileSync,
    /// Registry credentials.
    pub credentials: Credentials,
    /// Build secrets by id.
    pub secrets: HashMap<String, BuildSecret>,
    /// The receiver of the image, if the daemon is to export it to us.
    pub receiver: Option<Arc<dyn ImageReceiver>>,
    /// SSH agents by id.
    pub ssh: Agents,
    /// Names the daemon's copy of our directories. Sessions of later runs with the same key send only what changed.
    pub shared_key: String,
}

/// Where a build secret comes from.
#[derive(Clone, Debug)]
pub enum BuildSecret {
    /// A value in memory.
    Value(Secret),
    /// A file, read when the daemon asks for it.
    File(PathBuf),
}

/// Maximum size of a secret's file in bytes, which is BuildKit's limit
/// (<https://github.com/moby/buildkit/blob/master/session/secrets/secretsprovider/store.go>).
pub const LARGEST_SECRET: u64 = 500 << 10;

/// An open session. It ends when it is dropped.
pub struct Session {
    id: String,
    server: JoinHandle<()>,
    /// Carries the stream inside a call, unless an engine has a separate stream for it. The server's task for its connection outlives the
    /// server, and would keep the connection to the daemon open.
    carrier: Option<JoinHandle<()>>,
}

impl Session {
    /// Opens a session with the daemon at `endpoint`, to which `client` is connected. `name` identifies this program in
    /// the daemon.
    pub async fn open(
        endpoint: &Endpoint,
        client: &Client,
        name: &str,
        attachables: Attachables,
    ) -> Result<Self, TransportError> {
        let id = new_id();
        let Attachables { files, credentials, secrets, receiver, ssh, shared_key } = attachables;
        let mut headers = vec![
            ("x-docker-expose-session-uuid", id.clone()),
            ("x-docker-expose-session-name", name.to_owned()),
            ("x-docker-expose-session-sharedkey", shared_key),
        ];
        let export = receiver.as_ref().map(|_| EXPORT);
        let methods = METHODS.into_iter().chain(export);
        headers.extend(methods.map(|method| ("x-docker-expose-session-grpc-method", method.to_owned())));
        let upgraded = match endpoint {
            Endpoint::Engine(address) => transport::upgrade(address, "/session", &headers).await?,
            Endpoint::Socket(..) | Endpoint::Dialer(_) => None,
        };
        let (stream, carrier): (ByteStream, _) = if let Some(upgraded) = upgraded {
            (Box::new(TokioIo::new(upgraded)), None)
        } else {
            let refused = |status: Status| TransportError::Session {
                endpoint: endpoint.to_string(),
                reason: status.message().to_owned(),
            };
            let (stream, carrier) = tunnel::open(client.channel(), &headers).await.map_err(refused)?;
            (Box::new(stream), Some(carrier))
        };
        let services = filesync::server()
            .add_service(HealthServer::new(Alive))
            .add_service(FileSyncServer::new(files).max_encoding_message_size(MAX_MESSAGE))
            .add_service(AuthServer::new(CredentialService(credentials)))
            .add_service(SecretsServer::new(SecretService(secrets)))
            .add_service(SshServer::new(ssh))
            .add_optional_service(receiver.map(|receiver| FileSendServer::new(Receiver(receiver))));
        // There is one connection; a pending stream behind it keeps the server from ending before it does.
        let connection = stream::once(async move { Ok::<_, io::Error>(Connection(stream)) });
        let incoming = connection.chain(stream::pending());
        let server = tokio::spawn(async move {
            // If the session ends early, the build that uses it fails with the reason.
            let _ = services.serve_with_incoming(incoming).await;
        });
        Ok(Self { id, server, carrier })
    }

    /// The id by which a solve uses this session.
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.server.abort();
        if let Some(carrier) = &self.carrier {
            carrier.abort();
        }
    }
}

/// BuildKit's own limit for a message of file sync.
const MAX_MESSAGE: usize = 16 << 20;

/// A new id for a session or a solve: 25 base-36 characters, as BuildKit makes them.
pub fn new_id() -> String {
    use rand::Rng as _;
    let mut rng = rand::rng();
    (0..25).map(|_| char::from(b"0123456789abcdefghijklmnopqrstuvwxyz"[rng.random_range(0..36)])).collect()
}

/// Makes a byte stream a connection of a tonic server.
struct Connection(ByteStream);

impl Connected for Connection {
    type ConnectInfo = ();

    fn connect_info(&self) -> Self::ConnectInfo {}
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// Serves the health check.
struct Alive;

#[tonic::async_trait]
impl Health for Alive {
    async fn check(&self, _: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        Ok(Response::new(HealthCheckResponse { status: ServingStatus::Serving.into() }))
    }

    async fn list(&self, _: Request<HealthListRequest>) -> Result<Response<HealthListResponse>, Status> {
        Err(Status::unimplemented("list"))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(&self, _: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("watch"))
    }
}

/// Serves credentials; the daemon fetches tokens itself.
struct CredentialService(Credentials);

#[tonic::async_trait]
impl Auth for CredentialService {
    async fn credentials(&self, request: Request<CredentialsRequest>) -> Result<Response<CredentialsResponse>, Status> {
        // An empty answer, not an error, makes the daemon ask the registry anonymously. A secret without a user name is an
        // identity token.
        let (username, secret) = match self.0.for_host(&request.get_ref().host) {
            Some(login) => (login.username.clone(), login.password.expose().to_owned()),
            None => (String::new(), String::new()),
        };
        Ok(Response::new(CredentialsResponse { username, secret }))
    }

    async fn fetch_token(&self, _: Request<FetchTokenRequest>) -> Result<Response<FetchTokenResponse>, Status> {
        Err(no_tokens())
    }

    async fn get_token_authority(
        &self,
        _: Request<GetTokenAuthorityRequest>,
    ) -> Result<Response<GetTokenAuthorityResponse>, Status> {
        Err(no_tokens())
    }

    async fn verify_token_authority(
        &self,
        _: Request<VerifyTokenAuthorityRequest>,
    ) -> Result<Response<VerifyTokenAuthorityResponse>, Status> {
        Err(no_tokens())
    }
}

/// The code `Unavailable` makes the daemon ask for credentials instead of tokens.
fn no_tokens() -> Status {
    Status::unavailable("only credentials are served, not tokens")
}

/// Serves build secrets.
struct SecretService(HashMap<String, BuildSecret>);

#[tonic::async_trait]
impl Secrets for SecretService {
    async fn get_secret(&self, request: Request<GetSecretRequest>) -> Result<Response<GetSecretResponse>, Status> {
        let id = &request.get_ref().id;
        let data = match self.0.get(id) {
            Some(BuildSecret::Value(secret)) => secret.expose().as_bytes().to_vec(),
            Some(BuildSecret::File(path)) => regular_file::read(path, LARGEST_SECRET).map_err(|error| {
                Status::internal(format!("cannot read the secret {id} from {}: {error}", path.display()))
            })?,
            // The code that means "no secret" to BuildKit, which continues if the secret is optional.
            None => return Err(Status::not_found(format!("secret {id} not found"))),
        };
        Ok(Response::new(GetSecretResponse { data }))
    }
}
