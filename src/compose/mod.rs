//! Reads the builds in compose files, following Docker Compose.
//!
//! Pure: files are read through [`Files`], and the environment is a parameter. [`load()`] follows compose-go step by step
//! (parse, interpolate, include, extend, merge, apply defaults; see
//! <https://github.com/compose-spec/compose-spec/blob/main/spec.md>), but only for the keys that a build needs. Deliberate
//! deviations:
//!
//! 1. A service's `env_file` is never opened, so a missing or invalid one is not an error.
//! 2. Keys that do not describe a build (`environment`, `ports`, `volumes`, …) are neither checked nor interpolated, so
//!    `${DOMAIN:?}` in a label of the running service does not prevent a build.
//! 3. `compose.override.yaml` is ignored, because it is for a developer's machine. The input `compose-file` or the variable
//!    `COMPOSE_FILE` can name it.
//! 4. An external build secret is not an error, because the input `secrets` may provide it.
//! 5. A number or boolean where Compose requires a string (`target: 1.10`) is used as written.

mod bake;
#[cfg(test)]
mod bounds_tests;
mod budget;
mod canonical;
pub mod dotenv;
mod error;
mod extends;
mod fields;
mod include;
pub mod interpolate;
mod load;
mod loader;
mod merge;
mod model;
mod path;
mod positions;
mod size;
#[cfg(test)]
mod tests;
mod typed;
mod variables;

pub use self::{
    error::{ComposeError, WantedBy},
    load::{DEFAULT_FILES, Request, discover, load},
    loader::Files,
    model::{
        Access, Build, BuildSecret, ContextSource, EmptyVariable, KeyPosition, Project, SecretSource, Service, SshKey,
        Ulimit,
    },
    path::{is_remote, join, normalize},
    size::bytes,
};
