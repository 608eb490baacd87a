//! Microsoft Teams: a workflow (Power Automate) posts a card with the outcome of a run. PURE.
//!
//! The trigger of the workflow is "When a Teams webhook request is received"
//! (<https://support.microsoft.com/office/creating-a-workflow-from-a-channel-in-teams-242eb8f2-f328-45be-b81f-9817b51a5f0e>).
//! It answers before the card is posted, and errors of Teams are shown only in the run history of the workflow, so a card
//! must be valid. A posted card has no id and cannot be edited.

mod answer;
pub mod card;
pub mod markup;

use http::Method;
use thiserror::Error;

use super::{
    message::Message,
    service::{Answer, Call, Content, DeliveryMode, Reply, Request, Service},
};
use crate::domain::secret::Secret;

/// A workflow.
#[derive(Clone, Debug)]
pub struct Teams {
    url: Secret,
}

/// Why a text is not the URL of a workflow. Never contains the text, which may be a mistyped secret.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum TeamsError {
    /// It does not begin with `https://`.
    #[error("not a URL; copy it from the trigger of the channel's workflow in Teams")]
    NotAUrl,
    /// An Office 365 connector.
    #[error(
        "the URL of an Office 365 connector, which Microsoft has retired; create a workflow with the trigger \"When a \
         Teams webhook request is received\" and store its URL in the secret"
    )]
    Connector,
}

impl Teams {
    /// Parses a URL as people paste it: with spaces, quotes and angle brackets. Any host is accepted, since those of Power
    /// Automate are many and change.
    pub fn parse(given: &str) -> Result<Self, TeamsError> {
        let address = given.trim_matches(|c: char| c.is_whitespace() || "\"'<>`".contains(c));
        let rest = address.strip_prefix("https://").or_else(|| address.strip_prefix("http://"));
        let host = rest.map(|rest| rest.split(['/', '?', ':']).next().unwrap_or_default()).unwrap_or_default();
        if host.is_empty() || address.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(TeamsError::NotAUrl);
        }
        if host.ends_with(".webhook.office.com") || host == "outlook.office.com" {
            return Err(TeamsError::Connector);
        }
        Ok(Self { url: Secret::new(address) })
    }

    /// A warning about the URL, if there is reason for one.
    pub fn warning(&self) -> Option<&'static str> {
        let plain = self.url.expose().starts_with("http://");
        plain.then_some("the URL uses http: anyone on the network can read it and post messages; use https")
    }
}

impl Service for Teams {
    fn name(&self) -> &'static str {
        "Teams workflow"
    }

    fn delivery_mode(&self) -> DeliveryMode {
        DeliveryMode::EndOnly
    }

    /// The URL, and the signature in it, which is the credential.
    fn secrets(&self) -> Vec<Secret> {
        let query = self.url.expose().split_once('?').map(|(_, query)| query).unwrap_or_default();
        let signature = query.split('&').find_map(|pair| pair.strip_prefix("sig="));
        [Some(self.url.clone()), signature.map(Secret::new)].into_iter().flatten().collect()
    }

    fn request(&self, _call: Call<'_>, message: &Message, content: Content) -> Request {
        Request::new(Method::POST, self.url.clone(), card::body(message, content))
    }

    fn parse_reply(&self, _call: Call<'_>, reply: &Reply) -> Answer {
        answer::parse(reply)
    }
}

#[cfg(test)]
mod tests {
    use super::{Secret, Service as _, Teams, TeamsError};

    #[test]
    fn parses_urls_as_people_paste_them() {
        let good = "https://prod-12.westeurope.logic.azure.com:443/workflows/0a1b/triggers/manual/paths/invoke\
                    ?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=S3cret-Signature_x";
        for given in [good.to_owned(), format!("\t<{good}>\n"), format!("'{good}'")] {
            let teams = Teams::parse(&given).expect("a workflow");
            let secrets = teams.secrets();
            let secrets: Vec<&str> = secrets.iter().map(Secret::expose).collect();
            assert_eq!(secrets, [good, "S3cret-Signature_x"]);
            assert_eq!(teams.warning(), None);
            assert!(!format!("{teams:?}").contains("S3cret"));
        }
        assert!(Teams::parse("http://127.0.0.1:9/x").expect("a test").warning().is_some());
        for (given, want) in [
            ("prod-12.logic.azure.com/x", TeamsError::NotAUrl),
            ("https:///x", TeamsError::NotAUrl),
            ("https://h/a b", TeamsError::NotAUrl),
            ("https://acme.webhook.office.com/webhookb2/x", TeamsError::Connector),
            ("https://outlook.office.com/webhook/x", TeamsError::Connector),
        ] {
            assert_eq!(Teams::parse(given).err(), Some(want), "{given}");
        }
    }
}
