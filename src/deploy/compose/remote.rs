//! The server: one connection for everything, made anew when it was lost.

use std::{sync::Arc, time::Duration};

use tokio::sync::Mutex;

use crate::{
    deploy::target::TargetError,
    domain::failure::Failure,
    ssh::{Command, Connection, ExitStatus, Output, Server, SshError},
};

/// The server of a target.
#[derive(Debug)]
pub(super) struct Remote {
    server: Server,
    connection: Mutex<Option<Arc<Connection>>>,
}

impl Remote {
    pub(super) fn new(server: Server) -> Self {
        Self { server, connection: Mutex::default() }
    }

    /// The server, for people.
    pub(super) fn server(&self) -> &Server {
        &self.server
    }

    /// The connection; a new one if there is none yet, or if it was lost.
    pub(super) async fn connection(&self) -> Result<Arc<Connection>, TargetError> {
        let mut slot = self.connection.lock().await;
        if let Some(connection) = slot.as_ref().filter(|connection| !connection.is_closed()) {
            return Ok(connection.clone());
        }
        let connection = Arc::new(Box::pin(Connection::open(&self.server)).await?);
        *slot = Some(connection.clone());
        Ok(connection)
    }

    /// Runs a command to its end, whatever its exit code is.
    pub(super) async fn output(&self, command: &Command) -> Result<Output, TargetError> {
        // Boxed, as all that is large and awaited in many places.
        Ok(Box::pin(self.connection().await?.run(command)).await?)
    }

    /// Runs a command that must succeed, and returns what it printed. `what` is it for people, such as
    /// `docker compose config`. Its output, which may contain secrets, is not part of an error.
    pub(super) async fn run(&self, what: &str, command: &Command) -> Result<String, TargetError> {
        self.run_showing(what, command, |output| &output.stderr).await
    }

    /// The same for a command whose output explains its failure.
    pub(super) async fn run_openly(&self, what: &str, command: &Command) -> Result<(), TargetError> {
        self.run_showing(what, command, |output| &output.stdout).await.map(drop)
    }

    async fn run_showing(
        &self,
        what: &str,
        command: &Command,
        shown: impl Fn(&Output) -> &Vec<u8>,
    ) -> Result<String, TargetError> {
        let output = self.output(command).await?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let problem = match &output.status {
            ExitStatus::Exited(0) if output.is_cut => "printed too much".to_owned(),
            ExitStatus::Exited(0) => return Ok(text(&output.stdout)),
            ExitStatus::Exited(124 | 137) if output.stderr.ends_with(b"timed out\n") => "timed out".to_owned(),
            ExitStatus::Exited(code) => format!("failed with exit code {code}"),
            ExitStatus::Killed(signal) => format!("was killed by the signal {signal}"),
        };
        Err(failed(&self.server, what, &problem, &text(shown(&output))))
    }
}

/// The error of a command that failed.
fn failed(server: &Server, what: &str, problem: &str, printed: &str) -> TargetError {
    let lines: Vec<&str> = printed.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(Failure::LOG_LINES)..];
    let error = TargetError::new(format!("{server}: `{what}` {problem}"));
    let error = TargetError { log: last.iter().map(|line| (*line).to_owned()).collect(), ..error };
    match hint(printed) {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// What to do about the usual problems.
fn hint(printed: &str) -> Option<&'static str> {
    let printed = printed.to_lowercase();
    let has = |text: &str| printed.contains(text);
    if has("no space left on device") {
        Some("free disk space on the server, for example with `docker image prune`")
    } else if has("port is already allocated") || has("address already in use") {
        Some("another process or project on the server uses the port")
    } else if has("permission denied while trying to connect to the docker") {
        Some("add the user to the group `docker` on the server")
    } else if has("env file") && has("not found") {
        Some("create the file on the server; the compose file names it in `env_file`")
    } else {
        None
    }
}

impl From<SshError> for TargetError {
    fn from(error: SshError) -> Self {
        let (hint, is_outage) = (error.hint(), error.is_outage());
        Self { headline: error.to_string(), hint, log: Vec::new(), is_outage, source: source_of(error) }
    }
}

/// The cause of an error whose own message is the headline already.
fn source_of(error: SshError) -> Option<Box<dyn std::error::Error + Send + Sync>> {
    match error {
        SshError::KnownHosts(source) => Some(source.into()),
        SshError::Connect { source, .. } => Some(source.into()),
        SshError::Agent { source, .. } => Some(source.into()),
        SshError::Socket { source, .. } | SshError::Lost { source, .. } => Some(source),
        SshError::Key { .. }
        | SshError::HostKey { .. }
        | SshError::HostKeyTypes { .. }
        | SshError::TimedOut { .. }
        | SshError::Login { .. } => None,
    }
}

/// How long a command may take that waits for another one's end on the server.
pub(super) fn with_queue(limit: Duration) -> Duration {
    limit + Duration::from_mins(1)
}
