//! The values of build secrets, which are redacted when a build prints them.

use std::collections::{BTreeSet, HashMap};

use crate::{
    buildkit::session::BuildSecret,
    context::RunContext,
    domain::{failure::Failure, secrecy::is_word, secret::Secret, stage::Stage},
    regular_file,
};

/// Maximum number and size of secret files whose values are redacted.
const MOST_SECRET_FILES: usize = 1000;
const MOST_SECRET_BYTES: usize = 128 << 10;
/// Maximum size in bytes of a secret file that is redacted; a larger one is data with too many lines.
const LARGEST_SECRET: u64 = 64 << 10;

/// Returns the values of all build secrets that are not inputs: from files and from the environment. A build may print
/// them. A word such as `true` is excluded: the checkout chooses files and variables, and must not hide words of the
/// log.
///
/// # Errors
/// If they exceed the limit for redaction.
pub(in crate::run) fn values(cx: &RunContext) -> Result<Vec<Secret>, Failure> {
    let mut values = Vec::new();
    let mut paths = BTreeSet::new();
    for secret in cx.secrets.values().flat_map(HashMap::values) {
        match secret {
            BuildSecret::Value(value) => values.push(value.clone()),
            BuildSecret::File(path) => drop(paths.insert(path)),
        }
    }
    let too_many = |what: String| {
        let hint = "pass fewer or smaller secrets to the builds".to_owned();
        Failure::invalid(Stage::Plan, format!("build secrets: {what}, the limit for redaction"), Some(hint))
    };
    if paths.len() > MOST_SECRET_FILES {
        return Err(too_many(format!("more than {MOST_SECRET_FILES} files")));
    }
    let mut bytes = 0;
    for path in paths {
        // The preflight reports files that cannot be read, and builds do not print binary files verbatim.
        let Ok(text) = regular_file::read_text(path, LARGEST_SECRET) else { continue };
        bytes += text.len();
        if bytes > MOST_SECRET_BYTES {
            return Err(too_many(format!("more than {} KiB in total", MOST_SECRET_BYTES >> 10)));
        }
        values.push(Secret::new(text));
    }
    values.retain(|value| !is_word(value.expose().trim()));
    Ok(values)
}
