//! Git repositories as contexts, on a server that wants the job's token.

use stand_ins::git::GitServer;

use crate::{
    lab::{self, Engine},
    run::{Run, log, the_error},
};

const TOKEN: &str = "ghs_canary-of-git";

async fn start() -> GitServer {
    GitServer::start(format!("{}:0", lab::var("LAB_ADDR")).parse().unwrap(), TOKEN).await.unwrap()
}

#[tokio::test]
async fn a_repository_is_a_context_and_gets_the_jobs_token() {
    let server = start().await;
    let files = [
        ("docker/web/Dockerfile", "FROM busybox:1.36\nCOPY file /file\nRUN echo it is $(cat /file)\n"),
        ("docker/web/file", "from-git"),
    ];
    server.repository("open/site.git", &files).await.unwrap();
    server.repository("private/site.git", &files).await.unwrap();
    for engine in [Engine::C8d, Engine::Classic] {
        for place in ["open", "private"] {
            let context = format!("{}/{place}/site.git#main:docker/web", server.url());
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
            run.step.github.insert("GITHUB_SERVER_URL".into(), server.url().to_owned());
            let report = run.expect(0).await;
            assert!(log(&report).contains("it is from-git"), "{engine:?}, {place}: {}", log(&report));
        }
    }
}

#[tokio::test]
async fn a_compose_file_does_not_get_the_jobs_token() {
    let server = start().await;
    let host = server.url().split_once("://").unwrap().1;
    let steps = format!(
        "FROM busybox:1.36\nCOPY file /file\n\
         RUN --mount=type=secret,id=GIT_AUTH_TOKEN --mount=type=secret,id=GIT_AUTH_TOKEN.{host} ! ls /run/secrets\n"
    );
    server.repository("open/site.git", &[("Dockerfile", &steps), ("file", "from-git")]).await.unwrap();
    server.repository("private/site.git", &[("Dockerfile", &steps), ("file", "from-git")]).await.unwrap();
    for (place, status) in [("open", 0), ("private", 1)] {
        let context = format!("{}/{place}/site.git#main", server.url());
        let named = format!(
            "services:\n  web: {{build: {{context: '{context}', no_cache: true, additional_contexts: {{x: '{context}'}}}}}}\n"
        );
        let mut run = Run::new(Engine::C8d, &[("compose.yaml", &named)]).with("github-token", TOKEN).secret(TOKEN);
        run.step.github.insert("GITHUB_SERVER_URL".into(), server.url().to_owned());
        let report = run.expect(status).await;
        assert_eq!(log(&report).contains("/run/secrets"), place == "open", "{place}: {}", log(&report));
    }
}

#[tokio::test]
async fn an_absolute_dockerfile_is_the_checkouts() {
    let server = start().await;
    server.repository("open/site.git", &[("Dockerfile", "FROM scratch\n"), ("file", "from-git")]).await.unwrap();
    let own = "FROM busybox:1.36\nCOPY file /file\nRUN echo it is $(cat /file)\n";
    let compose = format!(
        "services:\n  web: {{build: {{context: '{}/open/site.git', dockerfile: /github/workspace/own, no_cache: true}}}}\n",
        server.url()
    );
    let report = Run::new(Engine::C8d, &[("own", own), ("compose.yaml", &compose)]).expect(0).await;
    assert!(log(&report).contains("it is from-git"), "{}", log(&report));
}

#[tokio::test]
async fn a_repository_is_a_named_context() {
    let server = start().await;
    // The port is in it, so that the step is not in the cache.
    let text = format!("a library of {}", server.url());
    server.repository("private/lib.git", &[("src/lib", &text)]).await.unwrap();
    let mut run = Run::new(
        Engine::C8d,
        &[("Dockerfile", "FROM busybox:1.36\nCOPY --from=lib /lib /lib\nRUN echo it is $(cat /lib)\n")],
    )
    .with("build-contexts", &format!("lib={}/private/lib.git#main:src", server.url()))
    .with("github-token", TOKEN)
    .secret(TOKEN);
    run.step.github.insert("GITHUB_SERVER_URL".into(), server.url().to_owned());
    let report = run.expect(0).await;
    assert!(log(&report).contains(&format!("it is {text}")), "{}", log(&report));
}

#[tokio::test]
async fn the_jobs_token_goes_to_no_other_server() {
    let server = start().await;
    server.repository("private/site.git", &[("Dockerfile", "FROM busybox:1.36\n")]).await.unwrap();
    let run = Run::new(
        Engine::C8d,
        &[("compose.yaml", &format!("services:\n  web: {{build: '{}/private/site.git#main'}}\n", server.url()))],
    )
    .with("github-token", TOKEN)
    .secret(TOKEN);
    let error = the_error(&run.expect(1).await);
    assert!(error.message.contains("/private/site.git"), "{error:?}");
}
