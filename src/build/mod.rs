//! The client side of BuildKit: what we serve to the daemon and what we ask of it.

pub mod filesync;
