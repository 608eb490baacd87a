//! What a registry itself says of an image: its compressed size. Best effort; nothing depends on it.

pub mod challenge;
pub mod client;
pub mod manifest;
