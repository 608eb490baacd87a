//! Exchanges the job's OIDC token for temporary keys of a role. The call is not signed; the token authenticates it
//! (<https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html>).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::{Client, StatusCode};
use serde::Deserialize;

use super::{client, endpoint::Endpoint, error::AwsError, keys::Keys};
use crate::domain::secret::Secret;

/// The audience that AWS requires in the token.
pub const AUDIENCE: &str = "sts.amazonaws.com";

const CALL: &str = "sts:AssumeRoleWithWebIdentity";

/// Requests keys of the role with this ARN. `session` is the session name in AWS's logs.
pub async fn assume_role(
    http: &Client,
    endpoint: &Endpoint,
    role: &str,
    session: &str,
    token: &Secret,
) -> Result<Keys, AwsError> {
    let form = [
        ("Action", "AssumeRoleWithWebIdentity"),
        ("Version", "2011-06-15"),
        ("RoleArn", role),
        ("RoleSessionName", session),
        ("WebIdentityToken", token.expose()),
    ];
    let request = || {
        let mut query = reqwest::Url::parse("http://form/").map_err(|error| AwsError::Unsigned(error.to_string()))?;
        query.query_pairs_mut().extend_pairs(form);
        let body = query.query().unwrap_or_default().to_owned();
        Ok(http.post(&endpoint.url).header("content-type", "application/x-www-form-urlencoded").body(body))
    };
    let answer = client::answered(endpoint, request, refusal).await?;
    let field = |name: &'static str| {
        element(&answer, name).ok_or(AwsError::Unreadable { call: CALL.to_owned(), missing: name })
    };
    Ok(Keys {
        id: field("AccessKeyId")?,
        secret: field("SecretAccessKey")?.into(),
        session: Some(field("SessionToken")?.into()),
    })
}

fn refusal(status: StatusCode, text: &str) -> AwsError {
    AwsError::Refused {
        call: CALL.to_owned(),
        status: status.as_u16(),
        code: element(text, "Code").unwrap_or_else(|| status.to_string()),
        message: element(text, "Message").unwrap_or_else(|| "no reason given".to_owned()),
    }
}

/// The text of the first element with this name. STS answers with flat XML; the elements read here have no attributes.
fn element(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
    Some(entities.iter().fold(text.trim().to_owned(), |text, (entity, plain)| text.replace(entity, plain)))
}

/// The identity of the job in the token.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub struct Claims {
    /// Subject, such as `repo:owner/name:ref:refs/heads/main`.
    #[serde(default)]
    pub sub: String,
    /// Issuer: the URL of GitHub's token service.
    #[serde(default)]
    pub iss: String,
}

impl Claims {
    /// Reads the claims of a token, which are not secret. Empty if they cannot be read.
    pub fn of(token: &Secret) -> Self {
        let payload = token.expose().split('.').nth(1).unwrap_or_default();
        let decoded = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).unwrap_or_default();
        serde_json::from_slice(&decoded).unwrap_or_default()
    }
}

/// The hint for a role that could not be assumed.
pub fn hint(error: &AwsError, claims: &Claims) -> String {
    let issuer = claims.iss.strip_prefix("https://").unwrap_or(&claims.iss);
    match error.code() {
        Some("AccessDenied" | "AccessDeniedException") => format!(
            "check the ARN in `aws-role`, and the role's trust policy: it must allow `{CALL}` to the identity provider \
             {issuer} where `sub` is `{}` and `aud` is `{AUDIENCE}`",
            claims.sub
        ),
        Some("InvalidIdentityToken" | "InvalidIdentityTokenException" | "IDPRejectedClaim") => format!(
            "add the identity provider https://{issuer} with the audience `{AUDIENCE}` to the AWS account (IAM > \
             Identity providers)"
        ),
        Some("ValidationError") => "check the ARN in `aws-role`".to_owned(),
        _ => error.hint(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Claims, element, hint, refusal};
    use crate::domain::secret::Secret;

    /// In the words of STS.
    const DENIED: &str = "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n  <Error>\n    \
        <Type>Sender</Type>\n    <Code>AccessDenied</Code>\n    <Message>Not authorized to perform \
        sts:AssumeRoleWithWebIdentity</Message>\n  </Error>\n  <RequestId>x</RequestId>\n</ErrorResponse>\n";

    #[test]
    fn a_rejected_role_gets_a_hint_about_its_trust_policy() {
        // {"sub":"repo:o/r:ref:refs/heads/main","iss":"https://token.actions.githubusercontent.com"}
        let payload = "eyJzdWIiOiJyZXBvOm8vcjpyZWY6cmVmcy9oZWFkcy9tYWluIiwiaXNzIjoiaHR0cHM6Ly90b2tlbi5hY3Rpb25zLmdpdGh1YnVzZXJjb250ZW50LmNvbSJ9";
        let claims = Claims::of(&Secret::new(format!("e30.{payload}.c2ln")));
        assert_eq!(claims.sub, "repo:o/r:ref:refs/heads/main");
        let error = refusal(reqwest::StatusCode::FORBIDDEN, DENIED);
        assert_eq!(error.code(), Some("AccessDenied"));
        let hint = hint(&error, &claims);
        for words in
            ["trust policy", "token.actions.githubusercontent.com", "repo:o/r:ref:refs/heads/main", "`aws-role`"]
        {
            assert!(hint.contains(words), "{hint}");
        }
        assert_eq!(Claims::of(&Secret::new("no token")), Claims::default());
    }

    #[test]
    fn decodes_entities() {
        assert_eq!(
            element("<a><Message>&quot;a&quot; &amp;lt; b</Message></a>", "Message").as_deref(),
            Some("\"a\" &lt; b")
        );
        assert_eq!(element("<a/>", "Message"), None);
    }
}
