//! Parses the input `images`.

use super::{
    cache::{CacheSpec, cache_spec},
    error::InputError,
    nodes::{Mistake, Pair, document, items, one_or_more, pairs, text, texts, unknown_key},
    runner::RunnerEnv,
    typed::ImageInput,
    values::{comma_lines, is_platform},
};
use crate::{
    domain::invalid::Invalid,
    tags::language::{self, Dialect},
    yaml::Node,
};

const INPUT: &str = "images";

const HINT: &str = "write a YAML list of mappings, each with a `name`; `image-name` sets the name in the registry";

/// The keys of an item.
const KEYS: [&str; 14] = [
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

/// Parses a YAML list of mappings. All mistakes are reported together.
pub fn images(text: &str, env: &RunnerEnv, dialect: Dialect) -> Result<Vec<ImageInput>, Vec<InputError>> {
    let document = document(INPUT, text).map_err(|mistake| vec![mistake])?;
    let Some(items) = one_or_more(&document) else {
        return Err(vec![InputError::hidden(INPUT, "is not a YAML list", HINT)]);
    };
    let mut reader = Reader { env, dialect, mistakes: Vec::new() };
    let mut images: Vec<ImageInput> = Vec::new();
    for item in items {
        let Some(image) = reader.image(item) else { continue };
        if !image.name.is_empty() && images.iter().any(|other| other.name == image.name) {
            let mistake = InputError::shown(INPUT, &image.name, "is the name of another item", "use unique names");
            reader.mistakes.push(mistake.at_line(item.at.line_number()).at_key("name"));
        }
        images.push(image);
    }
    if reader.mistakes.is_empty() { Ok(images) } else { Err(reader.mistakes) }
}

struct Reader<'a> {
    env: &'a RunnerEnv,
    dialect: Dialect,
    mistakes: Vec<InputError>,
}

impl Reader<'_> {
    fn image(&mut self, item: &Node) -> Option<ImageInput> {
        let line = item.at.line_number();
        let Some(entries) = item.entries() else {
            self.mistakes.push(InputError::hidden(INPUT, "is not a mapping", HINT).at_line(line));
            return None;
        };
        let mut image = ImageInput::default();
        for (key, value) in entries {
            if !KEYS.contains(&key.text.as_str()) {
                self.mistakes.push(unknown_key(INPUT, key, &KEYS));
            } else if let Err(mistakes) = self.set(&mut image, &key.text, value) {
                self.mistakes.extend(mistakes.into_iter().map(|mistake| mistake.of(INPUT, &key.text)));
            }
        }
        if image.name.is_empty() {
            self.mistakes.push(InputError::hidden(INPUT, "has no `name`", HINT).at_line(line));
        }
        Some(image)
    }

    fn set(&self, image: &mut ImageInput, key: &str, value: &Node) -> Result<(), Vec<Mistake>> {
        let one = |mistake: Mistake| vec![mistake];
        match key {
            "name" => image.name = text(value).map_err(one)?.unwrap_or_default(),
            "context" => image.context = text(value).map_err(one)?,
            "dockerfile" => image.dockerfile = text(value).map_err(one)?,
            "target" => image.target = text(value).map_err(one)?,
            "build-args" => image.build_args = self.build_args(value).map_err(one)?,
            "build-contexts" => image.build_contexts = contexts(value).map_err(one)?,
            "platforms" => image.platforms = platforms(value).map_err(one)?,
            "tags" => image.tags = self.rules(value)?,
            "image-name" => image.image_names = texts(value).map_err(one)?,
            "labels" => {
                let pairs = pairs(value).map_err(one)?;
                image.labels = pairs.into_iter().map(|pair| (pair.key, pair.value.unwrap_or_default())).collect();
            }
            "secrets" => image.secrets = texts(value).map_err(one)?,
            "cache-from" => image.cache_from = caches(value).map_err(one)?,
            "cache-to" => image.cache_to = caches(value).map_err(one)?,
            _ => image.services = texts(value).map_err(one)?,
        }
        Ok(())
    }

    /// Returns the build arguments. Arguments without a value take it from the environment.
    fn build_args(&self, node: &Node) -> Result<Vec<(String, String)>, Mistake> {
        let with_value = |Pair { line, key, value }: Pair| {
            let value = value.or_else(|| self.env.var(&key).map(str::to_owned));
            let problem = || format!("has no value for `{key}`, and the environment has none either");
            let value = value.ok_or_else(|| Mistake::new(line, problem(), format!("write `{key}=value`")))?;
            Ok((key, value))
        };
        pairs(node)?.into_iter().map(with_value).collect()
    }

    fn rules(&self, node: &Node) -> Result<Vec<language::Rule>, Vec<Mistake>> {
        let mut text = String::new();
        let mut numbers = Vec::new();
        for (number, item) in items(node).map_err(|mistake| vec![mistake])? {
            for (index, line) in item.lines().enumerate() {
                numbers.push(number + index);
                text.push_str(line);
                text.push('\n');
            }
        }
        let read = language::read(&text, self.dialect).map_err(|mistakes| {
            let mistake = |mistake: language::LineError| Mistake {
                line: numbers.get(mistake.line - 1).copied().unwrap_or_else(|| node.at.line_number()),
                value: Some(mistake.written),
                reason: Invalid::new(mistake.problem, mistake.hint),
            };
            mistakes.into_iter().map(mistake).collect::<Vec<_>>()
        })?;
        Ok(read.rules)
    }
}

fn contexts(node: &Node) -> Result<Vec<(String, String)>, Mistake> {
    let with_source = |Pair { line, key, value }: Pair| {
        let problem = || format!("has no source for `{key}`");
        let value = value.ok_or_else(|| Mistake::new(line, problem(), format!("write `{key}=path`")))?;
        Ok((key, value))
    };
    pairs(node)?.into_iter().map(with_source).collect()
}

fn platforms(node: &Node) -> Result<Vec<String>, Mistake> {
    let mut platforms = Vec::new();
    for (line, item) in items(node)? {
        for platform in comma_lines(&item) {
            if !is_platform(platform) {
                let reason = Invalid::new("is not a platform", "use a platform such as `linux/amd64`");
                return Err(Mistake { line, value: Some(platform.to_owned()), reason });
            }
            platforms.push(platform.to_owned());
        }
    }
    Ok(platforms)
}

/// Parses caches. Errors do not contain the line, because it may contain a key.
fn caches(node: &Node) -> Result<Vec<CacheSpec>, Mistake> {
    let cache =
        |(line, item): (usize, String)| cache_spec(&item).map_err(|reason| Mistake { line, value: None, reason });
    items(node)?.into_iter().map(cache).collect()
}

#[cfg(test)]
mod tests {
    use super::{Dialect, ImageInput, InputError, RunnerEnv};

    fn images(text: &str, env: &RunnerEnv) -> Result<Vec<ImageInput>, Vec<InputError>> {
        super::images(text, env, Dialect::Repaired)
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
    fn mistakes_name_line_and_key() {
        let text = "- {nam: x}\n- name: a\n  target: []\n- {name: a}\n- b\n- name: c\n  platforms:\n    - linux/amd64\n    \
                    - x\n  build-args: [GONE]\n  tags: |\n\n    # c\n\n    a\n    type=semver\n  cache-to: [type=x]\n";
        let mistakes = images(text, &RunnerEnv::default()).unwrap_err();
        let shown: Vec<String> = mistakes
            .iter()
            .map(|InputError { line, key, value, problem, .. }| {
                let place = format!("{} {}", line.unwrap(), key.as_deref().unwrap_or("-"));
                format!("{place} {}: {problem}", value.as_deref().unwrap_or("-"))
            })
            .collect();
        assert_eq!(
            shown,
            [
                "1 - nam: is not a known key",
                "1 - -: has no `name`",
                "3 target -: is a list",
                "4 name a: is the name of another item",
                "5 - -: is not a mapping",
                "9 platforms x: is not a platform",
                "10 build-args -: has no value for `GONE`, and the environment has none either",
                "16 tags type=semver: has no `pattern`",
                "17 cache-to -: has the unknown type `x`",
            ]
        );
        assert_eq!(
            mistakes[5].to_string(),
            "input `images`, line 9, `platforms`: `x` is not a platform; use a platform such as `linux/amd64`"
        );
        let broken = images("- name: a\n  b: [", &RunnerEnv::default()).unwrap_err();
        assert!(broken[0].to_string().starts_with("input `images`, line 3: invalid YAML ("), "{broken:?}");
        let wrong = images("x", &RunnerEnv::default()).unwrap_err();
        assert!(wrong[0].to_string().starts_with("input `images`: is not a YAML list; "), "{wrong:?}");
    }
}
