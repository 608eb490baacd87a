//! The parts of an `action.yml` that the runner looks at when it starts a container action.

use thiserror::Error;

use crate::inputs::yaml::{self, Node, YamlError};

/// An action's metadata
/// (<https://docs.github.com/en/actions/reference/workflows-and-actions/metadata-syntax>).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Action {
    /// Inputs and their defaults, with expressions as written; an empty one if there is none.
    pub inputs: Vec<(String, String)>,
    /// `runs.entrypoint`.
    pub entrypoint: Option<String>,
    /// `runs.post-entrypoint`.
    pub post_entrypoint: Option<String>,
}

/// Why a text is no metadata of a container action.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ActionError {
    /// Not YAML.
    #[error("action.yml: {0}")]
    Yaml(YamlError),
    /// Not a container action.
    #[error("action.yml has no `runs: using: docker`")]
    NoContainer,
    /// A key that the runner's schema does not know, which makes it refuse the action.
    #[error("action.yml: unknown key `runs.{0}`")]
    UnknownKey(String),
}

const RUNS_KEYS: [&str; 9] =
    ["using", "image", "entrypoint", "args", "env", "pre-entrypoint", "pre-if", "post-entrypoint", "post-if"];

impl Action {
    /// Reads the file's text.
    pub fn parse(text: &str) -> Result<Self, ActionError> {
        let root = yaml::read(text).map_err(ActionError::Yaml)?;
        let runs = entries(child(&root, "runs"));
        if let Some((key, _)) = runs.iter().find(|(key, _)| !RUNS_KEYS.contains(&key.as_str())) {
            return Err(ActionError::UnknownKey(key.clone()));
        }
        let text = |key: &str| runs.iter().find(|(known, _)| known == key).and_then(|(_, value)| scalar(value));
        if text("using").as_deref() != Some("docker") {
            return Err(ActionError::NoContainer);
        }
        let inputs = entries(child(&root, "inputs"))
            .iter()
            .map(|(name, input)| (name.clone(), child(input, "default").and_then(scalar).unwrap_or_default()))
            .collect();
        Ok(Self { inputs, entrypoint: text("entrypoint"), post_entrypoint: text("post-entrypoint") })
    }
}

fn child<'a>(node: &'a Node, key: &str) -> Option<&'a Node> {
    entries(Some(node)).iter().find(|(known, _)| known == key).map(|(_, value)| value)
}

fn entries(node: Option<&Node>) -> &[(String, Node)] {
    match node {
        Some(Node::Map(entries)) => entries,
        _ => &[],
    }
}

fn scalar(node: &Node) -> Option<String> {
    match node {
        Node::Text(text) => Some(text.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Action, ActionError};

    #[test]
    fn reads_what_the_runner_reads() {
        let action = Action::parse(
            "name: x\ninputs:\n  a: {description: d, default: '1'}\n  b-c: {description: d}\n\
             runs:\n  using: docker\n  image: Dockerfile\n  entrypoint: /e\n  post-entrypoint: /p\n",
        )
        .unwrap();
        assert_eq!(action.inputs, [("a".to_owned(), "1".to_owned()), ("b-c".to_owned(), String::new())]);
        assert_eq!((action.entrypoint.as_deref(), action.post_entrypoint.as_deref()), (Some("/e"), Some("/p")));
        assert_eq!(Action::parse("runs: {using: node20}"), Err(ActionError::NoContainer));
        assert_eq!(Action::parse("runs: {using: docker, user: x}"), Err(ActionError::UnknownKey("user".into())));
    }
}
