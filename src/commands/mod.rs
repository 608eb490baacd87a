//! The subcommands, and their work around the pipeline.

pub mod notify;
pub mod plan;
pub mod post;
pub mod run;
mod work;

use std::{error::Error, ffi::OsString, io::Write};

use crate::{
    domain::{
        diagnostic::{Diagnostic, Severity},
        event::Event,
        failure::Failure,
        outcome::RunOutcome,
        run::Work,
        stage::Stage,
    },
    github::commands::StopToken,
    inputs::{
        cli::{self, Difference, PlanFormat, Subcommand},
        error::InputError,
        parse,
        runner::RunnerEnv,
        typed::{CommandInput, Inputs},
    },
    laptop,
    report::log::{Annotate, Log, Reader},
    run::post_stage,
};

/// The program's exit statuses, except those of signals.
pub mod exit {
    /// Everything succeeded.
    pub const SUCCESS: u8 = 0;
    /// A stage failed.
    pub const FAILED: u8 = 1;
    /// The inputs or the compose file are invalid; nothing was started.
    pub const WRONG_INPUT: u8 = 2;
    /// A deployment failed, and the failed release may still run.
    pub const BAD_RELEASE: u8 = 3;
}

/// The arguments of a command.
pub struct Call<W> {
    /// The environment.
    pub env: RunnerEnv,
    /// The validated inputs.
    pub inputs: Inputs,
    /// The log, which receives all output.
    pub log: Log<W>,
}

/// Runs the program: `argv` with its name first, everything shown on `out`. Returns the exit status.
pub async fn dispatch<W: Write>(argv: impl IntoIterator<Item = OsString>, env: RunnerEnv, mut out: W) -> u8 {
    let env = laptop::complete(env);
    let invocation = match cli::invocation(argv, &env) {
        Ok(invocation) => invocation,
        Err(error) => {
            // Help and version are such errors too; a failure to write their text cannot be reported anywhere.
            let _ = write!(out, "{error}");
            return u8::try_from(error.exit_code()).unwrap_or(exit::WRONG_INPUT);
        }
    };
    let parsed = parse::parse(&invocation.inputs, &env);
    let annotate = match &parsed {
        Ok(inputs) if !inputs.github.show.annotations => Annotate::No,
        _ => Annotate::Yes,
    };
    let mut log = Log::new(out, reader(&env, annotate));
    let mut mistakes = invocation.unknown;
    let inputs = match parsed {
        Ok(inputs) if mistakes.is_empty() => inputs,
        parsed => {
            mistakes.extend(parsed.err().unwrap_or_default());
            return refuse(&mistakes, log);
        }
    };
    let command = invocation.subcommand.unwrap_or(match inputs.command {
        CommandInput::Run => Subcommand::Run,
        CommandInput::Plan => Subcommand::Plan(PlanFormat::Text, Difference::Unread),
        CommandInput::Deploy => Subcommand::Deploy,
        CommandInput::Rollback => Subcommand::Rollback,
        CommandInput::Notify => Subcommand::Notify,
    });
    // The post stage belongs to the command of its step.
    let inputs = match command {
        Subcommand::Post => inputs,
        command => Inputs { command: command.input(), ..inputs },
    };
    // JSON is read by programs, so nothing precedes it. It contains no secrets.
    if !matches!(command, Subcommand::Plan(PlanFormat::Json, _)) {
        for secret in inputs.secrets() {
            let _ = log.mask(secret);
        }
    }
    let call = Call { env, inputs, log };
    if !matches!(command, Subcommand::Post | Subcommand::Plan(..)) {
        post_stage::request(&call.env);
    }
    match command {
        Subcommand::Run => run::run(call, Work::Pipeline).await,
        Subcommand::Deploy => run::run(call, Work::Deploy).await,
        Subcommand::Rollback => run::run(call, Work::Rollback).await,
        Subcommand::Post => post::post(call).await,
        Subcommand::Plan(format, difference) => plan::plan(call, format, difference).await,
        Subcommand::Notify => notify::notify(call).await,
    }
}

/// Reports that the program failed to start.
pub fn fatal(mut out: impl Write, error: &dyn Error) -> u8 {
    let _ = writeln!(out, "build-deploy: failed to start: {error}");
    exit::FAILED
}

fn reader(env: &RunnerEnv, annotations: Annotate) -> Reader {
    if env.is_github_actions() {
        Reader::Runner { token: StopToken::new(rand::random()), annotations }
    } else {
        Reader::Person
    }
}

/// Reports all mistakes, each as its own error.
fn refuse<W: Write>(mistakes: &[InputError], mut log: Log<W>) -> u8 {
    for mistake in mistakes {
        let diagnostic = Diagnostic {
            severity: Severity::Error,
            title: "invalid input".to_owned(),
            message: mistake.to_string(),
            place: None,
        };
        let _ = log.event(&Event::Diagnostic(diagnostic));
    }
    let headline = match mistakes.len() {
        1 => "an input is invalid; nothing was started".to_owned(),
        count => format!("{count} inputs are invalid; nothing was started"),
    };
    let failure = Failure::invalid(Stage::Plan, headline, None);
    let _ = log.event(&Event::Finished(RunOutcome::Failure(Box::new(failure))));
    exit::WRONG_INPUT
}
