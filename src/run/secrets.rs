//! Keeps secrets out of everything that is shown.

pub mod likely;
pub(super) mod of_builds;

use std::io::Write;

use crate::{
    domain::{redact::Redactor, secret::Secret},
    inputs::typed::Inputs,
    report::log::Log,
};

/// Masks `secrets`, which are those beside the inputs' own, and takes all of them out of what is told, and `likely` ones,
/// too.
pub fn mask<W: Write>(inputs: &Inputs, secrets: &[Secret], likely: &[Secret], log: &mut Log<W>) -> Redactor {
    for secret in secrets {
        // A log that cannot be written shows nothing either.
        let _ = log.mask(secret);
    }
    let redactor = Redactor::new(inputs.secrets().chain(secrets).chain(likely));
    log.redact(redactor.clone());
    redactor
}
