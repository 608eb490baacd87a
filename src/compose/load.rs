//! Loads a [`Project`]: parses, interpolates, includes, extends, merges and applies defaults, in Compose's order.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use super::{
    error::{ComposeError, WantedBy},
    interpolate::{Lookup, interpolate},
    loader::{Files, Level, Loader, Parsed, Presence, read},
    model::Project,
    path::{join, parent},
    typed,
    variables::Environment,
};
use crate::yaml::{Scalar, Value};

/// A project, and the options for loading it.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The compose files, in the order in which they are merged, relative to the working directory. If empty, the first
    /// existing file of [`DEFAULT_FILES`] is used.
    pub files: Vec<String>,
    /// The process's environment.
    pub env: BTreeMap<String, String>,
    /// Names of variables of the process that are hidden from the files.
    pub withheld: BTreeSet<String>,
    /// Files with further variables, relative to the working directory. `None` means `.env` next to the first compose
    /// file, if it exists.
    pub env_files: Option<Vec<String>>,
    /// The profiles to activate; `*` means all. If empty, the profiles in the variable `COMPOSE_PROFILES`.
    pub profiles: Vec<String>,
    /// The project's name if nothing else sets it. Compose uses the name of the directory.
    pub default_name: String,
}

/// The default names of compose files, in the order in which they are searched.
pub const DEFAULT_FILES: [&str; 6] = [
    "compose.yaml",
    "compose.yml",
    "docker-compose.yml",
    "docker-compose.yaml",
    "docker-compose.production.yml",
    "production.yml",
];

/// Returns the first of [`DEFAULT_FILES`] that exists.
///
/// # Errors
/// Fails if a file exists but cannot be read.
pub fn discover(files: &dyn Files) -> Result<Option<&'static str>, ComposeError> {
    for name in DEFAULT_FILES {
        if read(files, name, &WantedBy::Name(name.to_owned()))?.is_some() {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// Loads a project.
///
/// # Errors
/// Returns the first mistake, with file, line and column if it has a position.
pub fn load(request: &Request, files: &dyn Files) -> Result<Project, ComposeError> {
    let names = if request.files.is_empty() {
        let found = discover(files)?;
        vec![found.ok_or_else(|| ComposeError::NoFile { looked_for: DEFAULT_FILES.join(", ") })?.to_owned()]
    } else {
        request.files.clone()
    };
    let base = names.first().map_or_else(|| ".".to_owned(), |first| parent(first));
    let loader = Loader::new(files, &request.withheld);
    let mut env = variables(request, &loader, &base)?;

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
    let environment = Environment { values: &level.env, withheld: &request.withheld };
    let mut project = typed::project(&tree, environment, &profiles, &loader.budget)?;
    project.name = name;
    let mut unset = loader.unset.into_inner();
    project.unset = std::mem::take(&mut unset.places);
    let mut warnings = unset.warnings();
    warnings.append(&mut project.warnings);
    project.warnings = warnings;
    Ok(project)
}

fn variables(request: &Request, loader: &Loader<'_>, base: &str) -> Result<BTreeMap<String, String>, ComposeError> {
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
    // The process's environment takes precedence.
    values.extend(request.env.iter().map(|(key, value)| (key.clone(), value.clone())));
    Ok(values)
}

/// Returns the value of `${COMPOSE_PROJECT_NAME}`. An invalid name is not an error, because builds do not need it.
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

/// Variables without warnings.
struct Silent<'a>(&'a BTreeMap<String, String>);

impl Lookup for Silent<'_> {
    fn value(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
    fn unset(&mut self, _name: &str) {}
}
