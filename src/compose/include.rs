//! `include:` (<https://github.com/compose-spec/compose-spec/blob/main/14-include.md>).

use super::{
    canonical::{scalar_text, wrong},
    error::{ComposeError, WantedBy},
    load::{Level, Loader, Presence, read_documents, read_env},
    merge::merge,
    path::{is_remote, join, parent},
    scalar::Scalar,
    yaml::{Node, Value},
};

/// Brings in what the document includes; its own values win. `file` is where the document stands.
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
        tree = import(tree, included)?;
    }
    Ok(tree)
}

fn load(loader: &Loader<'_>, item: &Node, path: &str, level: &Level, file: &str) -> Result<Node, ComposeError> {
    let (paths, directory, env_files) = match &item.value {
        Value::Map(_) => (
            list(item.get("path"), &format!("{path}.path"))?,
            list(item.get("project_directory"), &format!("{path}.project_directory"))?.into_iter().next(),
            list(item.get("env_file"), &format!("{path}.env_file"))?,
        ),
        _ => (vec![scalar_text(item, path)?], None, Vec::new()),
    };
    if let Some(remote) = paths.iter().find(|path| is_remote(path) || path.starts_with("oci:")) {
        let problem = format!("is `{remote}`, which is not in this repository: copy the file into it");
        return Err(ComposeError::key(&item.at, path, problem));
    }
    let paths: Vec<String> = paths.iter().map(|path| join(&level.base, path)).collect();
    let Some(first) = paths.first() else {
        return Err(ComposeError::key(&item.at, path, "has no `path`: write `path: other/compose.yaml`"));
    };

    let mut including = level.including.clone();
    including.push(join(".", file));
    if including.contains(first) {
        including.push(first.clone());
        let problem = format!("goes in a circle ({}): remove one of these includes", including.join(" -> "));
        return Err(ComposeError::key(&item.at, path, problem));
    }

    let base = directory.map_or_else(|| parent(first), |directory| join(&level.base, &directory));
    let mut env = std::collections::BTreeMap::new();
    if env_files.is_empty() {
        let wanted_by = WantedBy::Key(item.at.clone(), path.to_owned());
        read_env(loader.files, &join(&base, ".env"), (&wanted_by, Presence::Optional), &level.env, &mut env)?;
    }
    for name in env_files.iter().filter(|name| *name != "/dev/null") {
        let wanted_by = WantedBy::Key(item.at.clone(), format!("{path}.env_file"));
        read_env(loader.files, &join(&level.base, name), (&wanted_by, Presence::Required), &level.env, &mut env)?;
    }
    env.extend(level.env.iter().map(|(key, value)| (key.clone(), value.clone())));

    let mut documents = Vec::new();
    for name in &paths {
        let wanted_by = WantedBy::Key(item.at.clone(), path.to_owned());
        documents.push((name.clone(), read_documents(loader.files, name, &wanted_by)?));
    }
    loader.merged(&Level { base, env, including }, documents)
}

fn list(node: Option<&Node>, path: &str) -> Result<Vec<String>, ComposeError> {
    match node.map(|node| (&node.value, node)) {
        None | Some((Value::Scalar(Scalar::Null), _)) => Ok(Vec::new()),
        Some((Value::List(items), _)) => items.iter().map(|item| scalar_text(item, path)).collect(),
        Some((_, node)) => Ok(vec![scalar_text(node, path)?]),
    }
}

/// The included services and secrets below those of the document, after them in order.
fn import(tree: Node, included: Node) -> Result<Node, ComposeError> {
    let Node { at, role, value: Value::Map(mut top) } = tree else { return Ok(tree) };
    let Value::Map(included) = included.value else { return Ok(Node { at, role, value: Value::Map(top) }) };
    for (section, node) in included.into_iter().filter(|(key, _)| key.text != "name") {
        let Value::Map(entries) = node.value else { continue };
        let own = top.iter().position(|(key, _)| key.text == section.text);
        let mut mine = match own.map(|i| top.remove(i).1.value) {
            Some(Value::Map(mine)) => mine,
            _ => Vec::new(),
        };
        for (key, node) in entries {
            match mine.iter_mut().find(|(k, _)| k.text == key.text) {
                Some((_, own)) => {
                    let path = format!("{}.{}", section.text, key.text);
                    *own = merge(node, own.clone(), &path)?;
                }
                None => mine.push((key, node)),
            }
        }
        let node = Node { at: section.at.clone(), role: super::yaml::Role::Merge, value: Value::Map(mine) };
        top.push((section, node));
    }
    Ok(Node { at, role, value: Value::Map(top) })
}
