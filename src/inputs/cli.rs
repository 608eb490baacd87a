//! The command line, and what was written on it and in the runner's environment taken together.

use std::{collections::BTreeMap, ffi::OsString, fmt};

use clap::{
    Arg, ArgAction, ArgMatches, Command,
    error::{ContextKind, ContextValue},
    parser::ValueSource,
};

use super::{
    error::InputError,
    moved, reserved,
    runner::RunnerEnv,
    spec::{self, Fallback, INPUTS, InputSpec, Kind},
};

/// What was written, by input name. Nothing is looked up or checked yet. `Debug` shows names only.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RawInputs {
    values: BTreeMap<&'static str, String>,
}

impl RawInputs {
    /// An input's value as written, else its literal default.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.written(name).or_else(|| match spec::find(name)?.default {
            Fallback::Literal(text) => Some(text),
            Fallback::None | Fallback::Expression(_) | Fallback::Described(_) => None,
        })
    }

    /// An input's value, if something was written.
    pub fn written(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// Writes a value; an empty one means the default. Unknown names are refused.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), InputError> {
        let spec = spec::find(name).ok_or_else(|| unknown(name))?;
        if value.trim().is_empty() {
            self.values.remove(spec.name);
        } else {
            self.values.insert(spec.name, value.trim().to_owned());
        }
        Ok(())
    }
}

impl fmt::Debug for RawInputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

/// What the program was called to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// The subcommand, if one was written. Without one, the input `command` says what to do.
    pub subcommand: Option<Subcommand>,
    /// Values of inputs.
    pub inputs: RawInputs,
    /// Inputs of the environment that do not exist. They are reported with the other mistakes.
    pub unknown: Vec<InputError>,
}

/// A subcommand and its own options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subcommand {
    /// The whole pipeline.
    Run,
    /// The action's post stage.
    Post,
    /// Print what `run` would do.
    Plan(PlanFormat),
    /// Send one message.
    Notify,
}

/// How `plan` prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PlanFormat {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// Reads the command line and the inputs in the environment; the command line wins.
///
/// `argv` begins with the program's name. Called under a name that ends in `-post`, the program is the action's
/// post stage, since `post-entrypoint` of `action.yml` can only name a file.
/// The error is clap's: a wrong command line, or `--help` and `--version`, with its own exit code.
pub fn invocation(argv: impl IntoIterator<Item = OsString>, env: &RunnerEnv) -> Result<Invocation, clap::Error> {
    let argv: Vec<OsString> = argv.into_iter().collect();
    let post = argv.first().is_some_and(|name| name.to_string_lossy().ends_with("-post"));
    let matches = command().try_get_matches_from(argv)?;
    let mut inputs = RawInputs::default();
    let mut mistakes = Vec::new();
    for (name, value) in env.inputs() {
        // Elsewhere such variables may be someone else's; `INPUT_METHOD` is set on many desktops.
        mistakes.extend(inputs.set(&name, value).err().filter(|_| env.is_github_actions()));
    }
    let mut innermost = &matches;
    while let Some((_, inner)) = innermost.subcommand() {
        innermost = inner;
    }
    for spec in INPUTS {
        if innermost.value_source(spec.name) == Some(ValueSource::CommandLine)
            && let Some(value) = innermost.get_one::<String>(spec.name)
        {
            mistakes.extend(inputs.set(spec.name, value).err());
        }
    }
    let subcommand = if post { Some(Subcommand::Post) } else { subcommand(&matches) };
    Ok(Invocation { subcommand, inputs, unknown: mistakes })
}

fn subcommand(matches: &ArgMatches) -> Option<Subcommand> {
    let (name, matches) = matches.subcommand()?;
    let option = |id: &str| matches.get_one::<String>(id).map(String::as_str);
    match name {
        "post" => Some(Subcommand::Post),
        "plan" => Some(Subcommand::Plan(match option("format") {
            Some("json") => PlanFormat::Json,
            _ => PlanFormat::Text,
        })),
        "notify" => Some(Subcommand::Notify),
        _ => Some(Subcommand::Run),
    }
}

/// The command line's definition, for parsing and for the tests that compare it with `action.yml`.
pub fn command() -> Command {
    let choice = |name: &'static str, values: &'static [&'static str], help: &'static str| {
        Arg::new(name).long(name).value_parser(values.to_vec()).help(help)
    };
    Command::new("build-deploy")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Builds, pushes and announces the images of a compose project in one step")
        .args(INPUTS.iter().map(argument))
        .subcommand(Command::new("run").about("The whole pipeline; the default"))
        .subcommand(Command::new("post").about("Repairs what a killed run left behind"))
        .subcommand(
            Command::new("plan")
                .about("Prints what `run` would do and stops")
                .arg(choice("format", &["text", "json"], "How to print it").default_value("text")),
        )
        .subcommand(Command::new("notify").about("Sends one message, for a job that builds by other means"))
}

/// An input as a flag. Values are taken as text: checking them is for [`super::parse`], which finds all mistakes
/// at once and shows no secret. No flag is tied to an environment variable, since `--help` would print it.
fn argument(spec: &InputSpec) -> Arg {
    let arg = Arg::new(spec.name)
        .long(spec.name)
        .help(spec.help)
        .action(ArgAction::Set)
        .overrides_with(spec.name)
        .allow_hyphen_values(true)
        .value_name(spec.kind.word())
        .hide_default_value(spec.kind == Kind::Bool)
        .hide(spec.is_hidden())
        .global(true);
    let arg = match spec.default {
        Fallback::Literal(text) => arg.default_value(text),
        Fallback::None | Fallback::Expression(_) | Fallback::Described(_) => arg,
    };
    match spec.kind {
        Kind::Bool => arg.num_args(0..=1).require_equals(true).default_missing_value("true"),
        Kind::Text | Kind::List | Kind::Yaml | Kind::Secret | Kind::SecretList => arg,
    }
}

/// The mistake of naming an input that does not exist, with the nearest that does.
fn unknown(name: &str) -> InputError {
    if reserved::is_reserved(name) {
        return InputError::hidden(name, "is not supported by this version", "remove it from `with:`");
    }
    if let Some(instead) = moved::instead_of(name) {
        return InputError::hidden(name, "is not an input of this action", instead);
    }
    // Clap knows the flags and how to compare names; only `--` is needed to ask it.
    let answer = command().no_binary_name(true).try_get_matches_from([format!("--{name}=")]);
    let nearest = answer.err().and_then(|error| match error.get(ContextKind::SuggestedArg) {
        Some(ContextValue::String(flag)) => Some(flag.trim_start_matches('-').to_owned()),
        Some(ContextValue::Strings(flags)) => flags.first().map(|flag| flag.trim_start_matches('-').to_owned()),
        _ => None,
    });
    let fix = nearest.map_or_else(
        || "remove it from `with:`; see https://github.com/izhan/build-deploy/blob/main/docs/inputs.md".to_owned(),
        |nearest| format!("did you mean `{nearest}`?"),
    );
    InputError::hidden(name, "is not an input of this action", fix)
}

#[cfg(test)]
mod tests {
    use super::{Invocation, PlanFormat, Subcommand, command, invocation};
    use crate::inputs::runner::RunnerEnv;

    fn called(argv: &[&str], env: &[(&str, &str)]) -> Invocation {
        invocation(argv.iter().map(Into::into), &RunnerEnv::new(env.iter().copied())).unwrap()
    }

    #[test]
    fn definition_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn the_command_line_wins_over_the_environment_on_either_side_of_the_subcommand() {
        let env = [("INPUT_REGISTRY", "from.env"), ("INPUT_DRY-RUN", "true"), ("INPUT_TAGS", "")];
        let both = called(&["build-deploy", "--registry=before", "plan", "--format", "json"], &env);
        assert_eq!(both.subcommand, Some(Subcommand::Plan(PlanFormat::Json)));
        assert_eq!(both.inputs.get("registry"), Some("before"));
        assert_eq!(called(&["x", "run", "--registry=after"], &env).inputs.get("registry"), Some("after"));
        let env_only = called(&["x"], &env);
        assert_eq!(env_only.subcommand, None);
        assert_eq!(env_only.inputs.get("registry"), Some("from.env"));
        assert_eq!(env_only.inputs.get("dry-run"), Some("true"));
        assert_eq!(env_only.inputs.get("tags"), None);
        assert_eq!(env_only.inputs.get("push"), Some("auto"), "an input left out has its default");
    }

    #[test]
    fn odd_values_survive() {
        let text = "-x=1\n# c\n--y";
        assert_eq!(called(&["x"], &[("INPUT_BUILD-ARGS", text)]).inputs.get("build-args"), Some(text));
        let flag = format!("--build-args={text}");
        assert_eq!(called(&["x", &flag], &[]).inputs.get("build-args"), Some(text));
        assert_eq!(called(&["x", "--dry-run", "plan"], &[]).inputs.get("dry-run"), Some("true"));
    }

    #[test]
    fn unknown_inputs_are_all_named_with_the_nearest() {
        let call = called(
            &["x"],
            &[
                ("GITHUB_ACTIONS", "true"),
                ("INPUT_DISCORD-WEBHOK", "https://s3cret"),
                ("INPUT_ZZZZ", "1"),
                ("INPUT_DEPLOY", "x"),
            ],
        );
        let shown: Vec<String> = call.unknown.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "input `deploy`: is not supported by this version; remove it from `with:`",
                "input `discord-webhok`: is not an input of this action; did you mean `discord-webhook`?",
                "input `zzzz`: is not an input of this action; remove it from `with:`; see https://github.com/izhan/build-deploy/blob/main/docs/inputs.md",
            ]
        );
    }

    #[test]
    fn outside_an_action_other_programs_variables_are_no_mistake() {
        let call = called(&["x"], &[("INPUT_METHOD", "fcitx"), ("INPUT_REGISTRY", "r.example")]);
        assert_eq!((call.unknown.len(), call.inputs.get("registry")), (0, Some("r.example")));
    }

    #[test]
    fn the_post_entrypoint_is_told_by_its_name() {
        assert_eq!(called(&["/build-deploy-post"], &[]).subcommand, Some(Subcommand::Post));
        assert_eq!(called(&["/build-deploy", "post"], &[]).subcommand, Some(Subcommand::Post));
        assert_eq!(called(&["/build-deploy"], &[]).subcommand, None);
    }

    #[test]
    fn a_wrong_command_line_is_refused_without_its_values() {
        let parsed = invocation(["x", "--pasword=hunter2"].map(Into::into), &RunnerEnv::default());
        let text = parsed.unwrap_err().to_string();
        assert!(text.contains("--password"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }

    #[test]
    fn debug_shows_no_value() {
        let call = called(&["x", "--password=hunter2"], &[("INPUT_SECRETS", "id=hunter3")]);
        assert!(!format!("{call:?}").contains("hunter"));
    }
}
