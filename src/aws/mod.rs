//! Calls to Amazon Web Services: assuming a role with the job's OIDC token, and logins to Amazon ECR.
//!
//! The protocols are simple enough to be implemented here ([`client`]); only the signature uses Amazon's crate. Nothing here
//! reads the environment: keys and endpoints are arguments.

pub mod client;
pub mod ecr;
pub mod endpoint;
pub mod error;
pub mod keys;
pub mod sts;
