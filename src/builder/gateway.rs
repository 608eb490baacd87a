//! Images that are built upon other images of the same run, as bake's `target:` contexts are.
//!
//! The frontend of the base is called through the gateway, where its result is a graph of steps and not yet an image;
//! the dependent's frontend gets that graph as an input. The steps are the same ones in both builds, so the daemon does
//! them once. The base's build stays open until its dependents are done, since what is built without cache is only
//! shared while it is being built.
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
    progress::Progress,
    recipe::{Context, Recipe},
    solve::Control,
};
use crate::{buildkit::MAX_MESSAGE, events::Events};

/// Result metadata that holds an image's configuration; with several platforms, `/` and one of them follows.
const IMAGE_CONFIG: &str = "containerimage.config";

/// What a base's frontend made, by platform; the key is empty if there is only one.
#[derive(Debug, Default)]
struct Graph {
    parts: HashMap<String, Part>,
}

#[derive(Debug)]
struct Part {
    definition: Definition,
    /// The image's configuration, JSON.
    config: Option<Vec<u8>>,
}

/// How the images of a run hang together.
#[derive(Debug)]
pub struct Links {
    bases: HashMap<String, Base>,
}

#[derive(Debug)]
struct Base {
    graph: watch::Sender<Option<Arc<Graph>>>,
    /// How many dependents are not built yet.
    waiting: watch::Sender<usize>,
}

impl Links {
    /// Finds out which images are built upon which. The plan has made sure that there is no circle.
    pub fn new(recipes: &[Recipe]) -> Self {
        let mut bases: HashMap<String, Base> = HashMap::new();
        for recipe in recipes {
            for name in bases_of(recipe) {
                let new = || Base { graph: watch::Sender::new(None), waiting: watch::Sender::new(0) };
                bases.entry(name.to_owned()).or_insert_with(new).waiting.send_modify(|count| *count += 1);
            }
        }
        Self { bases }
    }

    /// Whether a recipe takes part in any of it.
    pub fn concern(&self, recipe: &Recipe) -> bool {
        self.bases.contains_key(&recipe.name) || recipe.bases().next().is_some()
    }

    /// The recipe's build is over, and its bases need not be held open for it any longer.
    pub fn release_bases_of(&self, recipe: &Recipe) {
        for base in bases_of(recipe).into_iter().filter_map(|name| self.bases.get(name)) {
            base.waiting.send_modify(|count| *count = count.saturating_sub(1));
        }
    }

    /// Waits for what a recipe is built upon; by image.
    async fn graphs(&self, recipe: &Recipe) -> HashMap<String, Arc<Graph>> {
        let mut graphs = HashMap::new();
        for name in bases_of(recipe) {
            let Some(base) = self.bases.get(name) else { continue };
            // The sender lives as long as we do, so there will be one or this future is dropped.
            if let Ok(graph) = base.graph.subscribe().wait_for(Option::is_some).await {
                graphs.extend(graph.clone().map(|graph| (name.to_owned(), graph)));
            }
        }
        graphs
    }
}

fn bases_of(recipe: &Recipe) -> HashSet<&str> {
    recipe.bases().collect()
}

/// Builds a linked image. `request` is what a build of its own would be asked for with.
///
/// An error within the steps of a base is never returned: the base's own build tells it.
pub async fn solve(
    control: &Control,
    mut request: SolveRequest,
    (links, recipe): (&Links, &Recipe),
    progress: &mut Progress,
    events: &Events,
) -> Result<HashMap<String, String>, Status> {
    let graphs = links.graphs(recipe).await;
    progress.leave_out(graphs.values().flat_map(|graph| graph.vertices()));
    let bridge = Bridge::new(control.channel(), &request.r#ref)?;
    let inner = inner_request(&mut request, recipe, &graphs);
    let conversation = async {
        let answer = bridge.converse(inner, links.bases.get(&recipe.name)).await;
        match answer {
            // What is wrong comes back as the answer of the solve, with all details.
            Err(status) => bridge.finish(ReturnRequest { result: None, error: Some(error_of(&status)) }).await,
            Ok(result) => {
                bridge.finish(ReturnRequest { result: Some(without_empty_values(result)), error: None }).await;
            }
        }
    };
    let solving = control.solve(request, progress, events);
    tokio::pin!(solving, conversation);
    tokio::select! {
        answer = &mut solving => answer,
        () = &mut conversation => solving.await,
    }
}

/// Takes the frontend out of a request and makes the gateway's request of it, with the bases as inputs.
fn inner_request(
    request: &mut SolveRequest,
    recipe: &Recipe,
    graphs: &HashMap<String, Arc<Graph>>,
) -> frontend::SolveRequest {
    let mut attrs = request.frontend_attrs.clone();
    let mut inputs = HashMap::new();
    for (name, context) in &recipe.named_contexts {
        let Context::Image(image) = context else { continue };
        for (platform, part) in graphs.get(image).into_iter().flat_map(|graph| &graph.parts) {
            let key = if platform.is_empty() { name.clone() } else { format!("{name}::{platform}") };
            attrs.insert(format!("context:{key}"), format!("input:{key}"));
            if let Some(config) = &part.config {
                let metadata = json!({IMAGE_CONFIG: STANDARD.encode(config)}).to_string();
                attrs.insert(format!("input-metadata:{key}"), metadata);
            }
            inputs.insert(key, part.definition.clone());
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
        let part = |reference: &frontend::Ref, key: &str| {
            let config = result.metadata.get(key).cloned();
            reference.def.clone().map(|definition| Part { definition: without_empty_places(definition), config })
        };
        let mut parts = HashMap::new();
        match &result.result {
            Some(result::Result::Ref(reference)) => {
                parts.extend(part(reference, IMAGE_CONFIG).map(|part| (String::new(), part)));
            }
            Some(result::Result::Refs(all)) => {
                for (platform, reference) in &all.refs {
                    let part = part(reference, &format!("{IMAGE_CONFIG}/{platform}"));
                    parts.extend(part.map(|part| (platform.clone(), part)));
                }
            }
            Some(result::Result::RefDeprecated(_) | result::Result::RefsDeprecated(_)) | None => {}
        }
        Self { parts }
    }

    /// The digests of its steps, as the status of any build tells them.
    fn vertices(&self) -> impl Iterator<Item = String> + '_ {
        let steps = self.parts.values().flat_map(|part| &part.definition.def);
        steps.flat_map(|step| {
            let digest = digest(step);
            // What is built without cache has a name of its own
            // (<https://github.com/moby/buildkit/blob/master/solver/jobs.go>).
            let without_cache = self::digest(format!("{digest}-ignorecache").as_bytes());
            [digest, without_cache]
        })
    }
}

/// Leaves out the places in source files of steps that have none.
///
/// prost encodes an entry of a map without its value if that is empty, and BuildKit's decoder (vtprotobuf) makes a null
/// pointer of it, which ends the daemon with all builds in it (`NewDefinitionOp`, seen with BuildKit 0.32).
fn without_empty_places(mut definition: Definition) -> Definition {
    if let Some(source) = &mut definition.source {
        source.locations.retain(|_, places| !places.locations.is_empty());
        for info in &mut source.infos {
            info.definition = info.definition.take().map(without_empty_places);
        }
    }
    definition
}

/// Makes sure, for the same reason, that no entry of a result is empty: that of a platform whose image has no files is.
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
struct Bridge {
    client: LlbBridgeClient<Channel>,
    build: MetadataValue<tonic::metadata::Ascii>,
}

impl Bridge {
    fn new(channel: &Channel, build: &str) -> Result<Self, Status> {
        let client = LlbBridgeClient::new(channel.clone()).max_decoding_message_size(MAX_MESSAGE);
        let client = client.max_encoding_message_size(MAX_MESSAGE);
        let build = build.parse().map_err(|_| Status::invalid_argument("the build's id is no text"))?;
        Ok(Self { client, build })
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("buildkit-controlapi-buildid", self.build.clone());
        request
    }

    async fn call(&self, request: frontend::SolveRequest) -> Result<GatewayResult, Status> {
        let answer = self.client.clone().solve(self.request(request)).await?.into_inner();
        answer.result.ok_or_else(|| Status::internal("the frontend made nothing"))
    }

    /// Calls the frontend; for a base, hands the graph on, builds it and waits for its dependents.
    async fn converse(&self, request: frontend::SolveRequest, base: Option<&Base>) -> Result<GatewayResult, Status> {
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
        // The sender is ours, so it cannot be gone.
        let _ = base.waiting.subscribe().wait_for(|count| *count == 0).await;
        Ok(result)
    }

    /// Builds what so far are only plans, so that what is wrong with the base is told as the base's.
    async fn evaluate(&self, result: &GatewayResult) -> Result<(), Status> {
        let references: Vec<&str> = match &result.result {
            Some(result::Result::Ref(reference)) => vec![&reference.id],
            Some(result::Result::Refs(all)) => all.refs.values().map(|reference| reference.id.as_str()).collect(),
            Some(result::Result::RefDeprecated(_) | result::Result::RefsDeprecated(_)) | None => Vec::new(),
        };
        // Nothing has no id.
        let evaluations = references.into_iter().filter(|id| !id.is_empty()).map(|id| async move {
            self.client.clone().evaluate(self.request(EvaluateRequest { r#ref: id.to_owned() })).await
        });
        futures_util::future::try_join_all(evaluations).await.map(drop)
    }

    async fn finish(&self, request: ReturnRequest) {
        // If this cannot be said, the solve itself has ended with an error.
        let _ = self.client.clone().r#return(self.request(request)).await;
    }
}

/// The status as BuildKit sends it on, details included.
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
    fn an_image_without_files_keeps_its_place() {
        let refs = frontend::RefMap { refs: [("linux/arm64".to_owned(), frontend::Ref::default())].into() };
        let result = GatewayResult { result: Some(result::Result::Refs(refs)), ..<_>::default() };
        let sent = without_empty_values(result).encode_to_vec();
        // Field 3 of the result, of that field 1, of that the key and what must be there: field 2, the value.
        let (key, value) = (b"\x0a\x0blinux/arm64".as_slice(), b"\x12\x02\x12\x00".as_slice());
        assert!(sent.ends_with(&[key, value].concat()), "{sent:?}");
    }

    #[test]
    fn no_entry_of_a_graph_is_without_a_value() {
        let places = |count| Locations { locations: vec![Location::default(); count] };
        let locations = BTreeMap::from([("sha256:a".to_owned(), places(0)), ("sha256:b".to_owned(), places(1))]);
        let inner =
            Definition { source: Some(Source { locations: locations.clone(), infos: vec![] }), ..<_>::default() };
        let infos = vec![SourceInfo { definition: Some(inner), ..<_>::default() }];
        let definition = Definition { source: Some(Source { locations, infos }), ..<_>::default() };
        let reference = frontend::Ref { id: "r".into(), def: Some(definition) };
        let result = GatewayResult { result: Some(result::Result::Ref(reference)), ..<_>::default() };
        let graph = Graph::new(&result);
        let outer = graph.parts[""].definition.source.as_ref().unwrap();
        let inner = outer.infos[0].definition.as_ref().unwrap().source.as_ref().unwrap();
        for source in [outer, inner] {
            assert_eq!(source.locations.keys().collect::<Vec<_>>(), ["sha256:b"]);
        }
    }
}
