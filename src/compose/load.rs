//! From file names to a [`Project`]: parse, interpolate, include, extends, merge, defaults, in Compose's order.

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
    interpolate::{Lookup, interpolate},
    merge::{merge, strip},
    model::Project,
    path::{join, normalise, parent},
    scalar::Scalar,
    typed,
    yaml::{At, Key, Node, Value, parse},
};

/// Where files come from. Paths are relative to the working directory, or absolute.
pub trait Files {
    /// The file's bytes; `None` if there is no such file.
    ///
    /// # Errors
    /// Why a file that is there cannot be read, such as `it is a directory`.
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, String>;

    /// The real path of a file that is there but may not be read, since it is outside the checkout.
    fn outside(&self, path: &str) -> Option<String> {
        let _ = path;
        None
    }
}

/// Which project to read, and how.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The compose files, in the order in which they are laid over each other, relative to the working directory.
    /// None means: the first of [`DEFAULT_FILES`].
    pub files: Vec<String>,
    /// The process's environment.
    pub env: BTreeMap<String, String>,
    /// Variables of the process that the files must not see.
    pub withheld: BTreeSet<String>,
    /// Files with further variables, relative to the working directory; `None` means `.env` beside the first compose
    /// file, if there.
    pub env_files: Option<Vec<String>>,
    /// The profiles to switch on; `*` means all. None means: those of the variable `COMPOSE_PROFILES`.
    pub profiles: Vec<String>,
    /// The project's name where nothing else says one; Compose takes the directory's.
    pub default_name: String,
}

/// The compose files that are looked for, best first.
pub const DEFAULT_FILES: [&str; 6] = [
    "compose.yaml",
    "compose.yml",
    "docker-compose.yml",
    "docker-compose.yaml",
    "docker-compose.production.yml",
    "production.yml",
];

/// The first of [`DEFAULT_FILES`] that is there.
///
/// # Errors
/// If one is there but cannot be read.
pub fn discover(files: &dyn Files) -> Result<Option<&'static str>, ComposeError> {
    for name in DEFAULT_FILES {
        if read(files, name, &WantedBy::Name(name.to_owned()))?.is_some() {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// Reads a project.
///
/// # Errors
/// The first mistake met, with file, line and column where there is one.
pub fn load(request: &Request, files: &dyn Files) -> Result<Project, ComposeError> {
    let names = if request.files.is_empty() {
        let found = discover(files)?;
        vec![found.ok_or_else(|| ComposeError::NoFile { looked_for: DEFAULT_FILES.join(", ") })?.to_owned()]
    } else {
        request.files.clone()
    };
    let base = names.first().map_or_else(|| ".".to_owned(), |first| parent(first));
    let loader = Loader::new(files, &request.withheld);
    let mut env = environment(request, &loader, &base)?;

    let mut documents = Vec::new();
    for name in &names {
        let wanted_by = WantedBy::Name("the input `compose-file`".to_owned());
        documents.push((name.clone(), loader.documents(name, &wanted_by)?));
    }
    let name = project_name(request, &env, &documents);
    env.insert("COMPOSE_PROJECT_NAME".to_owned(), name.clone());

    let level = Level::new(base, Rc::new(env), Vec::new());
    let tree = loader.merged(&level, documents)?;
    let profiles = if request.profiles.is_empty() {
        let variable = level.env.get("COMPOSE_PROFILES").map(String::as_str).unwrap_or_default();
        variable.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
    } else {
        request.profiles.clone()
    };
    let mut project = typed::project(&tree, (&level.env, &request.withheld), &profiles, &loader.budget)?;
    project.name = name;
    let mut warnings = loader.unset.into_inner().warnings();
    warnings.append(&mut project.warnings);
    project.warnings = warnings;
    Ok(project)
}

/// One set of compose files that are laid over each other: the project's own, or those of one `include`.
pub(super) struct Level {
    /// The directory that relative paths start from.
    pub(super) base: String,
    /// Values for `${VAR}`.
    pub(super) env: Rc<BTreeMap<String, String>>,
    /// The files that are being included, outermost first.
    pub(super) including: Vec<String>,
    /// Files that services of this level extend.
    pub(super) extended: RefCell<HashMap<String, Rc<extends::Source>>>,
}

impl Level {
    /// A level that has read nothing yet.
    pub(super) fn new(base: String, env: Rc<BTreeMap<String, String>>, including: Vec<String>) -> Self {
        Self { base, env, including, extended: RefCell::default() }
    }
}

/// What stays the same for the whole project.
pub(super) struct Loader<'a> {
    files: &'a dyn Files,
    withheld: &'a BTreeSet<String>,
    pub(super) budget: Budget,
    /// What was included before.
    pub(super) included: include::Memory,
    /// Files that were parsed before, by name.
    parsed: RefCell<HashMap<String, Rc<[Node]>>>,
    unset: RefCell<Unset>,
}

/// A file's documents as they were parsed.
pub(super) type Parsed = (String, Rc<[Node]>);

impl<'a> Loader<'a> {
    fn new(files: &'a dyn Files, withheld: &'a BTreeSet<String>) -> Self {
        let (parsed, unset) = (RefCell::default(), RefCell::default());
        Self { files, withheld, budget: Budget::default(), included: include::Memory::default(), parsed, unset }
    }

    /// A file parsed into documents.
    pub(super) fn documents(&self, name: &str, wanted_by: &WantedBy) -> Result<Rc<[Node]>, ComposeError> {
        self.budget.use_file(name)?;
        let known = self.parsed.borrow().get(name).cloned();
        if let Some(documents) = known {
            return Ok(documents);
        }
        let bytes = read(self.files, name, wanted_by)?
            .ok_or_else(|| ComposeError::Missing { file: name.to_owned(), wanted_by: wanted_by.to_string() })?;
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
        match read(self.files, name, wanted_by)? {
            Some(bytes) => {
                self.budget.use_file(name)?;
                let spent = dotenv::parse_into(name, utf8(name, &bytes)?, env, values)?;
                self.budget.spend_text(name, bytes.len().saturating_add(spent))
            }
            None if presence == Presence::Optional => Ok(()),
            None => Err(ComposeError::Missing { file: name.to_owned(), wanted_by: wanted_by.to_string() }),
        }
    }

    /// The files of a level, laid over each other, in canonical form.
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
        let nowhere = At { file: "".into(), line: 1, column: 1 };
        let mut tree = strip(merged.unwrap_or_else(|| Node::map(&nowhere, Vec::new())));
        default_contexts(&mut tree, &level.base);
        Ok(tree)
    }

    /// One document in canonical form, its variables from the level, its paths from `base`.
    pub(super) fn canonical(&self, document: &Node, level: &Level, base: &str) -> Result<Node, ComposeError> {
        let file = document.at.file.to_string();
        self.budget.spend_copy(&file, document)?;
        let mut lookup = Variables { loader: self, env: &level.env, file: &file };
        canonical(document.clone(), base, &mut lookup)
    }
}

/// Reads a file; its path is normalised first.
fn read(files: &dyn Files, name: &str, wanted_by: &WantedBy) -> Result<Option<Vec<u8>>, ComposeError> {
    let path = normalise(name);
    if let Some(file) = files.outside(&path) {
        return Err(ComposeError::Outside { file, wanted_by: wanted_by.clone() });
    }
    files.read(&path).map_err(|reason| ComposeError::Unreadable { file: name.to_owned(), reason })
}

/// Whether an env file must be there.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Presence {
    /// It is named.
    Required,
    /// It is the `.env` of a directory.
    Optional,
}

fn utf8<'a>(name: &str, bytes: &'a [u8]) -> Result<&'a str, ComposeError> {
    std::str::from_utf8(bytes).map_err(|_| ComposeError::Unreadable {
        file: name.to_owned(),
        reason: "it is not UTF-8: save it in that encoding".to_owned(),
    })
}

fn environment(request: &Request, loader: &Loader<'_>, base: &str) -> Result<BTreeMap<String, String>, ComposeError> {
    let mut values = BTreeMap::new();
    if let Some(names) = &request.env_files {
        let wanted_by = WantedBy::Name("the input `env-file`".to_owned());
        for name in names {
            loader.env_file(name, (&wanted_by, Presence::Required), &request.env, &mut values)?;
        }
    } else {
        let name = join(base, ".env");
        let wanted_by = WantedBy::Name(name.clone());
        loader.env_file(&name, (&wanted_by, Presence::Optional), &request.env, &mut values)?;
    }
    // The process's environment wins.
    values.extend(request.env.iter().map(|(key, value)| (key.clone(), value.clone())));
    Ok(values)
}

/// The name that `${COMPOSE_PROJECT_NAME}` stands for. A malformed one is no error: builds do not need it.
fn project_name(request: &Request, env: &BTreeMap<String, String>, documents: &[Parsed]) -> String {
    let mut in_files = documents.iter().flat_map(|(_, documents)| documents.iter()).filter_map(|document| {
        match &document.get("name")?.value {
            Value::Scalar(Scalar::Text(text)) => interpolate(text, &mut Silent(env)).ok(),
            _ => None,
        }
    });
    let from_env = env.get("COMPOSE_PROJECT_NAME").filter(|name| !name.is_empty()).cloned();
    let name = from_env.or_else(|| in_files.next_back()).unwrap_or_else(|| request.default_name.clone());
    let valid: String = name
        .to_lowercase()
        .chars()
        .filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-'))
        .collect();
    valid.trim_start_matches(['_', '-']).to_owned()
}

struct Silent<'a>(&'a BTreeMap<String, String>);

impl Lookup for Silent<'_> {
    fn value(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
    fn unset(&mut self, _name: &str) {}
}

pub(super) struct Variables<'a> {
    loader: &'a Loader<'a>,
    env: &'a BTreeMap<String, String>,
    file: &'a str,
}

impl Variables<'_> {
    /// Counts text that variables made.
    pub(super) fn spend(&self, bytes: usize) -> Result<(), ComposeError> {
        self.loader.budget.spend_text(self.file, bytes)
    }
}

impl Lookup for Variables<'_> {
    fn value(&self, name: &str) -> Option<&str> {
        self.env.get(name).map(String::as_str)
    }

    fn unset(&mut self, name: &str) {
        let cause = if self.loader.withheld.contains(name) { Cause::Withheld } else { Cause::Unset };
        self.loader.unset.borrow_mut().add(name, self.file, cause);
    }
}

/// How many unset variables are told of one by one.
const MAX_UNSET: usize = 50;

/// Why a variable has no value.
#[derive(Clone, Copy)]
enum Cause {
    /// Nobody set it.
    Unset,
    /// Compose files must not see it.
    Withheld,
}

/// The variables that are not set.
#[derive(Default)]
struct Unset {
    /// By name; only for as many as are told of.
    known: BTreeSet<String>,
    warnings: Vec<String>,
    is_more: bool,
}

impl Unset {
    fn add(&mut self, name: &str, file: &str, cause: Cause) {
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
                "{file}: the variable `{shown}` counts as empty, since compose files do not see credentials and the \
                 runner's own variables: pass it to builds with the input `build-args` or `secret-envs`"
            ),
            Cause::Unset => format!(
                "{file}: the variable `{shown}` is not set and counts as empty: set it in the step's `env:` or in the env \
                 file, or write `${{{shown}:-default}}`"
            ),
        });
    }

    fn warnings(mut self) -> Vec<String> {
        if self.is_more {
            self.warnings.push(format!("more than {MAX_UNSET} variables are not set; only the first ones are listed"));
        }
        self.warnings
    }
}

/// A build without a context, or with an empty one, takes the directory that its level starts from.
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
