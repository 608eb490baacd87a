//! A Teams channel behind a flow of Workflows: the trigger takes any message of its schema with 202; whether the card is
//! one is found out later, and shown nowhere but in the flow's history. Here, both are kept.

pub mod page;
pub mod rules;

use std::{io, net::SocketAddr, sync::Mutex};

use serde_json::{Value, json};

use self::rules::Rules;
use super::receiver::{self, Answer, Call, Desk, lock};

const FLOW: &str = "/powerautomate/automations/direct/workflows/0a1b2c3d/triggers/manual/paths/invoke\
                    ?api-version=1&sig=local-demo-signature-that-opens-nothing";

/// The receiver.
pub type Receiver = receiver::Receiver<Teams>;

/// The channel.
#[derive(Debug)]
pub struct Teams {
    rules: &'static Rules,
    cards: Mutex<Vec<Value>>,
}

impl Teams {
    /// The cards, oldest first.
    pub fn cards(&self) -> Vec<Value> {
        lock(&self.cards).clone()
    }

    /// The channel as a page of its own.
    pub fn html(&self) -> String {
        page::page(&self.cards())
    }
}

impl Desk for Teams {
    fn check(&self, call: &Call) -> Vec<String> {
        self.rules.check(&call.body, call.size)
    }

    fn handle(&self, call: &Call) -> Answer {
        let error = |status, code: &str| {
            Answer::new(status, json!({ "error": { "code": code, "message": "The request failed." } }).to_string())
        };
        if call.path != FLOW {
            return error(401, "DirectApiAuthorizationRequired");
        }
        if call.method != "POST" || !call.header("content-type").starts_with("application/json") {
            return error(400, "InvalidRequestContent");
        }
        if call.size > rules::LARGEST {
            return error(413, "RequestEntityTooLarge");
        }
        // All that the trigger's schema asks for.
        let attachments = call.body.get("attachments").and_then(Value::as_array);
        let Some(attachments) = attachments.filter(|_| call.body.get("type") == Some(&json!("message"))) else {
            return error(400, "TriggerInputSchemaMismatch");
        };
        lock(&self.cards).extend(attachments.iter().map(|attachment| attachment["content"].clone()));
        Answer::new(202, "")
    }

    fn too_many(&self, _call: &Call, _body: Option<f64>, header: Option<f64>) -> Answer {
        let error = json!({ "error": { "code": "WorkflowRunActionThrottled", "message": "Rate limit is exceeded." } });
        Answer::too_many(error.to_string(), header)
    }
}

impl Receiver {
    /// Listens at `listen` (port 0 takes a free one).
    pub async fn listen(listen: SocketAddr) -> io::Result<Self> {
        let rules = Rules::get().map_err(io::Error::other)?;
        Self::start(listen, Teams { rules, cards: Mutex::default() }).await
    }

    /// The trigger's address.
    pub fn url(&self) -> String {
        format!("http://{}{FLOW}", self.address())
    }
}
