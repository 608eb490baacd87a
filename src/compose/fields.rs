//! Reads the values of a mapping, and reports keys with their full path in errors.

use super::{error::ComposeError, model::ContextSource, path::is_remote};
use crate::yaml::{Node, Scalar, Value};

/// A mapping, and its path.
pub(super) struct Fields<'a> {
    pub(super) node: &'a Node,
    pub(super) path: String,
}

impl<'a> Fields<'a> {
    /// Returns the value and full path of a key; `None` if it is absent or empty.
    pub(super) fn get(&self, key: &str) -> Option<(&'a Node, String)> {
        let node = self.node.get(key).filter(|node| !node.is_null())?;
        Some((node, format!("{}.{key}", self.path)))
    }

    /// Returns a string. An empty one counts as absent.
    pub(super) fn text(&self, key: &str) -> Result<Option<String>, ComposeError> {
        let Some((node, path)) = self.get(key) else { return Ok(None) };
        scalar_text(node, &path).map(|text| Some(text).filter(|text| !text.is_empty()))
    }

    /// Returns a list of strings. A single string is a list with one item.
    pub(super) fn list(&self, key: &str) -> Result<Vec<String>, ComposeError> {
        let Some((node, path)) = self.get(key) else { return Ok(Vec::new()) };
        match &node.value {
            Value::List(items) => {
                items.iter().enumerate().map(|(i, item)| scalar_text(item, &format!("{path}[{i}]"))).collect()
            }
            Value::Scalar(_) => Ok(vec![scalar_text(node, &path)?]),
            Value::Map(_) => Err(wrong(node, &path, "a list")),
        }
    }

    /// Returns a boolean. As in Compose, `yes` and `on` are true.
    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>, ComposeError> {
        let Some((node, path)) = self.get(key) else { return Ok(None) };
        let word = match &node.value {
            Value::Scalar(Scalar::Bool(flag, _)) => return Ok(Some(*flag)),
            Value::Scalar(Scalar::Text(text)) => text.to_lowercase(),
            _ => String::new(),
        };
        match word.as_str() {
            "true" | "yes" | "y" | "on" => Ok(Some(true)),
            "false" | "no" | "n" | "off" => Ok(Some(false)),
            _ => Err(ComposeError::key(&node.at, path, "is not a boolean", "use `true` or `false`")),
        }
    }

    /// Returns a mapping of scalars.
    pub(super) fn pairs(&self, key: &str) -> Result<Vec<(String, String)>, ComposeError> {
        let mut pairs = Vec::new();
        for (key, node, path) in self.mapping(key)? {
            pairs.push((key, single(node, &path)?));
        }
        Ok(pairs)
    }

    /// Returns the entries of a mapping, each with its full path.
    pub(super) fn mapping(&self, key: &str) -> Result<Vec<(String, &'a Node, String)>, ComposeError> {
        let Some((node, path)) = self.get(key) else { return Ok(Vec::new()) };
        let Some(entries) = node.entries() else { return Err(wrong(node, &path, "a mapping")) };
        Ok(entries.iter().map(|(key, node)| (key.text.clone(), node, format!("{path}.{}", key.text))).collect())
    }

    /// Returns named contexts.
    pub(super) fn contexts(&self, key: &str) -> Result<Vec<(String, ContextSource)>, ComposeError> {
        let context = |(name, text): (String, String)| {
            let service = text.strip_prefix("service:").or_else(|| text.strip_prefix("target:"));
            let source = match service {
                Some(service) if !service.starts_with("//") => ContextSource::Service(service.to_owned()),
                _ if is_remote(&text) => ContextSource::Remote(text),
                _ => ContextSource::Path(text),
            };
            (name, source)
        };
        Ok(self.pairs(key)?.into_iter().map(context).collect())
    }

    /// Returns an error about the value of a key.
    pub(super) fn wrong_at(&self, key: &str, problem: &str, hint: &str) -> ComposeError {
        let (node, path) = self.get(key).unwrap_or((self.node, self.path.clone()));
        ComposeError::key(&node.at, path, problem, hint)
    }
}

/// Returns an error about a value of the wrong type. `wanted` describes the allowed types.
pub(super) fn wrong(node: &Node, path: &str, wanted: &str) -> ComposeError {
    ComposeError::key(&node.at, path, format!("is {}", node.kind()), format!("use {wanted}"))
}

/// Returns the text of a value that must be a scalar other than `null`.
pub(super) fn scalar_text(node: &Node, path: &str) -> Result<String, ComposeError> {
    match &node.value {
        Value::Scalar(Scalar::Null) | Value::List(_) | Value::Map(_) => Err(wrong(node, path, "a string")),
        Value::Scalar(scalar) => Ok(scalar.source().into_owned()),
    }
}

/// Returns the text that Compose converts a scalar to; `null` is an empty string.
pub(super) fn single(node: &Node, path: &str) -> Result<String, ComposeError> {
    match &node.value {
        Value::Scalar(scalar) => Ok(scalar.text().into_owned()),
        Value::List(_) | Value::Map(_) => Err(wrong(node, path, "a single value")),
    }
}
