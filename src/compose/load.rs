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
    path::{join, normalize, parent},
    typed,
    variables::Environment,
};
use crate::yaml::{Scalar, Value};

/// A project, and the options for loading it.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The compose files, in the order in which they are merged, relative to the working directory. If there are none, those
    /// of the variable `COMPOSE_FILE`, or else the first of [`DEFAULT_FILES`].
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
    /// The project's name if nothing else sets it: that of the working directory. If the compose files are in another
    /// directory, its name is used instead, as in Compose.
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
    let loader = Loader::new(files, &request.withheld);
    let Selected { names, base, mut env, wanted_by, notice } = select(request, &loader)?;

    let mut documents = Vec::new();
    for name in &names {
        documents.push((name.clone(), loader.documents(name, &wanted_by)?));
    }
    let name = project_name(request, &base, &env, &documents);
    env.insert("COMPOSE_PROJECT_NAME".to_owned(), name.clone());

    let level = Level::new(base, Rc::new(env), Vec::new());
    let tree = loader.merged(&level, documents)?;
    let profiles = if request.profiles.is_empty() {
        // Without the variable, this is one profile with an empty name, as in Compose.
        let variable = level.env.get("COMPOSE_PROFILES").map(String::as_str).unwrap_or_default();
        variable.split(',').map(|name| name.trim().to_owned()).collect()
    } else {
        request.profiles.clone()
    };
    let environment = Environment { values: &level.env, withheld: &request.withheld };
    let mut project = typed::project(&tree, environment, &profiles, &loader.budget)?;
    project.name = name;
    project.files = names;
    project.notices.extend(notice);
    let mut unset = loader.unset.into_inner();
    project.unset = std::mem::take(&mut unset.places);
    let mut warnings = unset.warnings();
    warnings.append(&mut project.warnings);
    project.warnings = warnings;
    Ok(project)
}

/// The compose files of a project, and the variables that they can use.
struct Selected {
    /// The files, in the order in which they are merged.
    names: Vec<String>,
    /// The directory that their relative paths are relative to.
    base: String,
    env: BTreeMap<String, String>,
    /// The setting that names the files.
    wanted_by: WantedBy,
    /// A notice for the user.
    notice: Option<String>,
}

/// Selects the compose files: those of the request, else those of the variable `COMPOSE_FILE`, else the first of
/// [`DEFAULT_FILES`] (<https://docs.docker.com/compose/how-tos/environment-variables/envvars/>).
fn select(request: &Request, loader: &Loader<'_>) -> Result<Selected, ComposeError> {
    if !request.files.is_empty() {
        let base = base_of(&request.files);
        let env = variables(request, loader, &[&base])?;
        let wanted_by = WantedBy::Name("the input `compose-file`".to_owned());
        return Ok(Selected { names: request.files.clone(), base, env, wanted_by, notice: None });
    }
    // The `.env` of the working directory may name files elsewhere, next to another `.env`.
    let env = variables(request, loader, &["."])?;
    let Some(list) = env.get("COMPOSE_FILE").filter(|list| !list.is_empty()) else {
        let found = discover(loader.files)?;
        let name = found.ok_or_else(|| ComposeError::NoFile { looked_for: DEFAULT_FILES.join(", ") })?;
        let wanted_by = WantedBy::Name(name.to_owned());
        return Ok(Selected { names: vec![name.to_owned()], base: ".".to_owned(), env, wanted_by, notice: None });
    };
    let separator = env.get("COMPOSE_PATH_SEPARATOR").filter(|text| !text.is_empty()).map_or(":", String::as_str);
    let names: Vec<String> = list.split(separator).map(normalize).collect();
    let base = base_of(&names);
    let notice = format!("the variable `COMPOSE_FILE` selects the compose files {}", names.join(", "));
    let env = if base == "." { env } else { variables(request, loader, &[".", &base])? };
    let wanted_by = WantedBy::Name("the variable `COMPOSE_FILE`".to_owned());
    Ok(Selected { names, base, env, wanted_by, notice: Some(notice) })
}

/// Returns the project's directory, which is that of its first file.
fn base_of(names: &[String]) -> String {
    names.first().map_or_else(|| ".".to_owned(), |first| parent(first))
}

/// Reads the env files: those of the request, or the `.env` of each directory. The first value of a variable holds.
fn variables(
    request: &Request,
    loader: &Loader<'_>,
    directories: &[&str],
) -> Result<BTreeMap<String, String>, ComposeError> {
    let mut values = BTreeMap::new();
    if let Some(names) = &request.env_files {
        let wanted_by = WantedBy::Name("the input `env-file`".to_owned());
        for name in names {
            loader.env_file(name, (&wanted_by, Presence::Required), &request.env, &mut values)?;
        }
    } else {
        let mut outer = request.env.clone();
        for directory in directories {
            let name = join(directory, ".env");
            let wanted_by = WantedBy::Name(name.clone());
            let mut own = BTreeMap::new();
            loader.env_file(&name, (&wanted_by, Presence::Optional), &outer, &mut own)?;
            for (key, value) in own {
                outer.entry(key.clone()).or_insert_with(|| value.clone());
                values.entry(key).or_insert(value);
            }
        }
    }
    // The process's environment takes precedence.
    values.extend(request.env.iter().map(|(key, value)| (key.clone(), value.clone())));
    Ok(values)
}

/// Returns the value of `${COMPOSE_PROJECT_NAME}`. An invalid name is not an error, because builds do not need it.
fn project_name(request: &Request, base: &str, env: &BTreeMap<String, String>, documents: &[Parsed]) -> String {
    let mut in_files = documents.iter().flat_map(|(_, documents)| documents.iter()).filter_map(|document| {
        match &document.get("name")?.value {
            Value::Scalar(Scalar::Text(text)) => interpolate(text, &mut Silent(env)).ok(),
            _ => None,
        }
    });
    let from_env = env.get("COMPOSE_PROJECT_NAME").filter(|name| !name.is_empty()).cloned();
    let of_directory = || match base.rsplit('/').next() {
        Some(directory) if !matches!(directory, "" | "." | "..") => directory.to_owned(),
        _ => request.default_name.clone(),
    };
    let name = from_env.or_else(|| in_files.next_back()).unwrap_or_else(of_directory);
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
