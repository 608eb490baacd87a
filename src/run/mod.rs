//! The setup of a run, and the tasks that run alongside its pipeline.
//!
//! In reading order: the job that the program runs in ([`job`], [`checkout`]), from inputs to a plan ([`facts`],
//! [`planning`], [`trust`]), the input of the pipeline ([`logins`], [`secrets`], [`targets`], [`wiring`], all of it
//! collected by [`setup`]), notifications ([`observers`]), and the state for the post stage ([`saved`], [`moves`],
//! [`allowance`]).

pub mod allowance;
mod checkout;
pub mod contents;
pub mod deploying;
mod development;
mod elsewhere;
pub mod facts;
pub mod job;
pub mod logins;
pub mod moves;
pub mod observers;
pub mod planning;
pub mod post_stage;
pub mod saved;
pub mod secrets;
pub mod setup;
mod synced;
pub mod targets;
mod trust;
mod wiring;
