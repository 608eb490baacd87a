//! The state of a run for the post stage, in `GITHUB_STATE`.

use std::path::Path;

use crate::{
    github::files::{RunnerFile, assignments},
    inputs::runner::RunnerEnv,
};

/// Saves values under names; [`RunnerEnv::state`] reads them.
pub fn write(env: &RunnerEnv, values: &[(&str, &str)]) -> Result<(), String> {
    let Some(path) = env.var(RunnerFile::State.variable()) else { return Ok(()) };
    let text = assignments(values.iter().copied(), rand::random()).map_err(|error| error.to_string())?;
    RunnerFile::State.append(Path::new(path), &text).map_err(|error| error.to_string())
}
