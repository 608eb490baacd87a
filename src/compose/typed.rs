//! Converts the merged tree into a [`Project`], and checks the value of every key.

use std::collections::BTreeMap;

use super::{
    bake,
    budget::{Budget, MAX_BUILDS},
    error::ComposeError,
    fields::{Fields, scalar_text, single, wrong},
    model::{Build, BuildSecret, Project, SecretSource, Service, SshKey, Ulimit},
    positions::{self, Secrets},
    size::bytes,
    variables::Environment,
};
use crate::yaml::{Node, Scalar, Value};

/// Converts a merged tree. The project's name is left empty.
pub(super) fn project(
    tree: &Node,
    env: Environment<'_>,
    profiles: &[String],
    budget: &Budget,
) -> Result<Project, ComposeError> {
    let secrets = tree.get("secrets").and_then(Node::entries).unwrap_or_default();
    let secrets: Secrets<'_> = secrets.iter().map(|(key, node)| (key.text.as_str(), node)).collect();
    let (mut services, mut disabled, mut builds) = (Vec::new(), Vec::new(), 0);
    for (key, node) in tree.get("services").and_then(Node::entries).unwrap_or_default() {
        let path = format!("services.{}", key.text);
        if key.text.is_empty() || !key.text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) {
            let hint = "use letters, digits, `.`, `_` and `-`";
            return Err(ComposeError::key(&key.at, path, "is not a valid service name", hint));
        }
        let service = Fields { node, path }.service(&key.text, env, &secrets)?;
        builds += usize::from(service.build.is_some());
        if builds > MAX_BUILDS {
            let problem = format!("exceeds the limit of {MAX_BUILDS} services with `build`");
            let path = format!("services.{}", key.text);
            return Err(ComposeError::key(&key.at, path, problem, "build fewer services in one project"));
        }
        // Arguments without a value have taken it from the environment.
        let args = service.build.iter().flat_map(|build| &build.args).map(|(_, value)| value.len()).sum();
        budget.spend_text(&key.at.file, args)?;
        let on = |profile: &String| profiles.contains(profile) || profiles.iter().any(|p| p == "*");
        if service.profiles.is_empty() || service.profiles.iter().any(on) {
            services.push(service);
        } else {
            disabled.push(service);
        }
    }
    Ok(Project {
        name: String::new(),
        services,
        disabled,
        files: Vec::new(),
        warnings: Vec::new(),
        notices: Vec::new(),
        unset: Vec::new(),
    })
}

impl Fields<'_> {
    fn service(&self, name: &str, env: Environment<'_>, secrets: &Secrets<'_>) -> Result<Service, ComposeError> {
        let build = match self.node.get("build") {
            Some(node) => Some(Fields { node, path: format!("{}.build", self.path) }.build(env, secrets)?),
            None => None,
        };
        Ok(Service {
            name: name.to_owned(),
            image: self.text("image")?,
            platform: self.text("platform")?,
            profiles: self.list("profiles")?,
            build,
        })
    }

    fn build(&self, env: Environment<'_>, secrets: &Secrets<'_>) -> Result<Build, ComposeError> {
        if self.node.entries().is_none() {
            return Err(wrong(self.node, &self.path, "a path, or a mapping with `context`"));
        }
        let mut build = Build {
            context: self.text("context")?.unwrap_or_default(),
            dockerfile: self.text("dockerfile")?,
            dockerfile_inline: self.text("dockerfile_inline")?,
            args: self.args(env.values)?,
            target: self.text("target")?,
            additional_contexts: self.contexts("additional_contexts")?,
            labels: self.pairs("labels")?,
            tags: self.list("tags")?,
            platforms: self.list("platforms")?,
            cache_from: self.list("cache_from")?,
            cache_to: self.list("cache_to")?,
            network: self.text("network")?,
            shm_size: self.size("shm_size")?,
            ulimits: self.ulimits()?,
            cgroup_parent: None,
            extra_hosts: self.hosts()?,
            secrets: self.secrets(secrets)?,
            ssh: self.ssh()?,
            no_cache: self.flag("no_cache")?.unwrap_or_default(),
            no_cache_filter: self.list("no_cache_filter")?,
            pull: self.flag("pull")?.unwrap_or_default(),
            entitlements: self.list("entitlements")?,
            provenance: self.text("provenance")?,
            sbom: self.text("sbom")?,
            positions: positions::of_build(self, secrets),
        };
        let insecure = "security.insecure".to_owned();
        if self.flag("privileged")? == Some(true) && !build.entitlements.contains(&insecure) {
            build.entitlements.push(insecure);
        }
        if let (Some(_), Some((node, path))) = (&build.dockerfile, self.get("dockerfile_inline")) {
            let problem = "cannot be combined with `dockerfile`";
            return Err(ComposeError::key(&node.at, path, problem, "remove one of them"));
        }
        if let Some((node, path)) = self.get("x-bake") {
            bake::apply(&mut build, &Fields { node, path }, env)?;
        }
        Ok(build)
    }

    /// Returns the build arguments. Arguments without a value take it from the environment, or are removed if it is not
    /// set there.
    fn args(&self, env: &BTreeMap<String, String>) -> Result<Vec<(String, String)>, ComposeError> {
        let mut args = Vec::new();
        for (name, node, path) in self.mapping("args")? {
            let value = if node.is_null() { env.get(&name).cloned() } else { Some(single(node, &path)?) };
            args.extend(value.map(|value| (name, value)));
        }
        Ok(args)
    }

    fn size(&self, key: &str) -> Result<Option<u64>, ComposeError> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        let hint = "use a number of bytes, or add a unit, such as `64m` or `2gb`";
        let size = bytes(&text).ok_or_else(|| self.wrong_at(key, "is not a size", hint))?;
        Ok(Some(size).filter(|size| *size > 0))
    }

    fn ulimits(&self) -> Result<Vec<Ulimit>, ComposeError> {
        let mut ulimits = Vec::new();
        for (name, node, path) in self.mapping("ulimits")? {
            let (soft, hard) = if node.entries().is_some() {
                let fields = Fields { node, path };
                (fields.limit("soft")?, fields.limit("hard")?)
            } else {
                let limit = limit(node, &path)?;
                (limit, limit)
            };
            ulimits.push(Ulimit { name, soft, hard });
        }
        Ok(ulimits)
    }

    fn limit(&self, key: &str) -> Result<i64, ComposeError> {
        let Some((node, path)) = self.get(key) else {
            let hint = "set `soft` and `hard`";
            return Err(ComposeError::key(&self.node.at, &self.path, format!("has no `{key}`"), hint));
        };
        limit(node, &path)
    }

    fn hosts(&self) -> Result<Vec<(String, String)>, ComposeError> {
        let split = |text: String| text.split_once('=').map(|(host, ip)| (host.to_owned(), ip.to_owned()));
        Ok(self.list("extra_hosts")?.into_iter().filter_map(split).collect())
    }

    fn secrets(&self, defined: &Secrets<'_>) -> Result<Vec<BuildSecret>, ComposeError> {
        let Some((node, path)) = self.get("secrets") else { return Ok(Vec::new()) };
        let Value::List(items) = &node.value else { return Err(wrong(node, &path, "a list of secrets")) };
        let mut secrets = Vec::new();
        for (i, item) in items.iter().enumerate() {
            let path = format!("{path}[{i}]");
            let (name, target) = if item.entries().is_some() {
                let fields = Fields { node: item, path: path.clone() };
                (fields.text("source")?, fields.text("target")?)
            } else {
                (Some(scalar_text(item, &path)?), None)
            };
            let Some(name) = name else {
                let hint = "name a secret of the top-level `secrets`";
                return Err(ComposeError::key(&item.at, path, "has no `source`", hint));
            };
            let Some(definition) = defined.get(name.as_str()).copied() else {
                let problem = format!("names the secret `{name}`, which is not defined");
                return Err(ComposeError::key(&item.at, path, problem, "define it under the top-level `secrets`"));
            };
            let source = Fields { node: definition, path: format!("secrets.{name}") }.secret_source()?;
            secrets.push(BuildSecret { id: target.unwrap_or(name), source });
        }
        Ok(secrets)
    }

    fn secret_source(&self) -> Result<SecretSource, ComposeError> {
        if let Some(file) = self.text("file")? {
            return Ok(SecretSource::File(file));
        }
        if let Some(variable) = self.text("environment")? {
            return Ok(SecretSource::Environment(variable));
        }
        match self.get("external") {
            Some((node, _)) if node.entries().is_some() || self.flag("external")? == Some(true) => {
                Ok(SecretSource::External)
            }
            _ => {
                let problem = "has neither `file` nor `environment`";
                Err(ComposeError::key(&self.node.at, &self.path, problem, "set one of them"))
            }
        }
    }

    fn ssh(&self) -> Result<Vec<SshKey>, ComposeError> {
        let mut keys = Vec::new();
        for (id, path) in self.pairs("ssh")? {
            let path = Some(path).filter(|path| !path.is_empty());
            if path.is_none() && id != "default" {
                return Err(self.wrong_at("ssh", "has a key without a path", "write `id=path`, or `default`"));
            }
            keys.push(SshKey { id, path });
        }
        Ok(keys)
    }
}

fn limit(node: &Node, path: &str) -> Result<i64, ComposeError> {
    let number = match &node.value {
        Value::Scalar(Scalar::Int(number, _)) => i64::try_from(*number).ok(),
        Value::Scalar(Scalar::Text(text)) => text.parse().ok(),
        _ => None,
    };
    number.ok_or_else(|| ComposeError::key(&node.at, path, "is not a limit", "use a whole number, or -1 for none"))
}
