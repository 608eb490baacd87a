//! What build secrets hold, so that it is not shown when a build prints it.

use std::collections::{BTreeSet, HashMap};

use crate::{
    buildkit::session::BuildSecret,
    context::RunContext,
    domain::{failure::Failure, secrecy::is_word, secret::Secret, stage::Stage},
    regular_file,
};

/// Files and bytes of secrets that one run looks for.
const MOST_SECRET_FILES: usize = 1000;
const MOST_SECRET_BYTES: usize = 128 << 10;
/// Bytes of a secret's file beyond which it is not looked for in the log: it is data then, of more lines than could be.
const LARGEST_SECRET: u64 = 64 << 10;

/// The values of all build secrets that are not inputs: of files and of the environment. A build may print them. A word
/// such as `true` is none: the checkout chooses files and variables, and must not hide words of the job.
///
/// # Errors
/// If they are too many to be looked for.
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
        // One that cannot be read is told by the preflight, and one that is no text is not printed as such.
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
