//! The few calls of Amazon Web Services that a run makes: a role by the job's OIDC token, and logins to Amazon ECR.
//!
//! The protocols are small enough to speak directly ([`client`]); only the signature comes from Amazon's own crate.
//! Nothing here reads the environment: keys and endpoints are handed in.

pub mod client;
pub mod ecr;
pub mod endpoint;
pub mod error;
pub mod keys;
pub mod sts;
