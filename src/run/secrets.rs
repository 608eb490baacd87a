//! Masks and redacts secrets in all output.

pub mod likely;
pub(super) mod of_builds;

use std::io::Write;

use crate::{
    domain::{redact::Redactor, secret::Secret},
    inputs::typed::Inputs,
    report::log::Log,
};

/// Masks `secrets`, which are those besides the inputs, in the log. Returns a redactor for all of them and for the
/// `likely` ones.
pub fn mask<W: Write>(inputs: &Inputs, secrets: &[Secret], likely: &[Secret], log: &mut Log<W>) -> Redactor {
    for secret in secrets {
        // If the log cannot be written, it shows no secrets.
        let _ = log.mask(secret);
    }
    let redactor = Redactor::new(inputs.secrets().chain(secrets).chain(likely));
    log.redact(redactor.clone());
    redactor
}
