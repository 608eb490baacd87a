//! Microsoft Teams, through a flow of Workflows (Power Automate) that posts a card: the end of a run only. PURE.
//!
//! The flow's trigger is "When a Teams webhook request is received"
//! (<https://support.microsoft.com/office/creating-a-workflow-from-a-channel-in-teams-242eb8f2-f328-45be-b81f-9817b51a5f0e>).
//! It answers before the card is posted: a card that Teams refuses is seen in the flow's history only, so a card must be
//! right in the first place. What is posted has no id and cannot be edited.

mod answer;
pub mod card;
pub mod markup;

use http::Method;
use thiserror::Error;

use super::{
    message::Message,
    service::{Answer, Call, Manner, Reply, Request, Service, Words},
};
use crate::domain::secret::Secret;

/// One flow.
#[derive(Clone, Debug)]
pub struct Teams {
    url: Secret,
}

/// Why a text is no address of a flow. Never shows the text, since it may be one but for a slip.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum TeamsError {
    /// No `https://` in front.
    #[error("the Teams address is not a URL: copy it from the trigger of the channel's workflow")]
    NoAddress,
    /// An Office 365 connector.
    #[error(
        "the Teams address is one of an Office 365 connector, which Microsoft has switched off: make a workflow with \
         the trigger \"When a Teams webhook request is received\" and put its address into the secret"
    )]
    Connector,
}

impl Teams {
    /// Reads an address with the blanks, quotes and angle brackets that people paste along. Any host will do: those of
    /// Power Automate are many and have changed before.
    pub fn parse(given: &str) -> Result<Self, TeamsError> {
        let address = given.trim_matches(|c: char| c.is_whitespace() || "\"'<>`".contains(c));
        let rest = address.strip_prefix("https://").or_else(|| address.strip_prefix("http://"));
        let host = rest.map(|rest| rest.split(['/', '?', ':']).next().unwrap_or_default()).unwrap_or_default();
        if host.is_empty() || address.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(TeamsError::NoAddress);
        }
        if host.ends_with(".webhook.office.com") || host == "outlook.office.com" {
            return Err(TeamsError::Connector);
        }
        Ok(Self { url: Secret::new(address) })
    }

    /// What the user should know about the address.
    pub fn warning(&self) -> Option<&'static str> {
        let plain = self.url.expose().starts_with("http://");
        plain.then_some("the Teams address is sent over http, unencrypted: whoever is on the way can use it")
    }
}

impl Service for Teams {
    fn name(&self) -> &'static str {
        "Teams workflow"
    }

    fn manner(&self) -> Manner {
        Manner::Last
    }

    /// The address, and the signature in it that is the credential.
    fn secrets(&self) -> Vec<Secret> {
        let query = self.url.expose().split_once('?').map(|(_, query)| query).unwrap_or_default();
        let signature = query.split('&').find_map(|pair| pair.strip_prefix("sig="));
        [Some(self.url.clone()), signature.map(Secret::new)].into_iter().flatten().collect()
    }

    fn request(&self, _call: Call<'_>, message: &Message, words: Words) -> Request {
        Request::new(Method::POST, self.url.clone(), card::body(message, words))
    }

    fn read(&self, _call: Call<'_>, reply: &Reply) -> Answer {
        answer::read(reply)
    }
}

#[cfg(test)]
mod tests {
    use super::{Secret, Service as _, Teams, TeamsError};

    #[test]
    fn reads_addresses_as_they_are_pasted() {
        let good = "https://prod-12.westeurope.logic.azure.com:443/workflows/0a1b/triggers/manual/paths/invoke\
                    ?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=S3cret-Signature_x";
        for given in [good.to_owned(), format!("\t<{good}>\n"), format!("'{good}'")] {
            let teams = Teams::parse(&given).expect("a flow");
            let secrets = teams.secrets();
            let secrets: Vec<&str> = secrets.iter().map(Secret::expose).collect();
            assert_eq!(secrets, [good, "S3cret-Signature_x"]);
            assert_eq!(teams.warning(), None);
            assert!(!format!("{teams:?}").contains("S3cret"));
        }
        assert!(Teams::parse("http://127.0.0.1:9/x").expect("a test").warning().is_some());
        for (given, want) in [
            ("prod-12.logic.azure.com/x", TeamsError::NoAddress),
            ("https:///x", TeamsError::NoAddress),
            ("https://h/a b", TeamsError::NoAddress),
            ("https://acme.webhook.office.com/webhookb2/x", TeamsError::Connector),
            ("https://outlook.office.com/webhook/x", TeamsError::Connector),
        ] {
            assert_eq!(Teams::parse(given).err(), Some(want), "{given}");
        }
    }
}
