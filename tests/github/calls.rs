//! Single calls.

use std::time::Duration;

use build_deploy::{
    domain::secret::Secret,
    github::{
        api,
        branch_head::{Head, head},
        client::Client,
        comments,
        deployments::{self, Lifetime, State, Status, Wanted},
        history::{self, Kind, Lineage, Own},
        jobs,
    },
};
use serde_json::{Value, json};
use stand_ins::github::{Access, Fault, GitHub, TOKEN};

const SHA: &str = "0123456789abcdef0123456789abcdef01234567";

async fn github(scopes: &[(&str, Access)]) -> (GitHub, Client) {
    let github = GitHub::start("127.0.0.1:0".parse().unwrap(), "o/r").await.unwrap();
    for (scope, access) in scopes {
        github.permit(scope, *access);
    }
    let client = Client::new(&github.url(), &Secret::new(TOKEN), "o", "r").unwrap();
    (github, client)
}

fn lineage() -> Lineage {
    Lineage {
        run: 500,
        attempt: 1,
        number: 50,
        workflow: "build.yml".into(),
        branch: "main".into(),
        branch_repository: "o/r".into(),
        kind: Kind::Branch,
    }
}

fn run(number: u64, conclusion: &str) -> Value {
    json!({"id": number * 10, "run_number": number, "conclusion": conclusion})
}

#[track_caller]
fn no_faults(github: &GitHub) {
    let wrong = github.wrong();
    assert!(wrong.is_empty(), "{:?}", &wrong[..wrong.len().min(3)]);
}

#[tokio::test]
async fn history_goes_back_to_the_last_success() {
    let (github, client) = github(&[("actions", Access::Read)]).await;
    github.change(|world| {
        world.add_run(run(1, "failure"));
        world.add_run(run(2, "success"));
        world.add_run(run(3, "timed_out"));
        world.add_run(run(4, "cancelled"));
        world.add_run(run(5, "failure"));
        world.add_run(json!({"id": 55, "run_number": 6, "conclusion": "success", "event": "pull_request"}));
        world.add_run(json!({"id": 57, "run_number": 7, "conclusion": "success", "head_branch": "other"}));
        world.add_run(json!({"id": 58, "run_number": 8, "conclusion": null, "status": "in_progress"}));
        world.add_run(run(60, "success"));
    });
    let before = history::before(&client, &lineage()).await.unwrap();
    assert!(before.has_failures());
    assert_eq!(before.history().failures, 2);
    no_faults(&github);
}

#[tokio::test]
async fn special_characters_in_names_reach_github() {
    let (github, client) = github(&[("actions", Access::Read)]).await;
    let branch = "feat/a#b&c=d%2F +é";
    github.change(|world| {
        world.add_run(json!({"id": 10, "run_number": 1, "conclusion": "failure", "head_branch": branch,
            "path": ".github/workflows/build it.yml"}));
    });
    let lineage = Lineage { branch: branch.into(), workflow: "build it.yml".into(), ..lineage() };
    assert_eq!(history::before(&client, &lineage).await.unwrap().history().failures, 1);
    no_faults(&github);
}

#[tokio::test]
async fn history_is_read_page_by_page_up_to_a_limit() {
    let (github, client) = github(&[("actions", Access::Read)]).await;
    github.change(|world| {
        world.add_run(run(1, "success"));
        for number in 2..46 {
            world.add_run(run(number, "failure"));
        }
    });
    let before = history::before(&client, &lineage()).await.unwrap();
    assert_eq!(before.history().failures, 44);
    github.change(|world| {
        for id in 1000..1200 {
            world.add_run(json!({"id": id, "run_number": 49, "conclusion": "failure"}));
        }
    });
    let asked = github.calls().len();
    let before = history::before(&client, &lineage()).await.unwrap();
    assert_eq!((before.history().failures, github.calls().len() - asked), (90, 3));
    no_faults(&github);
}

#[tokio::test]
async fn earlier_attempts_count_as_earlier_runs() {
    let (github, client) = github(&[("actions", Access::Read)]).await;
    github.change(|world| {
        world.add_run(run(49, "success"));
        let attempts = ["failure", "cancelled", "failure"];
        world.add_run(
            json!({"id": 500, "run_number": 50, "status": "in_progress", "conclusion": null, "attempts": attempts}),
        );
    });
    let before = history::before(&client, &Lineage { attempt: 4, ..lineage() }).await.unwrap();
    assert_eq!(before.history().failures, 2);
    no_faults(&github);
}

#[tokio::test]
async fn failures_of_other_jobs_do_not_count() {
    let (github, client) = github(&[("actions", Access::Read)]).await;
    let step = |name: &str, conclusion: &str| json!({"name": name, "number": 3, "status": "completed", "conclusion": conclusion});
    github.change(|world| {
        world.add_run(run(1, "success"));
        world.add_run(run(2, "failure"));
        world.add_job(json!({"id": 21, "run_id": 20, "name": "build", "conclusion": "failure", "steps": [step("Build", "failure")]}));
        world.add_run(run(3, "failure"));
        world.add_job(json!({"id": 31, "run_id": 30, "name": "test", "conclusion": "failure"}));
        world.add_job(json!({"id": 32, "run_id": 30, "name": "build", "conclusion": "failure",
            "steps": [step("Build", "success"), step("Smoke", "failure")]}));
        world.add_run(run(4, "failure"));
        world.add_job(json!({"id": 41, "run_id": 40, "name": "test", "conclusion": "failure"}));
    });
    let before = history::before(&client, &lineage()).await.unwrap();
    let own = |step: Option<&str>| Own { job: "build".into(), step: step.map(str::to_owned) };
    assert_eq!(
        before.history_of(&client, &own(Some("Build"))).await.failures,
        0,
        "the last run with a build succeeded"
    );
    assert_eq!(before.history_of(&client, &own(None)).await.failures, 2);
    assert_eq!(before.history().failures, 3);
    no_faults(&github);
}

#[tokio::test]
async fn a_job_is_found_by_its_runner_if_there_is_only_one() {
    let (github, client) = github(&[("actions", Access::Read)]).await;
    github.change(|world| {
        for id in 0..120 {
            let status = if id == 110 { "in_progress" } else { "completed" };
            world.add_job(json!({"id": id, "run_id": 500, "name": format!("build ({id})"), "status": status,
                "runner_name": "GitHub Actions 7"}));
        }
        world.add_job(json!({"id": 200, "run_id": 500, "name": "waits", "status": "queued", "runner_name": null}));
    });
    let found = |runner: &'static str| {
        let client = client.clone();
        async move { jobs::job_on_runner(&client, 500, 1, runner).await.unwrap().map(|job| job.id) }
    };
    assert_eq!(found("GitHub Actions 7").await, Some(110));
    assert_eq!(found("GitHub Actions 8").await, None);
    github.change(|world| world.job(3).unwrap()["status"] = json!("in_progress"));
    assert_eq!(found("GitHub Actions 7").await, None, "two of them");
    no_faults(&github);
}

#[tokio::test]
async fn a_deployment_goes_from_in_progress_to_its_outcome() {
    let (github, client) = github(&[("deployments", Access::Write)]).await;
    let wanted = Wanted {
        environment: "production/eu west".into(),
        sha: SHA.into(),
        description: "2 images".into(),
        lifetime: Lifetime::Permanent,
    };
    let id = deployments::create(&client, &wanted).await.unwrap();
    for state in [State::InProgress, State::Success, State::Failure, State::Inactive] {
        let status = Status {
            state,
            log_url: "https://github.com/o/r/actions/runs/1/job/2".into(),
            environment_url: Some("https://shop.example".into()),
            description: "é".repeat(500),
        };
        deployments::update(&client, id, &status).await.unwrap();
    }
    no_faults(&github);
    let made = github.change(|world| world.deployments()).remove(0);
    assert_eq!(made["environment"], "production/eu west");
    assert_eq!((&made["production_environment"], &made["transient_environment"]), (&json!(true), &json!(false)));
    let statuses = github.change(|world| world.statuses(id));
    let states: Vec<&str> = statuses.iter().filter_map(|status| status["state"].as_str()).collect();
    assert_eq!(states, ["in_progress", "success", "failure", "inactive"]);
    assert_eq!(statuses[1]["environment_url"], "https://shop.example");
    let bad =
        Status { state: State::Success, log_url: "ftp://x".into(), environment_url: None, description: String::new() };
    let refused = deployments::update(&client, id, &bad).await.unwrap_err().to_string();
    assert!(refused.contains("Validation Failed") && refused.contains("log_url must use http(s) scheme"), "{refused}");
}

#[tokio::test]
async fn finds_the_deployment_of_the_job() {
    let (github, client) = github(&[("deployments", Access::Read)]).await;
    let url = |run: u64| format!("https://github.com/o/r/actions/runs/{run}/job/9");
    let (own, other) = github.change(|world| {
        let own = world.add_deployment_of_job("production", SHA, &url(500));
        world.add_deployment_of_job("production", SHA, &url(5001));
        (own, world.add_deployment_of_job("staging", SHA, &url(500)))
    });
    let found = |environment: &'static str, sha: &'static str, run| {
        let client = client.clone();
        async move { deployments::of_run(&client, environment, &[sha, sha], run).await.unwrap() }
    };
    assert_eq!(found("production", SHA, 500).await, Some(own));
    assert_eq!(found("staging", SHA, 500).await, Some(other));
    assert_eq!(found("production", SHA, 50).await, None, "a prefix of another id");
    assert_eq!(found("production", "f".repeat(40).leak(), 500).await, None);
    no_faults(&github);
}

#[tokio::test]
async fn a_comment_is_created_once_and_then_updated() {
    let (github, client) = github(&[("pull-requests", Access::Write)]).await;
    let marker = "<!-- build-deploy x -->";
    let stranger = json!({"user": {"login": "mallory", "type": "User"}, "author_association": "CONTRIBUTOR"});
    github.change(|world| {
        for number in 0..150 {
            world.add_comment(7, &stranger, &format!("{marker} {number}"));
        }
        world.add_comment(8, &json!({"user": {"login": "github-actions[bot]", "type": "Bot"}}), marker);
    });
    for text in ["one", "two", "three"] {
        comments::put(&client, 7, marker, &format!("{marker}\n{text}")).await.unwrap();
    }
    let written = github.change(|world| world.comments(7));
    assert_eq!(written.len(), 151);
    assert_eq!(written.last().unwrap(), &format!("{marker}\nthree"));
    assert_eq!(github.change(|world| world.comments(8)), [marker]);
    no_faults(&github);
    let long = comments::put(&client, 7, marker, &"x".repeat(65_537)).await.unwrap_err();
    assert!(long.to_string().contains("body is too long"), "{long}");
}

#[tokio::test]
async fn tags_are_read_page_by_page_also_on_an_enterprise_server() {
    let (github, _) = github(&[]).await;
    github.change(|world| (0..250).for_each(|number| world.add_tag(&format!("v{number}"))));
    for url in [github.url(), github.enterprise_url(), format!("{}/", github.enterprise_url())] {
        let tags = api::git_tags(&url, &Secret::new(TOKEN), "o", "r").await.unwrap();
        assert_eq!((tags.len(), tags[249].as_str()), (250, "v249"), "{url}");
    }
    no_faults(&github);
}

#[tokio::test]
async fn temporary_errors_of_tags_are_retried() {
    let (github, _) = github(&[]).await;
    github.change(|world| (0..150).for_each(|number| world.add_tag(&format!("v{number}"))));
    let (url, token) = (github.url(), Secret::new(TOKEN));
    for faults in [
        &[Fault::Broken(502)][..],
        &[Fault::Broken(500), Fault::Broken(503)],
        &[Fault::None, Fault::Broken(502)],
        &[Fault::Hang],
    ] {
        github.fail_next(faults.iter().cloned());
        assert_eq!(api::git_tags(&url, &token, "o", "r").await.unwrap().len(), 150, "{faults:?}");
    }
    for (faults, calls) in [(vec![Fault::Broken(502); 3], 3), (vec![Fault::RateLimited], 1)] {
        let before = github.calls().len();
        github.fail_next(faults.clone());
        assert!(api::git_tags(&url, &token, "o", "r").await.is_err(), "{faults:?}");
        assert_eq!(github.calls().len() - before, calls, "{faults:?}");
    }
    github.fail_next(vec![Fault::Hang; 3]);
    let bound = tokio::time::timeout(Duration::from_secs(6), api::git_tags(&url, &token, "o", "r"));
    assert!(bound.await.expect("it gives up by itself").is_err());
}

#[tokio::test]
async fn a_commit_is_behind_only_if_github_says_so_twice() {
    let (github, client) = github(&[]).await;
    let newer = "fedcba9876543210fedcba9876543210fedcba98";
    let odd = "feat/a#b&c=d%2F+é";
    github.change(|world| {
        world.push("main", newer);
        world.push(odd, SHA);
    });
    let behind = Head::Behind { head: newer.to_owned() };
    assert_eq!(head(&client, odd, SHA).await, Head::Head);
    assert_eq!(head(&client, "main", newer).await, Head::Head);
    // A later push, a force-push and a run of an old commit look the same.
    assert_eq!(head(&client, "main", SHA).await, behind);
    for faults in
        [&[Fault::Broken(502)][..], &[Fault::None, Fault::Broken(503)], &[Fault::Broken(500), Fault::Broken(500)]]
    {
        github.fail_next(faults.iter().cloned());
        assert_eq!(head(&client, "main", SHA).await, behind, "{faults:?}");
    }
    // An answer from before the push does not count.
    let mut changes = github.changes();
    let (asked, ()) = tokio::join!(head(&client, "main", SHA), async {
        changes.changed().await.unwrap();
        github.change(|world| world.push("main", SHA));
    });
    assert_eq!(asked, Head::Head);
    github.change(|world| world.push("main", newer));
    let unknown = |head: Head, words: &str| match head {
        Head::Unknown(reason) => assert!(reason.contains(words), "{reason}"),
        other => panic!("{other:?}"),
    };
    for (faults, words) in [
        (vec![Fault::Broken(502); 3], ""),
        (vec![Fault::None, Fault::Broken(502), Fault::Broken(502), Fault::Broken(502)], ""),
        (vec![Fault::RateLimited], "rate limit"),
        (vec![Fault::Hang; 3], "in time"),
    ] {
        github.fail_next(faults);
        let bound = tokio::time::timeout(Duration::from_secs(6), head(&client, "main", SHA));
        unknown(bound.await.expect("it gives up by itself"), words);
    }
    github.change(|world| world.delete_branch("main"));
    unknown(head(&client, "main", SHA).await, "the branch main does not exist, or the token cannot read it");
    // A directory of branches is not a branch.
    unknown(head(&client, "feat", SHA).await, "does not exist, or the token cannot read it");
    no_faults(&github);
}

#[tokio::test]
async fn errors_contain_the_message_of_github() {
    let (github, client) = github(&[]).await;
    let refused =
        |error: &build_deploy::github::client::ApiError| (error.is_refusal(), error.is_temporary(), error.to_string());
    let forbidden = history::before(&client, &lineage()).await.unwrap_err();
    let path = "/repos/o/r/actions/workflows/build.yml/runs";
    assert_eq!(
        refused(&forbidden),
        (true, false, format!("GitHub rejected the request for {path}: Resource not accessible by integration"))
    );
    let stranger = Client::new(&github.url(), &Secret::new("ghs_wrong"), "o", "r").unwrap();
    let error = jobs::job(&stranger, 1).await.unwrap_err();
    assert_eq!(
        refused(&error),
        (true, false, "GitHub rejected the request for /repos/o/r/actions/jobs/1: Bad credentials".into())
    );
    let elsewhere = Client::new(&github.url(), &Secret::new(TOKEN), "o", "gone").unwrap();
    assert!(jobs::job(&elsewhere, 1).await.unwrap_err().to_string().ends_with("Not Found"));
    github.permit("actions", Access::Read);
    for (fault, temporary, words) in [
        (Fault::RateLimited, false, "API rate limit exceeded"),
        (Fault::SecondaryLimit(60), false, "secondary rate limit"),
        (Fault::Broken(502), true, ""),
    ] {
        github.fail_next([fault.clone()]);
        let error = jobs::job(&client, 1).await.unwrap_err();
        assert!(error.to_string().contains(words), "{fault:?}: {error}");
        assert_eq!(error.is_temporary(), temporary, "{fault:?}: {error}");
    }
    let nobody = Client::new("http://127.0.0.1:9", &Secret::new(TOKEN), "o", "r").unwrap();
    let error = jobs::job(&nobody, 1).await.unwrap_err();
    assert!(error.is_temporary() && error.to_string().contains("refused"), "{error}");
    assert!(Client::new("no url at all", &Secret::new(TOKEN), "o", "r").is_err());
    let patience = tokio::time::timeout(Duration::from_secs(20), async {
        github.fail_next([Fault::Hang]);
        jobs::job(&client, 1).await
    });
    assert!(patience.await.expect("it gives up by itself").unwrap_err().is_temporary());
}
