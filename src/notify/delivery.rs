//! Delivers one message to one channel. The retry policy is the same for every [`Service`]:
//!
//! | answer | reaction |
//! |---|---|
//! | rate limited (429) | retry after the time in the body or header, or else after 1, 2, 4… s; fail if that is over a minute or after the deadline |
//! | 502, 503, no connection | retry after 0.5, 1, 2… s |
//! | other 5xx, connection lost, timeout | the message may have arrived: retry edits; do not retry the first message; retry the final message once |
//! | message deleted | [`DeliveryError::MessageGone`]: the caller posts a new one |
//! | webhook or token invalid | [`DeliveryError::ChannelGone`], for all further calls too |
//! | thread required | retry once in a new thread |
//! | invalid fields | retry once without these fields, then with minimal content |
//! | content blocked | retry with minimal content |

use std::{sync::Arc, time::Duration};

use rand::Rng as _;
use thiserror::Error;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout_at},
};

use super::{
    http::{Client, HttpError},
    message::Message,
    service::{Alert, Answer, Call, Content, Destination, LONGEST_WAIT, Posted, Reply, Request, Service},
};
use crate::retry::RetryPolicy;

/// Timeouts and pauses. The defaults are for real runs; tests use shorter ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Timeout of a connection attempt.
    pub connect: Duration,
    /// Timeout of a call.
    pub call: Duration,
    /// Shortest time between two edits that show progress. Discord allows 5 calls in 2 s per webhook, but only 30 in 60 s
    /// per channel, which it may share with other webhooks.
    pub edit_gap: Duration,
    /// First pause before a retry if the server does not name one.
    pub backoff: Duration,
    /// Longest time spent on sending a message while the build runs.
    pub opening: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            call: Duration::from_secs(10),
            edit_gap: Duration::from_secs(5),
            backoff: Duration::from_secs(1),
            opening: Duration::from_mins(1),
        }
    }
}

/// Why a message was not delivered.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DeliveryError {
    /// The webhook, token or channel is unusable. Contains a hint for the user.
    #[error("{0}")]
    ChannelGone(String),
    /// Someone deleted the message.
    #[error("the message was deleted")]
    MessageGone,
    /// The message is too old to be edited this often.
    #[error("the limit for edits of old messages was reached")]
    EditsExhausted,
    /// The service rejected the message.
    #[error("the service rejected the message: {0}")]
    Rejected(String),
    /// It could not be sent in time.
    #[error("gave up after {tries} {}: {reason}", if *.tries == 1 { "try" } else { "tries" })]
    GaveUp {
        /// Number of calls.
        tries: u32,
        /// Number of calls without an answer, which the service may have processed.
        unanswered: u32,
        /// The last error.
        reason: String,
    },
    /// The run ended, so that the final message replaces this one.
    #[error("replaced by the final message of the run")]
    Superseded,
}

impl DeliveryError {
    /// Whether a final message may be sent again after this error. A message that may have arrived is sent at most twice.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::ChannelGone(_) | Self::Rejected(_) => false,
            Self::GaveUp { unanswered, .. } => *unanswered < MAX_UNSURE,
            Self::MessageGone | Self::EditsExhausted | Self::Superseded => true,
        }
    }
}

/// How often a final message that may have arrived is sent at most.
const MAX_UNSURE: u32 = 2;

/// Announces the end of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// When the caller stops waiting for notifications.
    pub deadline: Instant,
}

/// How urgent a message is.
#[derive(Clone, Debug)]
pub enum Urgency {
    /// It shows progress and is abandoned as soon as the run ends.
    Progress(watch::Receiver<Option<End>>),
    /// It is the final message.
    Final,
}

/// A channel, and what was learned about it so far.
#[derive(Debug)]
pub struct Channel {
    client: Client,
    service: Arc<dyn Service>,
    timing: Timing,
    /// Where new messages are posted.
    destination: Destination,
    /// Why the channel is unusable; it is not called again.
    unusable: Option<String>,
    /// No call is allowed before this time.
    hold: Option<Instant>,
}

impl Channel {
    /// Creates a channel.
    pub fn new(client: Client, service: Arc<dyn Service>, timing: Timing) -> Self {
        Self { client, service, timing, destination: Destination::default(), unusable: None, hold: None }
    }

    /// The service of the channel.
    pub fn service(&self) -> &dyn Service {
        &*self.service
    }

    /// Posts a new message. Returns `None` if the server does not identify it.
    pub async fn create(
        &mut self,
        message: &Message,
        alert: Alert,
        urgency: Urgency,
        deadline: Instant,
    ) -> Result<Option<Posted>, DeliveryError> {
        self.send(Call::Create(alert, self.destination), message, urgency, deadline).await
    }

    /// Replaces the content of a message.
    pub async fn edit(
        &mut self,
        posted: &Posted,
        message: &Message,
        urgency: Urgency,
        deadline: Instant,
    ) -> Result<(), DeliveryError> {
        self.send(Call::Edit(posted), message, urgency, deadline).await.map(|_| ())
    }

    /// Mentions the configured users in a new message that refers to this one.
    pub async fn mention(
        &mut self,
        about: Option<&Posted>,
        message: &Message,
        deadline: Instant,
    ) -> Result<(), DeliveryError> {
        self.send(Call::Mention(about), message, Urgency::Final, deadline).await.map(|_| ())
    }

    /// Whether the message still shows a running job; `None` if that cannot be determined.
    pub async fn shows_running(&mut self, posted: &Posted, deadline: Instant) -> Result<Option<bool>, DeliveryError> {
        let Some(request) = self.service.fetch_request(posted) else { return Ok(None) };
        let limit = self.timing.call.min(deadline.saturating_duration_since(Instant::now()));
        let Ok(reply) = self.client.call(&request, limit, &self.service.redactor()).await else {
            return Ok(None);
        };
        match self.service.parse_reply(Call::Edit(posted), &reply) {
            Answer::Done(_) => Ok(self.service.shows_running(&reply.json())),
            Answer::MessageGone => Err(DeliveryError::MessageGone),
            // The token may lack the permission to read.
            _ => Ok(None),
        }
    }

    async fn send(
        &mut self,
        call: Call<'_>,
        message: &Message,
        mut urgency: Urgency,
        deadline: Instant,
    ) -> Result<Option<Posted>, DeliveryError> {
        if let Some(reason) = &self.unusable {
            return Err(DeliveryError::ChannelGone(reason.clone()));
        }
        let mut call = call;
        let mut request = self.service.request(call, message, Content::Full);
        let mut tries = 0;
        let (mut unsure, mut unanswered) = (0, 0);
        let mut waited = 0;
        let mut last = "rate limit reached".to_owned();
        loop {
            if let Some(hold) = self.hold {
                pause(hold, &mut urgency, deadline, || give_up(tries, unanswered, &last)).await?;
            }
            tries += 1;
            let reply = self.call_once(call, &request, &mut urgency, deadline).await?;
            let policy = RetryPolicy { first_pause: self.timing.backoff / 2, ..RetryPolicy::default() };
            let mut pause_for = policy.usual_pause(waited + 2);
            match reply.map(|reply| (self.service.parse_reply(call, &reply), reply.hold)) {
                Ok((Answer::Done(posted), hold)) => {
                    self.hold = hold.map(|hold| Instant::now() + hold.min(LONGEST_WAIT));
                    return Ok(posted);
                }
                Ok((Answer::RateLimited(wait), _)) => {
                    let wait = wait.unwrap_or(pause_for * 2);
                    last = format!("the service asks to wait {:.1} s (rate limit)", wait.as_secs_f64());
                    // Applies to all calls to this channel.
                    self.hold = Some(Instant::now() + wait);
                    if wait > LONGEST_WAIT {
                        return Err(give_up(tries, unanswered, &last));
                    }
                    // Jitter, so that the jobs of a matrix do not all retry at once.
                    pause_for = wait + jitter(wait);
                }
                Ok((Answer::EditsExhausted(wait), _)) => {
                    let wait = wait.unwrap_or(pause_for * 2);
                    let left = deadline.saturating_duration_since(Instant::now());
                    // Retry once, and only if that leaves time for a new message.
                    if matches!(urgency, Urgency::Progress(_)) || waited > 0 || wait > left / 2 {
                        return Err(DeliveryError::EditsExhausted);
                    }
                    pause_for = wait;
                }
                Ok((Answer::ServerError(reason), _)) => {
                    let sure = reason.starts_with("HTTP 502") || reason.starts_with("HTTP 503");
                    last = reason;
                    unsure += u32::from(!sure);
                }
                Ok((Answer::InvalidFields(wrong, reason), _)) => {
                    let reduced = request.body.as_ref().filter(|_| waited == 0);
                    let reduced = reduced.and_then(|body| self.service.without_fields(body, &wrong));
                    let next = match reduced {
                        Some(body) => Request { body: Some(body), ..request.clone() },
                        None => self.service.request(call, message, Content::Minimal),
                    };
                    request = another(&request, next, reason)?;
                    waited += 1;
                    continue;
                }
                Ok((Answer::ContentBlocked(reason), _)) => {
                    request = another(&request, self.service.request(call, message, Content::Minimal), reason)?;
                    continue;
                }
                Ok((Answer::ThreadRequired, _)) => {
                    let Call::Create(alert, Destination::Channel) = call else {
                        return Err(DeliveryError::Rejected("the channel accepts threads only".to_owned()));
                    };
                    self.destination = Destination::NewThread;
                    call = Call::Create(alert, self.destination);
                    request = self.service.request(call, message, Content::Full);
                    continue;
                }
                Ok((Answer::MessageGone, _)) => return Err(DeliveryError::MessageGone),
                Ok((Answer::ChannelGone(reason), _)) => {
                    self.unusable = Some(reason.clone());
                    return Err(DeliveryError::ChannelGone(reason));
                }
                Ok((Answer::Rejected(reason), _)) => return Err(DeliveryError::Rejected(reason)),
                Err(error @ (HttpError::Setup(_) | HttpError::Address(_))) => {
                    return Err(DeliveryError::Rejected(error.to_string()));
                }
                Err(error @ HttpError::Connect(_)) => last = error.to_string(),
                Err(error @ (HttpError::Broken(_) | HttpError::TimedOut(_))) => {
                    last = error.to_string();
                    unsure += 1;
                    unanswered += 1;
                }
            }
            let repeatable = match (call, &urgency) {
                (Call::Edit(_), _) => true,
                (Call::Create(..), Urgency::Final) => unsure < MAX_UNSURE,
                // A missing mention is better than two.
                (Call::Create(..) | Call::Mention(_), _) => unsure == 0,
            };
            if !repeatable {
                return Err(give_up(tries, unanswered, &last));
            }
            pause(Instant::now() + pause_for, &mut urgency, deadline, || give_up(tries, unanswered, &last)).await?;
            waited += 1;
        }
    }

    /// Makes one call. The outer error ends the delivery, the inner one only this try.
    async fn call_once(
        &self,
        call: Call<'_>,
        request: &Request,
        urgency: &mut Urgency,
        deadline: Instant,
    ) -> Result<Result<Reply, HttpError>, DeliveryError> {
        let left = deadline.saturating_duration_since(Instant::now());
        let limit = match (&urgency, call) {
            // If the edit hangs, leave time for another try.
            (Urgency::Final, Call::Edit(_)) if left < self.timing.call => left * 7 / 10,
            _ => left,
        };
        let limit = self.timing.call.min(limit);
        if limit.is_zero() {
            return Ok(Err(HttpError::TimedOut(limit)));
        }
        let redactor = self.service.redactor();
        let reply = self.client.call(request, limit, &redactor);
        let Urgency::Progress(end) = urgency else { return Ok(reply.await) };
        tokio::pin!(reply);
        tokio::select! {
            biased;
            reply = &mut reply => Ok(reply),
            end = ended(end) => {
                // The call may still take effect: as an edit after the final one, or as a message of unknown id. So wait
                // a little for its answer.
                let left = end.deadline.saturating_duration_since(Instant::now());
                let grace = if matches!(call, Call::Edit(_)) { left / 5 } else { left / 2 };
                timeout_at(Instant::now() + grace, reply).await.map_err(|_| DeliveryError::Superseded)
            }
        }
    }
}

/// Waits for the end of the run. Never returns if there is none.
pub async fn ended(end: &mut watch::Receiver<Option<End>>) -> End {
    let found = end.wait_for(Option::is_some).await.ok().and_then(|end| *end);
    match found {
        Some(end) => end,
        None => std::future::pending().await,
    }
}

/// Waits until `moment`. Fails if that is after the deadline or the run ends first.
async fn pause(
    moment: Instant,
    urgency: &mut Urgency,
    deadline: Instant,
    late: impl FnOnce() -> DeliveryError,
) -> Result<(), DeliveryError> {
    if moment >= deadline {
        return Err(late());
    }
    match urgency {
        Urgency::Final => sleep_until(moment).await,
        Urgency::Progress(end) => tokio::select! {
            () = sleep_until(moment) => {}
            _ = ended(end) => return Err(DeliveryError::Superseded),
        },
    }
    Ok(())
}

/// The next request, unless it equals the one that was just rejected.
fn another(now: &Request, next: Request, reason: String) -> Result<Request, DeliveryError> {
    if *now == next { Err(DeliveryError::Rejected(reason)) } else { Ok(next) }
}

fn give_up(tries: u32, unanswered: u32, reason: &str) -> DeliveryError {
    DeliveryError::GaveUp { tries, unanswered, reason: reason.to_owned() }
}

/// Up to a tenth of the wait.
fn jitter(wait: Duration) -> Duration {
    wait.mul_f64(rand::rng().random_range(0.0..0.1))
}
