//! A server with fixed answers: a call to a path gets its answer, every other call gets a 404.

use std::{io, net::SocketAddr};

use axum::{
    Router,
    http::{StatusCode, header},
    routing::any,
};
use tokio::{net::TcpListener, task::JoinHandle};

/// The server. It runs until it is dropped.
#[derive(Debug)]
pub struct Fixed {
    address: SocketAddr,
    server: JoinHandle<()>,
}

impl Fixed {
    /// Listens at `listen` (port 0 takes a free one) and answers calls to `path` with this status and body.
    pub async fn start(listen: SocketAddr, path: &str, status: u16, body: &str) -> io::Result<Self> {
        Self::with(listen, &[(path, status, body)]).await
    }

    /// The same with an answer for each of several paths.
    pub async fn with(listen: SocketAddr, answers: &[(&str, u16, &str)]) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let mut app = Router::new();
        for (path, status, body) in answers {
            let status = StatusCode::from_u16(*status).map_err(io::Error::other)?;
            let kind = if body.starts_with('{') { "application/json" } else { "text/plain" };
            let body = (*body).to_owned();
            app = app.route(path, any(async move || (status, [(header::CONTENT_TYPE, kind)], body)));
        }
        let server = tokio::spawn(async move {
            // Ends with the task: nobody asks how.
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self { address, server })
    }

    /// Where it listens, as an address without a path.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Fixed {
    fn drop(&mut self) {
        self.server.abort();
    }
}
