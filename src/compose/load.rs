//! From file names to a [`Project`]: parse, interpolate, include, extends, merge, defaults, in Compose's order.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use super::{
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
    let mut env = environment(request, files, &base)?;

    let mut documents = Vec::new();
    for name in &names {
        let wanted_by = WantedBy::Name("the input `compose-file`".to_owned());
        documents.push((name.clone(), read_documents(files, name, &wanted_by)?));
    }
    let name = project_name(request, &env, &documents);
    env.insert("COMPOSE_PROJECT_NAME".to_owned(), name.clone());

    let loader =
        Loader { files, withheld: &request.withheld, warned: RefCell::default(), warnings: RefCell::default() };
    let level = Level { base, env, including: Vec::new() };
    let tree = loader.merged(&level, documents)?;
    let profiles = if request.profiles.is_empty() {
        let variable = level.env.get("COMPOSE_PROFILES").map(String::as_str).unwrap_or_default();
        variable.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
    } else {
        request.profiles.clone()
    };
    let mut project = typed::project(&tree, (&level.env, &request.withheld), &profiles)?;
    project.name = name;
    let mut warnings = loader.warnings.into_inner();
    warnings.append(&mut project.warnings);
    project.warnings = warnings;
    Ok(project)
}

/// One set of compose files that are laid over each other: the project's own, or those of one `include`.
pub(super) struct Level {
    /// The directory that relative paths start from.
    pub(super) base: String,
    /// Values for `${VAR}`.
    pub(super) env: BTreeMap<String, String>,
    /// The files that are being included, outermost first.
    pub(super) including: Vec<String>,
}

/// What stays the same for the whole project.
pub(super) struct Loader<'a> {
    pub(super) files: &'a dyn Files,
    withheld: &'a BTreeSet<String>,
    warned: RefCell<BTreeSet<String>>,
    warnings: RefCell<Vec<String>>,
}

/// A file's documents as they were parsed.
pub(super) type Parsed = (String, Vec<Node>);

impl Loader<'_> {
    /// The files of a level, laid over each other, in canonical form.
    pub(super) fn merged(&self, level: &Level, files: Vec<Parsed>) -> Result<Node, ComposeError> {
        let mut merged: Option<Node> = None;
        for (file, documents) in files {
            for document in documents {
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
    pub(super) fn canonical(&self, document: Node, level: &Level, base: &str) -> Result<Node, ComposeError> {
        let at = document.at.clone();
        canonical(document, base, &mut Variables { loader: self, env: &level.env, file: &at })
    }
}

/// A file parsed into documents.
pub(super) fn read_documents(files: &dyn Files, name: &str, wanted_by: &WantedBy) -> Result<Vec<Node>, ComposeError> {
    let bytes = read(files, name, wanted_by)?
        .ok_or_else(|| ComposeError::Missing { file: name.to_owned(), wanted_by: wanted_by.to_string() })?;
    let text = utf8(name, &bytes)?;
    parse(name, text)
}

/// Reads a file; its path is normalised first.
pub(super) fn read(files: &dyn Files, name: &str, wanted_by: &WantedBy) -> Result<Option<Vec<u8>>, ComposeError> {
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

/// Reads an env file into `values`.
pub(super) fn read_env(
    files: &dyn Files,
    name: &str,
    (wanted_by, presence): (&WantedBy, Presence),
    env: &BTreeMap<String, String>,
    values: &mut BTreeMap<String, String>,
) -> Result<(), ComposeError> {
    match read(files, name, wanted_by)? {
        Some(bytes) => dotenv::parse_into(name, utf8(name, &bytes)?, env, values),
        None if presence == Presence::Optional => Ok(()),
        None => Err(ComposeError::Missing { file: name.to_owned(), wanted_by: wanted_by.to_string() }),
    }
}

fn utf8<'a>(name: &str, bytes: &'a [u8]) -> Result<&'a str, ComposeError> {
    std::str::from_utf8(bytes).map_err(|_| ComposeError::Unreadable {
        file: name.to_owned(),
        reason: "it is not UTF-8: save it in that encoding".to_owned(),
    })
}

fn environment(request: &Request, files: &dyn Files, base: &str) -> Result<BTreeMap<String, String>, ComposeError> {
    let mut values = BTreeMap::new();
    if let Some(names) = &request.env_files {
        let wanted_by = WantedBy::Name("the input `env-file`".to_owned());
        for name in names {
            read_env(files, name, (&wanted_by, Presence::Required), &request.env, &mut values)?;
        }
    } else {
        let name = join(base, ".env");
        let wanted_by = WantedBy::Name(name.clone());
        read_env(files, &name, (&wanted_by, Presence::Optional), &request.env, &mut values)?;
    }
    // The process's environment wins.
    values.extend(request.env.iter().map(|(key, value)| (key.clone(), value.clone())));
    Ok(values)
}

/// The name that `${COMPOSE_PROJECT_NAME}` stands for. A malformed one is no error: builds do not need it.
fn project_name(request: &Request, env: &BTreeMap<String, String>, documents: &[Parsed]) -> String {
    let mut in_files = documents.iter().flat_map(|(_, documents)| documents).filter_map(|document| {
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
    fn value(&mut self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }
    fn unset(&mut self, _name: &str) {}
}

struct Variables<'a> {
    loader: &'a Loader<'a>,
    env: &'a BTreeMap<String, String>,
    file: &'a At,
}

impl Lookup for Variables<'_> {
    fn value(&mut self, name: &str) -> Option<String> {
        self.env.get(name).cloned()
    }

    fn unset(&mut self, name: &str) {
        if self.loader.warned.borrow_mut().insert(name.to_owned()) {
            let file = &self.file.file;
            self.loader.warnings.borrow_mut().push(if self.loader.withheld.contains(name) {
                format!(
                    "{file}: the variable `{name}` counts as empty, since compose files do not see credentials and the \
                     runner's own variables: pass it to builds with the input `build-args` or `secret-envs`"
                )
            } else {
                format!(
                    "{file}: the variable `{name}` is not set and counts as empty: set it in the step's `env:` or in the \
                     env file, or write `${{{name}:-default}}`"
                )
            });
        }
    }
}

/// A build without a context takes the directory that its level starts from.
fn default_contexts(tree: &mut Node, base: &str) {
    let Value::Map(top) = &mut tree.value else { return };
    for (_, services) in top.iter_mut().filter(|(key, _)| key.text == "services") {
        let Value::Map(services) = &mut services.value else { continue };
        for (_, service) in services {
            let Value::Map(service) = &mut service.value else { continue };
            for (_, build) in service.iter_mut().filter(|(key, _)| key.text == "build") {
                let absent = build.get("context").is_none_or(Node::is_null);
                let at = build.at.clone();
                if let (true, Value::Map(build)) = (absent, &mut build.value) {
                    build.retain(|(key, _)| key.text != "context");
                    build.push((Key { text: "context".to_owned(), at: at.clone() }, Node::text(&at, base)));
                }
            }
        }
    }
}
