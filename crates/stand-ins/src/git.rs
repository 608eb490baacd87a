//! A git server: `git http-backend` behind HTTP. Repositories whose path begins with `private/` require the token.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    sync::Arc,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Response, StatusCode, header},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use tempfile::TempDir;
use tokio::{io::AsyncWriteExt as _, net::TcpListener, process::Command, task::JoinHandle};

/// The server. It runs until it is dropped.
#[derive(Debug)]
pub struct GitServer {
    url: String,
    root: TempDir,
    server: JoinHandle<()>,
}

struct Shared {
    root: PathBuf,
    /// The part of the header `Authorization` after the scheme.
    credentials: String,
}

impl Shared {
    fn admits(&self, headers: &HeaderMap) -> bool {
        let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        // BuildKit spells the scheme in lower case.
        value.and_then(|value| value.split_once(' ')).is_some_and(|(_, credentials)| credentials == self.credentials)
    }
}

impl GitServer {
    /// Listens at `listen` (port 0 takes a free one) without repositories.
    pub async fn start(listen: SocketAddr, token: &str) -> io::Result<Self> {
        let root = tempfile::tempdir()?;
        let listener = TcpListener::bind(listen).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let credentials = STANDARD.encode(format!("x-access-token:{token}"));
        let shared = Arc::new(Shared { root: root.path().to_owned(), credentials });
        let app = Router::new().fallback(serve).with_state(shared);
        let server = tokio::spawn(async move {
            // Ends with the task: nobody asks how.
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self { url, root, server })
    }

    /// Where it listens, as an address without a path.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Makes a repository with these files on the branch `main`.
    pub async fn repository(&self, path: &str, files: &[(&str, &str)]) -> io::Result<()> {
        let work = tempfile::tempdir()?;
        for (name, text) in files {
            let file = work.path().join(name);
            std::fs::create_dir_all(file.parent().unwrap_or(work.path()))?;
            std::fs::write(file, text)?;
        }
        let bare = self.root.path().join(path);
        git(work.path(), &["init", "-q", "-b", "main", "."]).await?;
        git(work.path(), &["add", "-A"]).await?;
        git(work.path(), &["-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-q", "-m", "x"]).await?;
        git(work.path(), &["clone", "-q", "--bare", ".", &bare.to_string_lossy()]).await
    }
}

impl Drop for GitServer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn git(directory: &Path, arguments: &[&str]) -> io::Result<()> {
    let status = Command::new("git").args(arguments).current_dir(directory).status().await?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("git {arguments:?} failed: {status}"))) }
}

async fn serve(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    if request.uri().path().starts_with("/private/") && !shared.admits(request.headers()) {
        let mut refusal = Response::new(Body::empty());
        *refusal.status_mut() = StatusCode::UNAUTHORIZED;
        refusal.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic"));
        return refusal;
    }
    match backend(&shared.root, request).await {
        Ok(answer) => answer,
        Err(error) => {
            let mut failure = Response::new(Body::from(error.to_string()));
            *failure.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            failure
        }
    }
}

/// Hands a request to `git http-backend`, a CGI program.
async fn backend(root: &Path, request: Request) -> io::Result<Response<Body>> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 16 << 20).await.map_err(io::Error::other)?;
    let text = |name| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut backend = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", parts.uri.path())
        .env("QUERY_STRING", parts.uri.query().unwrap_or_default())
        .env("REQUEST_METHOD", parts.method.as_str())
        .env("CONTENT_TYPE", text("content-type"))
        .env("HTTP_CONTENT_ENCODING", text("content-encoding"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("GIT_PROTOCOL", text("git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    if let Some(mut input) = backend.stdin.take() {
        input.write_all(&body).await?;
    }
    let Output { stdout: output, .. } = backend.wait_with_output().await?;
    let end = output.windows(4).position(|window| window == b"\r\n\r\n");
    let end = end.ok_or_else(|| io::Error::other("git http-backend: no headers"))?;
    let mut response = Response::builder();
    for line in String::from_utf8_lossy(&output[..end]).lines() {
        let Some((name, value)) = line.split_once(": ") else { continue };
        response = match name {
            "Status" => response.status(value.split(' ').next().unwrap_or_default()),
            name => response.header(name, value),
        };
    }
    response.body(Body::from(output[end + 4..].to_vec())).map_err(io::Error::other)
}
