//! The command `run`: the pipeline with its log, messages and reports.

use std::{
    cell::Cell,
    io::Write,
    path::Path,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::Utc;
use futures_util::future::{Either, select};
use tokio::sync::watch;

use super::{Call, exit, work::TIMED_OUT};
use crate::{
    builder::container::ContainerLeases,
    cancel::{self, Canceller, Stop},
    deploy,
    domain::{
        diagnostic::Diagnostic,
        event::Event,
        outcome::RunOutcome,
        run::{RunState, Work},
        secret::Secret,
    },
    events::Events,
    github::files::{FileError, RunnerFile, assignments},
    inputs::{runner::RunnerEnv, typed::Inputs},
    pipeline::Journal,
    publish::Move,
    regular_file,
    report::{
        artifacts::{Artifacts, artifacts},
        outputs::outputs,
        summary::summary,
    },
    reporter,
    run::{
        allowance::{Allowance, LEFT, Pace},
        deploying::Ongoing,
        job, moves,
        observers::{
            chat::{self, Chat, Open, warning},
            comment,
            deployments::Deployments,
            history::Inquiry,
        },
        post_stage, saved, secrets,
        setup::RunSetup,
    },
    signals::{Ended, Signals},
};

/// Maximum size of the list of recorded artifacts in bytes. The runner records 500 of them.
const LARGEST_LIST: u64 = 1 << 20;

/// The limit without `timeout`: longer than any job may run.
pub(super) const NO_LIMIT: Duration = Duration::from_hours(30 * 24);

/// Returns the outcome of a run that a signal stopped.
pub(super) fn stopped_by(signal: Ended) -> (RunOutcome, u8) {
    (RunOutcome::Cancelled, signal.exit_code())
}

/// Does the work and returns the exit status.
pub async fn run<W: Write>(call: Call<W>, task: Work) -> u8 {
    let Call { env, inputs, mut log } = call;
    let mut signals = match Signals::catch() {
        Ok(signals) => signals,
        Err(error) => return super::fatal(log.into_sink(), &error),
    };
    let chat = Chat::new(&inputs);
    let leases = ContainerLeases::default();
    let mut allowance = Allowance::default();
    let limit = inputs.github.timeout.unwrap_or(NO_LIMIT);
    let began = Instant::now();
    let gathered = tokio::select! {
        biased;
        signal = signals.next() => Err(stopped_by(signal)),
        () = tokio::time::sleep(limit) => Err(TIMED_OUT),
        setup = RunSetup::gather(&inputs, &env, &leases, &mut allowance) => Ok(setup),
    };
    let (setup, stopped) = match gathered {
        Ok(setup) => (setup, None),
        Err(stopped) => (RunSetup::offline(&inputs, &env, &leases).await, Some(stopped)),
    };
    let RunSetup { context, planned, secrets, likely, warnings, no_login } = setup;
    let secrets: Vec<Secret> = chat.secrets().into_iter().chain(secrets).collect();
    let redactor = secrets::mask(&inputs, &secrets, &likely, &mut log);
    let info = job::run_info(&context, &redactor);
    let (events, receiver) = Events::channel(redactor);

    let state = task.begin(RunState::new(info, Utc::now()), planned.as_ref().ok());
    let (sender, states) = watch::channel(Arc::new(state.clone()));
    // The first message is sent while the build begins.
    let live = chat.start(&states);
    let posted = live.posted();
    let inquiry = Inquiry::new(&inputs, &env, &context.event);
    let plan = planned.as_ref().ok().map(|(plan, _)| plan);
    let mut deployments = Deployments::start(&inputs, &env, &context.event, plan, &state.info.job_url);
    let reporting = reporter::report(receiver, state, sender, |event| {
        deployments.event(event);
        // A failure to write the log cannot be reported anywhere.
        let _ = log.event(event);
    });
    let (canceller, cancel) = cancel::channel();
    let moving = Cell::new(false);
    let journal = |tags: &[Move]| {
        moving.set(true);
        moves::begin(&env, tags);
    };
    let ongoing = Ongoing::new(&env);
    let save_deployment = |target: &str, saved: Option<&deploy::Saved>| ongoing.save(target, saved);
    let journal = Journal { moves: &journal, deployment: &save_deployment };
    let work = async {
        for diagnostic in context.warnings.iter().chain(&chat.warnings).chain(&warnings).cloned() {
            events.emit(Event::Diagnostic(diagnostic)).await;
        }
        let (outcome, status) = match (&planned, stopped, no_login) {
            (_, Some(stopped), _) => stopped,
            (Err(failure), ..) => (RunOutcome::Failure(Box::new(failure.clone())), exit::WRONG_INPUT),
            (Ok(_), None, Some(failure)) => (RunOutcome::Failure(Box::new(failure)), exit::FAILED),
            (Ok((plan, cx)), None, None) => {
                let work = task.run(plan, cx, &inputs, &cancel, journal, &events);
                let work = stopping(work, limit.saturating_sub(began.elapsed()), &mut signals, &canceller);
                asking_meanwhile(inquiry, &events, &mut allowance, work).await
            }
        };
        events.emit(Event::Finished(outcome)).await;
        drop(events);
        status
    };
    let (status, state) = tokio::select! {
        ended = futures_util::future::join(work, reporting) => ended,
        never = chat::save(&env, posted) => match never {},
    };
    let knows_tags = moves::end(&env, &moving, &state);
    // From here on, the post stage repeats reports of the outcome that fail.
    chat.save_outcome(&env, &state);
    ongoing.forget_settled();
    let pace = if matches!(state.outcome, Some((RunOutcome::Cancelled, _))) { Pace::Cancelled } else { Pace::Usual };
    let final_reports = allowance.final_reports(pace);
    // On the heap: the future contains the calls to all of them.
    let all_reports = Box::pin(async {
        // The pipeline is done, so nothing uses the builder containers.
        tokio::join!(
            live.finish(Arc::new(state.clone()), final_reports),
            deployments.finish(&state, final_reports),
            comment::put(&inputs, &env, &context.event, &state, final_reports),
            leases.release(final_reports),
        )
    });
    let (reports, (deployments, notices), commented, released) = allowance.measured(all_reports).await;
    let _ = saved::write(&env, &[(LEFT, &allowance.left())]);
    let state = RunState { deployments, ..state };
    let (mut warnings, notified) = chat::settle(&env, &reports, Open::Nothing);
    warnings.extend(notices.into_iter().chain(commented));
    let succeeded = matches!(state.outcome, Some((RunOutcome::Success, _)));
    if succeeded && knows_tags && notified && released && warnings.is_empty() {
        post_stage::withdraw(&env);
    }
    warnings.extend(leave_behind(&env, &inputs, &state, &chat.ids(&reports)));
    for warning in warnings {
        let _ = log.late(&warning);
    }
    if inputs.notify.strict && !(notified && chat.complete) { status.max(exit::FAILED) } else { status }
}

/// Runs the work and the requests to GitHub concurrently. After the work, the requests may take a little longer, unless
/// the run was cancelled.
async fn asking_meanwhile(
    inquiry: Option<Inquiry>,
    events: &Events,
    allowance: &mut Allowance,
    work: impl Future<Output = (RunOutcome, u8)>,
) -> (RunOutcome, u8) {
    let Some(inquiry) = inquiry else { return work.await };
    let (over, ended) = watch::channel(false);
    let (asking, work) = (pin!(inquiry.ask(events, ended)), pin!(work));
    match select(work, asking).await {
        Either::Left((done, asking)) => {
            over.send_replace(true);
            if !matches!(done.0, RunOutcome::Cancelled) {
                // Facts that are not known by then are not reported.
                let _ = allowance.spend(allowance.history(), asking).await;
            }
            done
        }
        Either::Right(((), work)) => work.await,
    }
}

/// Asks the work to stop on a signal or a timeout, and waits until it ends. The signal determines the exit status of
/// stopped work.
async fn stopping(
    work: impl Future<Output = (RunOutcome, u8)>,
    limit: Duration,
    signals: &mut Signals,
    canceller: &Canceller,
) -> (RunOutcome, u8) {
    let mut work = pin!(work);
    tokio::select! {
        biased;
        signal = signals.next() => {
            canceller.stop(Stop::Signal);
            match work.await {
                (RunOutcome::Cancelled, _) => stopped_by(signal),
                ended => ended,
            }
        }
        () = tokio::time::sleep(limit) => {
            canceller.stop(Stop::Timeout);
            work.await
        }
        ended = &mut work => ended,
    }
}

/// Writes outputs, the job summary and the artifacts. A failure is only a warning: the images were pushed.
fn leave_behind(env: &RunnerEnv, inputs: &Inputs, state: &RunState, message_ids: &str) -> Vec<Diagnostic> {
    let values = outputs(state, Some(message_ids).filter(|ids| !ids.is_empty()));
    let pairs = values.iter().map(|(name, value)| (*name, value.as_str()));
    let written = assignments(pairs, rand::random()).and_then(|text| append(env, RunnerFile::Output, &text));
    let summarised =
        if inputs.github.show.summary { append(env, RunnerFile::Summary, &summary(state)) } else { Ok(()) };
    let failed = |title: &str, result: Result<(), FileError>| result.err().map(|e| warning(title, e.to_string()));
    let warnings = [failed("outputs", written), failed("job summary", summarised)];
    warnings.into_iter().flatten().chain(record_artifacts(env, state)).collect()
}

/// Records the pushed images for the later steps of the job.
fn record_artifacts(env: &RunnerEnv, state: &RunState) -> Vec<Diagnostic> {
    let list =
        env.var("GITHUB_ARTIFACTS_LIST").and_then(|path| regular_file::read_text(Path::new(path), LARGEST_LIST).ok());
    // The file is empty if the runner does not support it.
    let recorded = list.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let images = state.images.iter().filter_map(|image| image.publication.as_ref());
    let Artifacts { lines, omitted } = artifacts(images, &recorded);
    let written = append(env, RunnerFile::Artifacts, &lines).err().map(|error| error.to_string());
    let omitted = omitted.into_iter().map(|name| {
        format!("{name} is not recorded for `actions/attest`, because an earlier step recorded another image under this name")
    });
    written.into_iter().chain(omitted).map(|message| warning("artifacts", message)).collect()
}

/// Appends to one of the runner's files. Does nothing outside a runner.
pub(super) fn append(env: &RunnerEnv, file: RunnerFile, text: &str) -> Result<(), FileError> {
    match env.var(file.variable()) {
        Some(path) => file.append(Path::new(path), text),
        None => Ok(()),
    }
}
