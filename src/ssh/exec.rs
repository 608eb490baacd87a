//! Commands on a server.

use std::time::Duration;

use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig, client::Msg};
use tokio::{runtime::Handle, time::timeout};

use super::{
    client::{Connection, Stream},
    command::quote,
    error::SshError,
};

/// The number of the stream with the standard error (RFC 4254, section 5.2).
const STDERR: u32 = 1;
/// A line of a running command is read up to this many bytes.
const LONGEST_LINE: usize = 64 << 10;

/// A command for a server. Its words reach the program as they are; secrets belong into the input, since every user of the
/// server can list the words of a running command.
#[derive(Clone, Debug)]
pub struct Command {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// The standard input.
    pub input: Vec<u8>,
    /// How long it may take.
    pub limit: Duration,
    /// How many bytes of the output are kept, and how many of the standard error.
    pub keep: usize,
}

/// What a command printed, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// The beginning of its standard output.
    pub stdout: Vec<u8>,
    /// Whether the output was longer than what was kept.
    pub is_cut: bool,
    /// The beginning of its standard error.
    pub stderr: Vec<u8>,
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// With this exit code.
    Exited(u32),
    /// By this signal.
    Killed(String),
}

impl Command {
    /// A command without input, which may take 60 s and whose output is kept up to 1 MiB.
    pub fn new<S: Into<String>>(argv: impl IntoIterator<Item = S>) -> Self {
        let argv = argv.into_iter().map(Into::into).collect();
        Self { argv, input: Vec::new(), limit: Duration::from_mins(1), keep: 1 << 20 }
    }

    /// The same command with this input.
    #[must_use]
    pub fn input(self, input: impl Into<Vec<u8>>) -> Self {
        Self { input: input.into(), ..self }
    }

    /// The same command with this limit.
    #[must_use]
    pub fn limit(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }
}

impl Connection {
    /// Runs a command to its end. If this is dropped or times out, the command loses its input and output, but is not
    /// killed.
    ///
    /// # Errors
    /// The connection was lost, or the command took too long. A command that fails is not an error.
    pub async fn run(&self, command: &Command) -> Result<Output, SshError> {
        let process = self.start(command);
        let work = async {
            let mut process = process.await?;
            let Some(write) = &process.write else { return Err(self.lost("the channel is closed")) };
            let input = async {
                if !command.input.is_empty() {
                    write.data_bytes(command.input.clone()).await?;
                }
                write.eof().await
            };
            let output = collect(&mut process.read, command.keep);
            // At the same time: a command may print before it has read everything.
            let (sent, output) = tokio::join!(input, output);
            match output {
                Some(output) => Ok(output),
                None => Err(sent.err().map_or_else(|| self.lost("the command did not end"), |error| self.lost(error))),
            }
        };
        let late = |_| SshError::TimedOut {
            server: self.server().to_owned(),
            what: format!("`{}`", command.argv.iter().take(3).map(String::as_str).collect::<Vec<_>>().join(" ")),
            limit: command.limit,
        };
        timeout(command.limit, work).await.map_err(late)?
    }

    /// Starts a command whose input stays open. Input and limit of the command are not used.
    ///
    /// # Errors
    /// The connection was lost.
    pub async fn start(&self, command: &Command) -> Result<Process, SshError> {
        let channel = self.session().await?;
        channel.exec(true, quote(&command.argv)).await.map_err(|error| self.lost(error))?;
        let (read, write) = channel.split();
        Ok(Process { read, write: Some(write), buffer: Vec::new() })
    }

    /// Starts a command and returns a stream of its input and output.
    ///
    /// # Errors
    /// The connection was lost.
    pub async fn stream(&self, command: &Command) -> Result<Box<dyn Stream>, SshError> {
        let channel = self.session().await?;
        channel.exec(true, quote(&command.argv)).await.map_err(|error| self.lost(error))?;
        Ok(Box::new(channel.into_stream()))
    }
}

/// Everything that a command prints until its end; `None` if the connection was lost before it.
async fn collect(read: &mut ChannelReadHalf, keep: usize) -> Option<Output> {
    let (mut stdout, mut stderr, mut is_cut, mut status) = (Vec::new(), Vec::new(), false, None);
    while let Some(message) = read.wait().await {
        match message {
            ChannelMsg::Data { data } => is_cut |= append(&mut stdout, &data, keep),
            ChannelMsg::ExtendedData { data, ext: STDERR } => drop(append(&mut stderr, &data, keep)),
            ChannelMsg::ExitStatus { exit_status } => status = Some(ExitStatus::Exited(exit_status)),
            ChannelMsg::ExitSignal { signal_name: Sig::Custom(name), .. } => status = Some(ExitStatus::Killed(name)),
            ChannelMsg::ExitSignal { signal_name, .. } => status = Some(ExitStatus::Killed(format!("{signal_name:?}"))),
            ChannelMsg::Failure => return None,
            _ => {}
        }
    }
    status.map(|status| Output { status, stdout, is_cut, stderr })
}

/// Appends as much as fits; whether some did not.
fn append(kept: &mut Vec<u8>, data: &[u8], limit: usize) -> bool {
    let room = limit.saturating_sub(kept.len());
    kept.extend_from_slice(&data[..data.len().min(room)]);
    data.len() > room
}

/// A running command. Dropping it closes its input and output.
#[derive(Debug)]
pub struct Process {
    read: ChannelReadHalf,
    /// `None` once it is being closed.
    write: Option<ChannelWriteHalf<Msg>>,
    /// Output that was received and not read.
    buffer: Vec<u8>,
}

impl Process {
    /// The next line of its output; `None` after its end, and if the connection was lost.
    pub async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Some(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            match self.read.wait().await? {
                ChannelMsg::Data { data } => drop(append(&mut self.buffer, &data, LONGEST_LINE)),
                _ if self.buffer.len() >= LONGEST_LINE => return None,
                _ => {}
            }
        }
    }

    /// Closes its input and waits until it ends.
    pub async fn finish(mut self) {
        if let Some(write) = &self.write
            && write.eof().await.is_ok()
        {
            while self.read.wait().await.is_some() {}
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Without this, the input would stay open until the connection is closed.
        if let (Some(write), Ok(runtime)) = (self.write.take(), Handle::try_current()) {
            runtime.spawn(async move { drop(write.close().await) });
        }
    }
}
