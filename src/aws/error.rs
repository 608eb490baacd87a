//! Errors of calls to AWS, with hints.

use thiserror::Error;

/// Why a call failed. Contains no secret.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum AwsError {
    /// There was no answer.
    #[error("failed to reach {host}: {reason}")]
    Unreachable {
        /// The endpoint's host.
        host: String,
        /// The cause.
        reason: String,
    },
    /// AWS rejected the call.
    #[error("{call}: {code}: {message}")]
    Refused {
        /// The call, such as `sts:AssumeRoleWithWebIdentity`.
        call: String,
        /// HTTP status.
        status: u16,
        /// AWS's error code, such as `AccessDenied`.
        code: String,
        /// AWS's error message.
        message: String,
    },
    /// The answer does not have the documented format.
    #[error("{call}: unexpected answer without {missing}")]
    Unreadable {
        /// The call.
        call: String,
        /// The missing field.
        missing: &'static str,
    },
    /// The request could not be signed with the keys.
    #[error("failed to sign a request to AWS: {0}")]
    Unsigned(String),
}

impl AwsError {
    /// AWS's error code, if there is one.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            _ => None,
        }
    }

    /// The hint for the user.
    pub fn hint(&self) -> String {
        let Self::Refused { call, code, .. } = self else {
            return match self {
                Self::Unreachable { .. } => "check `aws-region`, the registry's host and the runner's network",
                _ => "check `AWS_ENDPOINT_URL`, and the keys for stray characters",
            }
            .to_owned();
        };
        match code.as_str() {
            "ExpiredToken" | "ExpiredTokenException" => {
                "the temporary keys (AWS_SESSION_TOKEN) have expired; obtain them in this job, or use `aws-role`"
                    .to_owned()
            }
            "UnrecognizedClientException"
            | "InvalidClientTokenId"
            | "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "IncompleteSignature" => {
                "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; temporary keys (ASIA…) also require AWS_SESSION_TOKEN"
                    .to_owned()
            }
            "AccessDeniedException" | "AccessDenied" if call.starts_with("ecr-public:") => {
                format!("grant the role or user the permissions `{call}` and `sts:GetServiceBearerToken`")
            }
            "AccessDeniedException" | "AccessDenied" => format!("grant the role or user the permission `{call}`"),
            _ => "see the error message of AWS".to_owned(),
        }
    }
}
