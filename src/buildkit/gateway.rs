//! Builds that are contexts of each other, as targets that bake links with `target:` contexts are.
//!
//! The base's frontend is called through the gateway, where its result is a graph of steps and not yet an image; the
//! dependent's frontend gets that graph as an input. The steps of both builds are the same, so the daemon runs them once.
//! The base's build stays open until its dependents are done, since steps that are built without cache are shared only
//! while they run.
//!
//! API: <https://github.com/moby/buildkit/blob/master/frontend/gateway/pb/gateway.proto>.

use std::{
    collections::{HashMap, HashSet},
    fmt::Write as _,
    sync::Arc,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bollard_buildkit_proto::{
    google::rpc,
    moby::buildkit::v1::{
        SolveRequest,
        frontend::{
            self, EvaluateRequest, Result as GatewayResult, ReturnRequest, llb_bridge_client::LlbBridgeClient, result,
        },
    },
    pb::Definition,
};
use prost::Message as _;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;
use tonic::{Code, Request, Status, metadata::MetadataValue, transport::Channel};

use super::{
    Client, MAX_MESSAGE,
    build::{Build, Context},
    client::Observer,
    steps::Steps,
};

/// Result metadata that holds an image's configuration; with several platforms, `/` and one of them follows.
const IMAGE_CONFIG: &str = "containerimage.config";

/// The graph that a base's frontend made for each platform; the key is empty if there is only one.
#[derive(Debug, Default)]
struct Graph {
    platforms: HashMap<String, PlatformGraph>,
}

#[derive(Debug)]
struct PlatformGraph {
    definition: Definition,
    /// The image's configuration, JSON.
    config: Option<Vec<u8>>,
}

/// Concurrent builds, some of which are contexts of others.
#[derive(Debug)]
pub struct LinkedBuilds {
    bases: HashMap<String, Base>,
}

#[derive(Debug)]
struct Base {
    graph: watch::Sender<Option<Arc<Graph>>>,
    /// How many dependents are not built yet.
    waiting: watch::Sender<usize>,
}

impl LinkedBuilds {
    /// Finds the builds in `builds` that are contexts of others. These must not be circular.
    pub fn new<'b>(builds: impl IntoIterator<Item = &'b Build>) -> Self {
        let mut bases: HashMap<String, Base> = HashMap::new();
        for build in builds {
            for name in bases_of(build) {
                let new = || Base { graph: watch::Sender::new(None), waiting: watch::Sender::new(0) };
                bases.entry(name.to_owned()).or_insert_with(new).waiting.send_modify(|count| *count += 1);
            }
        }
        Self { bases }
    }

    /// Closes the bases of a build that is done, unless other builds still need them.
    pub fn release_bases_of(&self, build: &Build) {
        for base in bases_of(build).into_iter().filter_map(|name| self.bases.get(name)) {
            base.waiting.send_modify(|count| *count = count.saturating_sub(1));
        }
    }

    /// Solves the build `name` with `request`, which is sent unchanged if the build is not linked.
    ///
    /// # Errors
    /// The daemon's error, including errors about a step of a base. [`Steps::hides`] identifies the latter, which the base's
    /// own build reports.
    pub async fn solve(
        &self,
        client: &Client,
        (name, build): (&str, &Build),
        mut request: SolveRequest,
        steps: &mut Steps,
        observer: &mut impl Observer,
    ) -> Result<HashMap<String, String>, Status> {
        let base = self.bases.get(name);
        if base.is_none() && build.bases().next().is_none() {
            return client.solve(request, steps, observer).await;
        }
        let graphs = self.graphs(build).await;
        steps.hide(graphs.values().flat_map(|graph| graph.vertices()));
        let gateway = Gateway::new(client.channel(), &request.r#ref)?;
        let inner = inner_request(&mut request, build, &graphs);
        let conversation = async {
            let answer = match gateway.run(inner, base).await {
                Ok(result) => ReturnRequest { result: Some(without_empty_values(result)), error: None },
                // The daemon answers the solve with it, details included.
                Err(status) => ReturnRequest { result: None, error: Some(error_of(&status)) },
            };
            gateway.finish(answer).await;
        };
        let solving = client.solve(request, steps, observer);
        tokio::pin!(solving, conversation);
        tokio::select! {
            answer = &mut solving => answer,
            () = &mut conversation => solving.await,
        }
    }

    /// Waits for the graphs of a build's bases; by name.
    async fn graphs(&self, build: &Build) -> HashMap<String, Arc<Graph>> {
        let mut graphs = HashMap::new();
        for name in bases_of(build) {
            let Some(base) = self.bases.get(name) else { continue };
            // The sender lives as long as we do, so a graph arrives or this future is dropped.
            if let Ok(graph) = base.graph.subscribe().wait_for(Option::is_some).await {
                graphs.extend(graph.clone().map(|graph| (name.to_owned(), graph)));
            }
        }
        graphs
    }
}

fn bases_of(build: &Build) -> HashSet<&str> {
    build.bases().collect()
}

/// Takes the frontend out of a request and makes the gateway's request of it, with the bases as inputs.
fn inner_request(
    request: &mut SolveRequest,
    build: &Build,
    graphs: &HashMap<String, Arc<Graph>>,
) -> frontend::SolveRequest {
    let mut attrs = request.frontend_attrs.clone();
    let mut inputs = HashMap::new();
    for (name, context) in &build.named_contexts {
        let Context::Build(base) = context else { continue };
        for (platform, graph) in graphs.get(base).into_iter().flat_map(|graph| &graph.platforms) {
            let key = if platform.is_empty() { name.clone() } else { format!("{name}::{platform}") };
            attrs.insert(format!("context:{key}"), format!("input:{key}"));
            if let Some(config) = &graph.config {
                let metadata = json!({IMAGE_CONFIG: STANDARD.encode(config)}).to_string();
                attrs.insert(format!("input-metadata:{key}"), metadata);
            }
            inputs.insert(key, graph.definition.clone());
        }
    }
    frontend::SolveRequest {
        frontend: std::mem::take(&mut request.frontend),
        frontend_opt: attrs,
        allow_result_return: true,
        allow_result_array_ref: true,
        frontend_inputs: inputs,
        ..frontend::SolveRequest::default()
    }
}

impl Graph {
    fn new(result: &GatewayResult) -> Self {
        let graph = |reference: &frontend::Ref, key: &str| {
            let config = result.metadata.get(key).cloned();
            let definition = reference.def.clone()?;
            Some(PlatformGraph { definition: without_empty_locations(definition), config })
        };
        let mut platforms = HashMap::new();
        match &result.result {
            Some(result::Result::Ref(reference)) => {
                platforms.extend(graph(reference, IMAGE_CONFIG).map(|graph| (String::new(), graph)));
            }
            Some(result::Result::Refs(all)) => {
                for (platform, reference) in &all.refs {
                    let graph = graph(reference, &format!("{IMAGE_CONFIG}/{platform}"));
                    platforms.extend(graph.map(|graph| (platform.clone(), graph)));
                }
            }
            Some(result::Result::RefDeprecated(_) | result::Result::RefsDeprecated(_)) | None => {}
        }
        Self { platforms }
    }

    /// The digests of its steps, as the status of any build reports them.
    fn vertices(&self) -> impl Iterator<Item = String> + '_ {
        let steps = self.platforms.values().flat_map(|graph| &graph.definition.def);
        steps.flat_map(|step| {
            let digest = digest(step);
            // Steps without cache have a digest of their own
            // (<https://github.com/moby/buildkit/blob/master/solver/jobs.go>).
            let without_cache = self::digest(format!("{digest}-ignorecache").as_bytes());
            [digest, without_cache]
        })
    }
}

/// Removes the entries of steps that have no location in a source file.
///
/// prost encodes a map entry without its value if that is empty. BuildKit's decoder (vtprotobuf) turns it into a null
/// pointer, which crashes the daemon and all builds in it (`NewDefinitionOp`, seen with BuildKit 0.32).
fn without_empty_locations(mut definition: Definition) -> Definition {
    if let Some(source) = &mut definition.source {
        source.locations.retain(|_, locations| !locations.locations.is_empty());
        for info in &mut source.infos {
            info.definition = info.definition.take().map(without_empty_locations);
        }
    }
    definition
}

/// For the same reason, gives a value to each entry of a result that is empty, as for an image without files.
fn without_empty_values(mut result: GatewayResult) -> GatewayResult {
    if let Some(result::Result::Refs(all)) = &mut result.result {
        // BuildKit looks at the id alone.
        all.refs.values_mut().for_each(|reference| _ = reference.def.get_or_insert_default());
    }
    result
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold("sha256:".to_owned(), |mut digest, byte| {
        // Writing to a String cannot fail.
        let _ = write!(digest, "{byte:02x}");
        digest
    })
}

/// The gateway of one build.
struct Gateway {
    client: LlbBridgeClient<Channel>,
    build: MetadataValue<tonic::metadata::Ascii>,
}

impl Gateway {
    fn new(channel: &Channel, build: &str) -> Result<Self, Status> {
        let client = LlbBridgeClient::new(channel.clone()).max_decoding_message_size(MAX_MESSAGE);
        let client = client.max_encoding_message_size(MAX_MESSAGE);
        let build = build.parse().map_err(|_| Status::invalid_argument("the id of the build is not ASCII"))?;
        Ok(Self { client, build })
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("buildkit-controlapi-buildid", self.build.clone());
        request
    }

    async fn call(&self, request: frontend::SolveRequest) -> Result<GatewayResult, Status> {
        let answer = self.client.clone().solve(self.request(request)).await?.into_inner();
        answer.result.ok_or_else(|| Status::internal("the frontend returned no result"))
    }

    /// Calls the frontend. For a base, also passes its graph on, builds it and waits for its dependents.
    async fn run(&self, request: frontend::SolveRequest, base: Option<&Base>) -> Result<GatewayResult, Status> {
        let Some(base) = base else { return self.call(request).await };
        let mut result = self.call(request.clone()).await?;
        base.graph.send_replace(Some(Arc::new(Graph::new(&result))));
        if let Err(status) = self.evaluate(&result).await {
            if status.code() != Code::Unimplemented {
                return Err(status);
            }
            // BuildKit before 0.11.
            result = self.call(frontend::SolveRequest { evaluate: true, ..request }).await?;
        }
        // The sender is ours, so it is not dropped.
        let _ = base.waiting.subscribe().wait_for(|count| *count == 0).await;
        Ok(result)
    }

    /// Builds the graph of a result, so that the base's own build fails if a step of it does.
    async fn evaluate(&self, result: &GatewayResult) -> Result<(), Status> {
        let references: Vec<&str> = match &result.result {
            Some(result::Result::Ref(reference)) => vec![&reference.id],
            Some(result::Result::Refs(all)) => all.refs.values().map(|reference| reference.id.as_str()).collect(),
            Some(result::Result::RefDeprecated(_) | result::Result::RefsDeprecated(_)) | None => Vec::new(),
        };
        // An image without files has no id.
        let evaluations = references.into_iter().filter(|id| !id.is_empty()).map(|id| async move {
            self.client.clone().evaluate(self.request(EvaluateRequest { r#ref: id.to_owned() })).await
        });
        futures_util::future::try_join_all(evaluations).await.map(drop)
    }

    async fn finish(&self, request: ReturnRequest) {
        // If this fails, the solve itself has ended with an error.
        let _ = self.client.clone().r#return(self.request(request)).await;
    }
}

/// The status in the form that BuildKit passes on, with its details.
fn error_of(status: &Status) -> rpc::Status {
    let encoded = rpc::Status::decode(status.details()).ok().filter(|decoded| !decoded.details.is_empty());
    encoded.unwrap_or_else(|| rpc::Status {
        code: status.code().into(),
        message: status.message().to_owned(),
        details: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bollard_buildkit_proto::{
        moby::buildkit::v1::frontend::{self, Result as GatewayResult, result},
        pb::{Definition, Location, Locations, Source, SourceInfo},
    };

    use prost::Message as _;

    use super::{Graph, without_empty_values};

    #[test]
    fn an_image_without_files_keeps_its_entry() {
        let refs = frontend::RefMap { refs: [("linux/arm64".to_owned(), frontend::Ref::default())].into() };
        let result = GatewayResult { result: Some(result::Result::Refs(refs)), ..<_>::default() };
        let sent = without_empty_values(result).encode_to_vec();
        // Field 3 of the result, of that field 1, of that the key and what must be there: field 2, the value.
        let (key, value) = (b"\x0a\x0blinux/arm64".as_slice(), b"\x12\x02\x12\x00".as_slice());
        assert!(sent.ends_with(&[key, value].concat()), "{sent:?}");
    }

    #[test]
    fn no_entry_of_a_graph_is_empty() {
        let locations = |count| Locations { locations: vec![Location::default(); count] };
        let locations = BTreeMap::from([("sha256:a".to_owned(), locations(0)), ("sha256:b".to_owned(), locations(1))]);
        let inner =
            Definition { source: Some(Source { locations: locations.clone(), infos: vec![] }), ..<_>::default() };
        let infos = vec![SourceInfo { definition: Some(inner), ..<_>::default() }];
        let definition = Definition { source: Some(Source { locations, infos }), ..<_>::default() };
        let reference = frontend::Ref { id: "r".into(), def: Some(definition) };
        let result = GatewayResult { result: Some(result::Result::Ref(reference)), ..<_>::default() };
        let graph = Graph::new(&result);
        let outer = graph.platforms[""].definition.source.as_ref().unwrap();
        let inner = outer.infos[0].definition.as_ref().unwrap().source.as_ref().unwrap();
        for source in [outer, inner] {
            assert_eq!(source.locations.keys().collect::<Vec<_>>(), ["sha256:b"]);
        }
    }
}
