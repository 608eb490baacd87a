//! Gets one message to one Discord channel, or says why not: the policy of retries.
//!
//! | answer | what follows |
//! |---|---|
//! | 429 | wait as told (body, header; neither: 1, 2, 4… s), never more than a minute or the deadline |
//! | 502, 503, no connection | again after 0.5, 1, 2… s |
//! | other 5xx, a broken connection, no answer | PATCH and GET: again. POST may have been taken: a first message is not repeated, a last one once |
//! | 404 unknown message | [`DeliveryError::MessageGone`]: the caller posts another |
//! | 401, 403, other 404 | the webhook is gone and never called again |
//! | 400 | once without the fields it names, then the smallest embed there is; a link filter: that at once |

use std::{
    sync::Arc,
    time::Duration,
};

use rand::Rng as _;
use reqwest::Method;
use serde_json::Value;
use thiserror::Error;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout_at},
};

use super::{
    answer::{self, Answer, LONGEST_WAIT, Posted, Reply},
    discord::{self, Attention, Look},
    http::{Client, HttpError},
    message::Message,
    webhook::DiscordWebhook,
};
use crate::domain::secret::Secret;

/// How long things may take. The defaults are the ones for real runs; tests make them short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// For a connection.
    pub connect: Duration,
    /// For one call.
    pub call: Duration,
    /// Between two edits that show progress. Discord allows 5 calls in 2 s for a webhook, but only 30 in 60 s for a
    /// channel, which others use as well.
    pub edit_gap: Duration,
    /// The first of the waits where the server names none.
    pub backoff: Duration,
    /// How long the first message is tried for while the build runs.
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

/// Why a message did not arrive.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DeliveryError {
    /// Deleted, or its token is wrong.
    #[error("the webhook does not exist any more or its address is wrong ({0}): make a new one and put it into the secret")]
    WebhookGone(String),
    /// Someone deleted the message.
    #[error("the message was deleted")]
    MessageGone,
    /// The message is too old to be edited this often.
    #[error("the message is more than an hour old and cannot be edited now")]
    EditsExhausted,
    /// Discord will not take it.
    #[error("Discord refuses the message: {0}")]
    Refused(String),
    /// It could not be sent in the time there was.
    #[error("gave up after {tries} {}: {reason}", if *.tries == 1 { "try" } else { "tries" })]
    GaveUp {
        /// How many calls were made.
        tries: u32,
        /// What the last one met.
        reason: String,
    },
    /// The run ended meanwhile: something newer is to be said.
    #[error("the run ended first")]
    Superseded,
}

/// The end of a run's notifications: nothing may take longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// When the caller goes on, whatever came of the message.
    pub deadline: Instant,
}

/// How much a message matters.
#[derive(Clone, Debug)]
pub enum Urgency {
    /// It tells of progress, and gives way to the last message as soon as this says so.
    Progress(watch::Receiver<Option<End>>),
    /// It is the last one.
    Final,
}

/// What is to be done with a message.
#[derive(Clone, Copy, Debug)]
enum Call<'a> {
    Create(Attention),
    Edit(&'a str),
}

/// One webhook's channel.
#[derive(Debug)]
pub struct Channel {
    client: Client,
    webhook: DiscordWebhook,
    look: Arc<Look>,
    timing: Timing,
    /// Why it is never called again.
    gone: Option<String>,
    /// No call before this moment.
    hold: Option<Instant>,
}

impl Channel {
    /// A channel to which nothing was sent yet.
    pub fn new(client: Client, webhook: DiscordWebhook, look: Arc<Look>, timing: Timing) -> Self {
        Self { client, webhook, look, timing, gone: None, hold: None }
    }

    /// Whether there is no point in calling it.
    pub fn is_gone(&self) -> bool {
        self.gone.is_some()
    }

    /// Posts a new message. `None` if the server took it but did not say which it is.
    pub async fn create(
        &mut self,
        message: &Message,
        attention: Attention,
        urgency: Urgency,
        deadline: Instant,
    ) -> Result<Option<Posted>, DeliveryError> {
        self.send(Call::Create(attention), message, urgency, deadline).await
    }

    /// Replaces what a message says.
    pub async fn edit(
        &mut self,
        message_id: &str,
        message: &Message,
        urgency: Urgency,
        deadline: Instant,
    ) -> Result<(), DeliveryError> {
        self.send(Call::Edit(message_id), message, urgency, deadline).await.map(|_| ())
    }

    /// The colour that a message shows now; `None` if that cannot be found out.
    pub async fn color_of(&mut self, message_id: &str, deadline: Instant) -> Result<Option<u32>, DeliveryError> {
        let url = self.webhook.message_url(message_id);
        let limit = self.timing.call.min(deadline.saturating_duration_since(Instant::now()));
        let Ok(reply) = self.client.call(Method::GET, &url, None, limit, &self.webhook.redactor()).await else {
            return Ok(None);
        };
        match answer::read(self.webhook.server(), &reply) {
            Answer::Done(_) => {
                let body: Value = serde_json::from_str(&reply.body).unwrap_or_default();
                Ok(body.pointer("/embeds/0/color").and_then(Value::as_u64).and_then(|color| color.try_into().ok()))
            }
            Answer::MessageGone => Err(DeliveryError::MessageGone),
            Answer::WebhookGone(reason) => Err(DeliveryError::WebhookGone(reason)),
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
        if let Some(reason) = &self.gone {
            return Err(DeliveryError::WebhookGone(reason.clone()));
        }
        let (method, url) = match call {
            Call::Create(_) => (Method::POST, self.webhook.create_url()),
            Call::Edit(id) => (Method::PATCH, self.webhook.message_url(id)),
        };
        let mut body = self.body(call, &discord::embed(message, &self.look));
        let smallest = self.body(call, &discord::minimal(message.phase, &message.url, &self.look));
        let mut tries = 0;
        let mut unanswered = 0;
        let mut waited = 0;
        let mut last = "rate limited".to_owned();
        loop {
            if let Some(hold) = self.hold {
                pause(hold, &mut urgency, deadline, || give_up(tries, &last)).await?;
            }
            tries += 1;
            let reply = self.call_once(&method, &url, &body, &mut urgency, deadline).await?;
            let mut pause_for = self.timing.backoff * 2_u32.saturating_pow(waited) / 2;
            match reply.map(|reply| (answer::read(self.webhook.server(), &reply), reply.hold)) {
                Ok((Answer::Done(posted), hold)) => {
                    self.hold = hold.map(|hold| Instant::now() + hold.min(LONGEST_WAIT));
                    return Ok(posted);
                }
                Ok((Answer::Busy(told), _)) => {
                    let wait = told.unwrap_or(pause_for * 2);
                    last = format!("rate limited for {:.1} s", wait.as_secs_f64());
                    // Where no new call is allowed, none is made, whatever it is for.
                    self.hold = Some(Instant::now() + wait);
                    if wait > LONGEST_WAIT {
                        return Err(give_up(tries, &last));
                    }
                    // So that the jobs of a matrix do not come back all at once.
                    pause_for = wait + jitter(wait);
                }
                Ok((Answer::EditsExhausted(told), _)) => {
                    let wait = told.unwrap_or(pause_for * 2);
                    let left = deadline.saturating_duration_since(Instant::now());
                    // Once, and only if there is time for another message should this fail again.
                    if matches!(urgency, Urgency::Progress(_)) || waited > 0 || wait > left / 2 {
                        return Err(DeliveryError::EditsExhausted);
                    }
                    pause_for = wait;
                }
                Ok((Answer::Broken(reason), _)) => {
                    let sure = reason.starts_with("HTTP 502") || reason.starts_with("HTTP 503");
                    last = reason;
                    unanswered += u32::from(!sure);
                }
                Ok((Answer::Malformed(wrong, reason), _)) => {
                    let mended = if waited == 0 { discord::without(&body, &wrong) } else { None };
                    body = next_body(&body, mended.unwrap_or_else(|| smallest.clone()), reason)?;
                    waited += 1;
                    continue;
                }
                Ok((Answer::Unwanted(reason), _)) => {
                    body = next_body(&body, smallest.clone(), reason)?;
                    continue;
                }
                Ok((Answer::MessageGone, _)) => return Err(DeliveryError::MessageGone),
                Ok((Answer::WebhookGone(reason), _)) => {
                    self.gone = Some(reason.clone());
                    return Err(DeliveryError::WebhookGone(reason));
                }
                Ok((Answer::Refused(reason), _)) => return Err(DeliveryError::Refused(reason)),
                Err(error @ HttpError::Setup(_)) => return Err(DeliveryError::Refused(error.to_string())),
                Err(error @ HttpError::Connect(_)) => last = error.to_string(),
                Err(error @ (HttpError::Broken(_) | HttpError::TimedOut(_))) => {
                    last = error.to_string();
                    unanswered += 1;
                }
            }
            let repeatable = match (call, &urgency) {
                (Call::Edit(_), _) => true,
                (Call::Create(_), Urgency::Progress(_)) => unanswered == 0,
                (Call::Create(_), Urgency::Final) => unanswered <= 1,
            };
            if !repeatable {
                return Err(give_up(tries, &last));
            }
            pause(Instant::now() + pause_for, &mut urgency, deadline, || give_up(tries, &last)).await?;
            waited += 1;
        }
    }

    fn body(&self, call: Call<'_>, embed: &Value) -> Value {
        match call {
            Call::Create(attention) => discord::create_body(embed, &self.look, attention),
            Call::Edit(_) => discord::edit_body(embed),
        }
    }

    /// One call. The outer error ends the message, the inner one the try.
    async fn call_once(
        &self,
        method: &Method,
        url: &Secret,
        body: &Value,
        urgency: &mut Urgency,
        deadline: Instant,
    ) -> Result<Result<Reply, HttpError>, DeliveryError> {
        let left = deadline.saturating_duration_since(Instant::now());
        let limit = match (urgency.is_final(), method) {
            // A lost packet must not cost the last state: an edit that hangs leaves time for another.
            (true, &Method::PATCH) if left < self.timing.call => left * 7 / 10,
            _ => left,
        };
        let limit = self.timing.call.min(limit);
        if limit.is_zero() {
            return Ok(Err(HttpError::TimedOut(limit)));
        }
        let redactor = self.webhook.redactor();
        let call = self.client.call(method.clone(), url, Some(body), limit, &redactor);
        let Urgency::Progress(end) = urgency else { return Ok(call.await) };
        tokio::pin!(call);
        tokio::select! {
            biased;
            reply = &mut call => Ok(reply),
            end = ended(end) => {
                // What is under way may arrive: an edit after the last one, or a message that nobody would know of.
                let left = end.deadline.saturating_duration_since(Instant::now());
                let grace = if *method == Method::POST { left / 2 } else { left / 5 };
                timeout_at(Instant::now() + grace, call).await.map_err(|_| DeliveryError::Superseded)
            }
        }
    }
}

impl Urgency {
    fn is_final(&self) -> bool {
        matches!(self, Self::Final)
    }
}

/// Waits for the end of the run. Never comes back if there will be none.
pub async fn ended(end: &mut watch::Receiver<Option<End>>) -> End {
    let found = end.wait_for(Option::is_some).await.ok().and_then(|end| *end);
    match found {
        Some(end) => end,
        None => std::future::pending().await,
    }
}

/// Waits until `moment`, unless that is too late or the run ends first.
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

fn next_body(now: &Value, next: Value, reason: String) -> Result<Value, DeliveryError> {
    if *now == next { Err(DeliveryError::Refused(reason)) } else { Ok(next) }
}

fn give_up(tries: u32, reason: &str) -> DeliveryError {
    DeliveryError::GaveUp { tries, reason: reason.to_owned() }
}

/// Up to a tenth of the wait.
fn jitter(wait: Duration) -> Duration {
    wait.mul_f64(rand::rng().random_range(0.0..0.1))
}
