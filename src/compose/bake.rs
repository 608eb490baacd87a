//! `x-bake`, the options of `docker buildx bake` that Compose does not have
//! (<https://docs.docker.com/build/bake/compose-file/#extension-field-with-x-bake>).

use std::collections::BTreeSet;

use super::{
    error::ComposeError,
    fields::Fields,
    model::{Build, BuildSecret, SecretSource, SshKey},
    positions,
    variables::Environment,
};
use crate::yaml::Value;

/// Applies the extension to a build: extends lists, adds contexts with new names, and replaces other values. Ignores
/// `output`.
pub(super) fn apply(build: &mut Build, extension: &Fields<'_>, env: Environment<'_>) -> Result<(), ComposeError> {
    positions::of_extension(&mut build.positions, extension);
    add(&mut build.tags, words(extension, "tags")?);
    add(&mut build.cache_from, words(extension, "cache-from")?);
    add(&mut build.cache_to, words(extension, "cache-to")?);
    add(&mut build.platforms, words(extension, "platforms")?);
    add(&mut build.no_cache_filter, words(extension, "no-cache-filter")?);
    let mut secrets = Vec::new();
    for text in words(extension, "secret")? {
        let secret = secret(&text, env).ok_or_else(|| {
            let hint = "write `id=name,src=file` or `id=name,env=VARIABLE`";
            ComposeError::key(&extension.node.at, &extension.path, "has a secret in an invalid form", hint)
        })?;
        secrets.push(secret);
    }
    add(&mut build.secrets, secrets);
    let mut keys = Vec::new();
    for text in words(extension, "ssh")? {
        let (id, path) = match text.split_once('=') {
            Some((id, path)) => (id, Some(path.to_owned())),
            None => (text.as_str(), None),
        };
        keys.push(SshKey { id: id.to_owned(), path });
    }
    add(&mut build.ssh, keys);
    if let Some(pull) = extension.flag("pull")? {
        build.pull = pull;
    }
    if let Some(no_cache) = extension.flag("no-cache")? {
        build.no_cache = no_cache;
    }
    let mut known: BTreeSet<String> = build.additional_contexts.iter().map(|(name, _)| name.clone()).collect();
    let more = extension.contexts("contexts")?;
    build.additional_contexts.extend(more.into_iter().filter(|(name, _)| known.insert(name.clone())));
    Ok(())
}

fn add<T: Ord + Clone>(list: &mut Vec<T>, more: Vec<T>) {
    let mut known: BTreeSet<T> = list.iter().cloned().collect();
    list.extend(more.into_iter().filter(|item| known.insert(item.clone())));
}

/// Returns the strings in a list, or the words in a string.
fn words(extension: &Fields<'_>, key: &str) -> Result<Vec<String>, ComposeError> {
    let list = extension.list(key)?;
    match extension.get(key) {
        Some((node, _)) if matches!(node.value, Value::Scalar(_)) => {
            Ok(list.iter().flat_map(|text| text.split_whitespace()).map(str::to_owned).collect())
        }
        _ => Ok(list),
    }
}

/// Parses `id=…[,src=…|,env=…]`. If no source is specified, it is the variable with the name of the id, or the file if
/// there is no such variable.
fn secret(text: &str, env: Environment<'_>) -> Option<BuildSecret> {
    let (mut id, mut file, mut variable, mut kind) = (None, None, None, None);
    for field in text.split(',') {
        let (key, value) = field.trim().split_once('=')?;
        match key {
            "id" => id = Some(value.to_owned()),
            "src" | "source" => file = Some(value.to_owned()),
            "env" => variable = Some(value.to_owned()),
            "type" => kind = Some(value),
            _ => return None,
        }
    }
    let id = id?;
    let source = match (file, variable) {
        (_, Some(variable)) => SecretSource::Environment(variable),
        (Some(name), None) if kind == Some("env") => SecretSource::Environment(name),
        (Some(file), None) => SecretSource::File(file),
        // A hidden variable is not treated as a file, so that the request for it is rejected.
        (None, None) if env.values.contains_key(&id) || env.withheld.contains(&id) => {
            SecretSource::Environment(id.clone())
        }
        (None, None) => SecretSource::File(id.clone()),
    };
    Some(BuildSecret { id, source })
}
