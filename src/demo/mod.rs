//! Local stand-ins for what a run meets out in the world, for `make demo` and the tests.

pub mod discord;
