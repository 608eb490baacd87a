//! Parses all inputs into [`Inputs`], and reports all mistakes together.

mod build;
mod builder;
mod cache;
mod deploy;
mod names;
mod notify;
mod project;
mod registry;

use crate::domain::{
    diagnostic::{Diagnostic, Severity},
    secret::Secret,
};

use super::{
    cache::CacheSpec,
    cli::RawInputs,
    error::InputError,
    quoted::quoted_lines,
    runner::RunnerEnv,
    spec::INPUTS,
    typed::{CommandInput, GithubInputs, Inputs, Push, Show},
    values::{boolean, comma_lines, duration, lines, pair},
};

/// The registry that accepts GitHub's own token as a password.
const GHCR: &str = "ghcr.io";

/// Parses every input.
///
/// # Errors
/// Returns all mistakes, in the order of [`INPUTS`]. The caller adds [`super::cli::Invocation::unknown`].
pub fn parse(raw: &RawInputs, env: &RunnerEnv) -> Result<Inputs, Vec<InputError>> {
    let mut reader = Reader { raw, env, mistakes: Vec::new(), warnings: Vec::new() };
    let mut inputs = Inputs {
        command: reader.command(),
        project: reader.project(),
        build: reader.build(),
        names: reader.names(),
        registry: reader.registry(),
        aws: reader.aws(),
        notify: reader.notify(),
        deploy: reader.deploy(),
        github: GithubInputs {
            token: reader.text("github-token").map(Secret::new),
            job_id: reader.text("job-id"),
            job_status: reader.text("job-status"),
            show: Show {
                summary: reader.boolean("summary"),
                annotations: reader.annotations_shown(),
                pr_comment: reader.boolean("pr-comment"),
            },
            dry_run: reader.boolean("dry-run"),
            timeout: reader.checked(
                "timeout",
                duration,
                "is not a duration",
                "use a number with a unit, such as `45m` or `1h30m`",
            ),
        },
        warnings: reader.warnings,
    };
    if reader.mistakes.is_empty() {
        let of_images = inputs.project.images.iter().flat_map(|image| image.cache_from.iter().chain(&image.cache_to));
        inputs.registry.caches.secrets.extend(of_images.flat_map(CacheSpec::secrets));
        return Ok(inputs);
    }
    let place = |mistake: &InputError| INPUTS.iter().position(|spec| spec.name == mistake.input);
    reader.mistakes.sort_by_key(place);
    Err(reader.mistakes)
}

/// Parses inputs one by one and collects the mistakes. After a mistake, each method returns some valid value.
struct Reader<'a> {
    raw: &'a RawInputs,
    env: &'a RunnerEnv,
    mistakes: Vec<InputError>,
    warnings: Vec<Diagnostic>,
}

impl Reader<'_> {
    /// Reports a mistake and shows the value.
    fn reject(&mut self, input: &str, value: &str, problem: impl Into<String>, hint: impl Into<String>) {
        self.mistakes.push(InputError::shown(input, value, problem, hint));
    }

    /// Reports a mistake without the value, because it may be secret or is not needed.
    fn reject_hidden(&mut self, input: &str, problem: impl Into<String>, hint: impl Into<String>) {
        self.mistakes.push(InputError::hidden(input, problem, hint));
    }

    fn warn(&mut self, title: &str, message: String) {
        let title = title.to_owned();
        self.warnings.push(Diagnostic { severity: Severity::Warning, title, message, place: None });
    }

    fn text(&self, input: &str) -> Option<String> {
        self.raw.get(input).map(str::to_owned)
    }

    fn list(&mut self, input: &str) -> Vec<String> {
        let Some(text) = self.raw.get(input) else { return Vec::new() };
        match quoted_lines(text) {
            None => lines(text).map(str::to_owned).collect(),
            Some(Ok(lines)) => lines.into_iter().map(|(_, line)| line).collect(),
            Some(Err(mistake)) => {
                // The line may contain a key, so the error does not contain it.
                let hint = "quote the whole line and double the quotes inside";
                self.mistakes.push(InputError::hidden(input, mistake.problem, hint).at_line(mistake.line));
                Vec::new()
            }
        }
    }

    fn comma_list(&self, input: &str) -> Vec<String> {
        self.raw.get(input).map(|text| comma_lines(text).map(str::to_owned).collect()).unwrap_or_default()
    }

    fn checked<T>(&mut self, input: &str, read: fn(&str) -> Option<T>, problem: &str, hint: &str) -> Option<T> {
        let text = self.raw.get(input)?;
        let value = read(text);
        if value.is_none() {
            self.reject(input, text, problem, hint);
        }
        value
    }

    fn boolean(&mut self, input: &str) -> bool {
        self.checked(input, boolean, "is not a boolean", "use `true` or `false`").unwrap_or_default()
    }

    /// Parses an input that must be one of several words.
    fn choice<T: Copy>(&mut self, input: &str, choices: &[(&str, T)], default: T) -> T {
        let Some(text) = self.raw.get(input) else { return default };
        let found = choices.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        found.unwrap_or_else(|| {
            let words: Vec<String> = choices.iter().map(|(word, _)| format!("`{word}`")).collect();
            self.reject(input, text, "is not a valid value", format!("use one of {}", words.join(", ")));
            default
        })
    }

    fn pairs(&mut self, input: &str) -> Vec<(String, String)> {
        let mut pairs = Vec::new();
        for item in self.list(input) {
            match pair(&item) {
                Some((key, value)) => pairs.push((key.to_owned(), value.to_owned())),
                None => self.reject(input, &item, "is not of the form `name=value`", "write one `name=value` per line"),
            }
        }
        pairs
    }

    fn command(&mut self) -> CommandInput {
        let choices = [
            ("run", CommandInput::Run),
            ("plan", CommandInput::Plan),
            ("deploy", CommandInput::Deploy),
            ("rollback", CommandInput::Rollback),
            ("notify", CommandInput::Notify),
        ];
        self.choice("command", &choices, CommandInput::Run)
    }

    fn push(&mut self) -> Push {
        let text = self.raw.get("push").unwrap_or("auto");
        match boolean(text) {
            Some(true) => Push::Always,
            Some(false) => Push::Never,
            None => {
                self.choice("push", &[("auto", Push::Auto), ("true", Push::Always), ("false", Push::Never)], Push::Auto)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::{any, prop, proptest};

    use super::{Inputs, parse};
    use crate::{
        domain::secret::Secret,
        inputs::{
            cli::RawInputs,
            runner::RunnerEnv,
            spec::INPUTS,
            typed::{
                Allow, AnnotationLevel, Attest, Cache, CompressionKind, CompressionScope, Credentials, Moment, Network,
                NoCache, NotifyOn, Push, WhenSuperseded,
            },
        },
    };

    fn parsed(written: &[(&str, &str)], env: &[(&str, &str)]) -> Result<Inputs, Vec<String>> {
        let mut raw = RawInputs::default();
        for (name, value) in written {
            raw.set(name, value).unwrap();
        }
        let shown = |mistakes: Vec<super::InputError>| mistakes.iter().map(ToString::to_string).collect();
        parse(&raw, &RunnerEnv::new(env.iter().copied())).map_err(shown)
    }

    #[test]
    fn no_input_is_required() {
        let inputs = parsed(&[], &[]).unwrap();
        assert_eq!(inputs.project.working_directory, ".");
        assert_eq!((inputs.names.registry.as_str(), inputs.registry.push), ("ghcr.io", Push::Auto));
        assert_eq!(inputs.registry.when_superseded, WhenSuperseded::Skip);
        assert_eq!(inputs.registry.credentials, []);
        assert_eq!(inputs.notify.on, NotifyOn::Moments(Moment::ALL.into()));
        assert!(inputs.build.check && inputs.github.show.summary && inputs.github.show.annotations);
        assert!(!inputs.github.dry_run && inputs.secrets().next().is_none() && inputs.warnings.is_empty());
    }

    #[test]
    fn defaults_are_valid_values() {
        let defaults: Vec<(&str, &str)> = INPUTS
            .iter()
            .filter_map(|spec| Some((spec.name, spec.default.in_action()?)))
            .filter(|(_, default)| !default.starts_with("${{"))
            .collect();
        assert!(defaults.len() > 15);
        parsed(&defaults, &[]).unwrap();
    }

    #[test]
    fn mistakes_are_reported_together_in_the_order_of_the_documentation() {
        let mistakes = parsed(
            &[
                ("timeout", "45"),
                ("push", "maybe"),
                ("when-superseded", "wait"),
                ("platforms", "linux/amd64\narm64"),
                ("check", "perhaps"),
                ("registry", "https://ghcr.io"),
                ("labels", "novalue"),
                ("slack-token", "hunter2 hunter2"),
                ("password", "hunter3"),
                ("compression", "zip"),
            ],
            &[],
        )
        .unwrap_err();
        assert_eq!(
            mistakes,
            [
                "input `platforms`: `arm64` is not a platform; use platforms such as `linux/amd64` or `linux/arm/v7`",
                "input `check`: `perhaps` is not a boolean; use `true` or `false`",
                "input `registry`: `https://ghcr.io` is not a host; use a host such as `ghcr.io`, and set the rest of the name \
                 with `image-name`",
                "input `labels`: `novalue` is not of the form `name=value`; write one `name=value` per line",
                "input `password`: has no user name for https://ghcr.io; set `username` as well",
                "input `push`: `maybe` is not a valid value; use one of `auto`, `true`, `false`",
                "input `when-superseded`: `wait` is not a valid value; use one of `skip`, `publish`",
                "input `compression`: `zip` is not a compression; use `gzip`, `zstd`, `estargz` or `uncompressed`, optionally \
                 followed by `,compression-level=N` (0 to 22) and `,force-compression=true`",
                "input `slack-token`, line 1: is not a token; paste the Bot User OAuth Token, which begins with `xoxb-`",
                "input `slack-token`: has no channel; set `slack-channel` as well",
                "input `timeout`: `45` is not a duration; use a number with a unit, such as `45m` or `1h30m`",
            ]
        );
    }

    #[test]
    fn invalid_values_are_rejected() {
        for (name, value) in [
            ("network", "bridge"),
            ("add-hosts", "justahost"),
            ("shm-size", "big"),
            ("ulimits", "nofile=many"),
            ("allow", "everything"),
            ("allow", "fs.read="),
            ("allow", "fs.write=/x"),
            ("allow", "secrets.env"),
            ("allow", "ssh=default"),
            ("builder", "both"),
            ("builder", "tcp://x:1\ntcp://x:1"),
            ("buildkit-mirror", "http://x"),
            ("cache", "github"),
            ("cache-to", "type=local,dest=x"),
            ("tags", "type=sha,format=medium"),
            ("tag-compat", "almost"),
            ("annotations", "nowhere:a=b"),
            ("notify-on", "sometimes"),
            ("notify-on", "started, finished"),
            ("colors", "started=yellow"),
            ("colors", "begun=#000000"),
            ("discord-mode", "both"),
            ("discord-thread-id", "abc"),
            ("command", "promote"),
            ("deploy", "compose: shop.example"),
            ("digests", "sha256:abc"),
            ("mention", "123"),
            ("provenance", "mode=full"),
            ("sbom", "maybe"),
            ("compression", "zstd,level=3"),
            ("compression", "zstd,compression-level=23"),
            ("ssh", "key"),
            ("ssh", "a=x\na=y"),
            ("mention", "@everyone"),
            ("mention-on", "always"),
            ("slack-token", "xoxb-1"),
            ("slack-channel", "two words"),
            ("state", "done"),
            ("message-id", "../x?y"),
            ("flavor", "latest=perhaps"),
            ("build-args", "=x"),
        ] {
            let mistakes = parsed(&[(name, value)], &[]).unwrap_err();
            assert_eq!(mistakes.len(), 1, "{mistakes:?}");
            assert!(mistakes[0].contains(&format!("input `{name}`")), "{mistakes:?}");
        }
    }

    /// URLs for messages are checked later, because an invalid one must not prevent a build.
    #[test]
    fn addresses_for_messages_are_never_mistakes() {
        for name in ["discord-webhook", "slack-webhook", "teams-webhook"] {
            for (value, want) in [
                ("not a url", &["not a url"][..]),
                ("\"KEY=value\nof two lines", &["\"KEY=value", "of two lines"]),
                ("https://discord.com/api/webhooks/123", &["https://discord.com/api/webhooks/123"]),
                ("ftp://h\n\n# a comment\n  https://h/x \n", &["ftp://h", "https://h/x"]),
                ("   \n", &[]),
                ("", &[]),
            ] {
                let inputs = parsed(&[(name, value)], &[]).unwrap();
                let notify = &inputs.notify;
                let all = [&notify.discord.webhooks, &notify.slack.webhooks, &notify.teams_webhooks];
                let all: Vec<&str> = all.into_iter().flatten().map(Secret::expose).collect();
                assert_eq!(all, want, "{name} {value:?}");
                assert!(want.iter().all(|want| inputs.secrets().any(|secret| secret.expose() == *want)), "{name}");
            }
        }
    }

    #[test]
    fn valid_values() {
        let inputs = parsed(
            &[
                ("build-args", "A=1\n# no\nVERSION\nB=x=y"),
                ("add-hosts", "db:10.0.0.1\nv6=[::1]\nsix:fe80::1"),
                ("no-cache-filters", "base,final"),
                ("network", "none"),
                ("push", "YES"),
                ("when-superseded", "publish"),
                ("cache", "off"),
                ("notify-on", "failure, cancelled"),
                ("colors", "failure=#000001"),
                ("annotations", "index:a=b\nc=d"),
                ("timeout", "1h30m"),
                ("provenance", "False"),
                ("sbom", "generator=x"),
                ("compression", "zstd,compression-level=3,force-compression=true"),
                ("ssh", "default\nother=a,b"),
                ("allow", "network.host, ssh\nfs.read=../lib\nsecrets.env=GH_TOKEN\ncache-to=ghcr.io/o/cache"),
                ("secrets", "one=1"),
                ("secret-envs", "two=VERSION"),
            ],
            &[("VERSION", "7")],
        )
        .unwrap();
        let owned = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
        };
        assert_eq!(inputs.build.args, owned(&[("A", "1"), ("VERSION", "7"), ("B", "x=y")]));
        assert_eq!(inputs.build.add_hosts, owned(&[("db", "10.0.0.1"), ("v6", "::1"), ("six", "fe80::1")]));
        assert_eq!(inputs.build.no_cache, NoCache::Stages(vec!["base".into(), "final".into()]));
        assert_eq!(inputs.build.network, Some(Network::None));
        assert_eq!((inputs.registry.push, inputs.registry.caches.kind), (Push::Always, Cache::Off));
        assert_eq!(inputs.registry.when_superseded, WhenSuperseded::Publish);
        assert_eq!(inputs.notify.on, NotifyOn::Moments([Moment::Failure, Moment::Cancelled].into()));
        assert_eq!((inputs.notify.colors.failure, inputs.notify.colors.started), (1, 0x00FE_E75C));
        let annotations: Vec<_> =
            inputs.names.annotations.iter().map(|a| (a.levels.as_slice(), a.line.as_str())).collect();
        assert_eq!(annotations, [(&[AnnotationLevel::read("index").unwrap()][..], "a=b"), (&[], "c=d")]);
        assert!(inputs.github.show.annotations);
        assert_eq!((inputs.build.provenance, inputs.build.sbom), (None, Some(Attest("generator=x".into()))));
        let compression = inputs.build.compression;
        assert_eq!((compression.kind, compression.level), (CompressionKind::Zstd, Some(3)));
        assert_eq!(compression.scope, CompressionScope::All);
        assert_eq!(inputs.build.ssh, [("default".into(), None), ("other".into(), Some("a,b".into()))]);
        let secrets: Vec<_> = inputs.build.secrets.iter().map(|(id, value)| (id.as_str(), value.expose())).collect();
        assert_eq!(secrets, [("one", "1"), ("two", "7")]);
        let allow = Allow {
            entitlements: vec!["network.host".into()],
            read: vec!["../lib".into()],
            ssh: true,
            secret_envs: vec!["GH_TOKEN".into()],
            cache_to: vec!["ghcr.io/o/cache".into()],
        };
        assert_eq!(inputs.build.allow, allow);
        assert_eq!(inputs.github.timeout, Some(Duration::from_mins(90)));
    }

    #[test]
    fn annotations_are_a_switch_or_a_list() {
        let off = parsed(&[("annotations", "false")], &[]).unwrap();
        assert!(!off.github.show.annotations && off.names.annotations.is_empty());
        assert!(parsed(&[("annotations", "off-topic")], &[]).is_err());
    }

    #[test]
    fn credentials() {
        let actor = [("GITHUB_ACTOR", "alice")];
        let of = |written: &[(&str, &str)]| {
            let inputs = parsed(written, &actor).unwrap();
            let shown = |c: &Credentials| format!("{}@{} {}", c.username, c.registry, c.password.expose());
            assert_eq!(inputs.registry.github.as_ref().map(shown).as_deref(), Some("alice@ghcr.io ghs_1"));
            (inputs.registry.credentials.iter().map(shown).collect::<Vec<_>>(), inputs.warnings.len())
        };
        let token = ("github-token", "ghs_1");
        assert_eq!(of(&[token]), (vec![], 0));
        assert_eq!(of(&[token, ("password", "p")]), (vec!["alice@ghcr.io p".into()], 0));
        assert_eq!(of(&[token, ("registry", "r.example")]), (vec![], 0), "GitHub's token goes to GitHub only");
        let own = [token, ("registry", "R.example"), ("username", "u"), ("password", "p")];
        assert_eq!(of(&own), (vec!["u@r.example p".into()], 0));
        assert_eq!(of(&own[..3]), (vec![], 1), "a fork has no secrets");
        let azure = [token, ("registry", "site.azurecr.io"), ("password", "p")];
        assert_eq!(of(&azure), (vec!["00000000-0000-0000-0000-000000000000@site.azurecr.io p".into()], 0));
        assert_eq!(
            of(&[token, ("registries", "- {registry: docker.io, username: h, password: q}")]),
            (vec!["h@docker.io q".into()], 0)
        );
        for hub in ["https://index.docker.io/v1/", "index.docker.io", "registry-1.docker.io", "Docker.io"] {
            let one = [token, ("registry", hub), ("username", "h"), ("password", "q")];
            assert_eq!(of(&one), (vec!["h@docker.io q".into()], 0));
            assert_eq!(parsed(&one, &actor).unwrap().names.registry, "docker.io");
            let block = format!("- registry: {hub}\n  username: h\n  password: |\n    q\n");
            assert_eq!(of(&[token, ("registries", &block)]), (vec!["h@docker.io q".into()], 0), "{hub}");
        }
    }

    #[test]
    fn an_unclosed_quote_shows_no_value() {
        for input in ["cache-to", "build-args"] {
            let error = parsed(&[(input, "\"type=s3,secret_access_key=hunter2")], &[]).unwrap_err().concat();
            assert!(error.contains("line 1: has a `\"` without a closing"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_registry_has_no_path() {
        for registry in ["docker.io/acme", "https://index.docker.io/v2/", "ghcr.io/acme"] {
            assert!(parsed(&[("registry", registry)], &[]).is_err(), "{registry}");
        }
    }

    #[test]
    fn all_secrets_are_known_and_not_shown() {
        let inputs = parsed(
            &[
                ("secrets", "a=hunter1\nempty="),
                ("password", "hunter2"),
                ("username", "u"),
                ("registries", "- {registry: r.example, username: u, password: hunter3}"),
                ("discord-webhook", "https://discord.com/api/webhooks/1/hunter4\nhttp://127.0.0.1:1/hunter5"),
                ("github-token", "hunter6"),
                ("slack-webhook", "https://hooks.slack.com/services/T/B/hunter7"),
                ("slack-token", "xoxb-hunter8"),
                ("slack-channel", "#deploys\nC024BE91L, ops"),
                ("teams-webhook", "https://prod.logic.azure.com/hunter9"),
            ],
            &[],
        )
        .unwrap();
        let mut secrets: Vec<&str> = inputs.secrets().map(Secret::expose).collect();
        secrets.sort_unstable();
        let webhooks = ["http://127.0.0.1:1/hunter5", "https://discord.com/api/webhooks/1/hunter4"];
        let channels: Vec<&str> = inputs.notify.slack.channels.iter().map(|(_, channel)| channel.as_str()).collect();
        assert_eq!(channels, ["#deploys", "C024BE91L", "ops"]);
        secrets.dedup();
        let mut want = vec![webhooks[0], webhooks[1], "hunter1", "hunter2", "hunter3", "hunter6", "xoxb-hunter8"];
        want.extend(["https://hooks.slack.com/services/T/B/hunter7", "https://prod.logic.azure.com/hunter9"]);
        want.sort_unstable();
        assert_eq!(secrets, want);
        assert!(!format!("{inputs:?}").contains("hunter"));
    }

    /// No error contains the value of a secret input, however malformed it is.
    #[test]
    fn mistakes_never_show_a_secret() {
        let forms = [
            "CANARY",
            "id CANARY",
            "a=1\nCANARY",
            "- CANARY",
            "- {registry: CANARY, password: x}",
            "a: [CANARY",
            "- registry: r\n  password: [CANARY]",
            "a: &x CANARY\nb: *x",
            "CANARY: {x: y}",
            "{CANARY",
            "\tCANARY: \"",
            "https:/CANARY",
            "https:// CANARY",
            "id=-----BEGIN CANARY\nCANARY=",
            "%CANARY",
            "!CANARY x",
            "- - CANARY",
        ];
        for spec in INPUTS.iter().filter(|spec| spec.kind.is_secret()) {
            for form in forms {
                if let Err(mistakes) = parsed(&[(spec.name, form)], &[]) {
                    assert!(!mistakes.concat().contains("CANARY"), "{}: {mistakes:?}", spec.name);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(index in 0..INPUTS.len(), text in any::<String>(), parts in prop::collection::vec(
            prop::sample::select(vec!["a", "=", ":", "\n", "- ", "{", "}", "[", "]", "#", ",", "'", "\"", "|", "  ", "é", "1",
                                      "name", "&x", "*x", "!", "%", "-", "https://", "type=", "@"]), 0..16)) {
            for text in [text, parts.concat()] {
                let _ = parsed(&[(INPUTS[index].name, &text)], &[]);
            }
        }
    }

    #[test]
    fn a_build_argument_without_a_value_is_a_warning() {
        let inputs = parsed(&[("build-args", "GONE")], &[]).unwrap();
        assert!(inputs.build.args.is_empty());
        assert!(inputs.warnings[0].message.contains("`GONE`"));
    }
}
