//! Finds the positions of values that can give access to something outside the project, for errors about them.

use std::collections::{BTreeMap, HashMap};

use super::{
    fields::Fields,
    model::{Access, KeyPosition},
};
use crate::yaml::{Node, Value};

/// The definitions of the project's secrets, by name.
pub(super) type Secrets<'a> = HashMap<&'a str, &'a Node>;

type Positions = BTreeMap<Access, KeyPosition>;

/// Finds the positions in a `build` in canonical form. `secrets` are the document's secrets. Invalid values have no
/// position.
pub(super) fn of_build(build: &Fields<'_>, secrets: &Secrets<'_>) -> Positions {
    let mut found = Positions::new();
    for (key, access) in [("context", Access::Context), ("dockerfile", Access::Dockerfile)] {
        add(&mut found, access, build.get(key));
    }
    each(build, "additional_contexts", &mut |name, value| add(&mut found, Access::NamedContext(name), Some(value)));
    each(build, "ssh", &mut |id, value| add(&mut found, Access::Ssh(id), Some(value)));
    let host = |(node, _): &(&Node, String)| text(node).as_deref() == Some("host");
    add(&mut found, Access::Entitlement("network.host".to_owned()), build.get("network").filter(host));
    let privileged = build.get("privileged").filter(|_| build.flag("privileged") == Ok(Some(true)));
    add(&mut found, Access::Entitlement("security.insecure".to_owned()), privileged);
    each(build, "entitlements", &mut |name, value| add(&mut found, Access::Entitlement(name), Some(value)));
    each(build, "cache_from", &mut |cache, value| add(&mut found, Access::CacheFrom(cache), Some(value)));
    each(build, "cache_to", &mut |cache, value| add(&mut found, Access::CacheTo(cache), Some(value)));
    for (node, path) in items(build.get("secrets")) {
        // The position of a secret is the position of its definition.
        let name = text(node).or_else(|| text(node.get("source")?));
        let Some((name, definition)) = name.and_then(|name| Some((name.clone(), *secrets.get(name.as_str())?))) else {
            continue;
        };
        let id = node.get("target").and_then(text).unwrap_or_else(|| name.clone());
        let source = ["file", "environment"].into_iter().find_map(|key| Some((key, definition.get(key)?)));
        let value = source.map_or((node, path), |(key, source)| (source, format!("secrets.{name}.{key}")));
        add(&mut found, Access::Secret(id), Some(value));
    }
    found
}

/// Adds the positions in an `x-bake`.
pub(super) fn of_extension(found: &mut Positions, extension: &Fields<'_>) {
    each(extension, "cache-from", &mut |cache, value| add(found, Access::CacheFrom(cache), Some(value)));
    each(extension, "cache-to", &mut |cache, value| add(found, Access::CacheTo(cache), Some(value)));
    each(extension, "contexts", &mut |name, value| add(found, Access::NamedContext(name), Some(value)));
    each(extension, "ssh", &mut |text, value| {
        let id = text.split('=').next().unwrap_or_default().to_owned();
        add(found, Access::Ssh(id), Some(value));
    });
    each(extension, "secret", &mut |text, value| {
        if let Some(id) = text.split(',').find_map(|field| field.trim().strip_prefix("id=")) {
            add(found, Access::Secret(id.to_owned()), Some(value));
        }
    });
}

/// A value and the path of its key.
type Found<'a> = (&'a Node, String);

fn add(found: &mut Positions, access: Access, value: Option<Found<'_>>) {
    // The first position is kept, because `x-bake` does not replace values of `build`.
    if let Some((node, key)) = value {
        found.entry(access).or_insert_with(|| KeyPosition { at: node.at.clone(), key });
    }
}

/// Calls `visit` with the names in a mapping, the strings in a list, or the words in a string.
fn each<'a>(fields: &Fields<'a>, key: &str, visit: &mut dyn FnMut(String, Found<'a>)) {
    let Some((node, path)) = fields.get(key) else { return };
    match &node.value {
        Value::Map(entries) => {
            for (name, value) in entries {
                visit(name.text.clone(), (value, format!("{path}.{}", name.text)));
            }
        }
        Value::List(_) => {
            for (item, path) in items(Some((node, path))) {
                if let Some(text) = text(item) {
                    visit(text, (item, path));
                }
            }
        }
        Value::Scalar(_) => {
            let words = text(node).unwrap_or_default();
            for word in words.split_whitespace() {
                visit(word.to_owned(), (node, path.clone()));
            }
        }
    }
}

fn items(value: Option<Found<'_>>) -> Vec<Found<'_>> {
    match value {
        Some((Node { value: Value::List(items), .. }, path)) => {
            items.iter().enumerate().map(|(i, item)| (item, format!("{path}[{i}]"))).collect()
        }
        _ => Vec::new(),
    }
}

fn text(node: &Node) -> Option<String> {
    match &node.value {
        Value::Scalar(scalar) => Some(scalar.source().into_owned()),
        Value::List(_) | Value::Map(_) => None,
    }
}
