//! Pulls the image of the BuildKit container.
//!
//! Docker Hub limits anonymous pulls for each address, and the runners of GitHub share addresses. So a pull from it is
//! retried, and then repeated from Google's cache of Docker Hub, which serves the same digests
//! (<https://docs.cloud.google.com/artifact-registry/docs/pull-cached-dockerhub-images>).

use bollard::{Docker, query_parameters::CreateImageOptionsBuilder};
use futures_util::StreamExt as _;

use super::{
    container::ContainerError,
    engine::{api_error, credentials},
};
use crate::{
    domain::{credentials::Credentials, event::Event},
    events::Events,
    retry::{Retry, RetryPolicy, Transient},
};

/// The host of Docker Hub in image names.
const HUB: &str = "docker.io";
/// The host of its mirror.
const MIRROR: &str = "mirror.gcr.io";
/// How often each host is asked.
const ATTEMPTS: u32 = 3;

impl Transient for ContainerError {
    fn retry(&self) -> Retry {
        match self {
            Self::Pull { source, .. } => source.retry(),
            _ => Retry::Never,
        }
    }
}

/// Pulls an image and returns the name that it has in the engine.
pub(super) async fn pull(
    docker: &Docker,
    image: &str,
    logins: &Credentials,
    events: &Events,
) -> Result<String, ContainerError> {
    let error = match pull_from(docker, image, logins, events).await {
        Ok(()) => return Ok(image.to_owned()),
        Err(error) => error,
    };
    let Some(mirrored) = mirrored(image).filter(|_| error.retry() != Retry::Never) else { return Err(error) };
    events.emit(Event::Note(format!("{error}; pulling it from {MIRROR}"))).await;
    match pull_from(docker, &mirrored, logins, events).await {
        Ok(()) => Ok(mirrored),
        Err(second) => {
            events.emit(Event::Note(second.to_string())).await;
            Err(error)
        }
    }
}

async fn pull_from(docker: &Docker, image: &str, logins: &Credentials, events: &Events) -> Result<(), ContainerError> {
    let (host, path) = split(image);
    let tagged = image.contains('@') || path.rsplit('/').next().is_some_and(|last| last.contains(':'));
    let from = if tagged { image.to_owned() } else { format!("{image}:latest") };
    let once = async || {
        let options = CreateImageOptionsBuilder::default().from_image(&from).build();
        let login = Some(credentials(logins.for_host(host), host));
        let mut messages = Box::pin(docker.create_image(Some(options), None, login));
        while let Some(message) = messages.next().await {
            message.map_err(|error| ContainerError::Pull { image: image.to_owned(), source: api_error(error) })?;
        }
        Ok(())
    };
    let notice = async |error: &ContainerError, attempt, _| {
        events.emit(Event::Note(format!("{error}; trying again ({attempt} of {ATTEMPTS})"))).await;
    };
    RetryPolicy::attempts(ATTEMPTS).run(once, notice).await
}

/// The host of an image and its path there. As in Docker's references, the part before the first slash is a host only if
/// it looks like one.
fn split(image: &str) -> (&str, &str) {
    match image.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (host, path),
        _ => (HUB, image),
    }
}

/// The name of an image of Docker Hub at its mirror.
fn mirrored(image: &str) -> Option<String> {
    match split(image) {
        (HUB, path) if path.contains('/') => Some(format!("{MIRROR}/{path}")),
        (HUB, path) => Some(format!("{MIRROR}/library/{path}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, sync::Mutex};

    use bollard::{API_DEFAULT_VERSION, Docker};
    use tokio::{
        io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
        net::UnixListener,
        sync::mpsc::Receiver,
        task::JoinHandle,
    };

    use super::{mirrored, pull};
    use crate::{
        domain::{credentials::Credentials, event::Event, redact::Redactor},
        events::Events,
    };

    const IMAGE: &str = "moby/buildkit:buildx-stable-1";
    const LIMITED: &str = "toomanyrequests: You have reached your unauthenticated pull rate limit.";
    const MISSING: &str = "manifest for moby/buildkit:buildx-stable-1 not found: manifest unknown: manifest unknown";

    /// An engine that answers each pull with the next of `answers`: an error, or nothing for a success. Returns a client and
    /// the queries that the engine got.
    fn engine(answers: &[&str]) -> (tempfile::TempDir, Docker, JoinHandle<Vec<String>>) {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("docker.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let docker = Docker::connect_with_unix(socket.to_str().unwrap(), 10, API_DEFAULT_VERSION).unwrap();
        let mut answers: VecDeque<String> = answers.iter().map(|&answer| answer.to_owned()).collect();
        let queries = Mutex::new(Vec::new());
        let server = tokio::spawn(async move {
            while let Some(answer) = answers.pop_front() {
                let (stream, _) = listener.accept().await.unwrap();
                let mut stream = BufReader::new(stream);
                let (mut line, mut length) = (String::new(), 0);
                while stream.read_line(&mut line).await.unwrap() > 2 {
                    if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
                        length = value.trim().parse().unwrap();
                    }
                    if line.starts_with("POST") {
                        queries.lock().unwrap().push(line.trim().to_owned());
                    }
                    line.clear();
                }
                let mut body = vec![0; length];
                stream.read_exact(&mut body).await.unwrap();
                let message = match answer.as_str() {
                    "" => r#"{"status":"Status: Downloaded newer image"}"#.to_owned(),
                    error => format!(r#"{{"errorDetail":{{"message":"{error}"}},"error":"{error}"}}"#),
                };
                let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n";
                stream.write_all(format!("{head}{message}\r\n").as_bytes()).await.unwrap();
            }
            queries.into_inner().unwrap()
        });
        (directory, docker, server)
    }

    async fn notes(mut events: Receiver<Event>) -> Vec<String> {
        let mut notes = Vec::new();
        while let Some(event) = events.recv().await {
            if let Event::Note(note) = event {
                notes.push(note);
            }
        }
        notes
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_limit_is_retried() {
        let (_directory, docker, server) = engine(&[LIMITED, ""]);
        let (events, receiver) = Events::channel(Redactor::default());
        let pulled = pull(&docker, IMAGE, &Credentials::default(), &events).await;
        drop(events);
        assert_eq!(pulled.unwrap(), IMAGE);
        assert_eq!(server.await.unwrap().len(), 2);
        assert_eq!(notes(receiver).await, [format!("cannot pull {IMAGE}: {LIMITED}; trying again (2 of 3)")]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_that_lasts_leads_to_the_mirror() {
        let (_directory, docker, server) = engine(&[LIMITED, LIMITED, LIMITED, ""]);
        let (events, receiver) = Events::channel(Redactor::default());
        let pulled = pull(&docker, IMAGE, &Credentials::default(), &events).await;
        drop(events);
        assert_eq!(pulled.unwrap(), format!("mirror.gcr.io/{IMAGE}"));
        let queries = server.await.unwrap();
        assert!(queries[3].contains("fromImage=mirror.gcr.io%2Fmoby%2Fbuildkit%3Abuildx-stable-1"), "{queries:?}");
        let last = notes(receiver).await.pop().unwrap();
        assert_eq!(last, format!("cannot pull {IMAGE}: {LIMITED}; pulling it from mirror.gcr.io"));
    }

    #[tokio::test(start_paused = true)]
    async fn an_image_that_does_not_exist_is_asked_for_once() {
        let (_directory, docker, server) = engine(&[MISSING]);
        let (events, receiver) = Events::channel(Redactor::default());
        let error = pull(&docker, IMAGE, &Credentials::default(), &events).await.unwrap_err();
        drop(events);
        assert_eq!(error.to_string(), format!("cannot pull {IMAGE}: {MISSING}"));
        assert_eq!(server.await.unwrap().len(), 1);
        assert_eq!(notes(receiver).await, [""; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_error_is_that_of_docker_hub() {
        let (_directory, docker, server) = engine(&[LIMITED, LIMITED, LIMITED, MISSING]);
        let (events, receiver) = Events::channel(Redactor::default());
        let error = pull(&docker, IMAGE, &Credentials::default(), &events).await.unwrap_err();
        drop(events);
        assert_eq!(error.to_string(), format!("cannot pull {IMAGE}: {LIMITED}"));
        assert_eq!(notes(receiver).await.last().unwrap(), &format!("cannot pull mirror.gcr.io/{IMAGE}: {MISSING}"));
        server.await.unwrap();
    }

    #[test]
    fn only_images_of_docker_hub_have_a_mirror() {
        for (image, expected) in [
            (IMAGE, Some("mirror.gcr.io/moby/buildkit:buildx-stable-1")),
            ("docker.io/moby/buildkit@sha256:0", Some("mirror.gcr.io/moby/buildkit@sha256:0")),
            ("busybox", Some("mirror.gcr.io/library/busybox")),
            ("ghcr.io/o/buildkit:1", None),
            ("localhost/buildkit", None),
        ] {
            assert_eq!(mirrored(image).as_deref(), expected, "{image}");
        }
    }
}
