//! The gateway: builds whose frontend is the caller itself, which lets one build use the steps of another.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use bollard_buildkit_proto::{
    google::rpc,
    moby::buildkit::v1::frontend::{self, llb_bridge_server::LlbBridge, result},
    pb::Definition,
};
use futures_util::Stream;
use prost::Message as _;
use tokio::{
    sync::{oneshot, watch},
    time::timeout,
};
use tonic::{Code, Request, Response, Status, Streaming};

use super::{
    Seen,
    build::{Frontend, Made, Planned},
    job::Job,
    state::State,
};
use crate::receiver::lock;

/// How long a build is waited for whose gateway is called.
const APPEARS: Duration = Duration::from_secs(3);

/// The builds that wait for their caller to be their frontend.
#[derive(Default)]
pub(super) struct Bridges {
    open: Mutex<HashMap<String, Arc<Bridge>>>,
    changed: watch::Sender<()>,
}

struct Bridge {
    session: String,
    job: Arc<Job>,
    /// What was planned, by id of the reference.
    planned: Mutex<HashMap<String, Call>>,
    answer: Mutex<Option<oneshot::Sender<Result<Made, Status>>>>,
}

#[derive(Clone)]
struct Call {
    request: frontend::SolveRequest,
    planned: Planned,
    made: Option<Made>,
}

impl Bridges {
    /// Waits until the caller returns a result.
    pub(super) async fn converse(&self, id: &str, session: &str, job: Arc<Job>) -> Result<Made, Status> {
        let (sender, answer) = oneshot::channel();
        let bridge =
            Bridge { session: session.to_owned(), job, planned: Mutex::default(), answer: Mutex::new(Some(sender)) };
        lock(&self.open).insert(id.to_owned(), Arc::new(bridge));
        let _closes = Closes(self, id);
        self.changed.send_replace(());
        answer.await.unwrap_or_else(|_| Err(Status::unknown("the frontend ended without a result")))
    }

    async fn find<T>(&self, request: &Request<T>) -> Result<Arc<Bridge>, Status> {
        let id = request.metadata().get("buildkit-controlapi-buildid").and_then(|id| id.to_str().ok());
        let id = id.ok_or_else(|| Status::unknown("no buildid found in context"))?;
        let mut changes = self.changed.subscribe();
        let found = async {
            loop {
                if let Some(bridge) = lock(&self.open).get(id) {
                    return bridge.clone();
                }
                if changes.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        timeout(APPEARS, found).await.map_err(|_| Status::unknown(format!("no such job {id}")))
    }
}

struct Closes<'a>(&'a Bridges, &'a str);

impl Drop for Closes<'_> {
    fn drop(&mut self) {
        lock(&self.0.open).remove(self.1);
    }
}

/// The service.
pub(super) struct Gateway(pub(super) Arc<State>);

impl Gateway {
    fn frontend<'a>(&'a self, bridge: &'a Bridge, request: &'a frontend::SolveRequest) -> Frontend<'a> {
        Frontend {
            state: &self.0,
            job: &bridge.job,
            session: &bridge.session,
            attributes: &request.frontend_opt,
            inputs: &request.frontend_inputs,
        }
    }

    async fn execute(&self, bridge: &Bridge, id: &str) -> Result<Made, Status> {
        let call = lock(&bridge.planned).get(id).cloned();
        let call = call.ok_or_else(|| Status::unknown(format!("no such ref: {id}")))?;
        if let Some(made) = call.made {
            return Ok(made);
        }
        let made = self.frontend(bridge, &call.request).execute(&call.planned).await?;
        if let Some(call) = lock(&bridge.planned).get_mut(id) {
            call.made = Some(made.clone());
        }
        Ok(made)
    }
}

fn unknown<T>(method: &str) -> Result<Response<T>, Status> {
    Err(Status::unimplemented(format!("unknown method {method} for service moby.buildkit.v1.frontend.LLBBridge")))
}

#[tonic::async_trait]
impl LlbBridge for Gateway {
    async fn solve(
        &self,
        request: Request<frontend::SolveRequest>,
    ) -> Result<Response<frontend::SolveResponse>, Status> {
        let bridge = self.0.bridges.find(&request).await?;
        self.0.meet(Seen::Rpc("Gateway.Solve"), &bridge.session).await?;
        let request = request.into_inner();
        let planned = self.frontend(&bridge, &request).plan().await?;
        let mut definition: Vec<Vec<u8>> = Vec::new();
        definition.extend(planned.steps.iter().map(|step| step.definition.clone()));
        let id = format!("{:032x}", rand::random::<u128>());
        let evaluate = request.evaluate;
        lock(&bridge.planned).insert(id.clone(), Call { request, planned, made: None });
        if evaluate {
            self.execute(&bridge, &id).await?;
        }
        let reference = frontend::Ref { id, def: Some(Definition { def: definition, ..Definition::default() }) };
        let config = br#"{"architecture":"amd64","os":"linux"}"#.to_vec();
        let result = frontend::Result {
            result: Some(result::Result::Ref(reference)),
            metadata: HashMap::from([("containerimage.config".to_owned(), config)]),
            ..frontend::Result::default()
        };
        Ok(Response::new(frontend::SolveResponse { result: Some(result), ..frontend::SolveResponse::default() }))
    }

    async fn evaluate(
        &self,
        request: Request<frontend::EvaluateRequest>,
    ) -> Result<Response<frontend::EvaluateResponse>, Status> {
        if self.0.setup.buildkit.is_none() {
            return unknown("Evaluate");
        }
        let bridge = self.0.bridges.find(&request).await?;
        self.execute(&bridge, &request.get_ref().r#ref).await?;
        Ok(Response::new(frontend::EvaluateResponse {}))
    }

    async fn r#return(
        &self,
        request: Request<frontend::ReturnRequest>,
    ) -> Result<Response<frontend::ReturnResponse>, Status> {
        let bridge = self.0.bridges.find(&request).await?;
        let request = request.into_inner();
        let answer = match (request.error, request.result.and_then(|result| result.result)) {
            (Some(error), _) => Err(status_of(&error)),
            (None, Some(result::Result::Ref(reference))) => self.execute(&bridge, &reference.id).await,
            (None, _) => Err(Status::unknown("the frontend returned nothing")),
        };
        let waiting = lock(&bridge.answer).take();
        let waiting = waiting.ok_or_else(|| Status::unknown("return has been called before"))?;
        // A build that was cancelled takes no answer.
        let _ = waiting.send(answer);
        Ok(Response::new(frontend::ReturnResponse {}))
    }

    async fn ping(&self, _: Request<frontend::PingRequest>) -> Result<Response<frontend::PongResponse>, Status> {
        Ok(Response::new(frontend::PongResponse::default()))
    }

    async fn resolve_image_config(
        &self,
        _: Request<frontend::ResolveImageConfigRequest>,
    ) -> Result<Response<frontend::ResolveImageConfigResponse>, Status> {
        unknown("ResolveImageConfig")
    }

    async fn resolve_source_meta(
        &self,
        _: Request<frontend::ResolveSourceMetaRequest>,
    ) -> Result<Response<frontend::ResolveSourceMetaResponse>, Status> {
        unknown("ResolveSourceMeta")
    }

    async fn read_file(
        &self,
        _: Request<frontend::ReadFileRequest>,
    ) -> Result<Response<frontend::ReadFileResponse>, Status> {
        unknown("ReadFile")
    }

    async fn read_dir(
        &self,
        _: Request<frontend::ReadDirRequest>,
    ) -> Result<Response<frontend::ReadDirResponse>, Status> {
        unknown("ReadDir")
    }

    async fn stat_file(
        &self,
        _: Request<frontend::StatFileRequest>,
    ) -> Result<Response<frontend::StatFileResponse>, Status> {
        unknown("StatFile")
    }

    async fn inputs(&self, _: Request<frontend::InputsRequest>) -> Result<Response<frontend::InputsResponse>, Status> {
        unknown("Inputs")
    }

    async fn new_container(
        &self,
        _: Request<frontend::NewContainerRequest>,
    ) -> Result<Response<frontend::NewContainerResponse>, Status> {
        unknown("NewContainer")
    }

    async fn release_container(
        &self,
        _: Request<frontend::ReleaseContainerRequest>,
    ) -> Result<Response<frontend::ReleaseContainerResponse>, Status> {
        unknown("ReleaseContainer")
    }

    type ExecProcessStream = Pin<Box<dyn Stream<Item = Result<frontend::ExecMessage, Status>> + Send>>;

    async fn exec_process(
        &self,
        _: Request<Streaming<frontend::ExecMessage>>,
    ) -> Result<Response<Self::ExecProcessStream>, Status> {
        unknown("ExecProcess")
    }

    async fn read_file_container(
        &self,
        _: Request<frontend::ReadFileRequest>,
    ) -> Result<Response<frontend::ReadFileResponse>, Status> {
        unknown("ReadFileContainer")
    }

    async fn read_dir_container(
        &self,
        _: Request<frontend::ReadDirRequest>,
    ) -> Result<Response<frontend::ReadDirResponse>, Status> {
        unknown("ReadDirContainer")
    }

    async fn stat_file_container(
        &self,
        _: Request<frontend::StatFileRequest>,
    ) -> Result<Response<frontend::StatFileResponse>, Status> {
        unknown("StatFileContainer")
    }

    async fn warn(&self, _: Request<frontend::WarnRequest>) -> Result<Response<frontend::WarnResponse>, Status> {
        unknown("Warn")
    }
}

/// The error that a caller returns, details included.
fn status_of(error: &rpc::Status) -> Status {
    Status::with_details(Code::from(error.code), error.message.clone(), error.encode_to_vec().into())
}
