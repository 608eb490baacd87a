//! Parses the input `registries`.

use super::{error::InputError, nodes::one_or_more, typed::Credentials};
use crate::{
    domain::{credentials::as_in_images, default_user::default_user, repository::is_registry_host, secret::Secret},
    yaml::{self, Node},
};

const INPUT: &str = "registries";

const HINT: &str = "write a YAML list of mappings with `registry`, `username` and `password`";

/// The registries in the input.
#[derive(Debug, Default)]
pub(super) struct Registries {
    /// Credentials of the registries that have a user name and a password.
    pub(super) credentials: Vec<Credentials>,
    /// Hosts of the other registries.
    pub(super) hosts: Vec<String>,
}

/// Parses a YAML list of `{registry, username, password}`. Errors contain line numbers, but never the text of a line.
pub(super) fn registries(text: &str) -> Result<Registries, InputError> {
    let invalid = |error: yaml::YamlError| wrong(error.at.line_number(), &error.problem.without_text());
    let document = yaml::parse_one(INPUT, text).map_err(invalid)?;
    let Some(items) = one_or_more(&document) else { return Err(InputError::hidden(INPUT, "is not a YAML list", HINT)) };
    let mut all = Registries::default();
    for item in items {
        let Credentials { registry, username, password } = credentials(item)?;
        // A secret that is not available to this run is empty. Other credentials for that registry are used then.
        if username.is_empty() || password.is_empty() {
            all.hosts.push(registry);
        } else {
            all.credentials.push(Credentials { registry, username, password });
        }
    }
    Ok(all)
}

fn credentials(item: &Node) -> Result<Credentials, InputError> {
    let line = item.at.line_number();
    let Some(entries) = item.entries() else { return Err(wrong(line, "is not a mapping")) };
    let mut found = Credentials { registry: String::new(), username: String::new(), password: Secret::default() };
    for (key, value) in entries {
        let line = key.at.line_number();
        let Some(value) = value.written() else { return Err(wrong(line, "has a value that is not a text")) };
        // A block (`|`) ends with a line break, which is not part of the value.
        match key.text.as_str() {
            "registry" => found.registry = as_in_images(value.trim()),
            "username" => value.trim().clone_into(&mut found.username),
            "password" => found.password = Secret::new(value.trim()),
            // An option of docker/login-action. Amazon ECR registries are recognized by their host names.
            "ecr" => {}
            _ => return Err(wrong(line, "has an unknown key")),
        }
    }
    if found.registry.is_empty() {
        return Err(wrong(line, "has no `registry`; the one of Docker Hub is `docker.io`"));
    }
    if !is_registry_host(&found.registry) {
        return Err(wrong(line, "has a `registry` that is not a host"));
    }
    if found.username.is_empty() && !found.password.is_empty() {
        let default = default_user(&found.registry, found.password.expose());
        default.unwrap_or_default().clone_into(&mut found.username);
    }
    Ok(found)
}

fn wrong(line: usize, problem: &str) -> InputError {
    InputError::hidden(INPUT, problem, HINT).at_line(line)
}

#[cfg(test)]
mod tests {
    use super::registries;

    #[test]
    fn lists_of_mappings() {
        let text =
            "- {registry: R.example:5000, username: u, password: hunter2}\n- registry: x.example\n  password: ''";
        let all = registries(text).unwrap();
        assert_eq!(all.hosts, ["x.example"], "one without credentials is not an error: forks have no secrets");
        let [only] = &all.credentials[..] else { panic!("{all:?}") };
        assert_eq!((only.registry.as_str(), only.password.expose()), ("r.example:5000", "hunter2"));
        let google = registries("- {registry: eu.gcr.io, password: hunter2}").unwrap();
        assert_eq!(google.credentials[0].username, "oauth2accesstoken");
        for bad in ["x", "- x", "- {username: hunter2}", "- {registry: r, pasword: hunter2}", "- {registry: [hunter2]}"]
        {
            let error = registries(bad).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
