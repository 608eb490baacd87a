//! Converts a document to the form that merging requires: only the keys that a build needs, variables replaced, short
//! forms expanded, paths relative to the working directory.

use std::{collections::HashMap, fmt};

use super::{
    budget::{MAX_PATH, check_entries},
    error::ComposeError,
    fields::{scalar_text, wrong},
    interpolate::interpolate,
    path::{is_remote, join},
    variables::Variables,
};
use crate::{
    domain::nearest::nearest,
    yaml::{Key, Node, Position, Role, Scalar, Value},
};

/// The keys of a document that a build needs.
const TOP: [&str; 4] = ["name", "include", "services", "secrets"];
/// The keys of a service that a build needs.
const SERVICE: [&str; 5] = ["image", "platform", "profiles", "extends", "build"];
/// The keys of `build` (<https://github.com/compose-spec/compose-go/blob/main/schema/compose-spec.json>).
const BUILD: [&str; 25] = [
    "additional_contexts",
    "args",
    "cache_from",
    "cache_to",
    "context",
    "dockerfile",
    "dockerfile_inline",
    "entitlements",
    "extra_hosts",
    "isolation",
    "labels",
    "network",
    "no_cache",
    "no_cache_filter",
    "platforms",
    "privileged",
    "provenance",
    "pull",
    "sbom",
    "secrets",
    "shm_size",
    "ssh",
    "tags",
    "target",
    "ulimits",
];

/// Converts a document to canonical form. `base` is the directory of its relative paths.
pub(super) fn canonical(document: Node, base: &str, lookup: &mut Variables<'_>) -> Result<Node, ComposeError> {
    let at = document.at.clone();
    let Value::Map(entries) = document.value else {
        return Err(ComposeError::NoMapping { at, kind: document.kind() });
    };
    let mut out = Vec::new();
    for (key, node) in entries.into_iter().filter(|(key, _)| TOP.contains(&key.text.as_str())) {
        let path = key.text.clone();
        let node = match path.as_str() {
            "services" => each(node, &path, &mut |name, node, path| {
                let node = reduced(node, &SERVICE, path)?;
                let mut node = replaced(node, &Trail::Root(path), lookup)?;
                expand_service(&mut node, path, base)?;
                Ok((name, node))
            })?,
            "secrets" => each(node, &path, &mut |name, node, path| {
                let mut node = replaced(node, &Trail::Root(path), lookup)?;
                rebase(&mut node, "file", path, &|text| join(base, text))?;
                check_length(&node, path)?;
                Ok((name, node))
            })?,
            _ => replaced(node, &Trail::Root(&path), lookup)?,
        };
        out.push((key, node));
    }
    Ok(Node::map(&at, out))
}

type Visit<'a> = dyn FnMut(Key, Node, &str) -> Result<(Key, Node), ComposeError> + 'a;

/// Applies `visit` to each entry of a mapping, which may be empty.
fn each(node: Node, path: &str, visit: &mut Visit<'_>) -> Result<Node, ComposeError> {
    let Node { at, role, value } = node;
    let value = match value {
        Value::Map(entries) => {
            check_entries(entries.len(), &at, path)?;
            let visit = |(key, node): (Key, Node)| {
                let path = format!("{path}.{}", key.text);
                visit(key, node, &path)
            };
            Value::Map(entries.into_iter().map(visit).collect::<Result<_, _>>()?)
        }
        value @ Value::Scalar(Scalar::Null) => value,
        value if role == Role::Reset => value,
        value => {
            let node = Node { at, role, value };
            return Err(wrong(&node, path, "a mapping of names"));
        }
    };
    Ok(Node { at, role, value })
}

/// Removes the keys of a service that are not in `keys`.
fn reduced(node: Node, keys: &[&str], path: &str) -> Result<Node, ComposeError> {
    let Node { at, role, value } = node;
    let value = match value {
        Value::Map(mut entries) => {
            entries.retain(|(key, _)| keys.contains(&key.text.as_str()));
            Value::Map(entries)
        }
        Value::Scalar(Scalar::Null) => Value::Map(Vec::new()),
        value if role == Role::Reset => value,
        value => return Err(wrong(&Node { at, role, value }, path, "a mapping such as `image: nginx`")),
    };
    Ok(Node { at, role, value })
}

/// The path of a node. It is formatted only for errors, because every node at a long path would store it again.
enum Trail<'a> {
    Root(&'a str),
    Key(&'a Self, &'a str),
    Item(&'a Self, usize),
}

impl fmt::Display for Trail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root(path) => f.write_str(path),
            Self::Key(above, key) => write!(f, "{above}.{key}"),
            Self::Item(above, i) => write!(f, "{above}[{i}]"),
        }
    }
}

/// Replaces the variables in every string of a node.
fn replaced(node: Node, path: &Trail<'_>, lookup: &mut Variables<'_>) -> Result<Node, ComposeError> {
    let Node { at, role, value } = node;
    let value = match value {
        Value::Scalar(Scalar::Text(text)) if text.contains('$') => {
            lookup.at = at.clone();
            let text = interpolate(&text, lookup)
                .map_err(|error| ComposeError::key(&at, path.to_string(), error.to_string(), error.hint()))?;
            lookup.spend(text.len())?;
            Value::Scalar(Scalar::Text(text))
        }
        Value::Scalar(scalar) => Value::Scalar(scalar),
        Value::List(items) => {
            check_entries(items.len(), &at, path)?;
            let each = |(i, node)| replaced(node, &Trail::Item(path, i), lookup);
            Value::List(items.into_iter().enumerate().map(each).collect::<Result<_, _>>()?)
        }
        Value::Map(entries) => {
            check_entries(entries.len(), &at, path)?;
            let each = |(key, node): (Key, Node)| {
                let node = replaced(node, &Trail::Key(path, &key.text), lookup)?;
                Ok::<_, ComposeError>((key, node))
            };
            Value::Map(entries.into_iter().map(each).collect::<Result<_, _>>()?)
        }
    };
    Ok(Node { at, role, value })
}

/// Returns an error for long paths and variable names, because each build that uses the secret gets a copy.
fn check_length(secret: &Node, path: &str) -> Result<(), ComposeError> {
    for (key, node) in secret.entries().unwrap_or_default() {
        if let Value::Scalar(Scalar::Text(text)) = &node.value
            && text.len() > MAX_PATH
        {
            let problem = format!("is longer than {MAX_PATH} bytes");
            return Err(ComposeError::key(&node.at, format!("{path}.{}", key.text), problem, "use a shorter one"));
        }
    }
    Ok(())
}

/// Expands the short forms of a service.
fn expand_service(service: &mut Node, path: &str, base: &str) -> Result<(), ComposeError> {
    let Value::Map(entries) = &mut service.value else { return Ok(()) };
    for (key, node) in entries {
        let path = format!("{path}.{}", key.text);
        match key.text.as_str() {
            "build" => {
                if matches!(node.value, Value::Scalar(Scalar::Text(_))) {
                    let context = Node { role: Role::Merge, ..node.clone() };
                    node.value = Value::Map(vec![(Key { text: "context".into(), at: node.at.clone() }, context)]);
                }
                if node.role != Role::Reset && !node.is_null() {
                    expand_build(node, &path, base)?;
                }
            }
            "extends" => {
                if matches!(node.value, Value::Scalar(Scalar::Text(_))) {
                    let service = Node { role: Role::Merge, ..node.clone() };
                    node.value = Value::Map(vec![(Key { text: "service".into(), at: node.at.clone() }, service)]);
                }
                rebase(node, "file", &path, &|text| join(base, text))?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn is_build_key(key: &str) -> bool {
    BUILD.contains(&key) || key.starts_with("x-")
}

fn expand_build(build: &mut Node, path: &str, base: &str) -> Result<(), ComposeError> {
    rebase(build, "context", path, &|text| rebase_context(text, base))?;
    let Value::Map(entries) = &mut build.value else {
        return Err(wrong(build, path, "a path, or a mapping with `context`"));
    };
    if let Some((key, _)) = entries.iter().find(|(key, _)| !is_build_key(&key.text)) {
        let hint = match nearest(&key.text, BUILD.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "remove it; keys of your own begin with `x-`".to_owned(),
        };
        return Err(ComposeError::key(&key.at, format!("{path}.{}", key.text), "is not a key of `build`", hint));
    }
    for (key, node) in entries.iter_mut().filter(|(_, node)| node.role != Role::Reset && !node.is_null()) {
        let path = format!("{path}.{}", key.text);
        match key.text.as_str() {
            "args" => to_map(node, &path, Bare::Null)?,
            "labels" => to_map(node, &path, Bare::Empty)?,
            "additional_contexts" => {
                to_map(node, &path, Bare::Invalid)?;
                rebase_all(node, &path, &|text| rebase_context(text, base))?;
            }
            "ssh" => {
                to_map(node, &path, Bare::Null)?;
                rebase_all(node, &path, &|text| join(base, text))?;
            }
            "extra_hosts" => hosts_to_list(node, &path)?,
            "x-bake" => {
                if let Value::Map(entries) = &mut node.value {
                    for (key, node) in entries.iter_mut().filter(|(key, _)| key.text == "contexts") {
                        rebase_all(node, &format!("{path}.{}", key.text), &|text| rebase_context(text, base))?;
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn rebase_context(text: &str, base: &str) -> String {
    if is_remote(text) || text.starts_with("service:") || text.starts_with("target:") {
        text.to_owned()
    } else {
        join(base, text)
    }
}

/// Changes the path at a key, if the key exists.
fn rebase(node: &mut Node, key: &str, path: &str, change: &dyn Fn(&str) -> String) -> Result<(), ComposeError> {
    let Value::Map(entries) = &mut node.value else { return Ok(()) };
    for (_, node) in entries.iter_mut().filter(|(k, _)| k.text == key) {
        rebase_text(node, &format!("{path}.{key}"), change)?;
    }
    Ok(())
}

fn rebase_all(node: &mut Node, path: &str, change: &dyn Fn(&str) -> String) -> Result<(), ComposeError> {
    let Value::Map(entries) = &mut node.value else { return Ok(()) };
    for (key, node) in entries {
        rebase_text(node, &format!("{path}.{}", key.text), change)?;
    }
    Ok(())
}

fn rebase_text(node: &mut Node, path: &str, change: &dyn Fn(&str) -> String) -> Result<(), ComposeError> {
    match &mut node.value {
        Value::Scalar(Scalar::Null) => Ok(()),
        Value::Scalar(scalar) => {
            // An empty path counts as absent, so it stays empty.
            if !scalar.source().is_empty() {
                *scalar = Scalar::Text(change(&scalar.source()));
            }
            Ok(())
        }
        Value::List(_) | Value::Map(_) => Err(wrong(node, path, "a path")),
    }
}

/// The meaning of a list item without `=`.
#[derive(Clone, Copy)]
enum Bare {
    /// A key whose value is set elsewhere.
    Null,
    /// A key with an empty value.
    Empty,
    /// An error.
    Invalid,
}

/// Converts a list of `key=value` into a mapping. A later item replaces an earlier one with the same key.
fn to_map(node: &mut Node, path: &str, bare: Bare) -> Result<(), ComposeError> {
    let items = match &node.value {
        Value::Map(_) => return Ok(()),
        Value::List(items) => items,
        Value::Scalar(_) => return Err(wrong(node, path, "a list of `KEY=value`, or a mapping")),
    };
    let mut entries: Vec<(Key, Node)> = Vec::new();
    let mut index: HashMap<String, usize> = HashMap::new();
    for (i, item) in items.iter().enumerate() {
        let path = format!("{path}[{i}]");
        let Value::Scalar(Scalar::Text(text)) = &item.value else {
            return Err(wrong(item, &path, "a string such as `KEY=value`"));
        };
        let (key, value) = match (text.split_once('='), bare) {
            (Some((key, value)), _) => (key, Scalar::Text(value.to_owned())),
            (None, Bare::Null) => (text.as_str(), Scalar::Null),
            (None, Bare::Empty) => (text.as_str(), Scalar::Text(String::new())),
            (None, Bare::Invalid) => {
                return Err(ComposeError::key(&item.at, path, "has no `=`", "write `name=value`"));
            }
        };
        if key.is_empty() || key.ends_with(char::is_whitespace) {
            return Err(ComposeError::key(&item.at, path, "has no name directly before the `=`", "write `KEY=value`"));
        }
        let node = Node { at: item.at.clone(), role: Role::Merge, value: Value::Scalar(value) };
        if let Some(i) = index.get(key) {
            entries[*i].1 = node;
        } else {
            index.insert(key.to_owned(), entries.len());
            entries.push((Key { text: key.to_owned(), at: item.at.clone() }, node));
        }
    }
    node.value = Value::Map(entries);
    Ok(())
}

/// Converts all forms of `extra_hosts` into a list of `host=address`.
fn hosts_to_list(node: &mut Node, path: &str) -> Result<(), ComposeError> {
    let mut pairs: Vec<(String, String, Position)> = Vec::new();
    match &node.value {
        Value::List(items) => {
            for (i, item) in items.iter().enumerate() {
                let path = format!("{path}[{i}]");
                let text = scalar_text(item, &path)?;
                let Some((host, addresses)) = text.split_once('=').or_else(|| text.split_once(':')) else {
                    return Err(ComposeError::key(&item.at, path, "has no address", "write `host=address`"));
                };
                for address in addresses.split(',') {
                    pairs.push((host.to_owned(), address.to_owned(), item.at.clone()));
                }
            }
        }
        Value::Map(entries) => {
            for (key, node) in entries {
                let path = format!("{path}.{}", key.text);
                let addresses = match &node.value {
                    Value::List(items) => items.as_slice(),
                    _ => std::slice::from_ref(node),
                };
                for address in addresses {
                    pairs.push((key.text.clone(), scalar_text(address, &path)?, address.at.clone()));
                }
            }
        }
        Value::Scalar(_) => return Err(wrong(node, path, "a list of `host=address`, or a mapping")),
    }
    let items = pairs.into_iter().map(|(host, address, at)| {
        let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&address);
        if host.is_empty() || host.contains([':', '=']) {
            let problem = "has a host name that is empty or contains `:` or `=`";
            return Err(ComposeError::key(&at, path, problem, "correct the host name"));
        }
        Ok(Node::text(&at, format!("{host}={bare}")))
    });
    node.value = Value::List(items.collect::<Result<_, _>>()?);
    Ok(())
}
