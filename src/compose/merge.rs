//! Compose's rules for merging files, for documents in canonical form
//! (<https://github.com/compose-spec/compose-spec/blob/main/13-merge.md>).

use std::collections::{HashMap, hash_map::Entry};

use super::{budget::check_entries, error::ComposeError};
use crate::yaml::{Key, Node, Role, Scalar, Value};

/// Merges `over` into `base`; `path` is the path of both.
///
/// Nodes with `!reset` are kept so that they also apply when the result is merged with a third node. [`strip`] removes
/// them.
pub(super) fn merge(base: Node, over: Node, path: &str) -> Result<Node, ComposeError> {
    if base.role == Role::Reset || over.role != Role::Merge {
        return Ok(over);
    }
    // An empty argument or label is a value. Other empty values have no effect.
    if over.is_null() && !is_environment(path) {
        return Ok(base);
    }
    if base.is_null() {
        return Ok(over);
    }
    let Node { at, role, value } = over;
    let value = match (base.value, value) {
        (Value::Map(mut entries), Value::Map(more)) => {
            let mut index = index(&entries);
            for (key, node) in more {
                merge_entry(&mut entries, &mut index, key, node, path)?;
            }
            check_entries(entries.len(), &at, path)?;
            Value::Map(entries)
        }
        (Value::List(mut items), Value::List(more)) => {
            append(&mut items, more, path);
            check_entries(items.len(), &at, path)?;
            Value::List(items)
        }
        (Value::Scalar(_), value) => value,
        // Compose rejects `nofile: 5` over `nofile: {soft: 1, hard: 2}`, although it is unambiguous.
        (_, value) if path.contains(".build.ulimits.") => value,
        (base, value) => {
            let over = Node { at: at.clone(), role, value };
            let base = Node { at: at.clone(), role, value: base }.kind();
            let problem = format!("is {}, but {base} in the file that it is merged into", over.kind());
            return Err(ComposeError::key(&at, path, problem, "use the same form in both files"));
        }
    };
    Ok(Node { at, role: base.role, value })
}

/// Returns the index of each key of a mapping.
pub(super) fn index(entries: &[(Key, Node)]) -> HashMap<String, usize> {
    entries.iter().enumerate().map(|(i, (key, _))| (key.text.clone(), i)).collect()
}

/// Merges one entry into a mapping.
fn merge_entry(
    entries: &mut Vec<(Key, Node)>,
    index: &mut HashMap<String, usize>,
    key: Key,
    node: Node,
    path: &str,
) -> Result<(), ComposeError> {
    if let Some(i) = index.get(&key.text) {
        let path = if path.is_empty() { key.text.clone() } else { format!("{path}.{}", key.text) };
        let (_, old) = &mut entries[*i];
        let base = std::mem::replace(old, Node::map(&key.at, Vec::new()));
        *old = merge(base, node, &path)?;
    } else {
        index.insert(key.text.clone(), entries.len());
        entries.push((key, node));
    }
    Ok(())
}

fn is_environment(path: &str) -> bool {
    [".build.args.", ".build.labels."].iter().any(|part| path.contains(part))
}

/// Appends to a list. In some lists an item replaces an earlier item with the same key.
fn append(items: &mut Vec<Node>, more: Vec<Node>, path: &str) {
    let key = |node: &Node| match &node.value {
        Value::Scalar(Scalar::Text(text)) if path.ends_with(".build.extra_hosts") => Some(text.clone()),
        Value::Scalar(Scalar::Text(text)) if path.ends_with(".profiles") || path.ends_with(".build.tags") => {
            text.split('=').next().map(str::to_owned)
        }
        _ => None,
    };
    let mut index: HashMap<String, usize> = HashMap::new();
    for (i, item) in items.iter().enumerate() {
        if let Some(key) = key(item) {
            index.entry(key).or_insert(i);
        }
    }
    for node in more {
        match key(&node) {
            Some(key) => match index.entry(key) {
                Entry::Occupied(old) => items[*old.get()] = node,
                Entry::Vacant(free) => {
                    free.insert(items.len());
                    items.push(node);
                }
            },
            None => items.push(node),
        }
    }
}

/// Removes nodes with `!reset`, and resets the role of all other nodes.
pub(super) fn strip(node: Node) -> Node {
    let Node { at, value, .. } = node;
    let value = match value {
        Value::Map(entries) => Value::Map(
            entries
                .into_iter()
                .filter(|(_, node)| node.role != Role::Reset)
                .map(|(key, node)| (key, strip(node)))
                .collect(),
        ),
        Value::List(items) => {
            Value::List(items.into_iter().filter(|node| node.role != Role::Reset).map(strip).collect())
        }
        value @ Value::Scalar(_) => value,
    };
    Node { at, role: Role::Merge, value }
}
