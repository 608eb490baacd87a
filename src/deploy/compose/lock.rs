//! The lock of a project: `flock` in a command on the server, which lives as long as this process holds its input.

use std::{sync::Arc, time::Duration};

use chrono::Utc;

use super::{
    commands::{LOCK, script},
    remote::Remote,
};
use crate::{
    deploy::{
        release::Release,
        target::{Attempt, TargetError},
    },
    ssh::{Command, Connection, Process},
};

/// How long a command that a killed deployment left running is waited for.
const OPERATION: Duration = Duration::from_mins(1);

/// The lock. Dropping it closes the command's input, which frees it; so does the end of the connection.
#[derive(Debug)]
pub struct Lock {
    process: Process,
    connection: Arc<Connection>,
}

impl Lock {
    /// Tries to take the lock.
    pub(super) async fn take(remote: &Remote, path: &str, release: &Release) -> Result<Attempt<Self>, TargetError> {
        let connection = remote.connection().await?;
        let holder = holder(release, &Utc::now().format("%Y-%m-%d %H:%M:%S UTC").to_string());
        let seconds = OPERATION.as_secs().to_string();
        let mut process = connection.start(&Command::new(script(LOCK, [path, &holder, &seconds]))).await?;
        let is_answer = |line: &str| ["TAKEN", "BUSY", "FAILED"].iter().any(|word| line.starts_with(word));
        let mut answer = process.line().await;
        // The user's shell may print a greeting first.
        while answer.as_deref().is_some_and(|line| !is_answer(line)) {
            answer = process.line().await;
        }
        match answer.as_deref() {
            Some("TAKEN") => Ok(Attempt::Taken(Self { process, connection })),
            Some(line) if line.starts_with("BUSY") => {
                let holder = line.trim_start_matches("BUSY").trim();
                Ok(Attempt::Busy(if holder.is_empty() { "unknown" } else { holder }.to_owned()))
            }
            Some(_) => {
                Err(TargetError::new(format!("{}: cannot create the lock in {path}/.build-deploy", remote.server()))
                    .hint("make the directory writable for the user"))
            }
            None => {
                let error = TargetError::new(format!("{}: the connection was lost", remote.server()));
                Err(TargetError { is_outage: true, ..error })
            }
        }
    }

    /// Whether the connection that holds it is there.
    pub(super) fn is_held(&self) -> bool {
        !self.connection.is_closed()
    }

    /// Frees it.
    pub(super) async fn free(self) {
        self.process.finish().await;
    }
}

/// Who holds the lock, in one line.
fn holder(release: &Release, since: &str) -> String {
    let text = format!("release {} of {}, since {since}, {}", release.id, release.actor, release.run_url);
    text.replace(|c: char| c.is_control(), " ").trim_end_matches([' ', ',']).to_owned()
}
