//! What can be said of an input: its kind, its default, its heading.

/// What an input's value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Plain text.
    Text,
    /// `true` or `false` (any YAML 1.2 spelling).
    Bool,
    /// One item a line.
    List,
    /// A YAML document.
    Yaml,
    /// A credential: never shown.
    Secret,
    /// One credential a line: never shown.
    SecretList,
}

impl Kind {
    /// The kind in a word, for the README.
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

    /// Whether its value must never be shown.
    pub fn is_secret(self) -> bool {
        matches!(self, Self::Secret | Self::SecretList)
    }
}

/// What leaving an input out means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// Nothing.
    None,
    /// This value.
    Literal(&'static str),
    /// What GitHub's expression yields; outside an action, nothing.
    Expression(&'static str),
    /// Something that depends on the rest, described in words.
    Described(&'static str),
}

impl Fallback {
    /// What stands as `default:` in `action.yml`.
    pub fn in_action(self) -> Option<&'static str> {
        match self {
            Self::Literal(text) | Self::Expression(text) => Some(text),
            Self::None | Self::Described(_) => None,
        }
    }
}

/// Which values of an input this version can act on. The names of all inputs are fixed from the start, so
/// that no workflow breaks later; a value that would be ignored is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// All.
    All,
    /// Only the default.
    DefaultOnly,
}

/// A heading in the README's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// What to build.
    Build,
    /// Names and tags.
    Names,
    /// Registry and push.
    Registry,
    /// Notify.
    Notify,
    /// Deploy.
    Deploy,
    /// GitHub and the rest.
    Rest,
}

impl Group {
    /// The heading.
    pub fn title(self) -> &'static str {
        match self {
            Self::Build => "What to build",
            Self::Names => "Names and tags",
            Self::Registry => "Registry and push",
            Self::Notify => "Notify",
            Self::Deploy => "Deploy",
            Self::Rest => "GitHub and the rest",
        }
    }
}
