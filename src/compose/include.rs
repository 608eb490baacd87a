//! `include:` (<https://github.com/compose-spec/compose-spec/blob/main/14-include.md>).

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    rc::Rc,
};

use super::{
    budget::{MAX_INCLUDE_DEPTH, MAX_PATH, check_entries},
    error::{ComposeError, WantedBy},
    fields::{scalar_text, wrong},
    loader::{Level, Loader, Presence},
    merge::{index, merge},
    path::{is_remote, join, parent},
};
use crate::yaml::{Key, Node, Role, Scalar, Value};

/// The results of earlier includes. A file that several files include is read once if the variables are the same.
#[derive(Default)]
pub(super) struct Memory(RefCell<HashMap<Inclusion, Included>>);

/// The result of an include, and the variables of the including file.
type Included = (Rc<BTreeMap<String, String>>, Rc<Node>);

/// Everything that determines the result of an include.
#[derive(PartialEq, Eq, Hash)]
struct Inclusion {
    paths: Vec<String>,
    base: String,
    /// `None` means `.env`, if it exists.
    env_files: Option<Vec<String>>,
    /// The address of the including file's variables. They live as long as this value.
    env: usize,
}

/// Adds the files that a document includes. The document's own values take precedence. `file` is the document's file.
pub(super) fn apply(loader: &Loader<'_>, mut tree: Node, level: &Level, file: &str) -> Result<Node, ComposeError> {
    let Value::Map(top) = &mut tree.value else { return Ok(tree) };
    let Some(i) = top.iter().position(|(key, _)| key.text == "include") else { return Ok(tree) };
    let (_, wanted) = top.remove(i);
    let items = match wanted.value {
        Value::List(items) => items,
        Value::Scalar(Scalar::Null) => return Ok(tree),
        _ => return Err(wrong(&wanted, "include", "a list of paths")),
    };
    for (i, item) in items.iter().enumerate() {
        let included = load(loader, item, &format!("include[{i}]"), level, file)?;
        loader.budget.spend_copy(file, &included)?;
        tree = import(tree, &included)?;
    }
    Ok(tree)
}

fn load(loader: &Loader<'_>, item: &Node, path: &str, level: &Level, file: &str) -> Result<Rc<Node>, ComposeError> {
    let (paths, directory, env_files) = match &item.value {
        Value::Map(_) => (
            list(item.get("path"), &format!("{path}.path"))?,
            list(item.get("project_directory"), &format!("{path}.project_directory"))?.into_iter().next(),
            list(item.get("env_file"), &format!("{path}.env_file"))?,
        ),
        _ => (vec![scalar_text(item, path)?], None, Vec::new()),
    };
    if let Some(remote) = paths.iter().find(|path| is_remote(path) || path.starts_with("oci:")) {
        let problem = format!("is `{remote}`, which is not a file of this repository");
        return Err(ComposeError::key(&item.at, path, problem, "copy the file into the repository"));
    }
    let paths: Vec<String> = paths.iter().map(|path| join(&level.base, path)).collect();
    let Some(first) = paths.first() else {
        return Err(ComposeError::key(&item.at, path, "has no `path`", "add it, as in `path: other/compose.yaml`"));
    };

    let mut including = level.including.clone();
    including.push(join(".", file));
    if including.contains(first) {
        including.push(first.clone());
        let problem = format!("is circular ({})", including.join(" -> "));
        return Err(ComposeError::key(&item.at, path, problem, "remove one of these includes"));
    }

    if including.len() > MAX_INCLUDE_DEPTH {
        let problem = format!("is nested more than {MAX_INCLUDE_DEPTH} includes deep");
        return Err(ComposeError::key(&item.at, path, problem, "use fewer levels"));
    }

    let base = directory.map_or_else(|| parent(first), |directory| join(&level.base, &directory));
    if base.len() > MAX_PATH || paths.iter().any(|path| path.len() > MAX_PATH) {
        let problem = format!("has a path of more than {MAX_PATH} bytes");
        return Err(ComposeError::key(&item.at, path, problem, "use a shorter one"));
    }
    let env_files: Option<Vec<String>> = (!env_files.is_empty())
        .then(|| env_files.iter().filter(|name| *name != "/dev/null").map(|name| join(&level.base, name)).collect());
    let inclusion =
        Inclusion { paths: paths.clone(), base: base.clone(), env_files, env: Rc::as_ptr(&level.env).addr() };
    let known = loader.included.0.borrow().get(&inclusion).map(|(_, node)| Rc::clone(node));
    if let Some(known) = known {
        return Ok(known);
    }

    let env = environment(loader, &inclusion, level, (item, path))?;
    let mut documents = Vec::new();
    for name in &paths {
        let wanted_by = WantedBy::Key(item.at.clone(), path.to_owned());
        documents.push((name.clone(), loader.documents(name, &wanted_by)?));
    }
    let included = Rc::new(loader.merged(&Level::new(base, env, including), documents)?);
    loader.included.0.borrow_mut().insert(inclusion, (Rc::clone(&level.env), Rc::clone(&included)));
    Ok(included)
}

/// Returns the variables for included files. Variables of the including file take precedence over the env files of the
/// include.
fn environment(
    loader: &Loader<'_>,
    inclusion: &Inclusion,
    level: &Level,
    (item, path): (&Node, &str),
) -> Result<Rc<BTreeMap<String, String>>, ComposeError> {
    let mut env = BTreeMap::new();
    if let Some(names) = &inclusion.env_files {
        let wanted_by = WantedBy::Key(item.at.clone(), format!("{path}.env_file"));
        for name in names {
            loader.env_file(name, (&wanted_by, Presence::Required), &level.env, &mut env)?;
        }
    } else {
        let wanted_by = WantedBy::Key(item.at.clone(), path.to_owned());
        let name = join(&inclusion.base, ".env");
        loader.env_file(&name, (&wanted_by, Presence::Optional), &level.env, &mut env)?;
    }
    if env.keys().all(|name| level.env.contains_key(name)) {
        return Ok(Rc::clone(&level.env));
    }
    let outer: usize = level.env.iter().map(|(name, value)| name.len() + value.len()).sum();
    loader.budget.spend_text(&inclusion.base, outer)?;
    env.extend(level.env.iter().map(|(name, value)| (name.clone(), value.clone())));
    Ok(Rc::new(env))
}

fn list(node: Option<&Node>, path: &str) -> Result<Vec<String>, ComposeError> {
    match node.map(|node| (&node.value, node)) {
        None | Some((Value::Scalar(Scalar::Null), _)) => Ok(Vec::new()),
        Some((Value::List(items), _)) => items.iter().map(|item| scalar_text(item, path)).collect(),
        Some((_, node)) => Ok(vec![scalar_text(node, path)?]),
    }
}

/// Adds included services and secrets to a document, after the document's own.
fn import(tree: Node, included: &Node) -> Result<Node, ComposeError> {
    let Node { at, role, value: Value::Map(mut top) } = tree else { return Ok(tree) };
    for (section, node) in included.entries().unwrap_or_default().iter().filter(|(key, _)| key.text != "name") {
        let Value::Map(entries) = &node.value else { continue };
        let own = top.iter().position(|(key, _)| key.text == section.text);
        let mut mine: Vec<(Key, Node)> = match own.map(|i| top.remove(i).1.value) {
            Some(Value::Map(mine)) => mine,
            _ => Vec::new(),
        };
        let known = index(&mine);
        for (key, node) in entries {
            match known.get(&key.text) {
                // The same entry was already included.
                Some(i) if mine[*i].1 == *node => {}
                Some(i) => {
                    let own = &mut mine[*i].1;
                    let path = format!("{}.{}", section.text, key.text);
                    let above = std::mem::replace(own, Node::map(&key.at, Vec::new()));
                    *own = merge(node.clone(), above, &path)?;
                }
                None => mine.push((key.clone(), node.clone())),
            }
        }
        check_entries(mine.len(), &section.at, &section.text)?;
        top.push((section.clone(), Node { at: section.at.clone(), role: Role::Merge, value: Value::Map(mine) }));
    }
    Ok(Node { at, role, value: Value::Map(top) })
}
