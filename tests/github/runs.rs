//! The requests of a run to GitHub's API during the build and at its end.

use std::time::Duration;

use build_deploy::{
    builder::container::ContainerLeases,
    domain::{
        deploy::{DeployReport, DeployResult, DeployStep},
        deployment::DeploymentOutcome,
        event::Event,
        failure::Failure,
        git_event::{GitEvent, GitRef},
        history::History,
        outcome::RunOutcome,
        redact::Redactor,
        run::{RunState, TargetState},
        stage::Stage,
    },
    events::Events,
    inputs::{
        cli::RawInputs, event::git_event, parse::parse, payload::Payload, runner::RunnerEnv, targets::targets,
        typed::Inputs,
    },
    plan::{Found, Known, Plan, naming::Project},
    run::{
        allowance::Allowance,
        observers::{
            comment,
            deployment::{self, Environment},
            history::{Inquiry, history},
            target_deployments::TargetDeployments,
        },
        setup::RunSetup,
    },
    tags::GitTags,
};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use stand_ins::github::{Access, Fault, GitHub, TOKEN};
use tempfile::TempDir;
use tokio::sync::watch;

const SHA: &str = "0123456789abcdef0123456789abcdef01234567";
const JOB: &str = "https://github.com/o/r/actions/runs/500/job/9";

/// A running job of run 500 on branch `main`.
struct Job {
    github: GitHub,
    env: RunnerEnv,
    inputs: Inputs,
    event: GitEvent,
    state: TempDir,
}

impl Job {
    async fn new(scopes: &[(&str, Access)], written: &[(&str, &str)], more_env: &[(&str, &str)]) -> Self {
        let github = GitHub::start("127.0.0.1:0".parse().unwrap(), "o/r").await.unwrap();
        for (scope, access) in scopes {
            github.permit(scope, *access);
        }
        github.change(|world| {
            let steps = json!([
                {"name": "Run actions/checkout@v5", "number": 2, "status": "completed", "conclusion": "success"},
                {"name": "Build", "number": 3, "status": "in_progress", "conclusion": null},
                {"name": "Smoke", "number": 4, "status": "queued", "conclusion": null},
            ]);
            world.add_job(json!({"id": 9, "run_id": 500, "name": "build", "status": "in_progress", "conclusion": null,
                "runner_name": "GitHub Actions 7", "steps": steps}));
        });
        let (state, api) = (tempfile::tempdir().unwrap(), github.url());
        let state_file = state.path().join("state").to_str().unwrap().to_owned();
        let usual = [
            ("GITHUB_ACTOR", "octocat"),
            ("GITHUB_API_URL", api.as_str()),
            ("GITHUB_EVENT_NAME", "push"),
            ("GITHUB_JOB", "build"),
            ("GITHUB_REF", "refs/heads/main"),
            ("GITHUB_REPOSITORY", "o/r"),
            ("GITHUB_RUN_ATTEMPT", "1"),
            ("GITHUB_RUN_ID", "500"),
            ("GITHUB_RUN_NUMBER", "50"),
            ("GITHUB_SERVER_URL", "https://github.com"),
            ("GITHUB_SHA", SHA),
            ("GITHUB_STATE", state_file.as_str()),
            ("GITHUB_WORKFLOW_REF", "o/r/.github/workflows/build.yml@refs/heads/main"),
            ("RUNNER_NAME", "GitHub Actions 7"),
        ];
        let env = RunnerEnv::new(usual.iter().chain(more_env).copied());
        let mut raw = RawInputs::default();
        for (name, value) in [("github-token", TOKEN)].iter().chain(written) {
            raw.set(name, value).unwrap();
        }
        let inputs = parse(&raw, &env).unwrap();
        let event = git_event(&env, &Payload::default(), inputs.github.job_id.as_deref());
        Self { github, env, inputs, event, state }
    }

    /// The events from GitHub's answers, in a run that ends at once.
    async fn asked(&self) -> Vec<Event> {
        self.asked_in_a_run_that(true).await
    }

    async fn asked_in_a_run_that(&self, is_over: bool) -> Vec<Event> {
        let (events, mut receiver) = Events::channel(Redactor::default());
        let (_over, ended) = watch::channel(is_over);
        if let Some(inquiry) = Inquiry::new(&self.inputs, &self.env, &self.event) {
            inquiry.ask(&events, ended).await;
        }
        drop(events);
        let mut told = Vec::new();
        while let Some(event) = receiver.recv().await {
            told.push(event);
        }
        assert_eq!(self.github.wrong(), Vec::<String>::new());
        told
    }

    fn plan(&self) -> Plan {
        self.plan_for("[]")
    }

    /// The plan with these targets.
    fn plan_for(&self, deploy: &str) -> Plan {
        let targets = if deploy == "[]" { Vec::new() } else { targets(deploy).unwrap() };
        let found =
            Found { images: Vec::new(), project: Project::Images, warnings: Vec::new(), notices: Vec::new(), targets };
        Plan::new(&self.inputs, Known { event: &self.event, git_tags: GitTags::Unasked, now: Utc::now() }, found)
            .unwrap()
    }

    fn deploy(&self) -> Environment {
        Environment::start(&self.inputs, &self.env, &self.event, &self.plan(), JOB).unwrap().unwrap()
    }

    fn ended(&self, outcome: RunOutcome) -> RunState {
        let mut state = RunState::new(self.event.run_info(), DateTime::<Utc>::UNIX_EPOCH);
        JOB.clone_into(&mut state.info.job_url);
        state.outcome = Some((outcome, Duration::from_secs(83)));
        state
    }

    /// The environment of the post stage.
    fn post_env(&self) -> RunnerEnv {
        let text = std::fs::read_to_string(self.state.path().join("state")).unwrap_or_default();
        let state = stand_ins::file_commands::parse(&text).unwrap();
        let state = state.into_iter().map(|(name, value)| (format!("STATE_{name}"), value));
        let env = self.env.vars().map(|(name, value)| (name.to_owned(), value.to_owned()));
        RunnerEnv::new(env.chain(state).collect::<Vec<_>>())
    }

    fn statuses(&self, deployment: u64) -> Vec<Value> {
        self.github.change(|world| world.statuses(deployment))
    }

    fn states(&self, deployment: u64) -> Vec<String> {
        let state = |status: &Value| status["state"].as_str().unwrap().to_owned();
        self.statuses(deployment).iter().map(state).collect()
    }
}

const SECOND: Duration = Duration::from_secs(5);

fn failed() -> RunOutcome {
    RunOutcome::Failure(Box::new(Failure::new(Stage::Build, "no", None).of_image("web")))
}

#[tokio::test]
async fn a_history_without_failures_takes_one_call() {
    let job = Job::new(&[("actions", Access::Read)], &[("job-id", "9")], &[]).await;
    job.github.change(|world| world.add_run(json!({"id": 490, "run_number": 49})));
    let told = job.asked().await;
    assert!(told.contains(&Event::History(History { failures: 0, succeeded: true })), "{told:?}");
    assert_eq!(job.github.calls()[0].path, "/actions/workflows/build.yml/runs");
    assert!(job.github.calls().len() <= 2, "{:?}", job.github.calls());
}

#[tokio::test]
async fn a_history_with_failures_is_that_of_the_same_job() {
    let job = Job::new(&[("actions", Access::Read)], &[("job-id", "9")], &[]).await;
    job.github.change(|world| {
        world.add_run(json!({"id": 480, "run_number": 48, "conclusion": "failure"}));
        world.add_job(json!({"id": 1, "run_id": 480, "name": "build", "conclusion": "failure"}));
        world.add_run(json!({"id": 490, "run_number": 49, "conclusion": "failure"}));
        world.add_job(json!({"id": 2, "run_id": 490, "name": "lint", "conclusion": "failure"}));
    });
    assert_eq!(job.asked().await, [Event::History(History { failures: 1, succeeded: false })]);
}

#[tokio::test]
async fn a_job_that_builds_by_other_means_gets_the_history_too() {
    let limit = Duration::from_secs(10);
    let job = Job::new(&[("actions", Access::Read)], &[("job-id", "9")], &[]).await;
    job.github.change(|world| {
        world.add_run(json!({"id": 480, "run_number": 48, "conclusion": "failure"}));
        world.add_job(json!({"id": 1, "run_id": 480, "name": "build", "conclusion": "failure"}));
    });
    let inquiry = Inquiry::new(&job.inputs, &job.env, &job.event);
    assert_eq!(history(inquiry, limit).await, Some(History { failures: 1, succeeded: false }));
    let refused = Job::new(&[], &[("job-id", "9")], &[]).await;
    assert_eq!(history(Inquiry::new(&refused.inputs, &refused.env, &refused.event), limit).await, None);
    assert_eq!(history(None, limit).await, None);
}

#[tokio::test]
async fn the_job_is_found_without_the_runners_job_id() {
    let job = Job::new(&[("actions", Access::Read)], &[], &[]).await;
    assert_eq!(job.event.job_url, "https://github.com/o/r/actions/runs/500/attempts/1");
    let told = job.asked().await;
    assert_eq!(told[0], Event::JobUrl(JOB.to_owned()));
    assert!(!told.iter().any(|event| matches!(event, Event::JobUrl(url) if url.contains('#'))), "too early: {told:?}");
}

#[tokio::test]
async fn the_step_is_reported_as_soon_as_it_is_certain() {
    let job = Job::new(&[("actions", Access::Read)], &[("job-id", "9")], &[]).await;
    let told = job.asked_in_a_run_that(false).await;
    assert_eq!(
        told,
        [Event::History(History { failures: 0, succeeded: false }), Event::JobUrl(format!("{JOB}#step:3:1"))]
    );
}

#[tokio::test]
async fn without_permission_token_or_api_nothing_is_reported() {
    let refused = Job::new(&[], &[], &[]).await;
    assert_eq!(refused.asked().await, []);
    assert!(refused.github.calls().iter().all(|call| call.status == 403));
    let limited = Job::new(&[("actions", Access::Read)], &[("job-id", "9")], &[]).await;
    limited.github.fail_next([Fault::RateLimited, Fault::RateLimited, Fault::Broken(500), Fault::RateLimited]);
    assert_eq!(limited.asked().await, []);
    for (written, env) in [(("github-token", ""), ("X", "")), (("job-id", "9"), ("GITHUB_API_URL", ""))] {
        let job = Job::new(&[("actions", Access::Read)], &[written], &[env]).await;
        assert_eq!(job.asked().await, []);
        assert_eq!(job.github.calls().len(), 0);
    }
}

#[tokio::test]
async fn one_failed_answer_does_not_move_latest_backwards() {
    let workspace = tempfile::tempdir().unwrap();
    std::fs::write(workspace.path().join("Dockerfile"), "FROM scratch\n").unwrap();
    let workspace = workspace.path().to_str().unwrap();
    // Other requests are sent at the same time.
    let refused = vec![Fault::RateLimited; 6];
    for (written, faults, latest, warned) in [
        (&[][..], vec![], false, false),
        (&[], vec![Fault::Broken(502)], false, false),
        (&[], vec![Fault::Broken(502); 9], false, true),
        (&[], refused.clone(), false, true),
        (&[("tags", "type=semver,pattern={{version}}")], refused.clone(), false, true),
        (&[("flavor", "latest=true")], refused, true, false),
        (&[("github-token", "")], vec![], true, false),
    ] {
        let tag = [("GITHUB_REF", "refs/tags/v1.2.3"), ("GITHUB_WORKSPACE", workspace)];
        let job = Job::new(&[], written, &tag).await;
        job.github.change(|world| world.add_tag("v2.0.0"));
        job.github.fail_next(faults.clone());
        let setup =
            RunSetup::gather(&job.inputs, &job.env, &ContainerLeases::default(), &mut Allowance::default()).await;
        let (plan, _) = setup.planned.unwrap();
        let tags: Vec<String> = plan.images[0].destinations.tags.iter().map(ToString::to_string).collect();
        assert_eq!(tags.iter().any(|tag| tag == "latest"), latest, "{written:?} {faults:?}: {tags:?}");
        assert_eq!(tags[0], "1.2.3");
        let warnings: Vec<String> = setup.warnings.into_iter().map(|warning| warning.message).collect();
        let about = warnings.iter().any(|warning| warning.contains("`latest` was not moved"));
        assert_eq!(about, warned, "{written:?} {faults:?}: {warnings:?}");
    }
}

#[tokio::test]
async fn a_deployment_has_the_outcome_of_the_run() {
    for (run, state, outcome, words) in [
        (RunOutcome::Success, "success", DeploymentOutcome::Success, "0 images pushed in 1m 23s"),
        (failed(), "failure", DeploymentOutcome::Failure, "build of web failed"),
        (RunOutcome::TimedOut, "failure", DeploymentOutcome::Failure, "timed out after 1m 23s"),
        (RunOutcome::Cancelled, "inactive", DeploymentOutcome::Cancelled, "cancelled"),
    ] {
        let written = [("environment", "production"), ("environment-url", "https://shop.example")];
        let job = Job::new(&[("deployments", Access::Write)], &written, &[]).await;
        let (made, warning) = job.deploy().finish(&job.ended(run), SECOND).await;
        let made = made.unwrap();
        assert_eq!((made.outcome, warning), (outcome, None));
        assert_eq!(job.states(made.id.unwrap()), ["in_progress", state]);
        let last = job.statuses(made.id.unwrap()).remove(1);
        assert_eq!((&last["log_url"], &last["environment_url"]), (&json!(JOB), &json!("https://shop.example")));
        assert_eq!(last["description"], words);
        let deployment = job.github.change(|world| world.deployments()).remove(0);
        assert_eq!((&deployment["ref"], &deployment["production_environment"]), (&json!(SHA), &json!(true)));
        assert_eq!(job.github.wrong(), Vec::<String>::new());
        let nothing =
            deployment::repair(&job.inputs, &job.post_env(), &job.event, &job.ended(RunOutcome::Success), SECOND).await;
        assert_eq!((nothing, job.states(made.id.unwrap()).len()), (vec![], 2), "the post stage does not change it");
    }
}

#[tokio::test]
async fn the_deployment_of_the_job_is_not_created_twice() {
    let job = Job::new(&[("deployments", Access::Write)], &[("environment", "production")], &[]).await;
    let own = job.github.change(|world| world.add_deployment_of_job("production", SHA, JOB));
    let (made, warning) = job.deploy().finish(&job.ended(RunOutcome::Success), SECOND).await;
    assert_eq!((made.unwrap().id, warning), (Some(own), None));
    assert_eq!(job.states(own), ["in_progress"], "GitHub updates it with the outcome of the job");
    assert_eq!(job.github.change(|world| world.deployments()).len(), 1);
}

#[tokio::test]
async fn a_rejected_deployment_is_a_notice() {
    let job = Job::new(&[("deployments", Access::Read)], &[("environment", "production")], &[]).await;
    let (made, notice) = job.deploy().finish(&job.ended(RunOutcome::Success), SECOND).await;
    let message = notice.unwrap().message;
    assert_eq!(made, None);
    assert!(message.contains("Resource not accessible by integration"), "{message}");
    assert!(message.ends_with("it needs `deployments: write` in `permissions`"), "{message}");
    let dry = Job::new(&[], &[("environment", "production"), ("dry-run", "true")], &[]).await;
    let notice = Environment::start(&dry.inputs, &dry.env, &dry.event, &dry.plan(), JOB).unwrap_err();
    assert!(notice.message.contains("nothing is pushed"), "{}", notice.message);
}

#[tokio::test]
async fn the_outcome_of_a_deployment_is_retried() {
    let job = Job::new(&[("deployments", Access::Write)], &[("environment", "staging")], &[]).await;
    let environment = job.deploy();
    let mut changes = job.github.changes();
    while job.github.calls().len() < 3 {
        changes.changed().await.unwrap();
    }
    job.github.fail_next([Fault::Broken(502), Fault::Broken(503)]);
    let (made, warning) = environment.finish(&job.ended(RunOutcome::Success), SECOND).await;
    assert_eq!(warning, None);
    assert_eq!(job.states(made.unwrap().id.unwrap()), ["in_progress", "success"]);
}

#[tokio::test]
async fn a_github_that_hangs_takes_no_longer_than_the_budget() {
    let job = Job::new(&[("deployments", Access::Write)], &[("environment", "staging")], &[]).await;
    job.github.fail_next([Fault::Hang]);
    let environment = job.deploy();
    let began = std::time::Instant::now();
    let (made, notice) = environment.finish(&job.ended(RunOutcome::Success), Duration::from_millis(300)).await;
    assert!(made.is_none() && notice.is_some() && began.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn the_post_stage_updates_the_deployment_of_a_killed_run() {
    for (outcome, state) in [(None, "failure"), (Some(RunOutcome::Cancelled), "inactive")] {
        let job = Job::new(&[("deployments", Access::Write)], &[("environment", "staging")], &[]).await;
        let environment = job.deploy();
        let mut changes = job.github.changes();
        while job.github.calls().len() < 3 {
            changes.changed().await.unwrap();
        }
        drop(environment);
        let mut run = job.ended(RunOutcome::Success);
        run.outcome = outcome.map(|outcome| (outcome, Duration::ZERO));
        let warning = deployment::repair(&job.inputs, &job.post_env(), &job.event, &run, SECOND).await;
        let id = job.github.change(|world| world.deployments())[0]["id"].as_u64().unwrap();
        assert_eq!((warning, job.states(id)), (vec![], vec!["in_progress".to_owned(), state.to_owned()]));
    }
}

/// Two targets with an environment, one of them with two servers, and one without.
const TARGETS: &str =
    "- {name: staging, compose: 'ssh://d@stage/srv', refs: main, environment: staging, url: 'https://stage.example'}
- {name: prod, compose: ['ssh://d@one/srv', 'ssh://d@two/srv'], refs: main, environment: production}
- {name: other, compose: 'ssh://d@three/srv', refs: main}";

fn report(name: &str, result: DeployResult, reason: Option<&str>) -> DeployReport {
    DeployReport {
        name: name.to_owned(),
        kind: "compose",
        result,
        services: std::collections::BTreeMap::new(),
        url: None,
        duration: SECOND,
        reason: reason.map(ToOwned::to_owned),
        by_hand: Vec::new(),
        hint: None,
        was_switched: true,
        failed_service: None,
        log: Vec::new(),
    }
}

fn begin(target: &str) -> Event {
    Event::Deploy { target: target.to_owned(), step: DeployStep::Preparing }
}

fn end(target: &str, result: DeployResult, reason: Option<&str>) -> Event {
    let step = DeployStep::Finished(Box::new(report(target, result, reason)));
    Event::Deploy { target: target.to_owned(), step }
}

#[tokio::test]
async fn a_target_with_an_environment_has_a_deployment_of_its_own() {
    let job = Job::new(&[("deployments", Access::Write)], &[], &[]).await;
    let mut of_targets = TargetDeployments::new(&job.inputs, &job.env, &job.event, Some(&job.plan_for(TARGETS)), JOB);
    for event in [
        begin("staging"),
        end("staging", DeployResult::Deployed, None),
        begin("prod (one)"),
        end("prod (one)", DeployResult::Deployed, None),
        begin("prod (two)"),
        end("prod (two)", DeployResult::FailedRolledBack, Some("web keeps restarting")),
        begin("other"),
        end("other", DeployResult::Deployed, None),
    ] {
        of_targets.event(&event);
    }
    let ended = of_targets.finish(SECOND).await;
    let shown: Vec<_> =
        ended.iter().map(|(made, notice)| (made.as_ref().map(|made| (&*made.place, made.outcome)), notice)).collect();
    let want = [
        (Some(("staging", DeploymentOutcome::Success)), &None),
        (Some(("production", DeploymentOutcome::Failure)), &None),
    ];
    assert_eq!(shown, want);
    let [staging, production] = [0, 1].map(|at| ended[at].0.as_ref().unwrap().id.unwrap());
    assert_eq!(job.states(staging), ["in_progress", "success"]);
    assert_eq!(job.states(production), ["in_progress", "failure"]);
    let [staging, production] = [staging, production].map(|id| job.statuses(id).remove(1));
    assert_eq!(
        (&staging["description"], &staging["environment_url"]),
        (&json!("staging: deployed"), &json!("https://stage.example"))
    );
    assert_eq!(production["description"], "prod (two): failed, rolled back: web keeps restarting");
    assert_eq!(job.github.wrong(), Vec::<String>::new());
    let run = job.ended(RunOutcome::Success);
    assert_eq!(deployment::repair(&job.inputs, &job.post_env(), &job.event, &run, SECOND).await, []);
    assert_eq!(job.github.change(|world| world.deployments()).len(), 2);
}

#[tokio::test]
async fn a_target_that_does_not_change_has_no_deployment() {
    let job = Job::new(&[("deployments", Access::Write)], &[("environment", "production")], &[]).await;
    let mut of_targets = TargetDeployments::new(&job.inputs, &job.env, &job.event, Some(&job.plan_for(TARGETS)), JOB);
    of_targets.event(&end("staging", DeployResult::Unchanged, None));
    // The run itself has one for this environment.
    of_targets.event(&begin("prod (one)"));
    assert_eq!(of_targets.finish(SECOND).await, []);
    assert_eq!(job.github.calls().len(), 0);
}

#[tokio::test]
async fn a_deployment_begins_with_the_first_server_that_changes() {
    let job = Job::new(&[("deployments", Access::Write)], &[], &[]).await;
    let mut of_targets = TargetDeployments::new(&job.inputs, &job.env, &job.event, Some(&job.plan_for(TARGETS)), JOB);
    for event in [
        end("prod (one)", DeployResult::Unchanged, None),
        begin("prod (two)"),
        end("prod (two)", DeployResult::Deployed, None),
    ] {
        of_targets.event(&event);
    }
    let ended = of_targets.finish(SECOND).await;
    assert_eq!(ended.len(), 1, "{ended:?}");
    assert_eq!(job.states(ended[0].0.as_ref().unwrap().id.unwrap()), ["in_progress", "success"]);
}

#[tokio::test]
async fn a_github_that_hangs_does_not_hold_the_deployments_of_targets() {
    let job = Job::new(&[("deployments", Access::Write)], &[], &[]).await;
    job.github.fail_next([Fault::Hang]);
    let mut of_targets = TargetDeployments::new(&job.inputs, &job.env, &job.event, Some(&job.plan_for(TARGETS)), JOB);
    of_targets.event(&begin("staging"));
    of_targets.event(&end("staging", DeployResult::Deployed, None));
    let began = std::time::Instant::now();
    let ended = of_targets.finish(Duration::from_millis(300)).await;
    assert!(ended[0].0.is_none() && ended[0].1.is_some() && began.elapsed() < Duration::from_secs(5), "{ended:?}");
}

#[tokio::test]
async fn the_deployment_of_a_target_ends_as_the_post_stage_finds_the_target() {
    for (target, found, state) in [
        ("staging", Some(DeployResult::Deployed), "success"),
        ("staging", Some(DeployResult::FailedRolledBack), "failure"),
        ("staging", None, "failure"),
        // Nobody knows about the other server.
        ("prod (one)", Some(DeployResult::Deployed), "failure"),
    ] {
        let job = Job::new(&[("deployments", Access::Write)], &[], &[]).await;
        let mut of_targets =
            TargetDeployments::new(&job.inputs, &job.env, &job.event, Some(&job.plan_for(TARGETS)), JOB);
        of_targets.event(&begin(target));
        let mut changes = job.github.changes();
        while job.github.calls().len() < 3 {
            changes.changed().await.unwrap();
        }
        drop(of_targets);
        let mut run = job.ended(RunOutcome::Success);
        run.outcome = None;
        run.targets = found.map(|result| TargetState::finished(report(target, result, None))).into_iter().collect();
        let warnings = deployment::repair(&job.inputs, &job.post_env(), &job.event, &run, SECOND).await;
        let id = job.github.change(|world| world.deployments())[0]["id"].as_u64().unwrap();
        assert_eq!((warnings, job.states(id)), (vec![], vec!["in_progress".to_owned(), state.to_owned()]), "{found:?}");
    }
}

#[tokio::test]
async fn a_pull_request_has_one_comment() {
    let job = Job::new(&[("pull-requests", Access::Write)], &[("pr-comment", "true")], &[]).await;
    let event = GitEvent { git_ref: GitRef::PullRequest(7), ..job.event.clone() };
    let put = |outcome| {
        let (job, event, state) = (&job, &event, job.ended(outcome));
        async move { comment::put(&job.inputs, &job.env, event, &state, SECOND).await }
    };
    assert_eq!(put(RunOutcome::Success).await, None);
    assert_eq!(put(failed()).await, None);
    assert_eq!(put(RunOutcome::Cancelled).await, None);
    let comments = job.github.change(|world| world.comments(7));
    let [comment] = &comments[..] else { panic!("{comments:?}") };
    assert!(comment.starts_with("<!-- build-deploy ") && comment.contains("### ❌ Failed in 1m 23s"), "{comment}");
    assert!(comment.contains(&format!("[full log]({JOB})")), "{comment}");
    assert_eq!(job.github.wrong(), Vec::<String>::new());
    assert_eq!(comment::put(&job.inputs, &job.env, &job.event, &job.ended(failed()), SECOND).await, None, "no request");
    job.github.permit("pull-requests", Access::Read);
    let notice = put(RunOutcome::Success).await.unwrap();
    assert!(notice.message.ends_with("it needs `pull-requests: write` in `permissions`"), "{}", notice.message);
}

/// Creates a deployment that is in progress.
async fn under_way(job: &Job) -> Environment {
    let environment = job.deploy();
    let mut changes = job.github.changes();
    while job.github.calls().len() < 3 {
        changes.changed().await.unwrap();
    }
    environment
}

#[tokio::test]
async fn the_post_stage_sends_a_missed_outcome() {
    for (outcome, state, words) in [
        (RunOutcome::Success, "success", "0 images pushed in 1m 23s"),
        (failed(), "failure", "build of web failed"),
        (RunOutcome::Cancelled, "inactive", "cancelled"),
    ] {
        for fault in [Fault::Hang, Fault::Broken(500), Fault::Endless] {
            let written = [("environment", "staging"), ("environment-url", "https://shop.example")];
            let job = Job::new(&[("deployments", Access::Write)], &written, &[]).await;
            let environment = under_way(&job).await;
            job.github.fail_next(vec![fault.clone(); 9]);
            let (_, warning) = environment.finish(&job.ended(outcome.clone()), Duration::from_millis(700)).await;
            let warning = warning.expect("a warning").message;
            assert!(warning.contains("stays in progress"), "{fault:?}: {warning}");
            job.github.heal();
            // The job continues and may have another outcome than this step.
            let mut other = job.ended(RunOutcome::Success);
            other.outcome = Some((RunOutcome::Cancelled, Duration::ZERO));
            let warning = deployment::repair(&job.inputs, &job.post_env(), &job.event, &other, SECOND).await;
            let id = job.github.change(|world| world.deployments())[0]["id"].as_u64().unwrap();
            assert_eq!(
                (warning, job.states(id)),
                (vec![], vec!["in_progress".to_owned(), state.to_owned()]),
                "{fault:?}"
            );
            let last = job.statuses(id).remove(1);
            assert_eq!(
                (&last["description"], &last["environment_url"]),
                (&json!(words), &json!("https://shop.example"))
            );
        }
    }
}

#[tokio::test]
async fn the_post_stage_writes_a_missed_comment() {
    let job = Job::new(&[("pull-requests", Access::Write)], &[("pr-comment", "true")], &[]).await;
    let event = GitEvent { git_ref: GitRef::PullRequest(7), ..job.event.clone() };
    for fault in [Fault::Hang, Fault::Broken(502), Fault::Endless] {
        job.github.fail_next(vec![fault.clone(); 9]);
        let budget = Duration::from_millis(300);
        let notice = comment::put(&job.inputs, &job.env, &event, &job.ended(failed()), budget).await;
        assert!(notice.is_some_and(|notice| notice.message.starts_with("no comment was written")), "{fault:?}");
        job.github.heal();
        assert_eq!(comment::repair(&job.inputs, &job.post_env(), &event, SECOND).await, None, "{fault:?}");
        let comments = job.github.change(|world| world.comments(7));
        let [comment] = &comments[..] else { panic!("{comments:?}") };
        assert!(comment.contains("### ❌ Failed in 1m 23s"), "{comment}");
    }
    assert_eq!(comment::put(&job.inputs, &job.env, &event, &job.ended(RunOutcome::Success), SECOND).await, None);
    let calls = job.github.calls().len();
    assert_eq!(comment::repair(&job.inputs, &job.post_env(), &event, SECOND).await, None);
    assert_eq!(job.github.calls().len(), calls, "it exists already");
}

#[tokio::test]
async fn a_github_that_does_not_answer_delays_no_run() {
    for fault in [Fault::Hang, Fault::Endless, Fault::Slow(Duration::from_secs(9))] {
        let job = Job::new(&[], &[], &[("GITHUB_REF", "refs/tags/v1.2.3"), ("GITHUB_REF_NAME", "v1.2.3")]).await;
        job.github.fail_next(vec![fault.clone(); 20]);
        let mut allowance = Allowance::default();
        let began = std::time::Instant::now();
        let setup = RunSetup::gather(&job.inputs, &job.env, &ContainerLeases::default(), &mut allowance).await;
        assert!(began.elapsed() < Duration::from_secs(3), "{fault:?}: {:?}", began.elapsed());
        assert!(setup.warnings.iter().any(|warning| warning.title == "tags of the repository"), "{fault:?}");
        assert!(allowance.left().parse::<u64>().unwrap() >= 2000, "{fault:?}: {}", allowance.left());
    }
}

#[tokio::test]
async fn an_endless_answer_is_an_error() {
    let job = Job::new(&[("actions", Access::Read)], &[("job-id", "9")], &[]).await;
    job.github.fail_next(vec![Fault::Endless; 9]);
    assert_eq!(job.asked().await, []);
}
