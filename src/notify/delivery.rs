//! Gets one message to one channel, or says why not: the policy of retries, the same for every [`Service`].
//!
//! | answer | what follows |
//! |---|---|
//! | busy (429) | wait as told (body, header; neither: 1, 2, 4… s), never more than a minute or the deadline |
//! | 502, 503, no connection | again after 0.5, 1, 2… s |
//! | other 5xx, a broken connection, no answer | edits and questions: again. A new message may have been taken: a first one is not repeated, a last one once |
//! | the message is gone | [`DeliveryError::MessageGone`]: the caller posts another |
//! | webhook or token are no good | the channel is never called again |
//! | threads only | once more with a thread of its own |
//! | malformed | once without the fields that were named, then the smallest message there is; a word filter: that at once |

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
    service::{Answer, Attention, Call, LONGEST_WAIT, Place, Posted, Reply, Request, Service, Words},
};

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
    /// Webhook or token are no good; says what to do.
    #[error("{0}")]
    ChannelGone(String),
    /// Someone deleted the message.
    #[error("the message was deleted")]
    MessageGone,
    /// The message is too old to be edited this often.
    #[error("the message is too old to be edited now")]
    EditsExhausted,
    /// The service will not take it.
    #[error("the message is refused: {0}")]
    Refused(String),
    /// It could not be sent in the time there was.
    #[error("gave up after {tries} {}: {reason}", if *.tries == 1 { "try" } else { "tries" })]
    GaveUp {
        /// How many calls were made.
        tries: u32,
        /// How many of them had no answer, so that the service may have carried them out.
        unanswered: u32,
        /// What the last one met.
        reason: String,
    },
    /// The run ended meanwhile: something newer is to be said.
    #[error("the run ended first")]
    Superseded,
}

impl DeliveryError {
    /// Whether a last message that met this may be sent once more, later. One that may have arrived is sent twice at most,
    /// and nothing helps where it is not taken.
    pub fn allows_another_try(&self) -> bool {
        match self {
            Self::ChannelGone(_) | Self::Refused(_) => false,
            Self::GaveUp { unanswered, .. } => *unanswered < TWICE,
            Self::MessageGone | Self::EditsExhausted | Self::Superseded => true,
        }
    }
}

/// How often a last message is sent that may have arrived the first time.
const TWICE: u32 = 2;

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

/// One service's channel.
#[derive(Debug)]
pub struct Channel {
    client: Client,
    service: Arc<dyn Service>,
    timing: Timing,
    /// Where new messages go, as far as the service's answers have told.
    place: Place,
    /// Why it is never called again.
    gone: Option<String>,
    /// No call before this moment.
    hold: Option<Instant>,
}

impl Channel {
    /// A channel to which nothing was sent yet.
    pub fn new(client: Client, service: Arc<dyn Service>, timing: Timing) -> Self {
        Self { client, service, timing, place: Place::default(), gone: None, hold: None }
    }

    /// What it is a channel of.
    pub fn service(&self) -> &dyn Service {
        &*self.service
    }

    /// Posts a new message. `None` if the server took it but did not say which it is.
    pub async fn create(
        &mut self,
        message: &Message,
        attention: Attention,
        urgency: Urgency,
        deadline: Instant,
    ) -> Result<Option<Posted>, DeliveryError> {
        self.send(Call::Create(attention, self.place), message, urgency, deadline).await
    }

    /// Replaces what a message says.
    pub async fn edit(
        &mut self,
        posted: &Posted,
        message: &Message,
        urgency: Urgency,
        deadline: Instant,
    ) -> Result<(), DeliveryError> {
        self.send(Call::Edit(posted), message, urgency, deadline).await.map(|_| ())
    }

    /// Mentions those who asked for it because of this message.
    pub async fn mention(
        &mut self,
        about: Option<&Posted>,
        message: &Message,
        deadline: Instant,
    ) -> Result<(), DeliveryError> {
        self.send(Call::Mention(about), message, Urgency::Final, deadline).await.map(|_| ())
    }

    /// Whether a message still says that the run goes on; `None` if that cannot be found out.
    pub async fn runs(&mut self, posted: &Posted, deadline: Instant) -> Result<Option<bool>, DeliveryError> {
        let Some(request) = self.service.look(posted) else { return Ok(None) };
        let limit = self.timing.call.min(deadline.saturating_duration_since(Instant::now()));
        let Ok(reply) = self.client.call(&request, limit, &self.service.redactor()).await else {
            return Ok(None);
        };
        match self.service.read(Call::Edit(posted), &reply) {
            Answer::Done(_) => Ok(self.service.runs(&reply.json())),
            Answer::MessageGone => Err(DeliveryError::MessageGone),
            // A token may be allowed to write and not to read.
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
            return Err(DeliveryError::ChannelGone(reason.clone()));
        }
        let mut call = call;
        let mut request = self.service.request(call, message, Words::All);
        let mut tries = 0;
        let (mut unsure, mut unanswered) = (0, 0);
        let mut waited = 0;
        let mut last = "rate limited".to_owned();
        loop {
            if let Some(hold) = self.hold {
                pause(hold, &mut urgency, deadline, || give_up(tries, unanswered, &last)).await?;
            }
            tries += 1;
            let reply = self.call_once(call, &request, &mut urgency, deadline).await?;
            let mut pause_for = self.timing.backoff * 2_u32.saturating_pow(waited) / 2;
            match reply.map(|reply| (self.service.read(call, &reply), reply.hold)) {
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
                        return Err(give_up(tries, unanswered, &last));
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
                    unsure += u32::from(!sure);
                }
                Ok((Answer::Malformed(wrong, reason), _)) => {
                    let mended = request.body.as_ref().filter(|_| waited == 0);
                    let mended = mended.and_then(|body| self.service.mend(body, &wrong));
                    let next = match mended {
                        Some(body) => Request { body: Some(body), ..request.clone() },
                        None => self.service.request(call, message, Words::Ours),
                    };
                    request = another(&request, next, reason)?;
                    waited += 1;
                    continue;
                }
                Ok((Answer::Unwanted(reason), _)) => {
                    request = another(&request, self.service.request(call, message, Words::Ours), reason)?;
                    continue;
                }
                Ok((Answer::ThreadsOnly, _)) => {
                    let Call::Create(attention, Place::Channel) = call else {
                        return Err(DeliveryError::Refused("the channel has nothing but threads".to_owned()));
                    };
                    self.place = Place::NewThread;
                    call = Call::Create(attention, self.place);
                    request = self.service.request(call, message, Words::All);
                    continue;
                }
                Ok((Answer::MessageGone, _)) => return Err(DeliveryError::MessageGone),
                Ok((Answer::ChannelGone(reason), _)) => {
                    self.gone = Some(reason.clone());
                    return Err(DeliveryError::ChannelGone(reason));
                }
                Ok((Answer::Refused(reason), _)) => return Err(DeliveryError::Refused(reason)),
                Err(error @ (HttpError::Setup(_) | HttpError::Address(_))) => {
                    return Err(DeliveryError::Refused(error.to_string()));
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
                (Call::Create(..), Urgency::Final) => unsure < TWICE,
                // To ping someone twice is worse than not at all.
                (Call::Create(..) | Call::Mention(_), _) => unsure == 0,
            };
            if !repeatable {
                return Err(give_up(tries, unanswered, &last));
            }
            pause(Instant::now() + pause_for, &mut urgency, deadline, || give_up(tries, unanswered, &last)).await?;
            waited += 1;
        }
    }

    /// One call. The outer error ends the message, the inner one the try.
    async fn call_once(
        &self,
        call: Call<'_>,
        request: &Request,
        urgency: &mut Urgency,
        deadline: Instant,
    ) -> Result<Result<Reply, HttpError>, DeliveryError> {
        let left = deadline.saturating_duration_since(Instant::now());
        let limit = match (&urgency, call) {
            // A lost packet must not cost the last state: an edit that hangs leaves time for another.
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
                // What is under way may arrive: an edit after the last one, or a message that nobody would know of.
                let left = end.deadline.saturating_duration_since(Instant::now());
                let grace = if matches!(call, Call::Edit(_)) { left / 5 } else { left / 2 };
                timeout_at(Instant::now() + grace, reply).await.map_err(|_| DeliveryError::Superseded)
            }
        }
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

/// The next request, unless it is the one that was just refused for this reason.
fn another(now: &Request, next: Request, reason: String) -> Result<Request, DeliveryError> {
    if *now == next { Err(DeliveryError::Refused(reason)) } else { Ok(next) }
}

fn give_up(tries: u32, unanswered: u32, reason: &str) -> DeliveryError {
    DeliveryError::GaveUp { tries, unanswered, reason: reason.to_owned() }
}

/// Up to a tenth of the wait.
fn jitter(wait: Duration) -> Duration {
    wait.mul_f64(rand::rng().random_range(0.0..0.1))
}
