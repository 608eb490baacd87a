//! Runs whose messages meet a fault, and their post stage: a message never shows a wrong outcome, and the post stage
//! delivers the outcome if the service works again by then.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use build_deploy::{
    commands::dispatch,
    inputs::{cli::RawInputs, parse::parse, runner::RunnerEnv},
    notify::{
        options::FINAL_BUDGET,
        report::{ChannelReport, DeliveryStatus},
    },
    run::observers::chat::{Chat, Open, save, settle},
};
use futures_util::{StreamExt as _, future::join_all};
use stand_ins::{discord, fault::Fault, file_commands, receiver::Call, slack, teams};
use tempfile::TempDir;
use tokio::sync::watch;

use crate::{
    harness::{anywhere, calls},
    runs::{End, run},
};

/// The budget of a run for its final message.
const BUDGET: Duration = FINAL_BUDGET;
/// The budget of the post stage.
const POST: Duration = Duration::from_secs(5);
/// Tolerance for a busy machine.
const MORE: Duration = Duration::from_secs(3);
/// Number of concurrent cases. Most of their time is spent waiting.
const AT_ONCE: usize = 8;

/// A service in one of the ways that it is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Discord,
    SlackBot,
    SlackWebhook,
    Teams,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Discord, Self::SlackBot, Self::SlackWebhook, Self::Teams];

    fn edits(self) -> bool {
        matches!(self, Self::Discord | Self::SlackBot)
    }
}

/// The call that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    First,
    Edit,
    Last,
}

enum Desk {
    Discord(discord::Receiver),
    Slack(slack::Receiver),
    Teams(teams::Receiver),
}

impl Desk {
    fn calls(&self) -> Vec<Call> {
        match self {
            Self::Discord(receiver) => receiver.calls(),
            Self::Slack(receiver) => receiver.calls(),
            Self::Teams(receiver) => receiver.calls(),
        }
    }

    async fn wait_for_calls(&self, count: usize) {
        match self {
            Self::Discord(receiver) => drop(calls(receiver, count).await),
            Self::Slack(receiver) => drop(calls(receiver, count).await),
            Self::Teams(receiver) => drop(calls(receiver, count).await),
        }
    }

    fn fail(&self, faults: Vec<Fault>) {
        match self {
            Self::Discord(receiver) => receiver.fail_next(faults),
            Self::Slack(receiver) => receiver.fail_next(faults),
            Self::Teams(receiver) => receiver.fail_next(faults),
        }
    }

    fn heal(&self) {
        match self {
            Self::Discord(receiver) => receiver.heal(),
            Self::Slack(receiver) => receiver.heal(),
            Self::Teams(receiver) => receiver.heal(),
        }
    }

    /// The phase that each message in the channel shows.
    fn shown(&self) -> Vec<&'static str> {
        let all: Vec<String> = match self {
            Self::Discord(receiver) => {
                // A mention is a message of its own.
                let all = receiver.messages().into_iter().filter(|message| message.body.get("content").is_none());
                all.map(|message| message.body.to_string()).collect()
            }
            Self::Slack(receiver) => {
                receiver.desk().messages().iter().map(|message| message.body.to_string()).collect()
            }
            Self::Teams(receiver) => receiver.desk().cards().iter().map(ToString::to_string).collect(),
        };
        let word = |text: String| {
            ["interrupted", "failed to build", "succeeded in", "cancelled after", "building"]
                .into_iter()
                .find(|word| text.contains(word))
                .unwrap_or("something else")
        };
        all.into_iter().map(word).collect()
    }
}

/// The main stage and the post stage of a run that notifies one service.
struct Step {
    desk: Desk,
    inputs: Vec<(&'static str, String)>,
    env: Vec<(&'static str, String)>,
    folder: TempDir,
}

impl Step {
    async fn new(kind: Kind) -> Self {
        let folder = TempDir::new().expect("a folder");
        let state = folder.path().join("state").to_str().expect("a name").to_owned();
        let mut env = vec![
            ("GITHUB_ACTIONS", "true".to_owned()),
            ("GITHUB_EVENT_NAME", "push".to_owned()),
            ("GITHUB_REF", "refs/heads/main".to_owned()),
            ("GITHUB_REPOSITORY", "acme/shop".to_owned()),
            ("GITHUB_STATE", state),
        ];
        let slack = || async { slack::Receiver::listen(anywhere(), slack::Scope::Read).await.expect("listens") };
        let (desk, inputs) = match kind {
            Kind::Discord => {
                let receiver = discord::Receiver::listen(anywhere()).await.expect("listens");
                let inputs = vec![("discord-webhook", receiver.url()), ("mention", "80351110224678912".to_owned())];
                (Desk::Discord(receiver), inputs)
            }
            Kind::SlackBot => {
                let receiver = slack().await;
                env.push(("SLACK_API_URL", receiver.api()));
                let inputs = vec![("slack-token", slack::TOKEN.to_owned()), ("slack-channel", "#deploys".to_owned())];
                (Desk::Slack(receiver), inputs)
            }
            Kind::SlackWebhook => {
                let receiver = slack().await;
                let inputs = vec![("slack-webhook", receiver.webhook())];
                (Desk::Slack(receiver), inputs)
            }
            Kind::Teams => {
                let receiver = teams::Receiver::listen(anywhere()).await.expect("listens");
                let inputs = vec![("teams-webhook", receiver.url())];
                (Desk::Teams(receiver), inputs)
            }
        };
        Self { desk, inputs, env, folder }
    }

    fn env(&self) -> RunnerEnv {
        RunnerEnv::new(self.env.clone())
    }

    fn chat(&self) -> Chat {
        let mut raw = RawInputs::default();
        for (name, value) in &self.inputs {
            raw.set(name, value).expect("an input");
        }
        Chat::new(&parse(&raw, &self.env()).expect("inputs"))
    }

    /// The main stage of a run whose call at `moment` meets the fault; `killed` means that it never gets to its last
    /// message's answer.
    async fn main(&self, kind: Kind, end: End, moment: Moment, fault: &Fault, killed: bool) -> Option<ChannelReport> {
        let (env, chat) = (self.env(), self.chat());
        let mut all = run(end);
        let last = Arc::new(all.pop().expect("an end"));
        let (states, watching) = watch::channel(Arc::new(all[3].clone()));
        if moment == Moment::First && kind.edits() {
            self.desk.fail(vec![fault.clone()]);
        }
        let notifier = chat.start(&watching);
        if kind.edits() {
            self.desk.wait_for_calls(1).await;
        }
        if moment != Moment::First && kind.edits() {
            let mut posted = notifier.posted();
            posted.wait_for(|all| all[0].is_some()).await.expect("posted");
        }
        if moment == Moment::Edit && kind.edits() {
            self.desk.fail(vec![fault.clone()]);
            states.send_replace(Arc::new(all[13].clone()));
            self.desk.wait_for_calls(2).await;
        }
        if moment == Moment::Last {
            self.desk.fail(vec![fault.clone(); 50]);
        }
        let posted = notifier.posted();
        tokio::select! {
            biased;
            never = save(&env, posted) => match never {},
            () = tokio::task::yield_now() => {}
        }
        chat.save_outcome(&env, &last);
        if killed {
            return None;
        }
        let began = Instant::now();
        let mut reports = notifier.finish(last, BUDGET).await;
        assert!(began.elapsed() <= BUDGET + MORE, "{kind:?} {moment:?} {fault:?}: {:?}", began.elapsed());
        settle(&env, &reports, Open::Nothing);
        Some(reports.remove(0))
    }

    /// The post stage; returns its log.
    async fn post(&self, job: &str) -> String {
        let saved = fs::read_to_string(self.folder.path().join("state")).unwrap_or_default();
        let saved: BTreeMap<String, String> = file_commands::parse(&saved).expect("assignments");
        let mut env: Vec<(OsString, OsString)> =
            self.env.iter().map(|(name, value)| ((*name).into(), value.into())).collect();
        env.extend(
            self.inputs.iter().map(|(name, value)| (format!("INPUT_{}", name.to_uppercase()).into(), value.into())),
        );
        env.extend(saved.iter().map(|(name, value)| (format!("STATE_{name}").into(), value.into())));
        env.extend([("INPUT_JOB-STATUS".into(), job.into()), ("INPUT_BUILDER".into(), "engine".into())]);
        let mut log = Vec::new();
        let began = Instant::now();
        let argv = [OsString::from("/build-deploy-post")];
        let status = Box::pin(dispatch(argv, RunnerEnv::new(env), &mut log)).await;
        assert_eq!(status, 0);
        assert!(began.elapsed() <= POST + MORE, "{:?}", began.elapsed());
        String::from_utf8_lossy(&log).into_owned()
    }
}

fn faults() -> Vec<Fault> {
    vec![
        Fault::RateLimited { body: Some(30.0), header: Some(30.0) },
        Fault::Answer(500, "500: Internal Server Error".into()),
        Fault::Hang,
        Fault::ResetBefore,
        Fault::ResetAfter,
        Fault::Answer(200, "<html><body>Sign in to the network</body></html>".into()),
        Fault::Endless,
    ]
}

/// One that some services take for an answer and others do not.
fn empty() -> Fault {
    Fault::Answer(200, String::new())
}

async fn case(kind: Kind, moment: Moment, fault: Fault) {
    let (end, word, job) = if moment == Moment::Edit {
        (End::Green, "succeeded in", "success")
    } else {
        (End::Red, "failed to build", "failure")
    };
    let name = format!("{kind:?}, {moment:?}, {fault:?}");
    let step = Step::new(kind).await;
    let report = step.main(kind, end, moment, &fault, false).await.expect("a report");
    let before = step.desk.shown();
    assert!(!before.contains(&"interrupted"), "{name}: {before:?}");
    if report.status == DeliveryStatus::Done {
        assert_eq!((before.last(), report.warning), (Some(&word), None), "{name}");
    } else {
        assert!(report.warning.is_some(), "{name}");
    }
    step.desk.heal();
    let log = step.post(job).await;
    let shown = step.desk.shown();
    // One that may have arrived is not sent a third time: it may be lost, or be there twice.
    let wanted: &[&str] = match (kind.edits(), moment, &fault) {
        // The first message arrived, but its id is unknown.
        (true, Moment::First, Fault::ResetAfter) => &["building", word],
        (false, _, Fault::ResetAfter) => &[word, word],
        (false, _, Fault::ResetBefore) => &[],
        _ => &[word],
    };
    assert_eq!(shown, wanted, "{name}: before {before:?}\n{log}");
    let wrong: Vec<String> = step.desk.calls().into_iter().flat_map(|call| call.wrong).collect();
    assert_eq!(wrong, [""; 0], "{name}");
    if report.status != DeliveryStatus::Retryable {
        let shown = log.lines().filter(|line| line.contains("::warning"));
        assert_eq!(shown.count(), 0, "{name}: nothing is left to do, and nothing to say: {log}");
    }
}

/// All cases of a service, a few at a time.
async fn table(kind: Kind) {
    // A service that posts the end alone has no other moment.
    let moments: &[Moment] = if kind.edits() { &[Moment::First, Moment::Edit, Moment::Last] } else { &[Moment::Last] };
    let mut all: Vec<(Moment, Fault)> =
        faults().into_iter().flat_map(|fault| moments.iter().map(move |moment| (*moment, fault.clone()))).collect();
    if kind != Kind::Teams {
        all.push((Moment::Last, empty()));
    }
    let cases = all.into_iter().map(|(moment, fault)| case(kind, moment, fault));
    futures_util::stream::iter(cases).buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
}

#[tokio::test]
async fn discord_shows_the_outcome_after_any_fault() {
    table(Kind::Discord).await;
}

#[tokio::test]
async fn slack_shows_the_outcome_after_any_fault() {
    table(Kind::SlackBot).await;
    table(Kind::SlackWebhook).await;
}

#[tokio::test]
async fn teams_shows_the_outcome_after_any_fault() {
    table(Kind::Teams).await;
}

#[tokio::test]
async fn a_service_that_stays_down_causes_a_warning() {
    join_all(Kind::ALL.map(|kind| async move {
        let step = Step::new(kind).await;
        let fault = Fault::Answer(503, String::new());
        let report = step.main(kind, End::Green, Moment::Last, &fault, false).await.expect("a report");
        assert_eq!(report.status, DeliveryStatus::Retryable, "{kind:?}");
        let log = step.post("success").await;
        assert_eq!(step.desk.shown(), if kind.edits() { vec!["building"] } else { vec![] }, "{kind:?}");
        assert!(log.contains("::warning") && log.contains("HTTP 503"), "{kind:?}: {log}");
    }))
    .await;
}

#[tokio::test]
async fn a_run_killed_after_its_end_is_shown_with_its_outcome() {
    join_all(Kind::ALL.map(|kind| async move {
        let step = Step::new(kind).await;
        step.main(kind, End::Red, Moment::Last, &Fault::Hang, true).await;
        step.desk.heal();
        // Another step failed, or the job was cancelled: that is not how the run ended.
        step.post("cancelled").await;
        // The only message of the service may have arrived: it is not sent twice.
        assert_eq!(step.desk.shown(), if kind.edits() { vec!["failed to build"] } else { vec![] }, "{kind:?}");
    }))
    .await;
}

#[tokio::test]
async fn a_missed_mention_is_sent_once_by_the_post_stage() {
    for (fault, mentions) in [
        (Fault::RateLimited { body: Some(30.0), header: None }, 1),
        // The edit arrives, its answer does not: the post stage finds the end running.
        (Fault::ResetAfter, 1),
        (Fault::None, 1),
    ] {
        let step = Step::new(Kind::Discord).await;
        step.main(Kind::Discord, End::Red, Moment::Last, &fault, false).await;
        step.desk.heal();
        step.post("failure").await;
        let calls = step.desk.calls();
        let loud = calls.iter().filter(|call| call.body["content"].as_str().is_some_and(|text| text.contains("<@")));
        assert_eq!(loud.count(), mentions, "{fault:?}");
        assert_eq!(step.desk.shown()[0], "failed to build", "{fault:?}");
    }
}
