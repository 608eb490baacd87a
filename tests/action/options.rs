//! Build options, each seen by what it does to a build.

use serde_json::json;

use crate::{
    lab::{self, Engine},
    run::{BASE, Run, images, log, the_error},
};

fn shows(engine: Engine, steps: &str) -> Run {
    let run = Run::new(engine, &[("Dockerfile", &format!("{BASE}COPY stamp /\n{steps}"))]);
    run.write("stamp", &run.repository);
    run
}

fn docker_arch(engine: Engine) -> String {
    engine.docker(&["version", "-f", "{{.Server.Arch}}"])
}

#[tokio::test]
async fn steps_see_their_network_hosts_and_limits() {
    for engine in Engine::ALL {
        let steps = "RUN cat /etc/hosts /proc/net/dev\n";
        let run = shows(engine, steps).with("add-hosts", "db:10.9.8.7\ngw:host-gateway").with("network", "none");
        if engine == Engine::Old {
            let error = the_error(&run.expect(2).await);
            assert!(error.message.contains("`host-gateway`"), "{error:?}");
        } else {
            let report = run.expect(0).await;
            let log = log(&report);
            assert!(log.contains("10.9.8.7\tdb"), "{engine:?}: {log}");
            let gateway = engine.docker(&["network", "inspect", "bridge", "-f", "{{(index .IPAM.Config 0).Gateway}}"]);
            assert!(log.contains(&format!("{gateway}\tgw")), "{engine:?}: {gateway}: {log}");
            assert!(!log.contains("eth0"), "{engine:?}: {log}");
        }
        let run = shows(engine, "RUN cat /proc/net/dev; cat /etc/hosts\n")
            .with("network", "host")
            .with("add-hosts", "db:10.9.8.7");
        let report = run.expect(0).await;
        assert!(log(&report).contains("docker0"), "{engine:?}: {}", log(&report));
        assert!(log(&report).contains("10.9.8.7\tdb"), "{engine:?}: {}", log(&report));
    }
}

#[tokio::test]
async fn steps_see_their_sizes() {
    for engine in Engine::ALL {
        let steps = "RUN echo \"shm $(df -k /dev/shm | tail -n 1 | awk '{print $2}')\"\nRUN echo \"files $(ulimit -Sn) $(ulimit -Hn)\"\n";
        let run = shows(engine, steps).with("shm-size", "96m").with("ulimits", "nofile=1111:2222");
        if engine == Engine::Old {
            let error = the_error(&run.expect(1).await);
            assert!(error.message.contains("`shm-size` requires Docker 23"), "{error:?}");
            continue;
        }
        let log = log(&run.expect(0).await);
        assert!(log.contains("shm 98304"), "{engine:?}: {log}");
        assert!(log.contains("files 1111 2222"), "{engine:?}: {log}");
    }
}

#[tokio::test]
async fn the_dockerfile_may_use_what_is_allowed() {
    for engine in [Engine::C8d, Engine::Classic] {
        let steps = "RUN --network=host cat /proc/net/dev\n";
        let report = shows(engine, steps).with("allow", "network.host").expect(0).await;
        assert!(log(&report).contains("docker0"), "{engine:?}: {}", log(&report));
        let error = the_error(&shows(engine, steps).expect(1).await);
        assert!(
            error.message.contains("network.host is not allowed") && error.message.contains("`allow`"),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn what_shall_not_come_from_the_cache_does_not() {
    for engine in Engine::ALL {
        let dockerfile = "FROM busybox:1.36 AS first\nCOPY stamp /\nRUN cp stamp first\n\
                          FROM busybox:1.36 AS second\nCOPY --from=first stamp /\nRUN cp stamp second\n\
                          FROM busybox:1.36\nCOPY --from=first first /\nCOPY --from=second second /\n";
        let mut run = Run::new(engine, &[("Dockerfile", dockerfile)]);
        run.write("stamp", &run.repository);
        run.expect(0).await;
        for (no_cache, filters, ran) in
            [("true", "", &["first", "second"][..]), ("false", "second", &["second"][..]), ("false", "", &[][..])]
        {
            run = run.with("no-cache", no_cache).with("no-cache-filters", filters);
            let report = run.expect(0).await;
            let text = log(&report);
            for step in ["first", "second"] {
                let cached = text.contains(&format!("[{step} 3/3] CACHED"));
                assert_eq!(!cached, ran.contains(&step), "{engine:?}, {no_cache}, {filters}, {step}:\n{text}");
            }
        }
    }
}

#[tokio::test]
async fn pull_asks_for_newer_base_images() {
    for engine in Engine::ALL {
        let base = Run::new(engine, &[("Dockerfile", "FROM busybox:1.36\nENV AGE=old\n")]);
        base.expect(0).await;
        let reference = format!("{}/{}:main", lab::plain(), base.repository);
        engine.docker(&["pull", "-q", &reference]);
        base.write("Dockerfile", "FROM busybox:1.36\nENV AGE=new\n");
        lab::crane(&["mutate", &reference, "-t", &reference, "-e", "AGE=new"]);
        for (pull, want) in [("false", "old"), ("true", "new")] {
            let run = Run::new(engine, &[("Dockerfile", &format!("FROM {reference}\nRUN echo it is $AGE\n"))]);
            let report = run.with("pull", pull).expect(0).await;
            assert!(log(&report).contains(&format!("it is {want}")), "{engine:?}, {pull}: {}", log(&report));
        }
        engine.docker(&["rmi", "-f", &reference]);
    }
}

#[tokio::test]
async fn labels_arguments_and_secrets_of_variables_arrive() {
    for engine in Engine::ALL {
        let steps =
            "ARG A\nRUN --mount=type=secret,id=token echo \"it has $(wc -c </run/secrets/token) letters\"\nENV A=$A\n";
        let run = shows(engine, steps)
            .with("labels", "team=web\norg.opencontainers.image.title=Site")
            .with("build-args", "A=b=c")
            .with("secret-envs", "token=MY_TOKEN\nother=NOT_SET")
            .env("MY_TOKEN", "canary-of-the-environment")
            .secret("canary-of-the-environment");
        let report = run.expect(0).await;
        assert!(log(&report).contains("it has 25 letters"), "{engine:?}: {}", log(&report));
        let config = lab::image_config(&format!("{}/{}:main", lab::plain(), run.repository));
        let labels = &config["config"]["Labels"];
        assert_eq!((&labels["team"], &labels["org.opencontainers.image.title"]), (&json!("web"), &json!("Site")));
        assert!(config["config"]["Env"].as_array().unwrap().contains(&json!("A=b=c")));
        let warnings: Vec<_> = report.console.of_kind("warning").map(|warning| warning.message.clone()).collect();
        assert!(warnings.iter().any(|warning| warning.contains("NOT_SET")), "{warnings:?}");
    }
}

#[tokio::test]
async fn build_checks_are_annotations_or_nothing_or_an_error() {
    let dockerfile = "FROM busybox:1.36\nCOPY stamp /\nENV name value\n";
    for (check, count) in [("true", 1), ("false", 0)] {
        let run = Run::new(Engine::C8d, &[("web/Dockerfile", dockerfile), ("web/stamp", "x")])
            .with("images", "- {name: web, context: web}")
            .with("check", check);
        let report = run.expect(0).await;
        let warnings: Vec<_> = report.console.of_kind("warning").collect();
        assert_eq!(warnings.len(), count, "{}", log(&report));
        if let Some(warning) = warnings.first() {
            assert_eq!((warning.property("file"), warning.property("line")), (Some("web/Dockerfile"), Some("3")));
            assert_eq!(warning.property("title"), Some("LegacyKeyValueFormat"));
        }
    }
    let run = Run::new(Engine::C8d, &[("Dockerfile", &format!("# check=error=true\n{dockerfile}")), ("stamp", "x")]);
    let report = run.expect(1).await;
    let error = the_error(&report);
    assert!(error.message.contains("LegacyKeyValueFormat"), "{error:?}");
    assert_eq!((error.property("file"), error.property("line")), (Some("Dockerfile"), Some("4")), "{error:?}");
}

#[tokio::test]
async fn the_platform_that_was_built_is_told() {
    for engine in Engine::ALL {
        let report = shows(engine, "").expect(0).await;
        let platform = format!("linux/{}", docker_arch(engine));
        assert_eq!(images(&report)[0]["platforms"], json!([platform]), "{engine:?}");
    }
}
