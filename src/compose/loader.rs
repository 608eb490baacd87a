//! Reads the files of a project, and merges the files of one level: the project's own compose files, or those of one
//! `include`.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, HashMap},
    rc::Rc,
};

use super::{
    budget::Budget,
    canonical::canonical,
    dotenv,
    error::{ComposeError, WantedBy},
    extends, include,
    merge::{merge, strip},
    path::normalize,
    variables::{Environment, Unset, Variables},
};
use crate::yaml::{Key, Node, Position, Value, parse};

/// Access to files. Paths are relative to the working directory, or absolute.
pub trait Files {
    /// Reads a file; `None` if it does not exist.
    ///
    /// # Errors
    /// Returns the reason why a file that exists cannot be read, such as `it is a directory`.
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, String>;

    /// Whether this path is a directory.
    fn is_directory(&self, path: &str) -> bool {
        let _ = path;
        false
    }

    /// Returns the real path of a file that exists but may not be read, because it is outside the checkout.
    fn outside(&self, path: &str) -> Option<String> {
        let _ = path;
        None
    }
}

/// A set of compose files that are merged: the project's own, or those of one `include`.
pub(super) struct Level {
    /// The base directory of relative paths.
    pub(super) base: String,
    /// Values for `${VAR}`.
    pub(super) env: Rc<BTreeMap<String, String>>,
    /// The files that are being included, outermost first.
    pub(super) including: Vec<String>,
    /// The files that services of this level extend.
    pub(super) extended: RefCell<HashMap<String, Rc<extends::Source>>>,
}

impl Level {
    /// Creates a level without any files.
    pub(super) fn new(base: String, env: Rc<BTreeMap<String, String>>, including: Vec<String>) -> Self {
        Self { base, env, including, extended: RefCell::default() }
    }
}

/// The state of loading a project.
pub(super) struct Loader<'a> {
    /// Access to the files.
    pub(super) files: &'a dyn Files,
    withheld: &'a BTreeSet<String>,
    /// The project's limits.
    pub(super) budget: Budget,
    /// The results of earlier includes.
    pub(super) included: include::Memory,
    /// Parsed files, by name.
    parsed: RefCell<HashMap<String, Rc<[Node]>>>,
    /// Variables that are not set.
    pub(super) unset: RefCell<Unset>,
}

/// The name of a file and its documents.
pub(super) type Parsed = (String, Rc<[Node]>);

impl<'a> Loader<'a> {
    /// Creates the state of a project without any files.
    pub(super) fn new(files: &'a dyn Files, withheld: &'a BTreeSet<String>) -> Self {
        let (parsed, unset) = (RefCell::default(), RefCell::default());
        Self { files, withheld, budget: Budget::default(), included: include::Memory::default(), parsed, unset }
    }

    /// Returns the documents of a file.
    pub(super) fn documents(&self, name: &str, wanted_by: &WantedBy) -> Result<Rc<[Node]>, ComposeError> {
        self.budget.use_file(name)?;
        let known = self.parsed.borrow().get(name).cloned();
        if let Some(documents) = known {
            return Ok(documents);
        }
        let bytes = read(self.files, name, wanted_by)?
            .ok_or_else(|| ComposeError::Missing { file: name.to_owned(), wanted_by: wanted_by.clone() })?;
        let documents: Rc<[Node]> = parse(name, utf8(name, &bytes)?)?.into();
        self.parsed.borrow_mut().insert(name.to_owned(), Rc::clone(&documents));
        Ok(documents)
    }

    /// Reads an env file into `values`.
    pub(super) fn env_file(
        &self,
        name: &str,
        (wanted_by, presence): (&WantedBy, Presence),
        env: &BTreeMap<String, String>,
        values: &mut BTreeMap<String, String>,
    ) -> Result<(), ComposeError> {
        // Some projects keep env files in a directory `.env`. Compose ignores it.
        if presence == Presence::Optional && self.files.is_directory(&normalize(name)) {
            return Ok(());
        }
        match read(self.files, name, wanted_by)? {
            Some(bytes) => {
                self.budget.use_file(name)?;
                let spent = dotenv::parse_into(name, utf8(name, &bytes)?, env, values)?;
                self.budget.spend_text(name, bytes.len().saturating_add(spent))
            }
            None if presence == Presence::Optional => Ok(()),
            None => Err(ComposeError::Missing { file: name.to_owned(), wanted_by: wanted_by.clone() }),
        }
    }

    /// Merges the files of a level, in canonical form.
    pub(super) fn merged(&self, level: &Level, files: Vec<Parsed>) -> Result<Node, ComposeError> {
        let mut merged: Option<Node> = None;
        for (file, documents) in files {
            for document in documents.iter() {
                let tree = self.canonical(document, level, &level.base)?;
                let tree = include::apply(self, tree, level, &file)?;
                let tree = extends::apply(self, tree, level, &file)?;
                merged = Some(match merged {
                    Some(base) => merge(base, tree, "")?,
                    None => tree,
                });
            }
        }
        let nowhere = Position { file: "".into(), line: 1, column: 1 };
        let mut tree = strip(merged.unwrap_or_else(|| Node::map(&nowhere, Vec::new())));
        default_contexts(&mut tree, &level.base);
        Ok(tree)
    }

    /// Converts a document to canonical form, with the variables of the level and paths relative to `base`.
    pub(super) fn canonical(&self, document: &Node, level: &Level, base: &str) -> Result<Node, ComposeError> {
        let file = document.at.file.to_string();
        self.budget.spend_copy(&file, document)?;
        let env = Environment { values: &level.env, withheld: self.withheld };
        let mut lookup =
            Variables { env, file: &file, budget: &self.budget, unset: &self.unset, at: document.at.clone() };
        canonical(document.clone(), base, &mut lookup)
    }
}

/// Reads a file by its normalized path.
pub(super) fn read(files: &dyn Files, name: &str, wanted_by: &WantedBy) -> Result<Option<Vec<u8>>, ComposeError> {
    let path = normalize(name);
    if let Some(file) = files.outside(&path) {
        return Err(ComposeError::Outside { file, wanted_by: wanted_by.clone() });
    }
    files.read(&path).map_err(|reason| ComposeError::Unreadable { file: name.to_owned(), reason })
}

/// Whether an env file must exist.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Presence {
    /// It must exist.
    Required,
    /// It may be missing.
    Optional,
}

fn utf8<'a>(name: &str, bytes: &'a [u8]) -> Result<&'a str, ComposeError> {
    std::str::from_utf8(bytes).map_err(|_| ComposeError::Unreadable {
        file: name.to_owned(),
        reason: "it is not encoded in UTF-8".to_owned(),
    })
}

/// Sets the context of builds to the directory of their level if it is missing or empty.
fn default_contexts(tree: &mut Node, base: &str) {
    let Value::Map(top) = &mut tree.value else { return };
    for (_, services) in top.iter_mut().filter(|(key, _)| key.text == "services") {
        let Value::Map(services) = &mut services.value else { continue };
        for (_, service) in services {
            let Value::Map(service) = &mut service.value else { continue };
            for (_, build) in service.iter_mut().filter(|(key, _)| key.text == "build") {
                let is_empty = |node: &Node| match &node.value {
                    Value::Scalar(scalar) => scalar.source().is_empty(),
                    Value::List(_) | Value::Map(_) => false,
                };
                let absent = build.get("context").is_none_or(|node| node.is_null() || is_empty(node));
                let at = build.at.clone();
                if let (true, Value::Map(build)) = (absent, &mut build.value) {
                    build.retain(|(key, _)| key.text != "context");
                    build.push((Key { text: "context".to_owned(), at: at.clone() }, Node::text(&at, base)));
                }
            }
        }
    }
}
