//! BuildKit's API on one connection.

use std::{collections::HashMap, pin::Pin, sync::Arc};

use bollard_buildkit_proto::{
    moby::buildkit::v1::{
        BuildHistoryEvent, BuildHistoryRequest, BytesMessage, DiskUsageRequest, DiskUsageResponse, InfoRequest,
        InfoResponse, ListWorkersRequest, ListWorkersResponse, PruneRequest, SolveRequest, SolveResponse,
        StatusRequest, StatusResponse, UpdateBuildHistoryRequest, UpdateBuildHistoryResponse, UsageRecord,
        control_server::{Control, ControlServer},
        frontend::llb_bridge_server::LlbBridgeServer,
        types::{BuildkitVersion, WorkerRecord},
    },
    pb::Platform,
};
use futures_util::{Stream, stream};
use hyper::{server::conn::http2, upgrade::Upgraded};
use hyper_util::{rt::TokioExecutor, service::TowerToHyperService};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex, split};
use tonic::{Request, Response, Status, Streaming, service::Routes};

use super::{Seen, Store, build, content::Content, gateway::Gateway, session::Offer, state::State};

/// Most bytes of a message.
const MAX_MESSAGE: usize = 64 << 20;

/// BuildKit's API.
pub(super) fn routes(state: &Arc<State>) -> Routes {
    let control = ControlServer::new(Buildkit(state.clone())).max_decoding_message_size(MAX_MESSAGE);
    let gateway = LlbBridgeServer::new(Gateway(state.clone())).max_decoding_message_size(MAX_MESSAGE);
    Routes::new(control).add_service(gateway).add_service(Content(state.clone()))
}

/// Serves BuildKit's API until the caller goes away.
pub(super) async fn serve(state: Arc<State>, stream: Upgraded) {
    let routes = TowerToHyperService::new(routes(&state));
    let connection = http2::Builder::new(TokioExecutor::new()).serve_connection(stream, routes);
    // A caller that goes away is what some tests are about.
    let _ = connection.await;
}

struct Buildkit(Arc<State>);

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

fn unknown<T>(method: &str) -> Result<Response<T>, Status> {
    Err(Status::unimplemented(format!("unknown method {method} for service moby.buildkit.v1.Control")))
}

#[tonic::async_trait]
impl Control for Buildkit {
    async fn solve(&self, request: Request<SolveRequest>) -> Result<Response<SolveResponse>, Status> {
        let request = request.into_inner();
        self.0.meet(Seen::Rpc("Solve"), &request.session).await?;
        build::solve(&self.0, request).await.map(Response::new)
    }

    type StatusStream = Answers<StatusResponse>;

    async fn status(&self, request: Request<StatusRequest>) -> Result<Response<Self::StatusStream>, Status> {
        self.0.meet(Seen::Rpc("Status"), "").await?;
        let job = self.0.jobs.find(&request.get_ref().r#ref).await?;
        Ok(Response::new(Box::pin(job.messages())))
    }

    async fn list_workers(&self, _: Request<ListWorkersRequest>) -> Result<Response<ListWorkersResponse>, Status> {
        self.0.meet(Seen::Rpc("ListWorkers"), "").await?;
        let label = |name: &str, value: &str| (format!("org.mobyproject.buildkit.worker.{name}"), value.to_owned());
        let mut labels = HashMap::from([label("moby.host-gateway-ip", "172.17.0.1"), label("executor", "containerd")]);
        if self.0.setup.store == Store::Containerd {
            labels.extend([label("snapshotter", "overlayfs")]);
        }
        let platform = |architecture: &str| Platform {
            os: "linux".into(),
            architecture: architecture.into(),
            ..Platform::default()
        };
        let platforms = vec![platform("amd64"), platform("386")];
        let worker = WorkerRecord { id: "worker".into(), labels, platforms, ..WorkerRecord::default() };
        Ok(Response::new(ListWorkersResponse { record: vec![worker] }))
    }

    async fn info(&self, _: Request<InfoRequest>) -> Result<Response<InfoResponse>, Status> {
        self.0.meet(Seen::Rpc("Info"), "").await?;
        let Some(version) = self.0.setup.buildkit.clone() else { return unknown("Info") };
        let version = BuildkitVersion { package: "github.com/moby/buildkit".into(), version, ..<_>::default() };
        Ok(Response::new(InfoResponse { buildkit_version: Some(version) }))
    }

    type SessionStream = Answers<BytesMessage>;

    async fn session(
        &self,
        request: Request<Streaming<BytesMessage>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let offer = Offer::of_headers(request.metadata().as_ref());
        let id = offer.id.clone();
        let mut incoming = request.into_inner();
        let (near, far) = duplex(64 << 10);
        let (reader, mut writer) = split(far);
        let state = self.0.clone();
        self.0.spawn(async move {
            let up = async {
                while let Ok(Some(message)) = incoming.message().await {
                    if writer.write_all(&message.data).await.is_err() {
                        break;
                    }
                }
                state.sessions.end(&id);
            };
            tokio::join!(state.sessions.serve(offer, near, state.setup.health), up);
        });
        let answers = stream::unfold(reader, async |mut reader| {
            let mut data = vec![0; 16 << 10];
            let read = reader.read(&mut data).await.ok().filter(|read| *read > 0)?;
            data.truncate(read);
            Some((Ok(BytesMessage { data }), reader))
        });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn disk_usage(&self, _: Request<DiskUsageRequest>) -> Result<Response<DiskUsageResponse>, Status> {
        unknown("DiskUsage")
    }

    type PruneStream = Answers<UsageRecord>;

    async fn prune(&self, _: Request<PruneRequest>) -> Result<Response<Self::PruneStream>, Status> {
        unknown("Prune")
    }

    type ListenBuildHistoryStream = Answers<BuildHistoryEvent>;

    async fn listen_build_history(
        &self,
        _: Request<BuildHistoryRequest>,
    ) -> Result<Response<Self::ListenBuildHistoryStream>, Status> {
        unknown("ListenBuildHistory")
    }

    async fn update_build_history(
        &self,
        _: Request<UpdateBuildHistoryRequest>,
    ) -> Result<Response<UpdateBuildHistoryResponse>, Status> {
        unknown("UpdateBuildHistory")
    }
}
