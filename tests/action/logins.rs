//! Registries that want to know who asks.

use std::{
    fs,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;

use crate::{
    lab::{self, Engine},
    run::{BASE, Run, log, the_error},
};

fn run(engine: Engine, registry: &str, user: &str, password: &str) -> Run {
    let run = Run::new(engine, &[("Dockerfile", &format!("{BASE}COPY stamp /\n"))]);
    run.write("stamp", &run.repository);
    let run = run.with("registry", registry).with("username", user).with("password", password);
    if password.is_empty() { run } else { run.secret(password) }
}

#[tokio::test]
async fn pushes_with_a_login() {
    let (user, password) = (lab::var("LAB_USER"), lab::var("LAB_PASSWORD"));
    for registry in [lab::var("LAB_BASIC"), lab::var("LAB_TOKEN")] {
        for engine in Engine::ALL {
            let run = run(engine, &registry, &user, &password);
            let report = run.expect(0).await;
            assert!(report.outputs["ref"].starts_with(&registry), "{}", log(&report));
            let config = run.engine.docker(&["images", "-a", "--no-trunc"]);
            assert!(!config.contains(&password));
        }
    }
}

#[tokio::test]
async fn an_image_goes_to_several_registries_each_with_its_login() {
    let (basic, token) = (lab::var("LAB_BASIC"), lab::var("LAB_TOKEN"));
    let (user, password) = (lab::var("LAB_USER"), lab::var("LAB_PASSWORD"));
    let names = format!("{{registry}}/{{owner}}/{{repo}}\n{basic}/{{owner}}/{{repo}}/copy\n{token}/{{owner}}/{{repo}}");
    let logins = |password: &str| {
        format!(
            "- {{registry: '{basic}', username: {user}, password: {password}}}\n\
             - {{registry: '{token}', username: {user}, password: {password}}}"
        )
    };
    for engine in Engine::ALL {
        let run = run(engine, &lab::plain(), "", "").with("image-name", &names).secret(&password);
        let run = run.with("registries", &logins(&password)).with("tags", "main\nsecond");
        let report = run.expect(0).await;
        let want: Vec<String> = [lab::plain(), basic.clone(), token.clone()]
            .into_iter()
            .zip(["", "/copy", ""])
            .flat_map(|(host, tail)| ["main", "second"].map(|tag| format!("{host}/{}{tail}:{tag}", run.repository)))
            .collect();
        assert_eq!(report.outputs["tags"].lines().collect::<Vec<_>>(), want, "{engine:?}");
        assert_eq!(lab::crane(&["digest", &want[0]]), report.outputs["digest"], "{engine:?}");
        let copies = want[2..].iter().enumerate();
        let copies: Vec<String> = copies.map(|(n, copy)| format!("COPY --from={copy} /stamp /{n}\n")).collect();
        // An engine that pushed them would not have to ask.
        let reader = Run::new(Engine::Named, &[("Dockerfile", &format!("FROM scratch\n{}", copies.concat()))]);
        reader.with("push", "false").with("registries", &logins(&password)).secret(&password).expect(0).await;
    }
    let report = run(Engine::C8d, &lab::plain(), "", "").with("image-name", &names).expect(1).await;
    let error = the_error(&report);
    assert!([&basic, &token].iter().any(|host| error.message.contains(&***host)), "{error:?}");
    assert!(error.message.contains("requires a login"), "{error:?}");
}

#[tokio::test]
async fn a_wrong_password_ends_a_long_build_at_once() {
    let user = lab::var("LAB_USER");
    for registry in [lab::var("LAB_BASIC"), lab::var("LAB_TOKEN")] {
        for engine in Engine::ALL {
            let run = run(engine, &registry, &user, "wr0ng-canary");
            run.write("Dockerfile", &format!("{BASE}RUN sleep 1000\n"));
            let began = Instant::now();
            let report = run.expect(1).await;
            assert!(began.elapsed() < Duration::from_secs(15), "{engine:?}: {:?}", began.elapsed());
            let error = the_error(&report);
            for words in [&*registry, "does not accept the credentials", "`username`", "`password`"] {
                assert!(error.message.contains(words), "{engine:?}: {error:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_user_who_may_only_read_is_told_so() {
    let registry = lab::var("LAB_TOKEN");
    for engine in Engine::ALL {
        let run = run(engine, &registry, &lab::var("LAB_READER"), &lab::var("LAB_READER_PASSWORD"));
        let report = run.expect(1).await;
        let error = the_error(&report);
        assert!(error.message.contains(&format!("{registry} refuses the push")), "{engine:?}: {error:?}");
        assert!(error.message.contains("`username`"), "{engine:?}: {error:?}");
    }
}

#[tokio::test]
async fn without_a_login_it_says_that_there_is_none() {
    for registry in [lab::var("LAB_BASIC"), lab::var("LAB_TOKEN")] {
        for engine in Engine::ALL {
            let report = run(engine, &registry, "", "").expect(1).await;
            let error = the_error(&report);
            for words in [&*registry, "`username`"] {
                assert!(error.message.contains(words), "{engine:?}: {error:?}");
            }
        }
    }
}

/// Lets the workflow hand over a `config.json`, where the runner mounts it.
fn with_config(run: Run, config: &str) -> Run {
    let directory = run.machine.temp.join("docker");
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("config.json"), config).unwrap();
    let directory = directory.display().to_string();
    run.env("DOCKER_CONFIG", &directory)
}

#[tokio::test]
async fn a_docker_config_of_the_workflows_is_used() {
    let password = lab::var("LAB_PASSWORD");
    let auth = STANDARD.encode(format!("{}:{password}", lab::var("LAB_USER")));
    for registry in [lab::var("LAB_BASIC"), lab::var("LAB_TOKEN")] {
        let config = json!({
            "auths": {(registry.clone()): {"auth": auth}},
            "credHelpers": {"gcr.io": "gcloud", "eu.gcr.io": "gcloud", "us.gcr.io": "gcloud"},
        });
        for engine in Engine::ALL {
            let run = with_config(run(engine, &registry, "", ""), &config.to_string());
            // Only the registries that a build names are of interest.
            run.write("Dockerfile", &format!("{BASE}COPY stamp /\n# gcr.io/one/two eu.gcr.io/three\n"));
            let report = run.secret(&password).secret(&auth).expect(0).await;
            let warnings: Vec<_> = report.console.of_kind("warning").collect();
            let helper = "helper `docker-credential-gcloud` for eu.gcr.io, gcr.io in /github/runner_temp/docker/config.json cannot";
            assert!(warnings.len() == 1 && warnings[0].message.contains(helper), "{warnings:?}");
        }
    }
}

#[tokio::test]
async fn an_identity_token_in_a_docker_config_is_used() {
    let token = format!("refresh-{}", lab::var("LAB_JOB_TOKEN"));
    let auth = STANDARD.encode("00000000-0000-0000-0000-000000000000:");
    let config = json!({"auths": {"ghcr.io": {"auth": auth, "identitytoken": token}}});
    let mut run = with_config(run(Engine::Named, "ghcr.io", "", "").secret(&token), &config.to_string());
    run.step.expressions.insert("github.token".into(), "ghs_not-this-canary".into());
    run.expect(0).await;
}

#[tokio::test]
async fn a_docker_config_that_is_none_is_told() {
    let run = run(Engine::Classic, &lab::plain(), "", "");
    let report = with_config(run, "nonsense-canary").secret("nonsense-canary").expect(0).await;
    assert!(log(&report).contains("is not a valid Docker configuration"), "{}", log(&report));
    let report =
        self::run(Engine::Classic, &lab::plain(), "", "").env("DOCKER_CONFIG", "/root/.docker").expect(0).await;
    assert!(log(&report).contains("${{ runner.temp }}"), "{}", log(&report));
}

#[tokio::test]
async fn a_base_image_of_a_private_registry_needs_its_login() {
    let (user, password) = (lab::var("LAB_USER"), lab::var("LAB_PASSWORD"));
    for registry in [lab::var("LAB_BASIC"), lab::var("LAB_TOKEN")] {
        // An engine that pushed it would not have to ask.
        let base = run(Engine::Named, &registry, &user, &password);
        let report = base.expect(0).await;
        for engine in Engine::ALL {
            let run = Run::new(engine, &[("Dockerfile", &format!("FROM {}\n", report.outputs["ref"]))]);
            let error = the_error(&run.expect(1).await).message;
            assert!(error.contains("needs a login") && error.contains("`registries`"), "{engine:?}: {error}");
            let registries = format!("- {{registry: '{registry}', username: {user}, password: {password}}}");
            run.with("registries", &registries).secret(&password).expect(0).await;
        }
    }
}
