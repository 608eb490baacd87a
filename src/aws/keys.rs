//! Access keys, and the signature of a request with them.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};

use super::{endpoint::Endpoint, error::AwsError};
use crate::domain::secret::Secret;

/// An access key, of a user or temporary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// The key's id, such as `AKIA…`, which is not secret.
    pub id: String,
    /// The key.
    pub secret: Secret,
    /// The session token that a temporary key comes with.
    pub session: Option<Secret>,
}

impl Keys {
    /// What must not be shown of it.
    pub fn secrets(&self) -> impl Iterator<Item = &Secret> {
        self.session.iter().chain([&self.secret])
    }

    /// The headers that sign a `POST` of `body` with `headers` at `now`, Signature Version 4
    /// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html>).
    pub fn sign(
        &self,
        endpoint: &Endpoint,
        headers: &[(&str, &str)],
        body: &str,
        now: SystemTime,
    ) -> Result<Vec<(String, Secret)>, AwsError> {
        let unsigned = |error: &dyn std::error::Error| AwsError::Unsigned(error.to_string());
        let session = self.session.as_ref().map(|token| token.expose().to_owned());
        let identity = Credentials::new(&self.id, self.secret.expose(), session, None, "build-deploy").into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&endpoint.region)
            .name(endpoint.service.signing_name())
            .time(now)
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| unsigned(&error))?
            .into();
        let body = SignableBody::Bytes(body.as_bytes());
        let request = SignableRequest::new("POST", &endpoint.url, headers.iter().copied(), body)
            .map_err(|error| unsigned(&error))?;
        let (signed, _) = sign(request, &params).map_err(|error| unsigned(&error))?.into_parts();
        Ok(signed.headers().map(|(name, value)| (name.to_owned(), Secret::new(value))).collect())
    }
}
