//! The Discord message from the state of a run to what a channel shows, against a receiver that rejects what Discord
//! rejects.

mod delivery;
mod pages;
mod runs;
