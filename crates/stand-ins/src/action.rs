//! The parts of an `action.yml` that the runner looks at when it starts a container action.

use std::collections::BTreeMap;

use saphyr::{LoadableYamlNode as _, Scalar, Yaml};
use thiserror::Error;

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
    /// `runs.post-if`.
    pub post_if: Option<PostIf>,
}

/// A condition `env.NAME != 'value'`; others are not supported here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostIf {
    name: String,
    value: String,
}

impl PostIf {
    fn parse(text: &str) -> Option<Self> {
        let (name, value) = text.strip_prefix("env.")?.split_once(" != '")?;
        Some(Self { name: name.to_owned(), value: value.strip_suffix('\'')?.to_owned() })
    }
}

/// Why a text is no metadata of a container action.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ActionError {
    /// Not YAML.
    #[error("action.yml: {0}")]
    Yaml(String),
    /// Not a container action.
    #[error("action.yml has no `runs: using: docker`")]
    NoContainer,
    /// A key that the runner's schema does not know, which makes it refuse the action.
    #[error("action.yml: unknown key `runs.{0}`")]
    UnknownKey(String),
    /// A `post-if` that this stand-in cannot evaluate.
    #[error("action.yml: only `env.NAME != 'value'` is supported here, not `post-if: {0}`")]
    PostIf(String),
}

const RUNS_KEYS: [&str; 9] =
    ["using", "image", "entrypoint", "args", "env", "pre-entrypoint", "pre-if", "post-entrypoint", "post-if"];

impl Action {
    /// Reads the file's text.
    pub fn parse(text: &str) -> Result<Self, ActionError> {
        let documents = Yaml::load_from_str(text).map_err(|error| ActionError::Yaml(error.to_string()))?;
        let root = documents.first();
        let runs = entries(root.and_then(|root| child(root, "runs")));
        if let Some((key, _)) = runs.iter().find(|(key, _)| !RUNS_KEYS.contains(&key.as_str())) {
            return Err(ActionError::UnknownKey(key.clone()));
        }
        let text = |key: &str| runs.iter().find(|(known, _)| known == key).and_then(|(_, value)| scalar(value));
        if text("using").as_deref() != Some("docker") {
            return Err(ActionError::NoContainer);
        }
        let inputs = entries(root.and_then(|root| child(root, "inputs")))
            .into_iter()
            .map(|(name, input)| (name, child(input, "default").and_then(scalar).unwrap_or_default()))
            .collect();
        let condition = |text: String| PostIf::parse(&text).ok_or(ActionError::PostIf(text));
        let post_if = text("post-if").map(condition).transpose()?;
        Ok(Self { inputs, entrypoint: text("entrypoint"), post_entrypoint: text("post-entrypoint"), post_if })
    }

    /// Whether the runner starts the post stage. `env` are the variables after the last step of the job.
    pub fn needs_post(&self, env: &BTreeMap<String, String>) -> bool {
        let is_met = |condition: &PostIf| {
            // The runner compares texts without their case; a missing variable is an empty text.
            !env.get(&condition.name).map_or("", String::as_str).eq_ignore_ascii_case(&condition.value)
        };
        self.post_entrypoint.is_some() && self.post_if.as_ref().is_none_or(is_met)
    }
}

fn child<'a>(node: &'a Yaml<'a>, key: &str) -> Option<&'a Yaml<'a>> {
    node.as_mapping_get(key)
}

fn entries<'a>(node: Option<&'a Yaml<'a>>) -> Vec<(String, &'a Yaml<'a>)> {
    let entries = node.and_then(Yaml::as_mapping).into_iter().flatten();
    entries.filter_map(|(key, value)| Some((scalar(key)?, value))).collect()
}

/// The text of a scalar; the runner takes every default as text.
fn scalar(node: &Yaml<'_>) -> Option<String> {
    match node {
        Yaml::Value(Scalar::String(text)) => Some(text.to_string()),
        Yaml::Value(Scalar::Boolean(value)) => Some(value.to_string()),
        Yaml::Value(Scalar::Integer(value)) => Some(value.to_string()),
        Yaml::Value(Scalar::FloatingPoint(value)) => Some(value.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Action, ActionError};

    #[test]
    fn the_post_stage_depends_on_a_variable() {
        let runs = |condition: &str| {
            let text = format!("runs: {{using: docker, image: i, post-entrypoint: /p, post-if: \"{condition}\"}}");
            Action::parse(&text)
        };
        let action = runs("env.DONE != 'yes'").unwrap();
        let env = |value: &str| [("DONE".to_owned(), value.to_owned())].into();
        assert!(action.needs_post(&[].into()) && action.needs_post(&env("no")));
        assert!(!action.needs_post(&env("yes")) && !action.needs_post(&env("YES")));
        assert_eq!(runs("success()"), Err(ActionError::PostIf("success()".into())));
    }

    #[test]
    fn reads_what_the_runner_reads() {
        let action = Action::parse(
            "name: x\ninputs:\n  a: {description: d, default: '1.0'}\n  b-c: {description: d}\n  d: {default: true}\n\
             runs:\n  using: docker\n  image: Dockerfile\n  entrypoint: /e\n  post-entrypoint: /p\n",
        )
        .unwrap();
        let inputs: Vec<_> = action.inputs.iter().map(|(name, default)| (name.as_str(), default.as_str())).collect();
        assert_eq!(inputs, [("a", "1.0"), ("b-c", ""), ("d", "true")]);
        assert_eq!((action.entrypoint.as_deref(), action.post_entrypoint.as_deref()), (Some("/e"), Some("/p")));
        assert!(action.needs_post(&[].into()));
        assert_eq!(Action::parse("runs: {using: node20}"), Err(ActionError::NoContainer));
        assert_eq!(Action::parse("runs: {using: docker, user: x}"), Err(ActionError::UnknownKey("user".into())));
    }
}
