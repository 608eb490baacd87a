//! Reads compose files into the builds that they describe, as Docker Compose would read them.
//!
//! Pure: files come through [`Files`], the environment is handed in. Main entry: [`load()`], which follows
//! compose-go step by step (parse, interpolate, include, extends, merge, defaults; see
//! <https://github.com/compose-spec/compose-spec/blob/main/spec.md>), but looks only at the keys that a build
//! needs. What it leaves out on purpose, because a build does not need it:
//!
//! 1. a service's `env_file` is never opened, so one that is missing or broken is no error;
//! 2. keys that do not describe a build (`environment`, `ports`, `volumes`, …) are neither checked nor
//!    interpolated, so `${DOMAIN:?}` in a label of the running service does not stop a build;
//! 3. `compose.override.yaml` and `COMPOSE_FILE` are not looked at: they describe somebody's own machine, and the
//!    input `compose-file` says what to build;
//! 4. an external build secret is no error here: the input `secrets` may bring it;
//! 5. a number or truth value where Compose wants a string (`target: 1.10`) is taken as it is written.

mod bake;
#[cfg(test)]
mod bounds_tests;
mod budget;
mod canonical;
pub mod dotenv;
mod error;
mod extends;
mod include;
pub mod interpolate;
mod load;
mod merge;
mod model;
pub mod nearest;
mod path;
mod positions;
mod scalar;
mod size;
#[cfg(test)]
mod tests;
mod typed;
pub mod yaml;

pub use self::{
    error::{ComposeError, WantedBy},
    load::{DEFAULT_FILES, Files, Request, discover, load},
    model::{Access, Build, BuildSecret, ContextSource, Position, Project, SecretSource, Service, SshKey, Ulimit},
    path::{is_remote, join, normalise},
    size::bytes,
};
