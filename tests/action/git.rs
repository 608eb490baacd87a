//! Git repositories as contexts, on a server that wants the job's token.

use std::{net::SocketAddr, path::PathBuf, process::Stdio, sync::Arc};

use axum::{
    body::{Body, to_bytes},
    extract::State,
    http::{Request, Response, StatusCode, header},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use tempfile::TempDir;
use tokio::{io::AsyncWriteExt as _, net::TcpListener, process::Command};

use crate::{
    lab::{self, Engine},
    run::{Run, log, the_error},
};

const TOKEN: &str = "ghs_canary-of-git";

/// `git http-backend` behind HTTP; what lies below `/private/` is for those with the token.
struct Server {
    url: String,
    root: TempDir,
}

impl Server {
    async fn start() -> Self {
        let root = tempfile::tempdir().unwrap();
        let address: SocketAddr = format!("{}:0", lab::var("LAB_ADDR")).parse().unwrap();
        let listener = TcpListener::bind(address).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let place = Arc::new(root.path().to_owned());
        let app = axum::Router::new().fallback(serve).with_state(place);
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, root }
    }

    /// Makes a repository with these files on the branch `main`.
    async fn repository(&self, path: &str, files: &[(&str, &str)]) {
        let work = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let file = work.path().join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        let bare = self.root.path().join(path);
        for arguments in [
            &["init", "-q", "-b", "main", "."][..],
            &["add", "-A"],
            &["-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-q", "-m", "x"],
            &["clone", "-q", "--bare", ".", bare.to_str().unwrap()],
        ] {
            let mut git = Command::new("git");
            assert!(git.args(arguments).current_dir(work.path()).status().await.unwrap().success(), "{arguments:?}");
        }
    }
}

async fn serve(State(root): State<Arc<PathBuf>>, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let header = |name| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    // BuildKit spells the scheme in lower case.
    let authorization = header(header::AUTHORIZATION);
    let credentials = authorization.split_once(' ').map(|(_, credentials)| credentials);
    let expected = STANDARD.encode(format!("x-access-token:{TOKEN}"));
    if parts.uri.path().starts_with("/private/") && credentials != Some(&expected) {
        let refusal = Response::builder().status(StatusCode::UNAUTHORIZED).header(header::WWW_AUTHENTICATE, "Basic");
        return refusal.body(Body::empty()).unwrap();
    }
    let body = to_bytes(body, 16 << 20).await.unwrap();
    let mut backend = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root.as_path())
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", parts.uri.path())
        .env("QUERY_STRING", parts.uri.query().unwrap_or_default())
        .env("REQUEST_METHOD", parts.method.as_str())
        .env("CONTENT_TYPE", header(header::CONTENT_TYPE))
        .env("HTTP_CONTENT_ENCODING", header(header::CONTENT_ENCODING))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("GIT_PROTOCOL", parts.headers.get("git-protocol").and_then(|v| v.to_str().ok()).unwrap_or_default())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = backend.stdin.take().unwrap();
    input.write_all(&body).await.unwrap();
    drop(input);
    let output = backend.wait_with_output().await.unwrap().stdout;
    let end = output.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let mut response = Response::builder();
    for line in String::from_utf8_lossy(&output[..end]).lines() {
        let (name, value) = line.split_once(": ").unwrap();
        response = if name == "Status" { response.status(&value[..3]) } else { response.header(name, value) };
    }
    response.body(Body::from(output[end + 4..].to_vec())).unwrap()
}

#[tokio::test]
async fn a_repository_is_a_context_and_gets_the_jobs_token() {
    let server = Server::start().await;
    let files = [
        ("docker/web/Dockerfile", "FROM busybox:1.36\nCOPY file /file\nRUN echo it is $(cat /file)\n"),
        ("docker/web/file", "from-git"),
    ];
    server.repository("open/site.git", &files).await;
    server.repository("private/site.git", &files).await;
    for engine in [Engine::C8d, Engine::Classic] {
        for place in ["open", "private"] {
            let context = format!("{}/{place}/site.git#main:docker/web", server.url);
            let mut run = Run::new(
                engine,
                &[(
                    "compose.yaml",
                    &format!("services:\n  web: {{build: {{context: '{context}', no_cache: true}}}}\n"),
                )],
            )
            .with("github-token", TOKEN)
            .secret(TOKEN);
            if place == "private" {
                // The token is for contexts that an input names.
                run = run.with("images", &format!("- {{name: web, context: '{context}'}}"));
            }
            run.step.github.insert("GITHUB_SERVER_URL".into(), server.url.clone());
            let report = run.expect(0).await;
            assert!(log(&report).contains("it is from-git"), "{engine:?}, {place}: {}", log(&report));
        }
    }
}

#[tokio::test]
async fn a_compose_file_does_not_get_the_jobs_token() {
    let server = Server::start().await;
    let host = server.url.split_once("://").unwrap().1;
    let steps = format!(
        "FROM busybox:1.36\nCOPY file /file\n\
         RUN --mount=type=secret,id=GIT_AUTH_TOKEN --mount=type=secret,id=GIT_AUTH_TOKEN.{host} ! ls /run/secrets\n"
    );
    server.repository("open/site.git", &[("Dockerfile", &steps), ("file", "from-git")]).await;
    server.repository("private/site.git", &[("Dockerfile", &steps), ("file", "from-git")]).await;
    for (place, status) in [("open", 0), ("private", 1)] {
        let context = format!("{}/{place}/site.git#main", server.url);
        let named = format!(
            "services:\n  web: {{build: {{context: '{context}', no_cache: true, additional_contexts: {{x: '{context}'}}}}}}\n"
        );
        let mut run = Run::new(Engine::C8d, &[("compose.yaml", &named)]).with("github-token", TOKEN).secret(TOKEN);
        run.step.github.insert("GITHUB_SERVER_URL".into(), server.url.clone());
        let report = run.expect(status).await;
        assert_eq!(log(&report).contains("/run/secrets"), place == "open", "{place}: {}", log(&report));
    }
}

#[tokio::test]
async fn an_absolute_dockerfile_is_the_checkouts() {
    let server = Server::start().await;
    server.repository("open/site.git", &[("Dockerfile", "FROM scratch\n"), ("file", "from-git")]).await;
    let own = "FROM busybox:1.36\nCOPY file /file\nRUN echo it is $(cat /file)\n";
    let compose = format!(
        "services:\n  web: {{build: {{context: '{}/open/site.git', dockerfile: /github/workspace/own, no_cache: true}}}}\n",
        server.url
    );
    let report = Run::new(Engine::C8d, &[("own", own), ("compose.yaml", &compose)]).expect(0).await;
    assert!(log(&report).contains("it is from-git"), "{}", log(&report));
}

#[tokio::test]
async fn a_repository_is_a_named_context() {
    let server = Server::start().await;
    // The port is in it, so that the step is not in the cache.
    let text = format!("a library of {}", server.url);
    server.repository("private/lib.git", &[("src/lib", &text)]).await;
    let mut run = Run::new(
        Engine::C8d,
        &[("Dockerfile", "FROM busybox:1.36\nCOPY --from=lib /lib /lib\nRUN echo it is $(cat /lib)\n")],
    )
    .with("build-contexts", &format!("lib={}/private/lib.git#main:src", server.url))
    .with("github-token", TOKEN)
    .secret(TOKEN);
    run.step.github.insert("GITHUB_SERVER_URL".into(), server.url.clone());
    let report = run.expect(0).await;
    assert!(log(&report).contains(&format!("it is {text}")), "{}", log(&report));
}

#[tokio::test]
async fn the_jobs_token_goes_to_no_other_server() {
    let server = Server::start().await;
    server.repository("private/site.git", &[("Dockerfile", "FROM busybox:1.36\n")]).await;
    let run = Run::new(
        Engine::C8d,
        &[("compose.yaml", &format!("services:\n  web: {{build: '{}/private/site.git#main'}}\n", server.url))],
    )
    .with("github-token", TOKEN)
    .secret(TOKEN);
    let error = the_error(&run.expect(1).await);
    assert!(error.message.contains("/private/site.git"), "{error:?}");
}
