//! Everything around the pipeline of a run.
//!
//! In reading order: the job that the program runs in ([`job`], [`checkout`]), from inputs to a plan ([`facts`],
//! [`planning`], [`trust`]), what the pipeline is given ([`logins`], [`secrets`], [`wiring`], all of it gathered by
//! [`setup`]), who is notified beside it ([`observers`]), and what the post stage must know ([`saved`], [`moves`],
//! [`allowance`]).

pub mod allowance;
mod checkout;
pub mod facts;
pub mod job;
pub mod logins;
pub mod moves;
pub mod observers;
pub mod planning;
pub mod saved;
pub mod secrets;
pub mod setup;
mod trust;
mod wiring;
