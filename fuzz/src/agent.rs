//! The protocol of SSH agents.

#[path = "../../src/builder/ssh/protocol.rs"]
mod protocol;

pub use protocol::{Frames, Request, failure, request};
