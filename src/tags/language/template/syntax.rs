//! The syntax tree of a template.

use thiserror::Error;

/// A parsed template. Its names are not resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    /// Its parts, in order.
    pub parts: Vec<Part>,
}

/// A part of a template.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// Literal text.
    Text(String),
    /// The value of an expression.
    Output {
        /// The expression.
        call: Call,
        /// Whether it is written as `{{{…}}}` or `{{&…}}`, which are never escaped for HTML.
        raw: bool,
    },
    /// `{{#if x}}…{{else}}…{{/if}}`
    Condition {
        /// The condition.
        test: Argument,
        /// The parts to use if it is true.
        then: Vec<Self>,
        /// The parts to use if it is false.
        otherwise: Vec<Self>,
    },
}

/// A name with its arguments.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The name.
    pub path: Path,
    /// Positional arguments.
    pub arguments: Vec<Argument>,
    /// Named arguments, such as `tz='UTC'`.
    pub named: Vec<(String, Argument)>,
}

/// A name of one or more segments, such as `prerelease.0`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// The segments. Empty for `this`.
    pub parts: Vec<String>,
    /// Number of leading `../`. There is no outer level, so such a name has no value.
    pub up: usize,
}

/// An argument of a name.
#[derive(Clone, Debug, PartialEq)]
pub enum Argument {
    /// A text.
    Text(String),
    /// A number.
    Number(f64),
    /// `true` or `false`.
    Bool(bool),
    /// `null` or `undefined`.
    Nothing,
    /// A name.
    Path(Path),
    /// `(name argument)`
    Call(Box<Call>),
}

/// Maximum nesting depth of conditions, `else if` and parentheses.
pub(super) const MAX_DEPTH: usize = 100;

/// The reason why a text is not a valid template.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TemplateError {
    /// Found something other than expected.
    #[error("expected {wanted}, found {found}")]
    Unexpected {
        /// The text that was found, quoted.
        found: String,
        /// Description of the expected text.
        wanted: &'static str,
    },
    /// `{{else}}` outside a block.
    #[error("`{{{{else}}}}` is outside a block")]
    ElseOutside,
    /// The beginning or the end of a block is missing.
    #[error("`{{{{#{0}}}}}` and `{{{{/{0}}}}}` do not match")]
    Unpaired(String),
    /// A block without an argument, or with several.
    #[error("`{{{{#{0}}}}}` takes exactly one argument")]
    OneArgument(String),
    /// A part of Handlebars that is not supported.
    #[error("`{0}` is not supported")]
    Unsupported(String),
    /// Conditions or parentheses are nested too deeply.
    #[error("expressions are nested more than {MAX_DEPTH} levels deep")]
    TooDeep,
}

/// Returns the error for a text found where another was expected.
pub(super) fn unexpected(found: &str, wanted: &'static str) -> TemplateError {
    TemplateError::Unexpected { found: format!("`{found}`"), wanted }
}

/// Returns the error for a text that ends too early.
pub(super) fn unexpected_end(wanted: &'static str) -> TemplateError {
    TemplateError::Unexpected { found: "the end of the text".to_owned(), wanted }
}

impl Template {
    /// Whether the template consists of the expression `{{name}}` alone.
    pub fn is_only(&self, name: &str) -> bool {
        match self.parts.as_slice() {
            [Part::Output { call, .. }] => {
                call.path.parts.len() == 1 && call.path.parts.iter().all(|part| part == name)
            }
            _ => false,
        }
    }
}
