//! Readers of inputs with a structure of their own: `images`, `registries`, `secrets`.

use crate::{
    domain::{credentials::as_in_images, default_user::default_user, repository::is_registry_host, secret::Secret},
    tags::language::{self, Dialect, LineError},
};

use super::{
    cache::cache_spec,
    error::InputError,
    runner::RunnerEnv,
    typed::{Credentials, ImageInput},
    values::{comma_lines, is_platform, lines, pair},
    yaml::{self, Node},
};

/// A problem and its fix, for the caller to put the input's name and value to.
pub type Complaint = (String, String);

fn complaint(problem: &str, fix: &str) -> Complaint {
    (problem.to_owned(), fix.to_owned())
}

/// The lines of an input with their numbers, if one of them stands between quotes as in Docker's own actions:
/// `"KEY=a value of<newline>many lines"`, with quotes inside doubled. The others stand as they are written. Blank lines
/// and comments are left out.
pub fn quoted_lines(text: &str) -> Option<Result<Vec<(usize, String)>, LineError>> {
    let is_name =
        |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
    let quoted = |line: &str| {
        let pair = line.strip_prefix('"').and_then(|rest| rest.split_once('='));
        pair.is_some_and(|(name, _)| is_name(name))
    };
    text.lines().any(quoted).then(|| {
        let mut found = Vec::new();
        let mut all = text.lines().enumerate();
        while let Some((index, line)) = all.next() {
            if !line.starts_with('"') {
                found.extend(lines(line).map(|line| (index + 1, line.to_owned())));
                continue;
            }
            let mut record = line.to_owned();
            while record.matches('"').count() % 2 == 1 {
                let Some((_, more)) = all.next() else { break };
                record = format!("{record}\n{more}");
            }
            let read = language::lines(&record, Dialect::Repaired)
                .map_err(|mistake| LineError { line: index + mistake.line, ..mistake })?;
            found.extend(read.into_iter().map(|(number, line)| (index + number, line)));
        }
        Ok(found)
    })
}

/// `secrets`: `id=value` lines, or a YAML map. Errors name lines, never their text.
pub fn secrets(text: &str) -> Result<Vec<(String, Secret)>, InputError> {
    let input = "secrets";
    let id_valid =
        |id: &str| (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
    let first = lines(text).next().unwrap_or_default();
    let is_line = pair(first).is_some_and(|(id, _)| id_valid(id));
    let mut secrets: Vec<(String, Secret)> = Vec::new();
    let fix = "write one `id=value` a line; a value of many lines needs a YAML map (`id: |`), or quotes around it all \
               with those inside doubled";
    if let Some(lines) = quoted_lines(text) {
        let wrong = |line: usize, problem: &str| InputError::hidden(input, format!("line {line} {problem}"), fix);
        for (number, line) in lines.map_err(|mistake| wrong(mistake.line, &mistake.problem))? {
            let (id, value) =
                pair(&line).filter(|(id, _)| id_valid(id)).ok_or_else(|| wrong(number, "is no `id=value`"))?;
            if value.starts_with("-----BEGIN ") && !value.contains('\n') {
                return Err(wrong(number, "begins a value of many lines"));
            }
            secrets.push((id.to_owned(), Secret::new(value)));
        }
    } else if is_line || first.is_empty() {
        for (index, line) in text.lines().enumerate() {
            let Some(line) = lines(line).next() else { continue };
            match pair(line) {
                // The rest of a key that was pasted after `id=` can look like `id=value` too, and ids are shown.
                Some((_, value)) if value.starts_with("-----BEGIN ") => {
                    return Err(InputError::hidden(
                        input,
                        format!("line {} begins a value of many lines", index + 1),
                        fix,
                    ));
                }
                Some((id, value)) if id_valid(id) => secrets.push((id.to_owned(), Secret::new(value))),
                _ => return Err(InputError::hidden(input, format!("line {} is no `id=value`", index + 1), fix)),
            }
        }
    } else {
        let Node::Map(entries) = yaml::read(text).map_err(|e| InputError::hidden(input, e.to_string(), fix))? else {
            return Err(InputError::hidden(input, "is neither `id=value` lines nor a YAML map", fix));
        };
        for (index, (id, value)) in entries.into_iter().enumerate() {
            match value {
                Node::Text(value) if id_valid(&id) => secrets.push((id, Secret::new(value))),
                _ => {
                    let problem = format!("entry {} of the map is no text under an id", index + 1);
                    return Err(InputError::hidden(input, problem, fix));
                }
            }
        }
    }
    for (index, (id, _)) in secrets.iter().enumerate() {
        if secrets.iter().take(index).any(|(other, _)| other == id) {
            return Err(InputError::hidden(input, format!("the id `{id}` stands there twice"), "keep one of them"));
        }
    }
    Ok(secrets)
}

/// What `registries` says.
#[derive(Debug, Default)]
pub struct Registries {
    /// Logins.
    pub credentials: Vec<Credentials>,
    /// Hosts that are named alone.
    pub hosts: Vec<String>,
}

/// `registries`: a YAML list of `{registry, username, password}`.
pub fn registries(text: &str) -> Result<Registries, InputError> {
    let fix = "write a YAML list of maps with `registry`, `username` and `password`";
    let wrong = |problem: String| InputError::hidden("registries", problem, fix);
    let Node::List(items) = yaml::read(text).map_err(|error| wrong(error.to_string()))? else {
        return Err(wrong("is no YAML list".to_owned()));
    };
    let mut all = Registries::default();
    for (index, item) in items.into_iter().enumerate() {
        let at = |what: &str| wrong(format!("item {}: {what}", index + 1));
        let Node::Map(entries) = item else { return Err(at("is no map")) };
        let mut registry = String::new();
        let mut username = String::new();
        let mut password = Secret::default();
        for (key, value) in entries {
            let Node::Text(value) = value else { return Err(at("a value is no text")) };
            match key.as_str() {
                "registry" => registry = as_in_images(value.trim()),
                // A block (`|`) ends in a line's end, which belongs to neither.
                "username" => value.trim().clone_into(&mut username),
                "password" => password = Secret::new(value.trim()),
                // docker/login-action's. A registry of Amazon's is known by its name.
                "ecr" => {}
                _ => return Err(at("a key is none of the three")),
            }
        }
        if registry.is_empty() {
            return Err(at("has no `registry`; Docker Hub is `docker.io`"));
        }
        if !is_registry_host(&registry) {
            return Err(at("`registry` is no registry host"));
        }
        if username.is_empty() && !password.is_empty() {
            default_user(&registry, password.expose()).unwrap_or_default().clone_into(&mut username);
        }
        // A secret that this run may not see arrives empty; that registry is then used with what else is known of it.
        if username.is_empty() || password.is_empty() {
            all.hosts.push(registry);
        } else {
            all.credentials.push(Credentials { registry, username, password });
        }
    }
    Ok(all)
}

/// The keys of an item of `images`.
const IMAGE_KEYS: [&str; 14] = [
    "name",
    "context",
    "dockerfile",
    "target",
    "build-args",
    "build-contexts",
    "platforms",
    "tags",
    "image-name",
    "labels",
    "secrets",
    "cache-from",
    "cache-to",
    "services",
];

/// `images`: a YAML list of maps. All mistakes in it are reported together.
pub fn images(text: &str, env: &RunnerEnv, dialect: Dialect) -> Result<Vec<ImageInput>, Vec<InputError>> {
    let fix = "write a YAML list of maps, each with a `name`; what an image is called in a registry is `image-name`";
    let wrong = |problem: String| vec![InputError::hidden("images", problem, fix)];
    let Node::List(items) = yaml::read(text).map_err(|error| wrong(error.to_string()))? else {
        return Err(wrong("is no YAML list".to_owned()));
    };
    let mut images: Vec<ImageInput> = Vec::new();
    let mut mistakes = Vec::new();
    for (index, item) in items.into_iter().enumerate() {
        let Node::Map(entries) = item else {
            mistakes.extend(wrong(format!("item {} is no map", index + 1)));
            continue;
        };
        let mut image = ImageInput::default();
        for (key, value) in entries {
            if key == "tags" {
                match list(value).map(|lines| language::read(&lines.join("\n"), dialect)) {
                    Ok(Ok(read)) => image.tags = read.rules,
                    Ok(Err(wrong)) => mistakes.extend(wrong.into_iter().map(|mistake| {
                        let problem = format!("item {}, `tags`: {}", index + 1, mistake.problem);
                        InputError::shown("images", &mistake.written, problem, mistake.hint)
                    })),
                    Err((problem, fix)) => {
                        mistakes.push(InputError::hidden(
                            "images",
                            format!("item {}, `tags`: {problem}", index + 1),
                            fix,
                        ));
                    }
                }
            } else if let Err((problem, fix)) = set_image(&mut image, &key, value, env) {
                mistakes.push(InputError::hidden("images", format!("item {}, `{key}`: {problem}", index + 1), fix));
            }
        }
        if image.name.is_empty() {
            mistakes.extend(wrong(format!("item {} has no `name`", index + 1)));
        } else if images.iter().any(|other| other.name == image.name) {
            mistakes.extend(wrong(format!("two items have the name `{}`", image.name)));
        }
        images.push(image);
    }
    if mistakes.is_empty() { Ok(images) } else { Err(mistakes) }
}

fn set_image(image: &mut ImageInput, key: &str, value: Node, env: &RunnerEnv) -> Result<(), Complaint> {
    match key {
        "name" => image.name = text(value)?.unwrap_or_default(),
        "context" => image.context = text(value)?,
        "dockerfile" => image.dockerfile = text(value)?,
        "target" => image.target = text(value)?,
        "image-name" => image.image_names = list(value)?,
        "build-args" => {
            for (key, value) in pairs(value)? {
                let Some(value) = value.or_else(|| env.var(&key).map(str::to_owned)) else {
                    let problem = format!("`{key}` has no value and the environment has none");
                    return Err((problem, format!("write `{key}=value`")));
                };
                image.build_args.push((key, value));
            }
        }
        "build-contexts" => {
            for (key, value) in pairs(value)? {
                let value = value.ok_or_else(|| complaint("has a name without a source", "write `name=path`"))?;
                image.build_contexts.push((key, value));
            }
        }
        "labels" => {
            image.labels = pairs(value)?.into_iter().map(|(key, value)| (key, value.unwrap_or_default())).collect();
        }
        "platforms" => {
            image.platforms = list(value)?.iter().flat_map(|item| comma_lines(item)).map(str::to_owned).collect();
            if let Some(bad) = image.platforms.iter().find(|platform| !is_platform(platform)) {
                return Err((format!("`{bad}` is no platform"), "write it like `linux/amd64`".to_owned()));
            }
        }
        "secrets" => image.secrets = list(value)?,
        "services" => image.services = list(value)?,
        "cache-from" => {
            image.cache_from = list(value)?.iter().map(|line| cache_spec(line)).collect::<Result<_, _>>()?;
        }
        "cache-to" => image.cache_to = list(value)?.iter().map(|line| cache_spec(line)).collect::<Result<_, _>>()?,
        _ => return Err(("there is no such key".to_owned(), format!("use {}", IMAGE_KEYS.join(", ")))),
    }
    Ok(())
}

fn text(node: Node) -> Result<Option<String>, Complaint> {
    match node {
        Node::Text(text) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
        Node::List(_) | Node::Map(_) => Err(complaint("is no text", "write plain text")),
    }
}

/// A YAML list of texts, or lines of a text as in the input of that name.
fn list(node: Node) -> Result<Vec<String>, Complaint> {
    match node {
        Node::Text(text) => Ok(lines(&text).map(str::to_owned).collect()),
        Node::List(items) => items.into_iter().filter_map(|item| text(item).transpose()).collect(),
        Node::Map(_) => Err(complaint("is no list", "write a YAML list")),
    }
}

/// A YAML map, or a list of `key=value`. A value may be absent.
fn pairs(node: Node) -> Result<Vec<(String, Option<String>)>, Complaint> {
    match node {
        Node::Map(entries) => entries.into_iter().map(|(key, value)| Ok((key, text(value)?))).collect(),
        other => list(other)?
            .into_iter()
            .map(|item| match item.split_once('=') {
                Some(("", _)) => Err(complaint("has an item without a name", "write `KEY=value`")),
                Some((key, value)) => Ok((key.to_owned(), Some(value.to_owned()))),
                None => Ok((item, None)),
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::{registries, secrets};
    use crate::{
        inputs::{error::InputError, runner::RunnerEnv, typed::ImageInput},
        tags::language::Dialect,
    };

    fn images(text: &str, env: &RunnerEnv) -> Result<Vec<ImageInput>, Vec<InputError>> {
        super::images(text, env, Dialect::Repaired)
    }

    #[test]
    fn secrets_are_lines_or_a_map() {
        let shown = |text: &str| -> Vec<String> {
            secrets(text).unwrap().iter().map(|(id, secret)| format!("{id}={:?}", secret.expose())).collect()
        };
        assert_eq!(shown(""), [""; 0]);
        assert_eq!(shown("# c\na=1\n\nb.c-d = x=y \n"), [r#"a="1""#, r#"b.c-d="x=y""#]);
        assert_eq!(shown("empty="), [r#"empty="""#]);
        assert_eq!(shown("key: |\n  one\n  two\nother: 'a=b'"), [r#"key="one\ntwo\n""#, r#"other="a=b""#]);
        assert_eq!(shown(r#"{"a": "b: c"}"#), [r#"a="b: c""#]);
        // As in the documentation of docker/build-push-action.
        let quoted = "# c\nTOKEN=ab,c=d\n\"KEY=aaa\n\n# b\"\nFOO=bar\n\"JSON={\"\"k\"\":\"\"v\"\"}\"";
        let want = [r#"TOKEN="ab,c=d""#, r#"KEY="aaa\n\n# b""#, r#"FOO="bar""#, r#"JSON="{\"k\":\"v\"}""#];
        assert_eq!(shown(quoted), want);
        assert_eq!(shown("\"a\": x"), [r#"a="x""#], "a key of YAML may be quoted too");
        let in_block = "env: |\n  \"FOO=bar\"\nother: x";
        assert_eq!(shown(in_block), [r#"env="\"FOO=bar\"\n""#, r#"other="x""#], "a block of YAML is no line");
        let beside = "\"K=a\nb\"\nORIGINS=[\"a\",\"b\"]";
        assert_eq!(shown(beside), [r#"K="a\nb""#, r#"ORIGINS="[\"a\",\"b\"]""#], "only what is quoted is read so");
    }

    #[test]
    fn mistakes_in_secrets_show_none() {
        for (text, want) in [
            ("a=1\nhunter2", "line 2 is no `id=value`"),
            ("a=-----BEGIN KEY-----\nhunter2=\n", "line 1 begins a value of many lines"),
            ("a=1\na=hunter2", "the id `a` stands there twice"),
            ("hunter2", "is neither `id=value` lines nor a YAML map"),
            ("\"a=hunter2", "line 1 has a `\"` without a closing"),
            ("\"a=x\"\nhunter2", "line 2 is no `id=value`"),
            ("\"a=x\ny\"\nb=-----BEGIN KEY-----\nhunter2=", "line 3 begins a value of many lines"),
            ("a: [hunter2]", "entry 1 of the map is no text under an id"),
            ("a: 1\n hunter2: [", "no valid YAML at line 2"),
        ] {
            let error = secrets(text).unwrap_err().to_string();
            assert!(error.contains(want), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn registries_are_a_list_of_maps() {
        let text =
            "- {registry: R.example:5000, username: u, password: hunter2}\n- registry: x.example\n  password: ''";
        let all = registries(text).unwrap();
        assert_eq!(all.hosts, ["x.example"], "one without credentials is no error: forks have no secrets");
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

    #[test]
    fn images_take_lists_and_maps() {
        let env = RunnerEnv::new([("VERSION", "7")]);
        let text = "- name: web\n  context: .\n  build-args: [A=1, VERSION]\n  labels: {l: x}\n  \
                    platforms: linux/amd64,linux/arm64\n  tags: |\n    type=raw,value=a\n    b\n- name: docs\n";
        let images = images(text, &env).unwrap();
        let web = &images[0];
        assert_eq!(web.build_args, [("A".into(), "1".into()), ("VERSION".into(), "7".into())]);
        assert_eq!(web.platforms, ["linux/amd64", "linux/arm64"]);
        assert_eq!(web.tags.iter().map(|rule| rule.written.as_str()).collect::<Vec<_>>(), ["type=raw,value=a", "b"]);
        assert_eq!((images[1].name.as_str(), &images[1].context), ("docs", &None));
    }

    #[test]
    fn mistakes_in_images_come_together() {
        let text = "- {nam: x}\n- {name: a, target: []}\n- {name: a}\n- b\n- {name: c, platforms: [x], build-args: [GONE], tags: [type=semver]}";
        let mistakes = images(text, &RunnerEnv::default()).unwrap_err();
        let shown: Vec<&str> = mistakes.iter().map(|mistake| mistake.problem.as_str()).collect();
        assert_eq!(
            shown,
            [
                "item 1, `nam`: there is no such key",
                "item 1 has no `name`",
                "item 2, `target`: is no text",
                "two items have the name `a`",
                "item 4 is no map",
                "item 5, `platforms`: `x` is no platform",
                "item 5, `build-args`: `GONE` has no value and the environment has none",
                "item 5, `tags`: has no `pattern`",
            ]
        );
    }
}
