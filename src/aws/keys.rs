//! Access keys, and request signatures.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};

use super::{endpoint::Endpoint, error::AwsError};
use crate::domain::secret::Secret;

/// An access key, permanent or temporary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// Id of the key, such as `AKIA…`; not secret.
    pub id: String,
    /// The secret key.
    pub secret: Secret,
    /// The session token of a temporary key.
    pub session: Option<Secret>,
}

impl Keys {
    /// The secret parts.
    pub fn secrets(&self) -> impl Iterator<Item = &Secret> {
        self.session.iter().chain([&self.secret])
    }

    /// Signs a `POST` request with Signature Version 4 and returns the additional headers
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

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::Keys;
    use crate::{
        aws::endpoint::{Endpoint, Service},
        domain::secret::Secret,
    };

    /// Signatures of botocore 1.44.5, which the AWS command line uses, for the same requests.
    #[test]
    fn signs_as_the_aws_command_line_does() {
        let endpoint = Endpoint::new(Service::Ecr, "eu-west-1", "amazonaws.com", |_| None);
        let headers = [
            ("content-type", "application/x-amz-json-1.1"),
            ("x-amz-target", "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken"),
        ];
        // 2026-11-24T10:00:00Z
        let now = SystemTime::UNIX_EPOCH + Duration::from_hours(498_754);
        let mut keys = Keys {
            id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret: Secret::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
            session: None,
        };
        let signature = |keys: &Keys| {
            let signed = keys.sign(&endpoint, &headers, "{}", now).unwrap();
            signed.iter().find(|(name, _)| name == "authorization").unwrap().1.expose().to_owned()
        };
        assert_eq!(
            signature(&keys),
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261124/eu-west-1/ecr/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date;x-amz-target, \
             Signature=59e4640a1b1990b9a22e6b01bb5ebd27ffd0ed56f3e2ee4888d95538685b8631"
        );
        keys.session = Some(Secret::new("session/token+=="));
        assert_eq!(
            signature(&keys),
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261124/eu-west-1/ecr/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target, \
             Signature=5589f03205659e0443bddd77ad2927d87cd856d313ff9a071444e3fa6f0b6f14"
        );
    }
}
