//! The command `run`: the pipeline with everything around it that tells people what happens.

use std::{io::Write, path::Path, sync::Arc, time::Duration};

use chrono::Utc;
use tokio::sync::watch;

use super::{
    Call,
    chat::{self, Chat, warning},
    exit,
    prepare::{self, Context},
};
use crate::{
    domain::{
        event::{Diagnostic, Ending, Event},
        redact::Redactor,
        run::{Failure, RunState, Stage},
    },
    events::Events,
    github::{
        api,
        files::{FileError, RunnerFile, assignments},
    },
    inputs::{context::Target, runner::RunnerEnv, typed::Inputs},
    pipeline,
    plan::Plan,
    report::{outputs::outputs, summary::summary},
    reporter,
    signals::Signals,
};

/// How long the last state may take to reach the chat; after a cancellation the runner is about to kill us.
const LAST_WORD: Duration = Duration::from_secs(5);
const LAST_WORD_CANCELLED: Duration = Duration::from_secs(2);
/// Longer than any job may run: what no `timeout` means.
const NO_LIMIT: Duration = Duration::from_hours(30 * 24);

/// Runs the pipeline and returns the exit status.
pub async fn run<W: Write>(call: Call<W>) -> u8 {
    let Call { env, inputs, mut log } = call;
    let mut signals = match Signals::catch() {
        Ok(signals) => signals,
        Err(error) => return super::fatal(log.into_sink(), &error),
    };
    let mut context = prepare::context(&inputs, &env);
    let chat = Chat::new(&inputs);
    let addresses = chat.secrets();
    for secret in &addresses {
        let _ = log.mask(secret);
    }
    let (events, receiver) = Events::channel(Redactor::new(inputs.secrets().chain(&addresses)));
    let (git_tags, warning) = git_tags(&inputs, &env, &context).await;
    prepare::learn(&mut context.event, &inputs, &env).await;
    let planned = prepare::plan(&inputs, &env, &context, git_tags.as_deref());

    let mut state = RunState::new(context.event.run_info(), Utc::now());
    if let Ok(plan) = &planned {
        state.images = plan.image_states();
    }
    let (sender, states) = watch::channel(Arc::new(state.clone()));
    // The first message is on its way while the build begins.
    let live = chat.start(&states);
    let posted = live.posted();
    let reporting = reporter::report(receiver, state, sender, |event| {
        // A log that cannot be written has nobody to be told to.
        let _ = log.event(event);
    });
    let work = async {
        for diagnostic in context.warnings.iter().chain(&chat.warnings).cloned().chain(warning) {
            events.emit(Event::Diagnostic(diagnostic)).await;
        }
        let (ending, status) = match &planned {
            Err(failure) => (Ending::Failure(Box::new(failure.clone())), exit::WRONG_INPUT),
            Ok(plan) => work(plan, &inputs, &env, &context, &mut signals, &events).await,
        };
        events.emit(Event::Finished(ending)).await;
        drop(events);
        status
    };
    let (status, state) = tokio::select! {
        ended = futures_util::future::join(work, reporting) => ended,
        never = chat::save(&env, posted) => match never {},
    };
    let last_word = if matches!(state.ending, Some((Ending::Cancelled, _))) { LAST_WORD_CANCELLED } else { LAST_WORD };
    let reports = live.finish(Arc::new(state.clone()), last_word).await;
    let (mut warnings, told) = chat::settle(&env, &reports);
    let message = reports.iter().find_map(|report| report.posted.as_ref());
    warnings.extend(leave_behind(&env, &inputs, &state, message.map(|posted| posted.message_id.as_str())));
    for warning in warnings {
        let _ = log.late(&warning);
    }
    if inputs.notify.strict && !told { status.max(exit::FAILED) } else { status }
}

/// The pipeline, until it ends, a signal comes or the time is over.
async fn work(
    plan: &Plan,
    inputs: &Inputs,
    env: &RunnerEnv,
    context: &Context,
    signals: &mut Signals,
    events: &Events,
) -> (Ending, u8) {
    for message in &plan.warnings {
        events.emit(Event::Diagnostic(warning("plan", message.clone()))).await;
    }
    let edges = prepare::edges(plan, inputs, env, context);
    tokio::select! {
        biased;
        signal = signals.next() => (Ending::Cancelled, signal.exit_code()),
        () = tokio::time::sleep(inputs.github.timeout.unwrap_or(NO_LIMIT)) => (Ending::TimedOut, exit::FAILED),
        result = pipeline::run(plan, &edges, events) => match result {
            Ok(()) => (Ending::Success, exit::SUCCESS),
            Err(failure) => {
                let status = status_of(&failure);
                (Ending::Failure(Box::new(failure)), status)
            }
        },
    }
}

fn status_of(failure: &Failure) -> u8 {
    match failure.stage {
        Stage::Plan => exit::WRONG_INPUT,
        Stage::Preflight | Stage::Build | Stage::Push | Stage::Deploy => exit::FAILED,
    }
}

/// The repository's Git tags, where they decide something: whether a release is the highest.
async fn git_tags(inputs: &Inputs, env: &RunnerEnv, context: &Context) -> (Option<Vec<String>>, Option<Diagnostic>) {
    let event = &context.event;
    let (Target::Tag(_), Some(token), Some(api)) = (&event.target, &inputs.github.token, env.var("GITHUB_API_URL"))
    else {
        return (None, None);
    };
    let of_images = inputs.project.images.iter().flat_map(|image| &image.tags);
    if !inputs.names.tags.asks_for_the_newest(of_images) {
        return (None, None);
    }
    match api::git_tags(api, token, &event.owner, &event.repo).await {
        Ok(tags) => (Some(tags), None),
        Err(error) => {
            let message = format!("{error}; the pushed tag alone decides about `latest`");
            (None, Some(warning("tags of the repository", message)))
        }
    }
}

/// Writes outputs and the job summary. What cannot be written is a warning: the images are pushed all the same.
fn leave_behind(env: &RunnerEnv, inputs: &Inputs, state: &RunState, message_id: Option<&str>) -> Vec<Diagnostic> {
    let values = outputs(state, message_id);
    let pairs = values.iter().map(|(name, value)| (*name, value.as_str()));
    let written = assignments(pairs, rand::random()).and_then(|text| append(env, RunnerFile::Output, &text));
    let summarised =
        if inputs.github.show.summary { append(env, RunnerFile::Summary, &summary(state)) } else { Ok(()) };
    let failed = |title: &str, result: Result<(), FileError>| result.err().map(|e| warning(title, e.to_string()));
    [failed("outputs", written), failed("job summary", summarised)].into_iter().flatten().collect()
}

fn append(env: &RunnerEnv, file: RunnerFile, text: &str) -> Result<(), FileError> {
    match env.var(file.variable()) {
        Some(path) => file.append(Path::new(path), text),
        None => Ok(()),
    }
}
