//! Parses the command line and merges it with the inputs in the runner's environment.

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
    typed::CommandInput,
};

/// The values of inputs as written, by input name, before any check. `Debug` shows names only.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RawInputs {
    values: BTreeMap<&'static str, String>,
}

impl RawInputs {
    /// Returns an input's value as written, or its literal default.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.written(name).or_else(|| match spec::find(name)?.default {
            Fallback::Literal(text) => Some(text),
            Fallback::None | Fallback::Expression(_) | Fallback::Described(_) => None,
        })
    }

    /// Returns an input's value as written, without the default.
    pub fn written(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// Sets a value. An empty value selects the default, and an unknown name is an error.
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

/// A parsed command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// The subcommand, if there is one. Otherwise the input `command` decides.
    pub subcommand: Option<Subcommand>,
    /// Values of the inputs.
    pub inputs: RawInputs,
    /// Errors for unknown inputs in the environment. They are reported together with all other errors.
    pub unknown: Vec<InputError>,
}

/// A subcommand and its own options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subcommand {
    /// Runs the whole pipeline.
    Run,
    /// Runs the action's post stage.
    Post,
    /// Prints the plan of `run`.
    Plan(PlanFormat, Difference),
    /// Deploys existing images.
    Deploy,
    /// Puts back an earlier release.
    Rollback,
    /// Sends one message.
    Notify,
}

impl Subcommand {
    /// Returns the value of the input `command` that does the same. The post stage has none of its own.
    pub fn input(self) -> CommandInput {
        match self {
            Self::Run | Self::Post => CommandInput::Run,
            Self::Plan(..) => CommandInput::Plan,
            Self::Deploy => CommandInput::Deploy,
            Self::Rollback => CommandInput::Rollback,
            Self::Notify => CommandInput::Notify,
        }
    }
}

/// Whether `plan` compares the deploy targets with the release.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Difference {
    /// It connects to no target.
    #[default]
    Unread,
    /// It reads what the targets run, and prints what a deployment would change.
    Read,
}

/// The output format of `plan`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PlanFormat {
    /// Text for people.
    #[default]
    Text,
    /// JSON for programs.
    Json,
}

/// Parses the command line and the inputs in the environment. The command line takes precedence.
///
/// `argv` begins with the program's name. If the name ends in `-post`, the program runs the action's post stage, since
/// `post-entrypoint` in `action.yml` must be the name of a file.
///
/// # Errors
/// Returns clap's error for an invalid command line, and for `--help` and `--version`, with its own exit code.
pub fn invocation(argv: impl IntoIterator<Item = OsString>, env: &RunnerEnv) -> Result<Invocation, clap::Error> {
    let argv: Vec<OsString> = argv.into_iter().collect();
    let post = argv.first().is_some_and(|name| name.to_string_lossy().ends_with("-post"));
    let matches = command().try_get_matches_from(argv)?;
    let mut inputs = RawInputs::default();
    let mut mistakes = Vec::new();
    for (name, value) in env.inputs() {
        // Outside GitHub Actions such a variable may have another purpose; `INPUT_METHOD` is set on many desktops.
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
        "plan" => {
            let format = match option("format") {
                Some("json") => PlanFormat::Json,
                _ => PlanFormat::Text,
            };
            let difference = if matches.get_flag("diff") { Difference::Read } else { Difference::Unread };
            Some(Subcommand::Plan(format, difference))
        }
        "deploy" => Some(Subcommand::Deploy),
        "rollback" => Some(Subcommand::Rollback),
        "notify" => Some(Subcommand::Notify),
        _ => Some(Subcommand::Run),
    }
}

/// Width of the help text, in columns.
const HELP_WIDTH: usize = 100;

/// Returns the definition of the command line, for parsing and for the tests that compare it with `action.yml`.
pub fn command() -> Command {
    let choice = |name: &'static str, values: &'static [&'static str], help: &'static str| {
        Arg::new(name).long(name).value_parser(values.to_vec()).help(help)
    };
    Command::new("build-deploy")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Builds the images of a project, pushes them, deploys them to servers, and reports to a chat")
        .term_width(HELP_WIDTH)
        .args(INPUTS.iter().map(argument))
        .subcommand(Command::new("run").about("Builds, pushes, deploys and reports; the default"))
        .subcommand(Command::new("post").about("Repairs what a killed run left behind"))
        .subcommand(
            Command::new("plan")
                .about("Prints what `run` would do")
                .arg(choice("format", &["text", "json"], "Output format").default_value("text"))
                .arg(
                    Arg::new("diff")
                        .long("diff")
                        .action(ArgAction::SetTrue)
                        .help("Also read what the deploy targets run, and print what would change there"),
                ),
        )
        .subcommand(Command::new("deploy").about("Deploys images that exist in the registry"))
        .subcommand(Command::new("rollback").about("Puts back an earlier release"))
        .subcommand(Command::new("notify").about("Sends one message, for a job that builds by other means"))
}

/// Defines the flag of an input. Its value is any text: [`super::parse`] validates it, reports all mistakes together
/// and shows no secret. No flag is bound to an environment variable, since `--help` would print its value.
fn argument(spec: &InputSpec) -> Arg {
    let arg = Arg::new(spec.name)
        .long(spec.name)
        .help(spec.help)
        .help_heading(spec.group.title())
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

/// Creates the error for an unknown input, with the most similar input as the hint.
fn unknown(name: &str) -> InputError {
    if reserved::is_reserved(name) {
        return InputError::hidden(name, "is not supported by this version", "remove it from `with:`");
    }
    if let Some(instead) = moved::instead_of(name) {
        return InputError::hidden(name, "is not an input of this action", instead);
    }
    // Uses clap to find the most similar flag; it requires the `--`.
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
    use super::{Difference, Invocation, PlanFormat, Subcommand, command, invocation};
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
        assert_eq!(both.subcommand, Some(Subcommand::Plan(PlanFormat::Json, Difference::Unread)));
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
                ("INPUT_REUSE", "x"),
            ],
        );
        let shown: Vec<String> = call.unknown.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "input `discord-webhok`: is not an input of this action; did you mean `discord-webhook`?",
                "input `reuse`: is not supported by this version; remove it from `with:`",
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
    fn the_help_is_grouped_and_fits_100_columns() {
        let help = command().render_help().to_string();
        let longest = help.lines().map(|line| line.chars().count()).max();
        assert!(longest <= Some(100), "{longest:?}\n{help}");
        for group in ["What to build:", "Names and tags:", "Messages:"] {
            assert!(help.contains(group), "{group}");
        }
    }

    #[test]
    fn debug_shows_no_value() {
        let call = called(&["x", "--password=hunter2"], &[("INPUT_SECRETS", "id=hunter3")]);
        assert!(!format!("{call:?}").contains("hunter"));
    }
}
