//! Why AWS did not do what it was asked, and what to do about it.

use thiserror::Error;

/// Why a call failed. Holds no secret.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum AwsError {
    /// There was no answer.
    #[error("{host} cannot be reached: {reason}")]
    Unreachable {
        /// The endpoint's host.
        host: String,
        /// Why.
        reason: String,
    },
    /// The answer was no.
    #[error("{call}: {code}: {message}")]
    Refused {
        /// The call, such as `sts:AssumeRoleWithWebIdentity`.
        call: String,
        /// HTTP status.
        status: u16,
        /// AWS's name of the error, such as `AccessDenied`.
        code: String,
        /// AWS's words.
        message: String,
    },
    /// The answer is not what the documentation says.
    #[error("{call}: the answer has no {missing}")]
    Unreadable {
        /// The call.
        call: String,
        /// What is missing.
        missing: &'static str,
    },
    /// The keys cannot sign.
    #[error("sign a request to AWS: {0}")]
    Unsigned(String),
}

impl AwsError {
    /// AWS's name of the error, if it answered with one.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            _ => None,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> String {
        let Self::Refused { call, code, .. } = self else {
            return match self {
                Self::Unreachable { .. } => "check `aws-region`, the registry's host and the runner's network",
                _ => "check `AWS_ENDPOINT_URL`, and the keys for characters that do not belong to them",
            }
            .to_owned();
        };
        match code.as_str() {
            "ExpiredToken" | "ExpiredTokenException" => {
                "the temporary keys in AWS_SESSION_TOKEN are out of date: get them in this job, or use `aws-role`"
                    .to_owned()
            }
            "UnrecognizedClientException"
            | "InvalidClientTokenId"
            | "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "IncompleteSignature" => {
                "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; temporary keys (ASIA…) need AWS_SESSION_TOKEN too"
                    .to_owned()
            }
            "AccessDeniedException" | "AccessDenied" if call.starts_with("ecr-public:") => {
                format!("allow `{call}` and `sts:GetServiceBearerToken` to the role or user")
            }
            "AccessDeniedException" | "AccessDenied" => format!("allow `{call}` to the role or user"),
            _ => "see what AWS says".to_owned(),
        }
    }
}
