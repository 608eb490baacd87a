//! The interface of a chat service: it renders requests and interprets answers. PURE.
//!
//! Each service is a module with a type that implements [`Service`]. `channel_notifier.rs` decides which calls to make,
//! `delivery.rs` makes them. Only the service's module knows its URLs, its markup and its errors.

use std::{fmt, time::Duration};

use http::Method;
use serde_json::Value;

use super::message::Message;
use crate::domain::{redact::Redactor, secret::Secret};

/// Longest accepted wait. A delivery that would have to wait longer fails.
pub const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// A channel of a chat service, reached with a webhook or a token.
pub trait Service: fmt::Debug + Send + Sync {
    /// The name in warnings, such as `Discord webhook`.
    fn name(&self) -> &'static str;

    /// Which messages of a run the channel gets.
    fn delivery_mode(&self) -> DeliveryMode;

    /// The texts to mask and redact. GitHub masks exact matches only, so a URL that was rewritten needs its own mask.
    fn secrets(&self) -> Vec<Secret>;

    /// The request for a call.
    fn request(&self, call: Call<'_>, message: &Message, content: Content) -> Request;

    /// Whether anyone is to be mentioned with [`Call::Mention`].
    fn mentions(&self) -> bool {
        false
    }

    /// The request that fetches a posted message; `None` if the service offers none.
    fn fetch_request(&self, _posted: &Posted) -> Option<Request> {
        None
    }

    /// Whether the message fetched with [`Service::fetch_request`] still shows a running job; `None` if that
    /// is unknown.
    fn shows_running(&self, _body: &Value) -> Option<bool> {
        None
    }

    /// The body without the fields that the service rejected; `None` if too little would be left.
    fn without_fields(&self, _body: &Value, _wrong: &[Vec<String>]) -> Option<Value> {
        None
    }

    /// Interprets the answer to a call.
    fn parse_reply(&self, call: Call<'_>, reply: &Reply) -> Answer;

    /// The time at which the message was posted, in seconds since 1970, if its id contains it.
    fn posted_at(&self, _message_id: &str) -> Option<i64> {
        None
    }

    /// Removes the secrets of this channel from texts of servers and libraries.
    fn redactor(&self) -> Redactor {
        Redactor::new(&self.secrets())
    }
}

/// Which messages of a run a channel gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeliveryMode {
    /// One message that is edited until it shows the outcome.
    #[default]
    Edit,
    /// A silent message at the start and another one at the end.
    StartAndEnd,
    /// One message at the end, for services whose messages cannot be edited.
    EndOnly,
}

/// A call to the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call<'a> {
    /// Post a message.
    Create(Alert, Destination),
    /// Replace the content of a message.
    Edit(&'a Posted),
    /// Mention the configured users in a separate message, since an edit notifies nobody. Contains the message that it
    /// refers to, if there is one.
    Mention(Option<&'a Posted>),
}

/// Whether a new message notifies the members of the channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alert {
    /// As each member has configured it.
    Normal,
    /// No notification, because a more important message will follow.
    Silent,
}

/// Where a new message is posted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Destination {
    /// In the channel of the URL.
    #[default]
    Channel,
    /// In a new thread, for channels that consist of threads only.
    NewThread,
}

/// How much of a message to render.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Everything.
    Full,
    /// State, link and color without any untrusted text: nothing that a service could reject.
    Minimal,
}

/// An HTTP request.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The URL. Secret as a whole.
    pub url: Secret,
    /// Token for the header `Authorization: Bearer`.
    pub bearer: Option<Secret>,
    /// The JSON body.
    pub body: Option<Value>,
}

impl Request {
    /// A request with a JSON body.
    pub fn new(method: Method, url: Secret, body: Value) -> Self {
        Self { method, url, bearer: None, body: Some(body) }
    }

    /// A GET request.
    pub fn get(url: Secret) -> Self {
        Self { method: Method::GET, url, bearer: None, body: None }
    }

    /// Adds a bearer token.
    #[must_use]
    pub fn bearer(mut self, token: &Secret) -> Self {
        self.bearer = Some(token.clone());
        self
    }
}

/// A posted message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posted {
    /// Its id; not secret.
    pub message_id: String,
    /// The channel or thread that contains it; `None` if the URL implies it.
    pub channel_id: Option<String>,
}

impl Posted {
    /// Parses the format of `Display`: `message` or `channel/message`. `None` if a part is not a valid id.
    pub fn parse(text: &str) -> Option<Self> {
        let (channel, message) =
            text.split_once('/').map_or((None, text), |(channel, message)| (Some(channel), message));
        let is_id = |id: &str| {
            id.starts_with(|c: char| c.is_ascii_alphanumeric())
                && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.')
        };
        (is_id(message) && channel.is_none_or(is_id))
            .then(|| Self { message_id: message.to_owned(), channel_id: channel.map(str::to_owned) })
    }
}

impl fmt::Display for Posted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.channel_id {
            Some(channel) => write!(f, "{channel}/{}", self.message_id),
            None => f.write_str(&self.message_id),
        }
    }
}

/// The raw answer of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// The header `Retry-After`.
    pub retry_after: Option<String>,
    /// How long no further call is allowed, computed from `X-RateLimit-Remaining: 0` and `X-RateLimit-Reset-After`.
    pub hold: Option<Duration>,
    /// The body, redacted.
    pub body: String,
}

impl Reply {
    /// The body as JSON; null if it is not valid JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// The header `Retry-After` in seconds.
    pub fn wait(&self) -> Option<Duration> {
        let seconds: f64 = self.retry_after.as_deref()?.trim().parse().ok()?;
        Duration::try_from_secs_f64(seconds).ok()
    }
}

/// The meaning of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Success. `None` if the server does not identify the message, which then cannot be edited.
    Done(Option<Posted>),
    /// Too many calls: wait this long, if the server says so.
    RateLimited(Option<Duration>),
    /// An old message was edited too often: wait, or post a new one.
    EditsExhausted(Option<Duration>),
    /// The server failed.
    ServerError(String),
    /// The webhook, token or channel is unusable, and further calls are pointless. Contains a hint for the user.
    ChannelGone(String),
    /// The message was deleted or cannot be edited anymore: post a new one.
    MessageGone,
    /// The channel consists of threads only: post again with [`Destination::NewThread`].
    ThreadRequired,
    /// These fields of the body are invalid; empty if the server does not name them.
    InvalidFields(Vec<Vec<String>>, String),
    /// A filter (links, `AutoMod`) blocked the text: send it without untrusted text.
    ContentBlocked(String),
    /// Rejected for another reason; trying again does not help.
    Rejected(String),
}

#[cfg(test)]
mod tests {
    use super::Posted;

    #[test]
    fn ids_round_trip_through_text() {
        let posted =
            |channel: Option<&str>, id: &str| Posted { message_id: id.into(), channel_id: channel.map(Into::into) };
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
