//! Containerd's service of content, of which callers read manifests.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::{Stream, stream};
use prost::Message;
use tonic::{
    Request, Response, Status,
    body::Body,
    codegen::http,
    server::{Grpc, NamedService, ServerStreamingService},
};
use tonic_prost::ProstCodec;
use tower::Service;

use super::{Seen, state::State};

/// The service.
#[derive(Clone)]
pub(super) struct Content(pub(super) Arc<State>);

#[derive(Clone, PartialEq, Message)]
struct ReadRequest {
    #[prost(string, tag = "1")]
    digest: String,
    #[prost(int64, tag = "2")]
    offset: i64,
    #[prost(int64, tag = "3")]
    size: i64,
}

#[derive(Clone, PartialEq, Message)]
struct ReadResponse {
    #[prost(int64, tag = "1")]
    offset: i64,
    #[prost(bytes = "vec", tag = "2")]
    data: Vec<u8>,
}

type Answering<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl ServerStreamingService<ReadRequest> for Content {
    type Response = ReadResponse;
    type ResponseStream = Pin<Box<dyn Stream<Item = Result<ReadResponse, Status>> + Send>>;
    type Future = Answering<Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<ReadRequest>) -> Self::Future {
        let state = self.0.clone();
        Box::pin(async move {
            state.meet(Seen::Rpc("Read"), "").await?;
            let digest = request.into_inner().digest;
            let content = state.content(&digest);
            let data = content.ok_or_else(|| Status::not_found(format!("content {digest}: not found")))?;
            let answer: Self::ResponseStream = Box::pin(stream::iter([Ok(ReadResponse { offset: 0, data })]));
            Ok(Response::new(answer))
        })
    }
}

impl NamedService for Content {
    const NAME: &'static str = "containerd.services.content.v1.Content";
}

impl Service<http::Request<Body>> for Content {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answering<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let content = self.clone();
        Box::pin(async move {
            if request.uri().path() != "/containerd.services.content.v1.Content/Read" {
                return Ok(Status::unimplemented("only Read").into_http());
            }
            let codec: ProstCodec<ReadResponse, ReadRequest> = ProstCodec::default();
            Ok(Grpc::new(codec).server_streaming(content, request).await)
        })
    }
}
