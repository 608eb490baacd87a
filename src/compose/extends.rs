//! `extends:` (<https://github.com/compose-spec/compose-spec/blob/main/05-services.md#extends>).

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use super::{
    canonical::{scalar_text, wrong},
    error::{ComposeError, WantedBy},
    load::{Level, Loader},
    merge::{index, merge, strip},
    nearest::nearest,
    path::{join, parent},
    yaml::{At, Key, Node, Value},
};

/// Lays every service of the document over the one that it extends. `file` is where the document stands.
pub(super) fn apply(loader: &Loader<'_>, mut tree: Node, level: &Level, file: &str) -> Result<Node, ComposeError> {
    let Value::Map(top) = &mut tree.value else { return Ok(tree) };
    for (_, node) in top.iter_mut().filter(|(key, _)| key.text == "services") {
        let Value::Map(services) = &mut node.value else { continue };
        if services.iter().all(|(_, service)| service.get("extends").is_none()) {
            continue;
        }
        let source = Source::new(join(".", file), std::mem::take(services));
        for (key, _) in &source.services {
            resolve(loader, &source, &key.text, level, &mut Vec::new())?;
        }
        let Source { services: names, resolved, .. } = source;
        let mut resolved = resolved.into_inner();
        for (key, _) in names {
            if let Some(resolved) = resolved.remove(&key.text) {
                let node = Rc::try_unwrap(resolved).map_or_else(|shared| shared.node.clone(), |own| own.node);
                services.push((key, node));
            }
        }
    }
    Ok(tree)
}

/// How many services may extend each other in a row.
const MAX_CHAIN: usize = 100;

/// The services of one file, before anything is extended.
pub(super) struct Source {
    file: String,
    services: Vec<(Key, Node)>,
    index: HashMap<String, usize>,
    resolved: RefCell<HashMap<String, Rc<Resolved>>>,
}

/// A service with all that it extends below it.
struct Resolved {
    node: Node,
    /// How many services extend each other up to this one.
    chain: usize,
}

impl Source {
    fn new(file: String, services: Vec<(Key, Node)>) -> Self {
        Self { file, index: index(&services), services, resolved: RefCell::default() }
    }

    fn service(&self, name: &str) -> Option<&Node> {
        self.index.get(name).and_then(|i| self.services.get(*i)).map(|(_, node)| node)
    }
}

/// A service with all that it extends below it. `trail` are the services that led here.
fn resolve(
    loader: &Loader<'_>,
    source: &Source,
    name: &str,
    level: &Level,
    trail: &mut Vec<(String, String)>,
) -> Result<Rc<Resolved>, ComposeError> {
    let known = source.resolved.borrow().get(name).cloned();
    if let Some(known) = known {
        return Ok(known);
    }
    let resolved = Rc::new(resolve_anew(loader, source, name, level, trail)?);
    source.resolved.borrow_mut().insert(name.to_owned(), Rc::clone(&resolved));
    Ok(resolved)
}

fn resolve_anew(
    loader: &Loader<'_>,
    source: &Source,
    name: &str,
    level: &Level,
    trail: &mut Vec<(String, String)>,
) -> Result<Resolved, ComposeError> {
    let nothing = || Node::map(&At { file: source.file.as_str().into(), line: 1, column: 1 }, Vec::new());
    let mut service = source.service(name).cloned().unwrap_or_else(nothing);
    loader.budget.spend_copy(&source.file, &service)?;
    let extends = match &mut service.value {
        Value::Map(entries) => entries.iter().position(|(key, _)| key.text == "extends").map(|i| entries.remove(i).1),
        _ => None,
    };
    let Some(extends) = extends else { return Ok(Resolved { node: service, chain: 0 }) };
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
    let too_long = || {
        let problem = format!("ends a chain of more than {MAX_CHAIN} services that extend each other: use fewer");
        ComposeError::key(&at, path.clone(), problem)
    };
    if trail.len() > MAX_CHAIN {
        return Err(too_long());
    }

    let other = match extends.get("file").filter(|node| !node.is_null()) {
        Some(file) => {
            let name = scalar_text(file, &format!("{path}.file"))?;
            let wanted_by = WantedBy::Key(file.at.clone(), format!("{path}.file"));
            Some(other_file(loader, &name, &wanted_by, level)?)
        }
        None => None,
    };
    let from = other.as_deref().unwrap_or(source);
    if from.service(&wanted).is_none() {
        let near = nearest(&wanted, from.services.iter().map(|(key, _)| key.text.as_str()));
        let near = near.map_or(String::new(), |near| format!(" (did you mean `{near}`?)"));
        let problem = format!("names the service `{wanted}`, which is not in {}{near}", from.file);
        return Err(ComposeError::key(&at, path, problem));
    }
    let base = resolve(loader, from, &wanted, level, trail)?;
    if trail.len() + base.chain > MAX_CHAIN {
        return Err(too_long());
    }
    trail.pop();
    loader.budget.spend_copy(&source.file, &base.node)?;
    // The marks of the base are about its own past, not about this service's.
    let node = merge(strip(base.node.clone()), service, &format!("services.{name}"))?;
    Ok(Resolved { node, chain: base.chain + 1 })
}

/// The services of another file. Its `include` is not followed, as in Compose.
fn other_file(
    loader: &Loader<'_>,
    name: &str,
    wanted_by: &WantedBy,
    level: &Level,
) -> Result<Rc<Source>, ComposeError> {
    let known = level.extended.borrow().get(name).cloned();
    if let Some(known) = known {
        return Ok(known);
    }
    let mut merged: Option<Node> = None;
    for document in loader.documents(name, wanted_by)?.iter() {
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
    let source = Rc::new(Source::new(name.to_owned(), services));
    level.extended.borrow_mut().insert(name.to_owned(), Rc::clone(&source));
    Ok(source)
}
