//! The variables that compose files can use, and warnings about unset variables.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use super::{budget::Budget, error::ComposeError, interpolate::Lookup};
use crate::yaml::Position;

/// The variables of the process.
#[derive(Clone, Copy)]
pub(super) struct Environment<'a> {
    /// The variables that the files can use.
    pub(super) values: &'a BTreeMap<String, String>,
    /// Names of the variables that are hidden from the files.
    pub(super) withheld: &'a BTreeSet<String>,
}

/// Variables for one file.
pub(super) struct Variables<'a> {
    /// The values.
    pub(super) env: Environment<'a>,
    /// The file, for warnings.
    pub(super) file: &'a str,
    /// The project's limits.
    pub(super) budget: &'a Budget,
    /// Collects unset variables.
    pub(super) unset: &'a RefCell<Unset>,
    /// The position of the value that is being read.
    pub(super) at: Position,
}

impl Variables<'_> {
    /// Counts text that comes from variables.
    pub(super) fn spend(&self, bytes: usize) -> Result<(), ComposeError> {
        self.budget.spend_text(self.file, bytes)
    }
}

impl Lookup for Variables<'_> {
    fn value(&self, name: &str) -> Option<&str> {
        self.env.values.get(name).map(String::as_str)
    }

    fn unset(&mut self, name: &str) {
        let cause = if self.env.withheld.contains(name) { Cause::Withheld } else { Cause::Unset };
        self.unset.borrow_mut().add(name, self.file, &self.at, cause);
    }
}

/// Maximum number of unset variables with a warning of their own.
const MAX_UNSET: usize = 50;
/// Maximum number of stored values with unset variables.
const MAX_PLACES: usize = 1000;

/// The reason why a variable has no value.
#[derive(Clone, Copy)]
enum Cause {
    /// It is not set.
    Unset,
    /// It is hidden from compose files.
    Withheld,
}

/// The variables that are not set.
#[derive(Default)]
pub(super) struct Unset {
    /// The names that have a warning.
    known: BTreeSet<String>,
    warnings: Vec<String>,
    is_more: bool,
    /// The values that name them.
    pub(super) places: Vec<(Position, String)>,
}

impl Unset {
    fn add(&mut self, name: &str, file: &str, at: &Position, cause: Cause) {
        if self.places.len() < MAX_PLACES {
            self.places.push((at.clone(), name.chars().take(100).collect()));
        }
        if self.known.contains(name) {
            return;
        }
        if self.known.len() >= MAX_UNSET {
            self.is_more = true;
            return;
        }
        self.known.insert(name.to_owned());
        let shown: String = name.chars().take(100).collect();
        self.warnings.push(match cause {
            Cause::Withheld => format!(
                "{file}: the variable `{shown}` is empty, because credentials and the runner's own variables are hidden \
                 from compose files; pass it to builds with the input `build-args` or `secret-envs`"
            ),
            Cause::Unset => format!(
                "{file}: the variable `{shown}` is not set and defaults to an empty string; set it in the step's `env:` or \
                 in the env file, or write `${{{shown}:-default}}`"
            ),
        });
    }

    /// Returns one warning for each variable.
    pub(super) fn warnings(mut self) -> Vec<String> {
        if self.is_more {
            self.warnings.push(format!("more than {MAX_UNSET} variables are not set; only the first are listed"));
        }
        self.warnings
    }
}
