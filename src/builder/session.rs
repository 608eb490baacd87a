//! A BuildKit session: the services that the daemon calls on us while it builds.
//!
//! The daemon is the gRPC client here (<https://github.com/moby/buildkit/blob/master/session/session.go>). One
//! session serves one image: its secrets reach no other image, and its shared key names its own copy of the context
//! in the daemon, so that images with the same context but different `COPY`s do not overwrite each other's.

use std::{
    collections::HashMap,
    io,
    path::PathBuf,
    pin::Pin,
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

use super::{load::Intake, reach::Reach, solve::Control};
use crate::{
    buildkit::{
        filesync::{self, FileSync},
        ssh::Agents,
        transport::{self, Stream as Bytes, TransportError},
        tunnel,
    },
    domain::{credentials::Credentials, secret::Secret},
    regular_file,
};

/// Methods that we serve, as the daemon wants them told. `grpc.health.v1.Health/Check` is called every 5 s and two
/// failures end the session.
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

/// The method of an [`Intake`].
const SENT: &str = "/moby.filesync.v1.FileSend/DiffCopy";

/// What a session offers to the daemon.
pub struct Offer {
    /// Directories (contexts, the Dockerfile's) by name.
    pub files: FileSync,
    /// Registry credentials, answered from memory.
    pub credentials: Credentials,
    /// Build secrets by id.
    pub secrets: HashMap<String, BuildSecret>,
    /// What takes the image that the daemon sends us, if it is to send one.
    pub intake: Option<Intake>,
    /// SSH agents by id.
    pub ssh: Agents,
    /// Names the daemon's own copy of our directories over runs, so that only what changed is sent again.
    pub shared_key: String,
}

/// Where a build secret comes from.
#[derive(Clone, Debug)]
pub enum BuildSecret {
    /// An input of the action, or a variable of the environment.
    Value(Secret),
    /// A file, read when the daemon asks for it.
    File(PathBuf),
}

/// Bytes of a secret's file. BuildKit takes no more
/// (<https://github.com/moby/buildkit/blob/master/session/secrets/secretsprovider/store.go>).
pub const LARGEST_SECRET: u64 = 500 << 10;

/// An open session. It ends when it is dropped.
pub struct Session {
    id: String,
    server: JoinHandle<()>,
    /// Carries the stream, where that is not the engine's own doing. The server's task for the one connection outlives
    /// the server, and would hold the connection to the daemon open.
    carrier: Option<JoinHandle<()>>,
}

impl Session {
    /// Opens a session with the BuildKit behind `reach`, to which `control` is connected.
    pub async fn open(reach: &Reach, control: &Control, offer: Offer) -> Result<Self, TransportError> {
        let id = new_id();
        let mut headers = vec![
            ("x-docker-expose-session-uuid", id.clone()),
            ("x-docker-expose-session-name", "build-deploy".to_owned()),
            ("x-docker-expose-session-sharedkey", offer.shared_key),
        ];
        let sent = offer.intake.as_ref().map(|_| SENT);
        let methods = METHODS.into_iter().chain(sent);
        headers.extend(methods.map(|method| ("x-docker-expose-session-grpc-method", method.to_owned())));
        let (stream, carrier): (Bytes, _) = match reach {
            Reach::Engine(address) => {
                (Box::new(TokioIo::new(transport::upgrade(address, "/session", &headers).await?)), None)
            }
            Reach::Endpoint(..) | Reach::Container(..) => {
                let refused = |status: Status| TransportError::Session {
                    endpoint: reach.to_string(),
                    reason: status.message().to_owned(),
                };
                let (stream, carrier) = tunnel::open(control.channel(), &headers).await.map_err(refused)?;
                (Box::new(stream), Some(carrier))
            }
        };
        let services = filesync::server()
            .add_service(HealthServer::new(Alive))
            .add_service(FileSyncServer::new(offer.files).max_encoding_message_size(MAX_MESSAGE))
            .add_service(AuthServer::new(Keyring(offer.credentials)))
            .add_service(SecretsServer::new(Safe(offer.secrets)))
            .add_service(SshServer::new(offer.ssh))
            .add_optional_service(offer.intake.map(FileSendServer::new));
        // There is one connection; a pending stream behind it keeps the server from ending before it does.
        let connection = stream::once(async move { Ok::<_, io::Error>(Connection(stream)) });
        let incoming = connection.chain(stream::pending());
        let server = tokio::spawn(async move {
            // How a session ends is told by the build that used it.
            let _ = services.serve_with_incoming(incoming).await;
        });
        Ok(Self { id, server, carrier })
    }

    /// The id that a solve names to use this session.
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

/// BuildKit's own limit of a message.
const MAX_MESSAGE: usize = 16 << 20;

/// A new id for a session or a solve: 25 base-36 characters, as BuildKit makes them.
pub fn new_id() -> String {
    use rand::Rng as _;
    let mut rng = rand::rng();
    (0..25).map(|_| char::from(b"0123456789abcdefghijklmnopqrstuvwxyz"[rng.random_range(0..36)])).collect()
}

/// The stream in the shape that tonic's server takes.
struct Connection(Bytes);

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

/// Answers with credentials; the daemon fetches tokens itself.
struct Keyring(Credentials);

#[tonic::async_trait]
impl Auth for Keyring {
    async fn credentials(&self, request: Request<CredentialsRequest>) -> Result<Response<CredentialsResponse>, Status> {
        // An unknown host is asked anonymously, which is an empty answer and no error. A secret without a user name is an
        // identity token.
        let (username, secret) = match self.0.for_host(&request.get_ref().host) {
            Some(login) => (login.username.clone(), login.password.expose().to_owned()),
            None => (String::new(), String::new()),
        };
        Ok(Response::new(CredentialsResponse { username, secret }))
    }

    async fn fetch_token(&self, _: Request<FetchTokenRequest>) -> Result<Response<FetchTokenResponse>, Status> {
        Err(fetched_by_the_daemon())
    }

    async fn get_token_authority(
        &self,
        _: Request<GetTokenAuthorityRequest>,
    ) -> Result<Response<GetTokenAuthorityResponse>, Status> {
        Err(fetched_by_the_daemon())
    }

    async fn verify_token_authority(
        &self,
        _: Request<VerifyTokenAuthorityRequest>,
    ) -> Result<Response<VerifyTokenAuthorityResponse>, Status> {
        Err(fetched_by_the_daemon())
    }
}

/// `Unavailable` is what makes the daemon ask for credentials instead of tokens.
fn fetched_by_the_daemon() -> Status {
    Status::unavailable("tokens are fetched by the daemon")
}

struct Safe(HashMap<String, BuildSecret>);

#[tonic::async_trait]
impl Secrets for Safe {
    async fn get_secret(&self, request: Request<GetSecretRequest>) -> Result<Response<GetSecretResponse>, Status> {
        let id = &request.get_ref().id;
        let data = match self.0.get(id) {
            Some(BuildSecret::Value(secret)) => secret.expose().as_bytes().to_vec(),
            Some(BuildSecret::File(path)) => regular_file::read(path, LARGEST_SECRET)
                .map_err(|error| Status::internal(format!("read secret {id} from {}: {error}", path.display())))?,
            // BuildKit takes this very code for "no such secret" and goes on if the secret is optional.
            None => return Err(Status::not_found(format!("secret {id} not found"))),
        };
        Ok(Response::new(GetSecretResponse { data }))
    }
}
