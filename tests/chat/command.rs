//! The commands `notify` and `post` as a workflow calls them, with local stand-ins for all three services.

use std::{collections::BTreeMap, ffi::OsString, fs, path::PathBuf, time::Duration};

use build_deploy::{commands::dispatch, inputs::runner::RunnerEnv};
use serde_json::json;
use stand_ins::{
    discord,
    github::{Access, Fault, GitHub, TOKEN},
    slack, teams,
};
use tempfile::TempDir;

use crate::harness::anywhere;

const YELLOW: u64 = 0xFE_E75C;
const GREEN: u64 = 0x57_F287;
const RED: u64 = 0xED_4245;
const GREY: u64 = 0x95_A5A6;

/// The services, and a step's files.
struct Office {
    discord: discord::Receiver,
    slack: slack::Receiver,
    teams: teams::Receiver,
    /// Without one, the step has neither its address nor a token.
    github: Option<GitHub>,
    /// Variables of the step that are not every step's.
    env: Vec<(&'static str, String)>,
    folder: TempDir,
}

/// The results of a step.
struct Step {
    status: u8,
    log: String,
    outputs: BTreeMap<String, String>,
    state: BTreeMap<String, String>,
}

impl Office {
    async fn open() -> Self {
        Self {
            discord: discord::Receiver::listen(anywhere()).await.expect("listens"),
            slack: slack::Receiver::listen(anywhere(), slack::Scope::Read).await.expect("listens"),
            teams: teams::Receiver::listen(anywhere()).await.expect("listens"),
            github: None,
            env: Vec::new(),
            folder: TempDir::new().expect("a folder"),
        }
    }

    /// Starts with a GitHub on which the previous run of the workflow and its job `build` have this conclusion.
    async fn open_after(conclusion: &str) -> Self {
        let github = GitHub::start(anywhere(), "acme/shop").await.expect("listens");
        github.permit("actions", Access::Read);
        github.change(|world| {
            world.add_job(json!({"id": 9, "run_id": 7, "name": "build", "status": "in_progress", "conclusion": null}));
            world.add_run(json!({"id": 6, "run_number": 49, "conclusion": conclusion}));
            world.add_job(json!({"id": 1, "run_id": 6, "name": "build", "conclusion": conclusion}));
        });
        let env = vec![
            ("GITHUB_API_URL", github.url()),
            ("GITHUB_RUN_NUMBER", "50".to_owned()),
            ("GITHUB_WORKFLOW_REF", "acme/shop/.github/workflows/build.yml@refs/heads/main".to_owned()),
            ("INPUT_GITHUB-TOKEN", TOKEN.to_owned()),
            ("INPUT_JOB-ID", "9".to_owned()),
        ];
        Self { github: Some(github), env, ..Self::open().await }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a stage of a step with these inputs, in a workflow's environment.
    async fn step(&self, argv: &[&str], inputs: &[(&str, &str)], state: &BTreeMap<String, String>) -> Step {
        let files = ["GITHUB_OUTPUT", "GITHUB_STATE"];
        let mut env: Vec<(OsString, OsString)> = Vec::new();
        let mut set = |name: String, value: OsString| env.push((name.into(), value));
        for (name, value) in [
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_ACTOR", "ada"),
            ("GITHUB_EVENT_NAME", "push"),
            ("GITHUB_REF", "refs/heads/main"),
            ("GITHUB_REPOSITORY", "acme/shop"),
            ("GITHUB_RUN_ID", "7"),
            ("GITHUB_SERVER_URL", "https://github.com"),
            ("GITHUB_SHA", crate::runs::SHA),
            ("GITHUB_WORKFLOW", "Deploy"),
        ] {
            set(name.to_owned(), value.into());
        }
        for (name, value) in &self.env {
            set((*name).to_owned(), value.into());
        }
        set("SLACK_API_URL".to_owned(), format!("{}/", self.slack.api()).into());
        for name in files {
            fs::write(self.file(name), "").expect("is written");
            set(name.to_owned(), self.file(name).into());
        }
        let event = self.file("event.json");
        fs::write(&event, r#"{"head_commit": {"id": "x", "message": "Fix it"}}"#).expect("is written");
        set("GITHUB_EVENT_PATH".to_owned(), event.into());
        let discord = self.discord.url();
        let (webhook, flow) = (self.slack.webhook(), self.teams.url());
        let everywhere = [
            ("discord-webhook", discord.as_str()),
            ("slack-token", slack::TOKEN),
            ("slack-channel", "#deploys"),
            ("slack-webhook", &webhook),
            ("teams-webhook", &flow),
        ];
        for (name, value) in everywhere.iter().chain(inputs) {
            set(format!("INPUT_{}", name.to_uppercase()), value.into());
        }
        for (name, value) in state {
            set(format!("STATE_{name}"), value.into());
        }
        let mut log = Vec::new();
        let argv = argv.iter().map(|word| OsString::from(*word));
        let status = Box::pin(dispatch(argv, RunnerEnv::new(env), &mut log)).await;
        let read = |name| pairs(&fs::read_to_string(self.file(name)).expect("is there"));
        Step {
            status,
            log: String::from_utf8_lossy(&log).into_owned(),
            outputs: read("GITHUB_OUTPUT"),
            state: read("GITHUB_STATE"),
        }
    }

    async fn notify(&self, inputs: &[(&str, &str)]) -> Step {
        let inputs = [&[("command", "notify")], inputs].concat();
        self.step(&["/build-deploy"], &inputs, &BTreeMap::new()).await
    }

    fn discord(&self) -> Vec<u64> {
        self.discord.messages().iter().map(|m| m.embed()["color"].as_u64().expect("a color")).collect()
    }

    fn slack(&self) -> Vec<String> {
        self.slack.desk().messages().iter().map(|message| message.color().to_owned()).collect()
    }

    fn assert_all_right(&self) {
        crate::harness::assert_all_right(&self.discord);
        crate::harness::assert_all_right(&self.slack);
        crate::harness::assert_all_right(&self.teams);
        assert_eq!(self.github.as_ref().map(GitHub::wrong).unwrap_or_default(), Vec::<String>::new());
    }
}

/// Reads what was written with a delimiter; the last assignment of a name wins.
fn pairs(text: &str) -> BTreeMap<String, String> {
    let mut pairs = BTreeMap::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let (name, end) = line.split_once("<<").expect("an assignment");
        let value: Vec<&str> = lines.by_ref().take_while(|line| *line != end).collect();
        pairs.insert(name.to_owned(), value.join("\n"));
    }
    pairs
}

#[tokio::test]
async fn a_later_step_finishes_the_message_of_an_earlier_one() {
    for (state, color, word) in
        [("success", GREEN, "succeeded in"), ("failure", RED, "failed after"), ("cancelled", GREY, "cancelled after")]
    {
        let office = Office::open().await;
        let first = office.notify(&[("state", "started")]).await;
        assert_eq!(first.status, 0, "{}", first.log);
        assert_eq!((office.discord(), office.slack().len(), office.teams.calls().len()), (vec![YELLOW], 1, 0));
        let id = &first.outputs["message-id"];
        assert_eq!(id.lines().count(), 2, "one per channel whose messages can be edited: {id}");
        assert!(id.lines().nth(1).is_some_and(|line| line.starts_with(slack::CHANNEL)), "{id}");
        assert_eq!(first.outputs["run-url"], "https://github.com/acme/shop/actions/runs/7/attempts/1");

        let second = office.notify(&[("state", state), ("message-id", id)]).await;
        assert_eq!(second.status, 0, "{}", second.log);
        assert_eq!(second.outputs["message-id"], *id);
        assert_eq!(second.outputs["result"], state);
        assert_eq!(office.discord(), [color]);
        let title = office.discord.messages()[0].embed()["title"].to_string();
        assert!(title.contains(&format!("shop · main: {word}")), "the time comes from the message's id: {title}");
        assert_eq!(office.slack(), vec![format!("#{color:06x}"); 2], "the edited message, and the webhook's");
        assert_eq!(office.teams.desk().cards().len(), 1);
        office.assert_all_right();
    }
}

#[tokio::test]
async fn without_a_state_the_status_of_the_job_is_used() {
    for (job, color) in [("success", GREEN), ("failure", RED), ("cancelled", GREY)] {
        let office = Office::open().await;
        let step = office.notify(&[("job-status", job)]).await;
        assert_eq!((step.status, step.outputs["result"].as_str()), (0, job));
        assert_eq!(office.discord(), [color]);
        office.assert_all_right();
    }
    let office = Office::open().await;
    office.notify(&[("job-status", "success"), ("notify-on", "failure")]).await;
    assert_eq!((office.discord().len(), office.slack().len(), office.teams.calls().len()), (0, 0, 0));
}

#[tokio::test]
async fn an_outcome_is_compared_with_the_previous_run() {
    for (before, now, sent) in [
        ("success", "failure", 1),
        ("failure", "failure", 0),
        ("failure", "success", 1),
        ("success", "success", 0),
        ("cancelled", "success", 0),
    ] {
        let office = Office::open_after(before).await;
        let step = office.notify(&[("job-status", now), ("notify-on", "change")]).await;
        assert_eq!(step.status, 0, "{}", step.log);
        let count = (office.discord().len(), office.slack().len(), office.teams.desk().cards().len());
        assert_eq!(count, (sent, 2 * sent, sent), "{now} after {before}");
        office.assert_all_right();
    }
    let office = Office::open_after("failure").await;
    office.notify(&[("job-status", "success")]).await;
    let title = office.discord.messages()[0].embed()["title"].to_string();
    assert!(title.contains("fixed"), "{title}");
}

#[tokio::test]
async fn a_github_that_does_not_answer_delays_no_message() {
    let office = Office::open_after("failure").await;
    office.github.as_ref().expect("is there").fail_next([Fault::Hang, Fault::Hang]);
    let running = office.notify(&[("job-status", "failure"), ("notify-on", "change")]);
    let step = tokio::time::timeout(Duration::from_secs(30), running).await.expect("ends by itself");
    assert_eq!((step.status, office.discord()), (0, vec![RED]), "not known to be an old failure: {}", step.log);
    let office = Office::open_after("failure").await;
    office.notify(&[("state", "started")]).await;
    assert_eq!(office.github.as_ref().map(|github| github.calls().len()), Some(0), "a start is compared with nothing");
}

#[tokio::test]
async fn a_token_of_the_runner_is_never_sent() {
    let mut office = Office::open().await;
    let token = "token-of-this-job";
    office.env = vec![("ACTIONS_RUNTIME_TOKEN", token.to_owned()), ("GITHUB_REF", format!("refs/heads/try-{token}"))];
    let main = office.notify(&[("state", "started")]).await;
    let inputs = [("command", "notify"), ("job-status", "failure")];
    office.step(&["/build-deploy-post"], &inputs, &main.state).await;
    office.notify(&[("state", "failure")]).await;
    let sent = format!("{:?} {:?} {:?}", office.discord.messages(), office.slack.calls(), office.teams.calls());
    assert!(sent.contains("try-[redacted]") && !sent.contains(token), "{sent}");
    assert!(main.log.contains(&format!("::add-mask::{token}")), "{}", main.log);
    office.assert_all_right();
}

#[tokio::test]
async fn the_post_stage_updates_the_message_of_a_failed_job() {
    for (job, color) in [("failure", RED), ("cancelled", GREY), ("success", YELLOW)] {
        let office = Office::open().await;
        let main = office.notify(&[("state", "started")]).await;
        let inputs = [("command", "notify"), ("state", "started"), ("job-status", job)];
        let post = office.step(&["/build-deploy-post"], &inputs, &main.state).await;
        assert_eq!(post.status, 0, "{}", post.log);
        assert_eq!(office.discord(), [color], "a successful job may continue in another one");
        assert_eq!(office.slack(), [format!("#{color:06x}")]);
        office.assert_all_right();
    }
    // A later step has shown the outcome: the message stays unchanged.
    let office = Office::open().await;
    let main = office.notify(&[("state", "started")]).await;
    office.notify(&[("state", "failure"), ("message-id", &main.outputs["message-id"])]).await;
    let before = office.discord.messages()[0].body.clone();
    let inputs = [("command", "notify"), ("job-status", "cancelled")];
    office.step(&["/build-deploy-post"], &inputs, &main.state).await;
    assert_eq!(office.discord.messages()[0].body, before);
    assert_eq!(office.slack(), ["#ed4245"; 2]);
}

#[tokio::test]
async fn the_post_stage_of_a_killed_run_reaches_every_channel_that_can_be_edited() {
    let office = Office::open().await;
    let started = office.notify(&[("state", "started")]).await;
    let mut state = started.state;
    state.remove("elsewhere");
    let post = office.step(&["/build-deploy-post"], &[("job-status", "failure")], &state).await;
    assert_eq!(post.status, 0, "{}", post.log);
    assert_eq!((office.discord(), office.slack()), (vec![GREY], vec!["#95a5a6".to_owned()]));
    let title = office.discord.messages()[0].embed()["title"].to_string();
    assert!(title.contains("interrupted"), "{title}");
}

#[tokio::test]
async fn a_service_that_rejects_messages_fails_a_strict_step_only() {
    for (strict, status) in [("false", 0), ("true", 1)] {
        let office = Office::open().await;
        office.discord.fail_next([discord::Fault::unknown_webhook()]);
        let step = office.notify(&[("state", "failure"), ("notify-strict", strict)]).await;
        assert_eq!(step.status, status, "{}", step.log);
        assert!(step.log.contains("::warning") && step.log.contains("was deleted"), "{}", step.log);
        let shown = step.log.lines().filter(|line| !line.starts_with("::add-mask::"));
        assert!(shown.clone().all(|line| !line.contains("local-demo")), "{}", step.log);
        assert_eq!(office.teams.desk().cards().len(), 1, "the other channels get the message");
    }
}

#[tokio::test]
async fn an_invalid_url_is_a_warning() {
    for (input, value, words) in [
        ("discord-webhook", "not a url", "not a URL"),
        ("discord-webhook", "https://discord.com/api/webhooks/123", "not the URL of a Discord webhook"),
        (
            "discord-webhook",
            "https://discord.com/api/webhooks/1330000000000000001/hunter2",
            "not the URL of a Discord webhook",
        ),
        ("discord-webhook", "http://[::1/hunter2-hunter2", "invalid URL"),
        ("slack-webhook", "hooks.slack.com/services/hunter2", "not a URL"),
        ("teams-webhook", "ftp://h/hunter2", "not a URL"),
    ] {
        for (strict, status) in [("false", 0), ("true", 1)] {
            let office = Office::open().await;
            let step = office.notify(&[("state", "failure"), (input, value), ("notify-strict", strict)]).await;
            assert_eq!(step.status, status, "{input} {value}: {}", step.log);
            let shown: Vec<&str> = step.log.lines().filter(|line| !line.starts_with("::add-mask::")).collect();
            assert!(shown.iter().any(|line| line.contains("::warning") && line.contains(words)), "{value}: {shown:#?}");
            assert!(!shown.concat().contains("hunter2"), "{shown:#?}");
            assert_eq!(
                office.slack().len(),
                if input == "slack-webhook" { 1 } else { 2 },
                "the other channels get the message"
            );
        }
    }
    let office = Office::open().await;
    let none = [("discord-webhook", " \n"), ("slack-webhook", ""), ("teams-webhook", ""), ("slack-token", "")];
    let step = office.notify(&[&[("state", "failure"), ("notify-strict", "true")], &none[..]].concat()).await;
    assert_eq!((step.status, step.log.contains("::warning")), (0, false), "as in a fork: {}", step.log);
}
