//! The protocol of SSH agents.

#[path = "../../src/buildkit/ssh/protocol.rs"]
mod protocol;

pub use protocol::{Frames, Request, failure, request};
