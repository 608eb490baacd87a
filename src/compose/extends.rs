//! `extends:` (<https://github.com/compose-spec/compose-spec/blob/main/05-services.md#extends>).

use super::{
    canonical::{scalar_text, wrong},
    error::{ComposeError, WantedBy},
    load::{Level, Loader, read_documents},
    merge::{merge, strip},
    nearest::nearest,
    path::{join, parent},
    yaml::{At, Key, Node, Value},
};

/// Lays every service of the document over the one that it extends. `file` is where the document stands.
pub(super) fn apply(loader: &Loader<'_>, mut tree: Node, level: &Level, file: &str) -> Result<Node, ComposeError> {
    let Value::Map(top) = &mut tree.value else { return Ok(tree) };
    for (_, node) in top.iter_mut().filter(|(key, _)| key.text == "services") {
        let Value::Map(services) = &node.value else { continue };
        let source = Source { file: join(".", file), services: services.clone() };
        let names: Vec<String> = services.iter().map(|(key, _)| key.text.clone()).collect();
        let mut resolved = Vec::with_capacity(names.len());
        for (i, name) in names.iter().enumerate() {
            let service = resolve(loader, &source, name, level, &mut Vec::new())?;
            resolved.push((services[i].0.clone(), service));
        }
        node.value = Value::Map(resolved);
    }
    Ok(tree)
}

/// How many services may extend each other in a row.
const MAX_CHAIN: usize = 100;

/// The services of one file, before anything is extended.
struct Source {
    file: String,
    services: Vec<(Key, Node)>,
}

impl Source {
    fn service(&self, name: &str) -> Option<&Node> {
        self.services.iter().find(|(key, _)| key.text == name).map(|(_, node)| node)
    }
}

/// A service with all that it extends below it. `trail` are the services that led here.
fn resolve(
    loader: &Loader<'_>,
    source: &Source,
    name: &str,
    level: &Level,
    trail: &mut Vec<(String, String)>,
) -> Result<Node, ComposeError> {
    let nothing = || Node::map(&At { file: source.file.as_str().into(), line: 1, column: 1 }, Vec::new());
    let mut service = source.service(name).cloned().unwrap_or_else(nothing);
    let Value::Map(entries) = &mut service.value else { return Ok(service) };
    let Some(i) = entries.iter().position(|(key, _)| key.text == "extends") else { return Ok(service) };
    let (_, extends) = entries.remove(i);
    let path = format!("services.{name}.extends");
    let Some(wanted) = extends.get("service").filter(|node| !node.is_null()) else {
        return Err(wrong(&extends, &path, "the service's name, or a mapping with `service:`"));
    };
    let at = wanted.at.clone();
    let wanted = scalar_text(wanted, &format!("{path}.service"))?;

    let here = (source.file.clone(), name.to_owned());
    if trail.contains(&here) {
        trail.push(here);
        let circle: Vec<String> = trail.iter().map(|(file, service)| format!("{service} in {file}")).collect();
        let problem = format!("goes in a circle ({}): remove one of these `extends`", circle.join(" -> "));
        return Err(ComposeError::key(&at, path, problem));
    }
    trail.push(here);
    if trail.len() > MAX_CHAIN {
        let problem = format!("ends a chain of more than {MAX_CHAIN} services that extend each other: use fewer");
        return Err(ComposeError::key(&at, path, problem));
    }

    let other = match extends.get("file").filter(|node| !node.is_null()) {
        Some(file) => {
            let name = scalar_text(file, &format!("{path}.file"))?;
            let wanted_by = WantedBy::Key(file.at.clone(), format!("{path}.file"));
            Some(other_file(loader, &name, &wanted_by, level)?)
        }
        None => None,
    };
    let from = other.as_ref().unwrap_or(source);
    if from.service(&wanted).is_none() {
        let near = nearest(&wanted, from.services.iter().map(|(key, _)| key.text.as_str()));
        let near = near.map_or(String::new(), |near| format!(" (did you mean `{near}`?)"));
        let problem = format!("names the service `{wanted}`, which is not in {}{near}", from.file);
        return Err(ComposeError::key(&at, path, problem));
    }
    let base = resolve(loader, from, &wanted, level, trail)?;
    trail.pop();
    // The marks of the base are about its own past, not about this service's.
    merge(strip(base), service, &format!("services.{name}"))
}

/// The services of another file. Its `include` is not followed, as in Compose.
fn other_file(loader: &Loader<'_>, name: &str, wanted_by: &WantedBy, level: &Level) -> Result<Source, ComposeError> {
    let mut merged: Option<Node> = None;
    for document in read_documents(loader.files, name, wanted_by)? {
        let tree = loader.canonical(document, level, &parent(name))?;
        merged = Some(match merged {
            Some(base) => merge(base, tree, "")?,
            None => tree,
        });
    }
    let services = match merged.as_ref().and_then(|tree| tree.get("services")).map(|node| node.value.clone()) {
        Some(Value::Map(services)) => services,
        _ => Vec::new(),
    };
    Ok(Source { file: name.to_owned(), services })
}
