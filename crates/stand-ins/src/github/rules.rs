//! What calls of GitHub's API and their answers look like, after GitHub's own description of it.
//!
//! The description is an excerpt of `@octokit/openapi` (MIT), which is GitHub's
//! (<https://github.com/github/rest-api-description>).

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock, OnceLock},
};

use jsonschema::Validator;
use serde_json::{Map, Value, json};

/// The description, ready for use.
#[derive(Debug)]
pub struct Rules {
    operations: BTreeMap<String, Operation>,
    schema: Value,
}

#[derive(Debug)]
struct Operation {
    query: BTreeMap<String, Part>,
    body: Option<Part>,
    /// By status.
    answers: BTreeMap<u16, Part>,
}

/// A part of the description, with a validator that is made when it is first used: each takes a while.
#[derive(Debug)]
struct Part {
    schema: Value,
    defs: Arc<Value>,
    validator: OnceLock<Validator>,
}

impl Part {
    fn new(schema: &Value, defs: &Arc<Value>) -> Self {
        Self { schema: schema.clone(), defs: defs.clone(), validator: OnceLock::new() }
    }

    #[expect(clippy::expect_used, reason = "the description is part of this crate, and a test makes all validators")]
    fn validator(&self) -> &Validator {
        self.validator.get_or_init(|| {
            let mut whole = self.schema.clone();
            whole["$defs"] = Value::clone(&self.defs);
            let options = jsonschema::options().should_validate_formats(true).should_ignore_unknown_formats(true);
            options.build(&whole).expect("GitHub's description is made of valid schemas")
        })
    }
}

impl Rules {
    /// The rules, read once.
    pub fn get() -> Result<&'static Self, String> {
        static RULES: LazyLock<Result<Rules, String>> = LazyLock::new(Rules::read);
        RULES.as_ref().map_err(Clone::clone)
    }

    fn read() -> Result<Self, String> {
        let text = include_str!("api.schema.json");
        let schema: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let operations = schema["operations"].as_object().into_iter().flatten();
        let defs = Arc::new(schema["$defs"].clone());
        let operations = operations.map(|(name, operation)| Ok((name.clone(), read(operation, &defs)?)));
        Ok(Self { operations: operations.collect::<Result<_, String>>()?, schema })
    }

    /// What is wrong with a call: parameters and members that GitHub does not know are, too.
    pub fn check_call(&self, operation: &str, query: &str, body: &Value) -> Vec<String> {
        let Some(operation) = self.operations.get(operation) else { return vec![format!("{operation} is unknown")] };
        let mut wrong = Vec::new();
        for (name, value) in pairs(query) {
            match operation.query.get(&name) {
                None => wrong.push(format!("`{name}` is no parameter")),
                Some(part) if !is_query_value(part.validator(), &value) => wrong.push(format!("`{name}={value}`")),
                Some(_) => {}
            }
        }
        match &operation.body {
            Some(part) => wrong.extend(errors(part.validator(), body)),
            None if !body.is_null() => wrong.push("a body where none is taken".to_owned()),
            None => {}
        }
        wrong
    }

    /// What of an answer GitHub would not have said.
    pub fn check_answer(&self, operation: &str, status: u16, body: &Value) -> Vec<String> {
        let known = self.operations.get(operation).and_then(|operation| operation.answers.get(&status));
        match known {
            Some(part) => errors(part.validator(), body).into_iter().map(|error| format!("answer: {error}")).collect(),
            // Errors have one shape everywhere.
            None if status >= 400 && body["message"].is_string() => Vec::new(),
            None => vec![format!("answer: {status} is none of {operation}")],
        }
    }

    /// What a call is answered: `known`, and all else that the answer must have with values that say nothing.
    pub fn complete(&self, operation: &str, status: u16, known: &Value) -> Value {
        let answer = self.operations.get(operation).and_then(|operation| operation.answers.get(&status));
        answer.map_or_else(|| known.clone(), |part| self.filled(&part.schema, Some(known.clone())))
    }

    fn filled(&self, schema: &Value, known: Option<Value>) -> Value {
        let schema = self.resolved(schema);
        let kinds: Vec<&str> = match &schema["type"] {
            Value::String(kind) => vec![kind],
            Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        match known {
            Some(Value::Array(items)) => {
                items.into_iter().map(|item| self.filled(&schema["items"], Some(item))).collect()
            }
            Some(Value::Object(known)) => self.filled_object(schema, known),
            Some(known) => known,
            None if kinds.contains(&"null") => Value::Null,
            None if kinds.contains(&"object") => self.filled_object(schema, Map::new()),
            None if kinds.contains(&"array") => json!([]),
            None if kinds.contains(&"integer") || kinds.contains(&"number") => json!(1),
            None if kinds.contains(&"boolean") => json!(false),
            None => {
                let one_of =
                    schema["enum"].get(0).or_else(|| schema["anyOf"].get(0)).or_else(|| schema["oneOf"].get(0));
                match (one_of, schema["format"].as_str()) {
                    (Some(Value::Object(_)), _) => one_of.map_or(Value::Null, |schema| self.filled(schema, None)),
                    (Some(value), _) => value.clone(),
                    (None, Some("date-time")) => json!("2026-01-02T03:04:05Z"),
                    (None, Some("uri")) => json!("https://api.github.com/unused"),
                    (None, _) => json!(unused(schema["minLength"].as_u64().unwrap_or_default())),
                }
            }
        }
    }

    fn filled_object(&self, schema: &Value, mut known: Map<String, Value>) -> Value {
        let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
        for name in required {
            known.entry(name).or_insert_with(|| self.filled(&schema["properties"][name], None));
        }
        for (name, value) in &mut known {
            if value.is_object() || value.is_array() {
                *value = self.filled(&schema["properties"][name.as_str()], Some(value.take()));
            }
        }
        Value::Object(known)
    }

    fn resolved<'a>(&'a self, schema: &'a Value) -> &'a Value {
        let named = schema["$ref"].as_str().and_then(|name| self.schema.pointer(name.trim_start_matches('#')));
        let only = || schema["anyOf"].as_array().filter(|all| all.iter().any(|one| one["type"] == "null"))?.first();
        match named.or_else(only) {
            Some(other) => self.resolved(other),
            None => schema,
        }
    }
}

/// A text of at least so many characters that says nothing.
fn unused(shortest: u64) -> String {
    let shortest = usize::try_from(shortest).unwrap_or_default();
    format!("{:-<shortest$}", "unused")
}

/// The pairs of a query, decoded.
pub fn pairs(query: &str) -> Vec<(String, String)> {
    let url = format!("http://localhost/?{query}");
    let parsed = url::Url::parse(&url).ok();
    parsed.iter().flat_map(|url| url.query_pairs().into_owned().collect::<Vec<_>>()).collect()
}

fn read(operation: &Value, defs: &Arc<Value>) -> Result<Operation, String> {
    let members = |key: &str| operation[key].as_object().into_iter().flatten();
    let query = members("query").map(|(name, part)| (name.clone(), Part::new(part, defs)));
    let answers = members("answers").map(|(status, part)| {
        let status = status.parse::<u16>().map_err(|error| error.to_string())?;
        Ok((status, Part::new(part, defs)))
    });
    let mut body = operation["body"].clone();
    if body.is_object() {
        // GitHub ignores what it does not know, so a misspelt member would go unseen.
        body["additionalProperties"] = json!(false);
    }
    Ok(Operation {
        query: query.collect(),
        body: body.is_object().then(|| Part::new(&body, defs)),
        answers: answers.collect::<Result<_, String>>()?,
    })
}

/// In a query everything is text; the description says of what type it is meant to be.
fn is_query_value(validator: &Validator, value: &str) -> bool {
    validator.is_valid(&json!(value))
        || serde_json::from_str::<Value>(value).is_ok_and(|value| validator.is_valid(&value))
}

fn errors(validator: &Validator, value: &Value) -> Vec<String> {
    validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::Rules;

    #[test]
    fn an_answer_is_completed_to_what_github_would_say() {
        let rules = Rules::get().unwrap();
        for (name, operation) in &rules.operations {
            for part in operation.query.values().chain(&operation.body) {
                part.validator();
            }
            for (status, part) in &operation.answers {
                let whole = rules.filled(&part.schema, None);
                assert_eq!(rules.check_answer(name, *status, &whole), Vec::<String>::new(), "{name} {status}");
            }
        }
        let runs = json!({"total_count": 1, "workflow_runs": [{"id": 7, "head_repository": {"full_name": "o/r"}}]});
        let name = "GET /actions/workflows/{workflow_id}/runs";
        let runs = rules.complete(name, 200, &runs);
        assert_eq!(rules.check_answer(name, 200, &runs), Vec::<String>::new());
        assert_eq!(runs.pointer("/workflow_runs/0/head_repository/full_name"), Some(&json!("o/r")));
    }

    #[test]
    fn wrong_calls_are_found_out() {
        let rules = Rules::get().unwrap();
        let wrong = |operation: &str, query: &str, body: Value| rules.check_call(operation, query, &body).len();
        assert_eq!(wrong("GET /deployments", "sha=0123&environment=a%20b&per_page=10", Value::Null), 0);
        assert_eq!(wrong("GET /deployments", "env=a", Value::Null), 1);
        assert_eq!(wrong("GET /deployments", "per_page=ten", Value::Null), 1);
        let status = "POST /deployments/{deployment_id}/statuses";
        assert_eq!(wrong(status, "", json!({"state": "success"})), 0);
        assert_eq!(wrong(status, "", json!({"state": "cancelled"})), 1);
        assert_eq!(wrong(status, "", json!({"state": "success", "logurl": "x"})), 1);
        assert_eq!(wrong("POST /deployments", "", json!({"auto_merge": "no"})), 2);
    }
}
