//! Registries that want to know who asks.

use std::time::{Duration, Instant};

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
