//! A whole run beside a GitHub that answers: the history, the deployment, the comment, the job's page.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use stand_ins::{
    github::{Access, Fault, GitHub, TOKEN},
    runner::StageKind,
};

use crate::{
    lab::{self, Engine},
    run::{BASE, Run, SHA, images, line_with, log},
};

/// Reachable from the containers of every engine.
async fn github(run: &mut Run, scopes: &[(&str, Access)]) -> GitHub {
    let listen: SocketAddr = format!("{}:0", lab::var("LAB_ADDR")).parse().unwrap();
    let github = GitHub::start(listen, &run.repository).await.unwrap();
    for (scope, access) in scopes {
        github.permit(scope, *access);
    }
    let workflow = format!("{}/.github/workflows/build.yml@refs/heads/main", run.repository);
    for (name, value) in [
        ("GITHUB_API_URL", github.url().as_str()),
        ("GITHUB_JOB", "build"),
        ("GITHUB_RUN_ID", "500"),
        ("GITHUB_RUN_NUMBER", "50"),
        ("GITHUB_WORKFLOW_REF", &workflow),
        ("RUNNER_NAME", "GitHub Actions 7"),
    ] {
        run.step.github.insert(name.to_owned(), value.to_owned());
    }
    github.change(|world| {
        world.add_job(json!({"id": 9, "run_id": 500, "name": "build", "status": "in_progress", "conclusion": null,
            "runner_name": "GitHub Actions 7", "steps": [
                {"name": "Run actions/checkout@v5", "number": 2, "status": "completed", "conclusion": "success"},
                {"name": "Build", "number": 3, "status": "in_progress", "conclusion": null}]}));
    });
    github
}

fn project(engine: Engine) -> Run {
    let compose = "services:\n  web: {build: .}\n";
    let dockerfile = format!("{BASE}COPY app /app\n# {engine:?}\n");
    let run = Run::new(engine, &[("compose.yaml", compose), ("Dockerfile", &dockerfile), ("app/a", "one")]);
    run.with("github-token", TOKEN).secret(TOKEN)
}

fn states(github: &GitHub, deployment: u64) -> Vec<Value> {
    github.change(|world| world.statuses(deployment)).into_iter().map(|status| status["state"].clone()).collect()
}

#[track_caller]
fn no_faults(github: &GitHub) {
    assert_eq!(github.wrong(), Vec::<String>::new());
}

#[tokio::test]
async fn a_run_knows_what_was_before_and_marks_its_push_as_a_deployment() {
    for engine in Engine::ALL {
        let mut run = project(engine).with("environment", "production").with("environment-url", "https://shop.example");
        let github = github(&mut run, &[("actions", Access::Read), ("deployments", Access::Write)]).await;
        github.change(|world| {
            world.add_run(json!({"id": 490, "run_number": 49, "conclusion": "failure"}));
            world.add_job(json!({"id": 1, "run_id": 490, "name": "build", "conclusion": "failure"}));
        });
        let first = run.expect(0).await;
        run.write("app/a", &"two ".repeat(10_000));
        let second = run.expect(0).await;
        no_faults(&github);
        let job = format!("https://github.com/{}/actions/runs/500/job/9", run.repository);
        for report in [&first, &second] {
            let id = report.outputs["deployment-id"].parse().unwrap();
            assert_eq!(states(&github, id), ["in_progress", "success"], "{engine:?}");
            let last = github.change(|world| world.statuses(id)).remove(1);
            assert!(last["log_url"].as_str().unwrap().starts_with(&job), "{last}");
            assert_eq!(last["environment_url"], "https://shop.example");
            assert!(report.summary.contains("Fixed: the previous run failed."), "{engine:?}: {}", report.summary);
            assert!(report.summary.contains("| <code>production</code> | success | [open](https://shop.example) |"));
        }
        let deployment = github.change(|world| world.deployments()).remove(0);
        assert_eq!((&deployment["sha"], &deployment["environment"]), (&json!(SHA), &json!("production")));
        let (before, after) = (&images(&first)[0], &images(&second)[0]);
        assert_eq!((&before["previous"], &after["previous"]), (&Value::Null, &before["digest"]), "{engine:?}");
        let back = format!("imagetools create --tag {0}:main {0}@{1}", run.image("web"), first.outputs["digest"]);
        assert!(second.summary.contains(&back), "{engine:?}: {}", second.summary);
        assert_eq!(after["previous_size"], before["size"], "{engine:?}");
    }
}

#[tokio::test]
async fn a_pull_request_has_one_comment_that_is_kept_up_to_date() {
    let mut run = project(Engine::Classic).event("pull_request").with("pr-comment", "true").with("push", "true");
    let github = github(&mut run, &[("pull-requests", Access::Write)]).await;
    run.expect(0).await;
    run.write("Dockerfile", &format!("{BASE}RUN false\n"));
    run.expect(1).await;
    no_faults(&github);
    let comments = github.change(|world| world.comments(7));
    let [comment] = &comments[..] else { panic!("{comments:?}") };
    assert!(comment.contains("### ❌ Failed") && comment.contains("RUN false"), "{comment}");
}

#[tokio::test]
async fn a_pull_request_that_is_not_pushed_is_measured_against_its_base() {
    let base = project(Engine::C8d);
    let pushed = images(&base.expect(0).await).remove(0);
    let mut run = project(Engine::C8d).event("pull_request").with("pr-comment", "true");
    let github = github(&mut run, &[("pull-requests", Access::Write)]).await;
    let repository = base.repository.clone();
    let mut run = run.with("image-name", &format!("{{registry}}/{repository}/{{image}}"));
    run.step.github.insert("GITHUB_BASE_REF".to_owned(), "main".to_owned());
    // Nothing that a layer could be packed smaller for.
    let noise: Vec<String> = (0..20_000).map(|_| format!("{:016x}", rand::random::<u64>())).collect();
    run.write("app/a", &noise.concat());
    let report = run.expect(0).await;
    no_faults(&github);
    let image = images(&report).remove(0);
    assert_eq!((&image["pushed"], &image["digest"], &image["previous"]), (&json!(false), &Value::Null, &Value::Null));
    assert_eq!(image["previous_size"], pushed["size"], "{image}");
    let grown = image["size"].as_u64().unwrap() - pushed["size"].as_u64().unwrap();
    assert!((150_000..400_000).contains(&grown), "{grown}");
    let comment = github.change(|world| world.comments(7)).remove(0);
    assert!(comment.contains(&format!("| +{}.", grown / 1000)), "{comment}");
    assert_eq!(run.engine.docker(&["images", "-q", &run.image("web")]), "", "nothing stays in the engine");
}

#[tokio::test]
async fn a_github_that_is_slow_or_endless_costs_a_job_no_more_than_five_seconds() {
    let seconds = async |fault: Option<Fault>| {
        let mut run = project(Engine::C8d).event("push_tag_v1.2.3").with("environment", "production");
        let github = github(&mut run, &[("actions", Access::Read), ("deployments", Access::Write)]).await;
        github.fail_next(fault.iter().cycle().take(100).cloned());
        let began = Instant::now();
        let report = run.expect(0).await;
        let post = run.machine.start(&run.step, StageKind::Post, &report.state, None).unwrap().finish().await.unwrap();
        assert_eq!(post.exit_code, 0, "{}", log(&post));
        began.elapsed().as_secs_f64()
    };
    // The first also pulls the base image.
    seconds(None).await;
    let usual = seconds(None).await;
    for fault in [Fault::Hang, Fault::Slow(Duration::from_secs(20)), Fault::Endless] {
        let name = format!("{fault:?}");
        let seconds = seconds(Some(fault)).await;
        // Two seconds more for the machine's own ups and downs.
        assert!(seconds < usual + 5.0 + 2.0, "{name}: {seconds:.1} s, without it {usual:.1} s");
    }
}

#[tokio::test]
async fn what_github_refuses_is_a_notice_and_no_more() {
    let mut run = project(Engine::Classic)
        .event("pull_request")
        .with("pr-comment", "true")
        .with("push", "true")
        .with("environment", "review");
    let github = github(&mut run, &[]).await;
    let report = run.expect(0).await;
    no_faults(&github);
    let notices: Vec<String> = report.console.of_kind("notice").map(|notice| notice.message.clone()).collect();
    let [deployment, comment] = &notices[..] else { panic!("{notices:?}") };
    assert!(deployment.ends_with("it needs `deployments: write` in `permissions`"), "{deployment}");
    assert!(comment.ends_with("it needs `pull-requests: write` in `permissions`"), "{comment}");
    assert_eq!(report.console.of_kind("warning").count(), 0, "{}", log(&report));
    assert_eq!(report.outputs["deployment-id"], "");
}

#[tokio::test]
async fn a_cancelled_run_leaves_no_deployment_in_progress() {
    for killed in [false, true] {
        let mut run = project(Engine::Classic).with("environment", "production");
        run.write("Dockerfile", &format!("{BASE}RUN echo asleep-now && sleep 1000\n# {}\n", run.repository));
        let github = github(&mut run, &[("deployments", Access::Write)]).await;
        let (running, mut lines) = run.start();
        line_with(&mut lines, "    asleep-now").await;
        let mut changes = github.changes();
        // Two questions, the deployment, its status.
        while !github.calls().iter().any(|call| call.path.ends_with("/statuses") && call.method == "POST") {
            changes.changed().await.unwrap();
        }
        let id = github.change(|world| world.deployments())[0]["id"].as_u64().unwrap();
        if killed {
            run.engine.docker(&["kill", running.container()]);
            let report = running.finish().await.unwrap();
            assert_eq!(states(&github, id), ["in_progress"]);
            let mut step = run.step.clone();
            step.expressions.insert("job.status".to_owned(), "failure".to_owned());
            let post = run.machine.start(&step, StageKind::Post, &report.state, None).unwrap();
            assert_eq!(post.finish().await.unwrap().exit_code, 0);
            assert_eq!(states(&github, id), ["in_progress", "failure"]);
        } else {
            let report = running.cancel().await.unwrap();
            assert_eq!((report.exit_code, states(&github, id)), (130, vec![json!("in_progress"), json!("inactive")]));
        }
        no_faults(&github);
    }
}
