//! What a chat service is to the rest: calls to make and answers to read. PURE.
//!
//! Each service is one module with one type that is a [`Service`]; `delivery.rs` makes its calls, `live.rs` decides
//! which. Nothing outside a service's module knows its addresses, its markup or its errors.

use std::{fmt, time::Duration};

use http::Method;
use serde_json::Value;

use super::message::Message;
use crate::domain::{redact::Redactor, secret::Secret};

/// A wait longer than this is not waited for.
pub const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// One place where messages go: a channel that a webhook or a token opens.
pub trait Service: fmt::Debug + Send + Sync {
    /// What people call it, such as `Discord webhook`.
    fn name(&self) -> &'static str;

    /// How it tells of a run.
    fn manner(&self) -> Manner;

    /// The texts that must be masked and redacted: GitHub masks what it knows exactly, and of our form of an address
    /// it knows nothing.
    fn secrets(&self) -> Vec<Secret>;

    /// The call that says this.
    fn request(&self, call: Call<'_>, message: &Message, words: Words) -> Request;

    /// Whether there is someone to mention, so that [`Call::Mention`] makes sense.
    fn mentions(&self) -> bool {
        false
    }

    /// The call that asks what a message shows now; `None` if it cannot be asked.
    fn look(&self, _posted: &Posted) -> Option<Request> {
        None
    }

    /// Whether the message in the answer to [`Service::look`] still says that the run goes on; `None` if the answer
    /// does not tell.
    fn runs(&self, _body: &Value) -> Option<bool> {
        None
    }

    /// The body without the fields that the service named as wrong; `None` if that leaves no message to speak of.
    fn mend(&self, _body: &Value, _wrong: &[Vec<String>]) -> Option<Value> {
        None
    }

    /// What an answer to a call means.
    fn read(&self, call: Call<'_>, reply: &Reply) -> Answer;

    /// When a message with this id was posted, in seconds since 1970, if the id tells.
    fn posted_at(&self, _message_id: &str) -> Option<i64> {
        None
    }

    /// Takes its secrets out of what a server or a library said.
    fn redactor(&self) -> Redactor {
        Redactor::new(&self.secrets())
    }
}

/// How a service tells of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Manner {
    /// One message that is edited until it shows the end.
    #[default]
    Live,
    /// One message at the start, without a sound, and one at the end.
    Twice,
    /// One message at the end: what was posted cannot be changed.
    Last,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call<'a> {
    /// Post a message.
    Create(Attention, Place),
    /// Replace what a message says.
    Edit(&'a Posted),
    /// Mention those who asked for it, in a message of its own: an edit notifies nobody. With the message that it is
    /// about, if there is one.
    Mention(Option<&'a Posted>),
}

/// Whether a new message makes a sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attention {
    /// As the reader has set the channel.
    Usual,
    /// None: another message that matters more will follow.
    Silent,
}

/// Where a new message goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// Where the address leads.
    #[default]
    Channel,
    /// Into a thread of its own: the channel has nothing but threads.
    NewThread,
}

/// How much a message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Words {
    /// Everything.
    All,
    /// State, link and colour, and no word of others: nothing that a service could object to.
    Ours,
}

/// A call.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// How.
    pub method: Method,
    /// Where. Secret as a whole.
    pub url: Secret,
    /// Token for the header `Authorization: Bearer`.
    pub bearer: Option<Secret>,
    /// JSON to send.
    pub body: Option<Value>,
}

impl Request {
    /// A call that sends JSON.
    pub fn new(method: Method, url: Secret, body: Value) -> Self {
        Self { method, url, bearer: None, body: Some(body) }
    }

    /// A call that asks.
    pub fn get(url: Secret) -> Self {
        Self { method: Method::GET, url, bearer: None, body: None }
    }

    /// The same with a token.
    #[must_use]
    pub fn bearer(mut self, token: &Secret) -> Self {
        self.bearer = Some(token.clone());
        self
    }
}

/// A message that a service has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posted {
    /// Its id; no secret.
    pub message_id: String,
    /// The channel or thread that the id must be looked for in; `None` if the address says it.
    pub place: Option<String>,
}

impl Posted {
    /// Reads what `Display` writes: `message` or `place/message`. `None` if it can be no id.
    pub fn parse(text: &str) -> Option<Self> {
        let (place, message) = text.split_once('/').map_or((None, text), |(place, message)| (Some(place), message));
        let good = |id: &str| {
            id.starts_with(|c: char| c.is_ascii_alphanumeric())
                && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.')
        };
        (good(message) && place.is_none_or(good))
            .then(|| Self { message_id: message.to_owned(), place: place.map(str::to_owned) })
    }
}

impl fmt::Display for Posted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "{place}/{}", self.message_id),
            None => f.write_str(&self.message_id),
        }
    }
}

/// A server's answer as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// The header `Retry-After`.
    pub retry_after: Option<String>,
    /// How long no further call is allowed, from `X-RateLimit-Remaining: 0` and `X-RateLimit-Reset-After`.
    pub hold: Option<Duration>,
    /// The body's beginning.
    pub body: String,
}

impl Reply {
    /// The body as JSON; null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// The header `Retry-After` in seconds.
    pub fn wait(&self) -> Option<Duration> {
        let seconds: f64 = self.retry_after.as_deref()?.trim().parse().ok()?;
        Duration::try_from_secs_f64(seconds).ok()
    }
}

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Done. A server that does not say which message it made leaves none to edit.
    Done(Option<Posted>),
    /// Too many calls: wait this long, or as one sees fit.
    Busy(Option<Duration>),
    /// This message is old and was edited too often: wait, or post another.
    EditsExhausted(Option<Duration>),
    /// The server is out of order.
    Broken(String),
    /// Nobody may post here with this address or token, and no other call will change that. Says what to do.
    ChannelGone(String),
    /// The message is gone, or cannot be changed any more: post another.
    MessageGone,
    /// The channel has nothing but threads: post again with [`Place::NewThread`].
    ThreadsOnly,
    /// These fields of the body are wrong; none if the server does not say which.
    Malformed(Vec<Vec<String>>, String),
    /// Words in it are not wanted here (a link filter, AutoMod): say it without the words of others.
    Unwanted(String),
    /// It will not do it, and asking again does not help.
    Refused(String),
}

#[cfg(test)]
mod tests {
    use super::Posted;

    #[test]
    fn ids_survive_being_written_down() {
        let posted = |place: Option<&str>, id: &str| Posted { message_id: id.into(), place: place.map(Into::into) };
        for (text, want) in [
            ("1330", Some(posted(None, "1330"))),
            ("C024BE91L/1503435956.000247", Some(posted(Some("C024BE91L"), "1503435956.000247"))),
            ("", None),
            ("/1", None),
            ("1/", None),
            ("1/2/3", None),
            ("../1", None),
            ("1?x", None),
        ] {
            let read = Posted::parse(text);
            assert_eq!(read, want, "{text}");
            assert!(read.is_none_or(|posted| posted.to_string() == text), "{text}");
        }
    }
}
