//! The variables that compose files can use, and warnings about unset variables.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use super::{budget::Budget, error::ComposeError, interpolate::Lookup, model::EmptyVariable};
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

/// Maximum length of the name of an unset variable, in characters. The rest is cut.
const MAX_NAME: usize = 100;
/// Maximum number of unset variables that are listed.
const MAX_UNSET: usize = 50;
/// Maximum number of stored values with unset variables.
const MAX_PLACES: usize = 1000;

/// The reason why a variable has no value.
#[derive(Clone, Copy, PartialEq)]
enum Cause {
    /// It is not set.
    Unset,
    /// It is hidden from compose files.
    Withheld,
}

/// The variables that are not set.
#[derive(Default)]
pub(super) struct Unset {
    /// The names that are reported, with the file that uses them first.
    named: Vec<(String, String, Cause)>,
    is_more: bool,
    /// The values that name them.
    pub(super) places: Vec<EmptyVariable>,
}

impl Unset {
    fn add(&mut self, name: &str, file: &str, at: &Position, cause: Cause) {
        let name: String = name.chars().take(MAX_NAME).collect();
        if self.places.len() < MAX_PLACES {
            let is_hidden = cause == Cause::Withheld;
            self.places.push(EmptyVariable { at: at.clone(), name: name.clone(), is_hidden });
        }
        if self.named.iter().any(|(known, ..)| *known == name) {
            return;
        }
        if self.named.len() >= MAX_UNSET {
            self.is_more = true;
            return;
        }
        self.named.push((name, file.to_owned(), cause));
    }

    /// Returns one warning for each file and cause.
    pub(super) fn warnings(self) -> Vec<String> {
        let mut groups: Vec<(String, Cause, Vec<String>)> = Vec::new();
        for (name, file, cause) in self.named {
            match groups.iter_mut().find(|(other, same, _)| *other == file && *same == cause) {
                Some((.., names)) => names.push(name),
                None => groups.push((file, cause, vec![name])),
            }
        }
        let mut warnings: Vec<String> =
            groups.iter().map(|(file, cause, names)| warning(file, *cause, names)).collect();
        if self.is_more {
            warnings.push(format!("more than {MAX_UNSET} variables are not set; only the first are listed"));
        }
        warnings
    }
}

fn warning(file: &str, cause: Cause, names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    let (subject, is, default) = match &quoted[..] {
        [only] => (format!("the variable {only}"), "is", "defaults"),
        all => (format!("the variables {}", all.join(", ")), "are", "default"),
    };
    let first = names.first().map(String::as_str).unwrap_or_default();
    match cause {
        Cause::Withheld => format!(
            "{file}: {subject} {is} empty, because credentials and the runner's own variables are hidden from compose files; \
             pass values to builds with the input `build-args` or `secret-envs`"
        ),
        Cause::Unset => format!(
            "{file}: {subject} {is} not set and {default} to an empty string; set values in the step's `env:` or in the env \
             file, or write a default such as `${{{first}:-default}}`"
        ),
    }
}
