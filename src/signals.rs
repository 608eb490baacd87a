//! The signals with which the runner stops a step.
//!
//! GitHub's runner sends `SIGINT` on cancellation, `SIGTERM` 7.5 s later, and kills the docker command line 2.5 s after
//! that. The program runs as PID 1, for which the kernel ignores signals without a handler.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// A signal that stops the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// `SIGINT`: the run was cancelled or timed out.
    Interrupt,
    /// `SIGTERM`.
    Terminate,
}

impl Ended {
    /// The exit status for the signal, as in shells.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Interrupt => 130,
            Self::Terminate => 143,
        }
    }
}

/// Receives signals from its creation on.
#[derive(Debug)]
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Installs the handlers.
    pub fn catch() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits for the next signal.
    pub async fn next(&mut self) -> Ended {
        tokio::select! {
            _ = self.interrupt.recv() => Ended::Interrupt,
            _ = self.terminate.recv() => Ended::Terminate,
        }
    }
}
