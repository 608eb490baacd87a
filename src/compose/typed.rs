//! From the merged tree to the typed [`Project`]: the one place that says which value each key may have.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{
    bake,
    budget::{Budget, MAX_BUILDS},
    canonical::{scalar_text, wrong},
    error::ComposeError,
    model::{Build, BuildSecret, ContextSource, Project, SecretSource, Service, SshKey, Ulimit},
    path::is_remote,
    positions,
    scalar::Scalar,
    size::bytes,
    yaml::{Node, Value},
};

/// The variables that files may name, and the names of those that are withheld from them.
pub(super) type Variables<'a> = (&'a BTreeMap<String, String>, &'a BTreeSet<String>);

/// The project that a merged tree describes; its name stays empty.
pub(super) fn project(
    tree: &Node,
    env: Variables<'_>,
    profiles: &[String],
    budget: &Budget,
) -> Result<Project, ComposeError> {
    let secrets = tree.get("secrets").and_then(Node::entries).unwrap_or_default();
    let secrets: Secrets<'_> = secrets.iter().map(|(key, node)| (key.text.as_str(), node)).collect();
    let (mut services, mut disabled, mut builds) = (Vec::new(), Vec::new(), 0);
    for (key, node) in tree.get("services").and_then(Node::entries).unwrap_or_default() {
        let path = format!("services.{}", key.text);
        if key.text.is_empty() || !key.text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) {
            return Err(ComposeError::key(
                &key.at,
                path,
                "is no name for a service: use letters, digits, `.`, `_`, `-`",
            ));
        }
        let service = Fields { node, path }.service(&key.text, env, &secrets)?;
        builds += usize::from(service.build.is_some());
        if builds > MAX_BUILDS {
            let problem = format!("is built after {MAX_BUILDS} other services: build fewer in one project");
            return Err(ComposeError::key(&key.at, format!("services.{}", key.text), problem));
        }
        // Arguments without a value took the environment's.
        let args = service.build.iter().flat_map(|build| &build.args).map(|(_, value)| value.len()).sum();
        budget.spend_text(&key.at.file, args)?;
        let on = |profile: &String| profiles.contains(profile) || profiles.iter().any(|p| p == "*");
        if service.profiles.is_empty() || service.profiles.iter().any(on) {
            services.push(service);
        } else {
            disabled.push(service);
        }
    }
    Ok(Project { name: String::new(), services, disabled, warnings: Vec::new() })
}

/// The project's secrets by name.
pub(super) type Secrets<'a> = HashMap<&'a str, &'a Node>;

/// Reads the values of one mapping, and names them in full when they are wrong.
pub(super) struct Fields<'a> {
    pub(super) node: &'a Node,
    pub(super) path: String,
}

impl<'a> Fields<'a> {
    fn service(&self, name: &str, env: Variables<'_>, secrets: &Secrets<'_>) -> Result<Service, ComposeError> {
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

    fn build(&self, env: Variables<'_>, secrets: &Secrets<'_>) -> Result<Build, ComposeError> {
        if self.node.entries().is_none() {
            return Err(wrong(self.node, &self.path, "a path, or a mapping with `context:`"));
        }
        let mut build = Build {
            context: self.text("context")?.unwrap_or_default(),
            dockerfile: self.text("dockerfile")?,
            dockerfile_inline: self.text("dockerfile_inline")?,
            args: self.args(env.0)?,
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
            return Err(ComposeError::key(&node.at, path, "stands beside `dockerfile`: keep one of the two"));
        }
        if let Some((node, path)) = self.get("x-bake") {
            bake::apply(&mut build, &Fields { node, path }, env)?;
        }
        Ok(build)
    }

    /// A key's value and full path; `None` if it is absent or empty.
    pub(super) fn get(&self, key: &str) -> Option<(&'a Node, String)> {
        let node = self.node.get(key).filter(|node| !node.is_null())?;
        Some((node, format!("{}.{key}", self.path)))
    }

    /// A string; an empty one counts as absent.
    pub(super) fn text(&self, key: &str) -> Result<Option<String>, ComposeError> {
        let Some((node, path)) = self.get(key) else { return Ok(None) };
        scalar_text(node, &path).map(|text| Some(text).filter(|text| !text.is_empty()))
    }

    /// A string or a list of them.
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

    /// A truth value. `yes` and `on` count, as they do in Compose.
    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>, ComposeError> {
        let Some((node, path)) = self.get(key) else { return Ok(None) };
        let word = match &node.value {
            Value::Scalar(Scalar::Bool(flag)) => return Ok(Some(*flag)),
            Value::Scalar(Scalar::Text(text)) => text.to_lowercase(),
            _ => String::new(),
        };
        match word.as_str() {
            "true" | "yes" | "y" | "on" => Ok(Some(true)),
            "false" | "no" | "n" | "off" => Ok(Some(false)),
            _ => Err(ComposeError::key(&node.at, path, "is no truth value: write `true` or `false`")),
        }
    }

    /// A mapping of single values.
    pub(super) fn pairs(&self, key: &str) -> Result<Vec<(String, String)>, ComposeError> {
        let mut pairs = Vec::new();
        for (key, node, path) in self.mapping(key)? {
            pairs.push((key, single(node, &path)?));
        }
        Ok(pairs)
    }

    fn mapping(&self, key: &str) -> Result<Vec<(String, &'a Node, String)>, ComposeError> {
        let Some((node, path)) = self.get(key) else { return Ok(Vec::new()) };
        let Some(entries) = node.entries() else { return Err(wrong(node, &path, "a mapping")) };
        Ok(entries.iter().map(|(key, node)| (key.text.clone(), node, format!("{path}.{}", key.text))).collect())
    }

    /// Arguments without a value take the environment's, and vanish if it has none.
    fn args(&self, env: &BTreeMap<String, String>) -> Result<Vec<(String, String)>, ComposeError> {
        let mut args = Vec::new();
        for (name, node, path) in self.mapping("args")? {
            let value = if node.is_null() { env.get(&name).cloned() } else { Some(single(node, &path)?) };
            args.extend(value.map(|value| (name, value)));
        }
        Ok(args)
    }

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

    fn size(&self, key: &str) -> Result<Option<u64>, ComposeError> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        let size =
            bytes(&text).ok_or_else(|| self.wrong_at(key, "is no size: write bytes, or such as `64m` or `2gb`"))?;
        Ok(Some(size).filter(|size| *size > 0))
    }

    fn wrong_at(&self, key: &str, problem: &str) -> ComposeError {
        let (node, path) = self.get(key).unwrap_or((self.node, self.path.clone()));
        ComposeError::key(&node.at, path, problem)
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
        match self.get(key) {
            Some((node, path)) => limit(node, &path),
            None => Err(ComposeError::key(&self.node.at, &self.path, format!("has no `{key}`: write soft and hard"))),
        }
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
                return Err(ComposeError::key(
                    &item.at,
                    path,
                    "has no `source`: name a secret of the top-level `secrets`",
                ));
            };
            let Some(definition) = defined.get(name.as_str()).copied() else {
                let problem = format!("names the secret `{name}`: define it under the top-level `secrets`");
                return Err(ComposeError::key(&item.at, path, problem));
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
            _ => Err(ComposeError::key(&self.node.at, &self.path, "has no value: write `file:` or `environment:`")),
        }
    }

    fn ssh(&self) -> Result<Vec<SshKey>, ComposeError> {
        let mut keys = Vec::new();
        for (id, path) in self.pairs("ssh")? {
            let path = Some(path).filter(|path| !path.is_empty());
            if path.is_none() && id != "default" {
                return Err(self.wrong_at("ssh", "has a key without a path: write `id=path`, or `default`"));
            }
            keys.push(SshKey { id, path });
        }
        Ok(keys)
    }
}

/// A value as Compose renders it; nothing is an empty string.
fn single(node: &Node, path: &str) -> Result<String, ComposeError> {
    match &node.value {
        Value::Scalar(scalar) => Ok(scalar.text().into_owned()),
        Value::List(_) | Value::Map(_) => Err(wrong(node, path, "a single value")),
    }
}

fn limit(node: &Node, path: &str) -> Result<i64, ComposeError> {
    let number = match &node.value {
        Value::Scalar(Scalar::Int(number, _)) => i64::try_from(*number).ok(),
        Value::Scalar(Scalar::Text(text)) => text.parse().ok(),
        _ => None,
    };
    number.ok_or_else(|| ComposeError::key(&node.at, path, "is no limit: write a whole number, -1 for none"))
}
