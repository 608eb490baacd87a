//! Parses the input `deploy`: the targets that releases are deployed to.

use std::time::Duration;

use globset::Glob;

use super::{
    error::InputError,
    nodes::{Mistake, document, one_or_more, pairs, text, texts, unknown_key},
    server_address::{ServerAddress, jump_host, server},
    values::{boolean, duration, url},
};
use crate::{
    domain::invalid::Invalid,
    yaml::{Key, Node, Value},
};

const INPUT: &str = "deploy";

const HINT: &str = "write a YAML list of mappings, each with `compose: ssh://user@host/path`";

/// The keys of a target.
const KEYS: [&str; 19] = [
    "compose",
    "jump",
    "name",
    "refs",
    "services",
    "migrate",
    "lock-wait",
    "http-check",
    "timeout",
    "settle",
    "rollback",
    "environment",
    "url",
    "files",
    "project",
    "sync",
    "keep",
    "strategy",
    "at-once",
];

/// Kinds of targets and keys of later versions.
const RESERVED: [&str; 11] = [
    "ecs",
    "kubernetes",
    "portainer",
    "region",
    "role",
    "circuit-breaker",
    "context",
    "eks",
    "gke",
    "selector",
    "endpoint",
];

/// The number of releases that a server keeps by default.
const KEEP: usize = 5;

/// One item of the input `deploy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetInput {
    /// Name in messages and outputs. The first server if it is not specified.
    pub name: String,
    /// The servers with Docker Compose.
    pub servers: Vec<ServerAddress>,
    /// The number of servers that are deployed to at the same time, at least 1.
    pub at_once: usize,
    /// The server through which they are reached.
    pub jump: Option<ServerAddress>,
    /// Globs over the names of branches and tags that are deployed. If empty, the default branch.
    pub refs: Vec<String>,
    /// The image of each service. If empty, services are matched by repository, service or name.
    pub services: Vec<(String, String)>,
    /// Commands to run before the switch: a service, and the program with its arguments.
    pub migrations: Vec<(String, Vec<String>)>,
    /// How long to wait for another deployment.
    pub lock_wait: Duration,
    /// The URL that must answer after the switch.
    pub http_check: Option<HttpCheckInput>,
    /// How long a migration and the switch may take.
    pub timeout: Duration,
    /// How long everything must stay up.
    pub settle: Duration,
    /// Whether a failed release is rolled back.
    pub rolls_back: bool,
    /// The GitHub environment in which deployments to the target are recorded.
    pub environment: Option<String>,
    /// URL of the deployed site.
    pub url: Option<String>,
    /// Compose files on the server. If empty, Compose's default.
    pub files: Vec<String>,
    /// The project's name. If `None`, Compose's default.
    pub project: Option<String>,
    /// How containers are replaced.
    pub strategy: Strategy,
    /// Files and directories of the checkout that are copied to the server, relative to the working directory.
    pub sync: Vec<String>,
    /// The number of releases that the server keeps, at least 1.
    pub keep: usize,
}

/// How the containers of a service are replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// The old container stops before the new one starts.
    #[default]
    Recreate,
    /// The new container starts next to the old one, which stops once the new one is healthy.
    Rollout,
}

/// The key `http-check`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpCheckInput {
    /// The URL.
    pub url: String,
    /// The expected status. If `None`, any of 2xx and 3xx.
    pub status: Option<u16>,
    /// How long the site may take until it answers so.
    pub timeout: Duration,
    /// Text that the answer must contain.
    pub body: Option<String>,
}

/// How long a site may take by default.
const HTTP_TIMEOUT: Duration = Duration::from_mins(1);

/// Parses a YAML list of mappings, or a single mapping. All mistakes are reported together.
///
/// # Errors
/// All mistakes, in the order of the text.
pub fn targets(text: &str) -> Result<Vec<TargetInput>, Vec<InputError>> {
    let document = document(INPUT, text).map_err(|mistake| vec![mistake])?;
    let Some(items) = one_or_more(&document) else {
        return Err(vec![InputError::hidden(INPUT, "is not a YAML list", HINT)]);
    };
    let mut mistakes = Vec::new();
    let mut targets: Vec<TargetInput> = Vec::new();
    for item in items {
        let Some(target) = target(item, &mut mistakes) else { continue };
        if targets.iter().any(|other| other.name == target.name) {
            let mistake =
                InputError::shown(INPUT, &target.name, "is the name of another target", "set a unique `name`");
            mistakes.push(mistake.at_line(item.at.line_number()).at_key("name"));
        }
        targets.push(target);
    }
    if mistakes.is_empty() { Ok(targets) } else { Err(mistakes) }
}

fn target(item: &Node, mistakes: &mut Vec<InputError>) -> Option<TargetInput> {
    let line = item.at.line_number();
    let Some(entries) = item.entries() else {
        mistakes.push(InputError::hidden(INPUT, "is not a mapping", HINT).at_line(line));
        return None;
    };
    let before = mistakes.len();
    let mut target = TargetInput {
        name: String::new(),
        servers: Vec::new(),
        at_once: 1,
        jump: None,
        refs: Vec::new(),
        services: Vec::new(),
        migrations: Vec::new(),
        lock_wait: Duration::from_mins(15),
        http_check: None,
        timeout: Duration::from_mins(10),
        settle: Duration::from_secs(15),
        rolls_back: true,
        environment: None,
        url: None,
        files: Vec::new(),
        project: None,
        strategy: Strategy::Recreate,
        sync: Vec::new(),
        keep: KEEP,
    };
    for (key, value) in entries {
        if RESERVED.contains(&key.text.as_str()) {
            let hint = "remove it; this version deploys with Docker Compose over SSH";
            let mistake = InputError::shown(INPUT, &key.text, "is reserved for a later version", hint);
            mistakes.push(mistake.at_line(key.at.line_number()));
        } else if !KEYS.contains(&key.text.as_str()) {
            mistakes.push(unknown_key(INPUT, key, &KEYS));
        } else if let Err(mistake) = set(&mut target, key, value) {
            mistakes.push(mistake.of(INPUT, &key.text));
        }
    }
    if target.at_once > 1 && !target.migrations.is_empty() {
        let hint = "servers often share a database: give the first one `migrate`, as a target of its own";
        mistakes.push(InputError::hidden(INPUT, "has both `at-once` and `migrate`", hint).at_line(line));
    }
    if target.servers.is_empty() && mistakes.len() == before {
        mistakes.push(InputError::hidden(INPUT, "has no `compose`", HINT).at_line(line));
    }
    if target.name.is_empty() {
        target.name = target.servers.first().map(ServerAddress::authority).unwrap_or_default();
    }
    (mistakes.len() == before).then_some(target)
}

fn set(target: &mut TargetInput, key: &Key, value: &Node) -> Result<(), Mistake> {
    match key.text.as_str() {
        "compose" => {
            for address in texts(value)? {
                let server = valid(value, &address, server, SERVER)?;
                let is_new = |_: &str| (!target.servers.contains(&server)).then_some(());
                valid(value, &address, is_new, ("is listed twice", "remove one of them"))?;
                target.servers.push(server);
            }
        }
        "jump" => target.jump = Some(valid(value, &written(value)?, jump_host, JUMP)?),
        "name" => target.name = text(value)?.unwrap_or_default(),
        "refs" => {
            for pattern in texts(value)? {
                valid(value, &pattern, |text| Glob::new(text).ok(), ("is not a pattern", "use names, `*` or `?`"))?;
                target.refs.push(pattern);
            }
        }
        "services" => {
            target.services = pairs(value)?
                .into_iter()
                .map(|pair| Ok((pair.key, pair.value.ok_or_else(|| no_value(pair.line, "service: image"))?)))
                .collect::<Result<_, Mistake>>()?;
        }
        "migrate" => target.migrations = migrations(value)?,
        "lock-wait" => target.lock_wait = time(value)?,
        "timeout" => target.timeout = time(value)?,
        "settle" => target.settle = time(value)?,
        "http-check" => target.http_check = Some(http_check(value)?),
        "rollback" => {
            target.rolls_back = valid(
                value,
                &written(value)?,
                |text| match text {
                    "auto" => Some(true),
                    other => boolean(other).filter(|on| !on),
                },
                ("is not a valid value", "use `auto` or `off`"),
            )?;
        }
        "environment" => target.environment = Some(written(value)?),
        "url" => target.url = Some(valid(value, &written(value)?, url, URL)?),
        "files" => target.files = texts(value)?,
        "project" => target.project = text(value)?,
        "sync" => target.sync = texts(value)?,
        "keep" => {
            target.keep = valid(value, &written(value)?, count, ("is not a number of releases", "use 1 or more"))?;
        }
        "at-once" => {
            target.at_once = valid(value, &written(value)?, count, ("is not a number of servers", "use 1 or more"))?;
        }
        _ => {
            let strategy = |text: &str| match text {
                "recreate" => Some(Strategy::Recreate),
                "rollout" => Some(Strategy::Rollout),
                _ => None,
            };
            let wrong = ("is not a known strategy", "use `recreate` or `rollout`");
            target.strategy = valid(value, &written(value)?, strategy, wrong)?;
        }
    }
    Ok(())
}

const SERVER: (&str, &str) = (
    "is not an address of a server",
    "write `ssh://user@host/path` or `ssh://user@host:2222/path`, with the full path",
);
const JUMP: (&str, &str) = ("is not an address of a jump host", "write `ssh://user@host` or `ssh://user@host:2222`");
const URL: (&str, &str) = ("is not a URL", "use a URL that begins with `https://`");

fn valid<T>(
    node: &Node,
    text: &str,
    read: impl Fn(&str) -> Option<T>,
    (problem, hint): (&str, &str),
) -> Result<T, Mistake> {
    read(text).ok_or_else(|| Mistake {
        line: node.at.line_number(),
        value: Some(text.to_owned()),
        reason: Invalid::new(problem, hint),
    })
}

fn written(node: &Node) -> Result<String, Mistake> {
    text(node)?.ok_or_else(|| Mistake::new(node.at.line_number(), "is empty", "write a value, or remove the key"))
}

fn count(text: &str) -> Option<usize> {
    text.parse().ok().filter(|number| *number > 0)
}

fn no_value(line: usize, form: &str) -> Mistake {
    Mistake::new(line, "has an entry without a value", format!("write `{form}`"))
}

fn time(node: &Node) -> Result<Duration, Mistake> {
    valid(node, &written(node)?, duration, ("is not a duration", "use a number with a unit, such as `30s` or `10m`"))
}

/// Parses a mapping from services to commands: a text that is split at spaces outside quotes, or a list.
fn migrations(node: &Node) -> Result<Vec<(String, Vec<String>)>, Mistake> {
    let Some(entries) = node.entries() else {
        return Err(Mistake::new(node.at.line_number(), format!("is {}", node.kind()), "write `service: command`"));
    };
    let migration = |(key, value): &(Key, Node)| {
        let command = match &value.value {
            Value::List(_) => texts(value)?,
            _ => valid(
                value,
                &written(value)?,
                words,
                ("has a quote that is not closed", "close the quote, or write a list"),
            )?,
        };
        if command.is_empty() {
            return Err(no_value(key.at.line_number(), "service: command"));
        }
        Ok((key.text.clone(), command))
    };
    entries.iter().map(migration).collect()
}

/// Splits a command at spaces, as a shell does, without variables and other operators; `None` if a quote is not closed.
fn words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in text.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

fn http_check(node: &Node) -> Result<HttpCheckInput, Mistake> {
    let Some(entries) = node.entries() else {
        let url = valid(node, &written(node)?, url, URL)?;
        return Ok(HttpCheckInput { url, status: None, timeout: HTTP_TIMEOUT, body: None });
    };
    let mut check = HttpCheckInput { url: String::new(), status: None, timeout: HTTP_TIMEOUT, body: None };
    for (key, value) in entries {
        match key.text.as_str() {
            "url" => check.url = valid(value, &written(value)?, url, URL)?,
            "status" => {
                let status = |text: &str| text.parse().ok().filter(|status| (100..600).contains(status));
                let wrong = ("is not an HTTP status", "use a number such as 200");
                check.status = Some(valid(value, &written(value)?, status, wrong)?);
            }
            "timeout" => check.timeout = time(value)?,
            "body" => check.body = text(value)?,
            _ => {
                let hint = "use `url`, `status`, `timeout` or `body`";
                return Err(Mistake::new(key.at.line_number(), format!("has the unknown key `{}`", key.text), hint));
            }
        }
    }
    if check.url.is_empty() {
        return Err(Mistake::new(node.at.line_number(), "has no `url`", "add the URL that must answer"));
    }
    Ok(check)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{ServerAddress, targets, words};

    #[test]
    fn a_target_takes_few_or_many_keys() {
        let one = targets("compose: ssh://deploy@shop.example/srv/shop").unwrap().remove(0);
        assert_eq!((one.name.as_str(), one.keep, one.at_once, one.rolls_back), ("deploy@shop.example", 5, 1, true));
        assert_eq!((one.settle, one.timeout), (Duration::from_secs(15), Duration::from_mins(10)));
        let many = "\
- name: production
  compose: [ssh://a@one/srv/x, 'ssh://a@two:2222/srv/x/']
  jump: ssh://j@gate:2200
  refs: [main, 'v*']
  services: {web: django}
  migrate: {django: python manage.py migrate --noinput, other: [a, b c]}
  http-check: {url: https://shop.example/health, status: 200, timeout: 30s, body: ok}
  lock-wait: 1m
  rollback: off
  files: [compose.yml, compose.prod.yml]
  keep: 3
- name: staging
  compose: ssh://b@three/srv/x
  at-once: 2
  url: https://staging.example
";
        let all = targets(many).unwrap();
        let first = &all[0];
        assert_eq!(first.servers[1].authority(), "a@two:2222");
        assert_eq!(first.servers[1].path, "/srv/x");
        assert_eq!(first.jump.as_ref().map(ServerAddress::authority).as_deref(), Some("j@gate:2200"));
        assert_eq!(first.migrations[0].1, ["python", "manage.py", "migrate", "--noinput"]);
        assert_eq!(first.migrations[1].1, ["a", "b c"]);
        assert_eq!(first.http_check.as_ref().unwrap().status, Some(200));
        assert!(!first.rolls_back);
        assert_eq!((all[1].name.as_str(), all[1].at_once), ("staging", 2));
    }

    #[test]
    fn mistakes_name_line_and_key() {
        for (text, want) in [
            ("x", "input `deploy`: is not a YAML list"),
            ("[]\n", ""),
            ("- name: a", "input `deploy`, line 1: has no `compose`"),
            (
                "- compose: shop.example",
                "input `deploy`, line 1, `compose`: `shop.example` is not an address of a server",
            ),
            ("- {compose: 'ssh://a@b/c', settle: 15}", "line 1, `settle`: `15` is not a duration"),
            ("- {compose: 'ssh://a@b/c', ref: main}", "line 1: `ref` is not a known key; did you mean `refs`?"),
            ("- {compose: 'ssh://a@b/c', at-once: 2, migrate: {web: a}}", "line 1: has both `at-once` and `migrate`"),
            ("- compose: [ssh://a@b/c, ssh://a@b:22/c]", "`compose`: `ssh://a@b:22/c` is listed twice"),
            ("- {compose: 'ssh://a@b/c', at-once: 0}", "`at-once`: `0` is not a number of servers"),
            ("- ecs: cluster/service", "`ecs` is reserved for a later version"),
            ("- {compose: 'ssh://a@b/c', strategy: canary}", "`strategy`: `canary` is not a known strategy"),
            (
                "- {compose: 'ssh://a@b/c', migrate: {web: \"a 'b\"}}",
                "`migrate`: `a \\'b` has a quote that is not closed",
            ),
            ("- compose: ssh://a@b/c\n- compose: ssh://a@b/d", "`name`: `a@b` is the name of another target"),
        ] {
            let errors = targets(text).err().unwrap_or_default();
            let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
            assert!(errors.join("; ").contains(want), "{text}: {errors:?}");
            assert_eq!(errors.is_empty(), want.is_empty(), "{text}: {errors:?}");
        }
    }

    #[test]
    fn commands_are_split_like_a_shell_splits_them() {
        for (text, want) in
            [("a  b", Some(vec!["a", "b"])), ("a 'b c' \"d\"e ''", Some(vec!["a", "b c", "de", ""])), ("a 'b", None)]
        {
            assert_eq!(words(text), want.map(|words| words.into_iter().map(str::to_owned).collect()), "{text}");
        }
    }
}
