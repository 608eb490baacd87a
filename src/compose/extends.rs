//! Applies `extends:` (<https://github.com/compose-spec/compose-spec/blob/main/05-services.md#extends>).

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use super::{
    error::{ComposeError, WantedBy},
    fields::{scalar_text, wrong},
    loader::{Level, Loader},
    merge::{index, merge, strip},
    path::{join, parent},
};
use crate::{
    domain::nearest::nearest,
    yaml::{Key, Node, Position, Value},
};

/// Merges every service of a document with the service that it extends. `file` is the document's file.
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

/// Maximum length of a chain of services that extend each other.
const MAX_CHAIN: usize = 100;

/// The services of one file, before `extends` is applied.
pub(super) struct Source {
    file: String,
    services: Vec<(Key, Node)>,
    index: HashMap<String, usize>,
    resolved: RefCell<HashMap<String, Rc<Resolved>>>,
}

/// A service after `extends` is applied.
struct Resolved {
    node: Node,
    /// Length of the chain of services that it extends.
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

/// Applies `extends` to a service. `trail` lists the services that extend it, directly or indirectly.
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
    let resolved = Rc::new(resolve_new(loader, source, name, level, trail)?);
    source.resolved.borrow_mut().insert(name.to_owned(), Rc::clone(&resolved));
    Ok(resolved)
}

fn resolve_new(
    loader: &Loader<'_>,
    source: &Source,
    name: &str,
    level: &Level,
    trail: &mut Vec<(String, String)>,
) -> Result<Resolved, ComposeError> {
    let nothing = || Node::map(&Position { file: source.file.as_str().into(), line: 1, column: 1 }, Vec::new());
    let mut service = source.service(name).cloned().unwrap_or_else(nothing);
    loader.budget.spend_copy(&source.file, &service)?;
    let extends = match &mut service.value {
        Value::Map(entries) => entries.iter().position(|(key, _)| key.text == "extends").map(|i| entries.remove(i).1),
        _ => None,
    };
    let Some(extends) = extends else { return Ok(Resolved { node: service, chain: 0 }) };
    let path = format!("services.{name}.extends");
    let Some(wanted) = extends.get("service").filter(|node| !node.is_null()) else {
        return Err(wrong(&extends, &path, "the service's name, or a mapping with `service`"));
    };
    let at = wanted.at.clone();
    let wanted = scalar_text(wanted, &format!("{path}.service"))?;

    let here = (source.file.clone(), name.to_owned());
    if trail.contains(&here) {
        trail.push(here);
        let circle: Vec<String> = trail.iter().map(|(file, service)| format!("{service} in {file}")).collect();
        let problem = format!("is circular ({})", circle.join(" -> "));
        return Err(ComposeError::key(&at, path, problem, "remove one of these `extends`"));
    }
    trail.push(here);
    let too_long = || {
        let problem = format!("is in a chain of more than {MAX_CHAIN} services that extend each other");
        ComposeError::key(&at, path.clone(), problem, "extend fewer services in a row")
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
        let hint =
            near.map_or_else(|| "name a service of that file".to_owned(), |near| format!("did you mean `{near}`?"));
        let problem = format!("names the service `{wanted}`, which does not exist in {}", from.file);
        return Err(ComposeError::key(&at, path, problem, hint));
    }
    let base = resolve(loader, from, &wanted, level, trail)?;
    if trail.len() + base.chain > MAX_CHAIN {
        return Err(too_long());
    }
    trail.pop();
    loader.budget.spend_copy(&source.file, &base.node)?;
    // The base's `!reset` and `!override` apply to the service that the base extends, not to this service.
    let node = merge(strip(base.node.clone()), service, &format!("services.{name}"))?;
    Ok(Resolved { node, chain: base.chain + 1 })
}

/// Returns the services of another file. As in Compose, its `include` is ignored.
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
