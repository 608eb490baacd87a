//! Registries under the names that they have in the world: `ghcr.io`, Amazon ECR, one with a CA of its own.
//!
//! The engine `named` finds the lab's stand-ins there; STS and ECR are moto's.

use std::{fs, net::SocketAddr};

use build_deploy::http;
use serde_json::{Value, json};
use stand_ins::{fixed::Fixed, oidc::TokenService, runner::StageReport};

use crate::{
    lab::{self, Engine},
    run::{BASE, Run, log, the_error},
};

const ROLE: &str = "arn:aws:iam::123456789012:role/ci";

/// A push of one new layer to the literal `ghcr.io` of a job with this token.
fn to_ghcr(actor: &str, token: &str) -> Run {
    let mut run = stamped(Engine::Named, "").secret(token);
    run.step.with.remove("registry");
    run.step.github.insert("GITHUB_ACTOR".into(), actor.into());
    run.step.expressions.insert("github.token".into(), token.into());
    run
}

fn stamped(engine: Engine, instructions: &str) -> Run {
    let run = Run::new(engine, &[("Dockerfile", &format!("{BASE}COPY stamp /\n{instructions}"))]);
    run.write("stamp", &run.repository);
    run
}

/// A push to Amazon ECR, whose API is moto's.
fn to_ecr(create: bool) -> Run {
    let run = stamped(Engine::Named, "").with("registry", &lab::var("LAB_ECR"));
    let run = run.env("AWS_ENDPOINT_URL", &lab::var("LAB_AWS"));
    run.with("ecr-create-repository", &create.to_string()).secret("123456789012-auth-token")
}

fn with_keys(run: Run) -> Run {
    run.env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", "secret-key-canary-81c2")
        .env("AWS_SESSION_TOKEN", "session-canary-5f0a")
        .secret("secret-key-canary-81c2")
        .secret("session-canary-5f0a")
}

async fn github(run: Run) -> (Run, TokenService) {
    let address: SocketAddr = format!("{}:0", lab::var("LAB_ADDR")).parse().unwrap();
    let subject = format!("repo:{}:ref:refs/heads/main", run.repository);
    let service = TokenService::start(address, &subject).await.unwrap();
    let run = service.variables().into_iter().fold(run, |run, (name, value)| run.env(name, &value));
    let [_, (_, bearer)] = service.variables();
    let token = service.token("sts.amazonaws.com");
    (run.secret(&bearer).secret(&token), service)
}

/// The digest that a tag points to, read where the lab's registry keeps it.
fn stored(registry: &str, repository: &str) -> String {
    let path = format!(
        "{}/registries/{registry}/data/docker/registry/v2/repositories/{repository}/_manifests/tags/main/current/link",
        lab::var("BUILD_DEPLOY_LAB")
    );
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A call of moto's ECR.
async fn ecr(name: &str, input: Value) -> Value {
    let signed = "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260101/eu-west-1/ecr/aws4_request, \
                  SignedHeaders=host, Signature=0";
    let request = http::builder()
        .build()
        .unwrap()
        .post(lab::var("LAB_AWS"))
        .header("content-type", "application/x-amz-json-1.1")
        .header("x-amz-target", format!("AmazonEC2ContainerRegistry_V20150921.{name}"))
        .header("authorization", signed)
        .body(input.to_string());
    request.send().await.unwrap().json().await.unwrap()
}

async fn repositories(name: &str) -> Value {
    ecr("DescribeRepositories", json!({"repositoryNames": [name]})).await
}

#[track_caller]
fn says(report: &StageReport, words: &[&str]) {
    let error = the_error(report);
    for word in words {
        assert!(error.message.contains(word), "{word}: {error:?}\n{}", log(report));
    }
}

#[tokio::test]
async fn ghcr_takes_the_jobs_own_token() {
    let run = to_ghcr("octocat", &lab::var("LAB_JOB_TOKEN"));
    let report = run.expect(0).await;
    assert!(report.outputs["ref"].starts_with(&format!("ghcr.io/{}@", run.repository)), "{:?}", report.outputs);
    assert_eq!(stored("ghcr", &run.repository), report.outputs["digest"]);
}

#[tokio::test]
async fn ghcr_refuses_and_the_permission_is_named() {
    let denied = to_ghcr("octocat", "ghs_wr0ng-canary").expect(1).await;
    says(&denied, &["ghcr.io does not accept the credentials", "`packages: write`"]);
    let read_only = to_ghcr("hubot", &lab::var("LAB_JOB_TOKEN_READ")).expect(1).await;
    says(&read_only, &["ghcr.io refuses the push", "`packages: write`"]);
}

#[tokio::test]
async fn a_registry_with_a_ca_of_its_own_needs_an_engine_that_knows_it() {
    let (user, password) = (lab::var("LAB_USER"), lab::var("LAB_PASSWORD"));
    let to = |name: &str| {
        let run = stamped(Engine::Named, "").with("registry", &lab::var(name)).secret(&password);
        run.with("username", &user).with("password", &password)
    };
    let run = to("LAB_OWN_CA");
    let report = run.expect(0).await;
    assert_eq!(stored("basic", &run.repository), report.outputs["digest"]);

    let report = to("LAB_STRANGER").expect(1).await;
    let host = lab::var("LAB_STRANGER");
    says(&report, &[&format!("the engine does not trust {host}"), &format!("/etc/docker/certs.d/{host}/ca.crt")]);
}

#[tokio::test]
async fn a_role_by_the_jobs_oidc_token_opens_amazon_ecr() {
    let (run, service) = github(to_ecr(true).with("aws-role", ROLE)).await;
    assert!(repositories(&run.repository).await.to_string().contains("RepositoryNotFoundException"));
    let report = run.expect(0).await;
    assert_eq!(service.audiences(), ["sts.amazonaws.com"], "asked once");
    let made = repositories(&run.repository).await;
    assert_eq!(made["repositories"][0]["registryId"], "123456789012", "{made}");
    assert_eq!(stored("ecr", &run.repository), report.outputs["digest"]);
    // Once more: the repository is there.
    run.write("stamp", "new");
    let again = run.expect(0).await;
    assert_eq!(stored("ecr", &run.repository), again.outputs["digest"]);
    assert_eq!(again.console.of_kind("warning").count(), 0, "{}", log(&again));
}

#[tokio::test]
async fn the_usual_variables_open_amazon_ecr() {
    let run = with_keys(to_ecr(false));
    let report = run.expect(1).await;
    let command = format!("aws ecr create-repository --region eu-west-1 --repository-name {}", run.repository);
    says(&report, &["has no such repository", &command, "`ecr-create-repository: true`"]);
    ecr("CreateRepository", json!({"repositoryName": run.repository})).await;
    let report = run.expect(0).await;
    assert_eq!(stored("ecr", &run.repository), report.outputs["digest"]);
}

#[tokio::test]
async fn an_access_key_as_the_login_opens_amazon_ecr() {
    let run = to_ecr(true).with("username", "AKIAIOSFODNN7EXAMPLE").with("password", "secret-key-canary-81c2");
    run.secret("secret-key-canary-81c2").expect(0).await;
}

#[tokio::test]
async fn what_keeps_aws_from_giving_a_login_is_named() {
    // Nothing that could be a credential.
    says(&to_ecr(false).expect(1).await, &["no AWS credentials were found", "`aws-role`", "AWS_ACCESS_KEY_ID"]);
    // A role, but no permission to ask for a token.
    let run = to_ecr(false).with("aws-role", ROLE);
    says(&run.expect(1).await, &["OIDC token", "`id-token: write`"]);
    // GitHub does not know the request's own token.
    let (run, _service) = github(to_ecr(false).with("aws-role", ROLE)).await;
    let run = run.env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "another-canary");
    says(&run.expect(1).await, &["401 Unauthorized", "`id-token: write`"]);
    // The role's trust policy is for another repository: in AWS's words.
    let sts = "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>Not authorized to perform \
               sts:AssumeRoleWithWebIdentity</Message></Error></ErrorResponse>";
    let listen = format!("{}:0", lab::var("LAB_ADDR")).parse().unwrap();
    let service = Fixed::start(listen, "/", 403, sts).await.unwrap();
    let (run, _service) = github(to_ecr(false).with("aws-role", ROLE)).await;
    let run = run.env("AWS_ENDPOINT_URL_STS", &service.url());
    let subject = format!("repo:{}:ref:refs/heads/main", run.repository);
    says(&run.expect(1).await, &["trust policy", ROLE, &subject, "token.actions.githubusercontent.com"]);
}

#[tokio::test]
async fn a_pull_request_from_a_fork_builds_without_aws() {
    let run = to_ecr(false).with("aws-role", ROLE).event("pull_request_fork");
    let report = run.expect(0).await;
    assert_eq!(report.console.of_kind("error").count(), 0, "{}", log(&report));
    assert!(log(&report).contains("id-token: write"), "{}", log(&report));
}

#[tokio::test]
async fn three_registries_of_three_kinds_at_once() {
    let (basic, ecr) = (lab::var("LAB_BASIC"), lab::var("LAB_ECR"));
    let token = lab::var("LAB_JOB_TOKEN");
    let mut run = with_keys(to_ecr(true));
    run.step.with.remove("registry");
    run.step.expressions.insert("github.token".into(), token.clone());
    let images: String = ["ghcr.io", &*basic, &*ecr]
        .iter()
        .zip(["one", "two", "three"])
        .map(|(host, name)| {
            let repository = &run.repository;
            format!("- {{name: {name}, image-name: '{host}/{repository}/{name}', build-args: {{N: {name}}}}}\n")
        })
        .collect();
    run.write("Dockerfile", &format!("{BASE}ARG N\nCOPY stamp /$N\n"));
    let password = lab::var("LAB_PASSWORD");
    let registries = format!("- {{registry: '{basic}', username: ci, password: {password}}}");
    let run = run.with("images", &images).with("registries", &registries).secret(&token).secret(&password);
    let report = run.expect(0).await;
    let digests: Value = serde_json::from_str(&report.outputs["digests"]).unwrap();
    for (registry, name) in [("ghcr", "one"), ("basic", "two"), ("ecr", "three")] {
        assert_eq!(stored(registry, &format!("{}/{name}", run.repository)), digests[name], "{name}");
    }
}

#[tokio::test]
async fn a_base_image_in_amazon_ecr_takes_the_keys_of_the_environment() {
    let base = with_keys(to_ecr(true)).expect(0).await;
    let run = Run::new(Engine::Named, &[("Dockerfile", &format!("FROM {}\n", base.outputs["ref"]))]);
    says(&run.expect(1).await, &["needs a login", "`registries`"]);
    let run = with_keys(run.env("AWS_ENDPOINT_URL", &lab::var("LAB_AWS"))).secret("123456789012-auth-token");
    run.expect(0).await;
}
