//! A byte stream to a daemon in a container: standard input and output of `buildctl dial-stdio`.
//!
//! API: <https://docs.docker.com/reference/api/engine/version/v1.48/#tag/Exec>; buildx does the same
//! (<https://github.com/docker/buildx/blob/master/driver/docker-container/driver.go>).

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bollard::{
    Docker,
    container::LogOutput,
    exec::{CreateExecOptions, StartExecOptions, StartExecResults},
};
use bytes::{Buf as _, Bytes};
use futures_util::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

type Output = Pin<Box<dyn Stream<Item = Result<LogOutput, bollard::errors::Error>> + Send>>;

/// Standard input and output of a program in a container. Dropping it ends the program.
pub struct Exec {
    output: Output,
    input: Pin<Box<dyn AsyncWrite + Send>>,
    /// Output that is not read yet.
    rest: Bytes,
    /// The program's standard error.
    stderr: String,
}

/// Maximum bytes of standard error that are kept.
const MAX_STDERR: usize = 2000;

/// Starts `command` in a running container. Also returns its id in the engine.
pub async fn start(
    docker: &Docker,
    container: &str,
    command: &[&str],
) -> Result<(String, Exec), bollard::errors::Error> {
    let options = CreateExecOptions {
        cmd: Some(command.to_vec()),
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        ..CreateExecOptions::default()
    };
    let id = docker.create_exec(container, options).await?.id;
    match docker.start_exec(&id, None::<StartExecOptions>).await? {
        StartExecResults::Attached { output, input } => {
            Ok((id, Exec { output, input, rest: Bytes::new(), stderr: String::new() }))
        }
        // Only the answer to an option that is not set.
        StartExecResults::Detached => Err(io::Error::from(io::ErrorKind::NotConnected).into()),
    }
}

impl AsyncRead for Exec {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.rest.is_empty() {
            match ready!(self.output.as_mut().poll_next(cx)) {
                Some(Ok(LogOutput::StdErr { message })) => {
                    let room = MAX_STDERR.saturating_sub(self.stderr.len());
                    let text = String::from_utf8_lossy(&message[..message.len().min(room)]).into_owned();
                    self.stderr.push_str(&text);
                }
                Some(Ok(output)) => self.rest = output.into_bytes(),
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                None if self.stderr.trim().is_empty() => return Poll::Ready(Ok(())),
                None => {
                    let stderr = std::mem::take(&mut self.stderr);
                    return Poll::Ready(Err(io::Error::other(stderr.trim().to_owned())));
                }
            }
        }
        let count = self.rest.len().min(buf.remaining());
        buf.put_slice(&self.rest[..count]);
        self.rest.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Exec {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.input.as_mut().poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.input.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.input.as_mut().poll_shutdown(cx)
    }
}
