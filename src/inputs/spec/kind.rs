//! The properties of an input: its type, default and heading.

/// Type of an input's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Plain text.
    Text,
    /// A boolean: `true` or `false`, in any spelling that `values::boolean` accepts.
    Bool,
    /// One item per line.
    List,
    /// A YAML document.
    Yaml,
    /// A credential, which is never shown.
    Secret,
    /// Credentials, one per line, which are never shown.
    SecretList,
}

impl Kind {
    /// Returns the name of the type in `docs/inputs.md` and `--help`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Bool => "boolean",
            Self::List => "list",
            Self::Yaml => "YAML",
            Self::Secret => "secret",
            Self::SecretList => "secret list",
        }
    }

    /// Whether a value of this type must never be shown.
    pub fn is_secret(self) -> bool {
        matches!(self, Self::Secret | Self::SecretList)
    }
}

/// The default of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// No value.
    None,
    /// A fixed value.
    Literal(&'static str),
    /// The value of a GitHub expression. Outside an action, no value.
    Expression(&'static str),
    /// A value that depends on other inputs or the event, described in words.
    Described(&'static str),
}

impl Fallback {
    /// Returns the `default:` in `action.yml`.
    pub fn in_action(self) -> Option<&'static str> {
        match self {
            Self::Literal(text) | Self::Expression(text) => Some(text),
            Self::None | Self::Described(_) => None,
        }
    }
}

/// A heading in `docs/inputs.md` and `--help`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// What to build.
    Build,
    /// Image names and tags.
    Names,
    /// Registry, push and cache.
    Registry,
    /// Messages.
    Notify,
    /// GitHub deployments.
    Deploy,
    /// General.
    Rest,
}

impl Group {
    /// Returns the text of the heading.
    pub fn title(self) -> &'static str {
        match self {
            Self::Build => "What to build",
            Self::Names => "Names and tags",
            Self::Registry => "Registry, push and cache",
            Self::Notify => "Messages",
            Self::Deploy => "Deployments",
            Self::Rest => "General",
        }
    }
}
