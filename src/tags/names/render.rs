//! Renders templates as Handlebars does.

use thiserror::Error;

use crate::tags::language::{Argument, Call, Dialect, Part, Path, Template, TemplateError};

/// The value of a name or an argument.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::tags) enum Value {
    /// No value; renders as an empty text.
    Nothing,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(f64),
    /// A text.
    Text(String),
    /// A list; renders with commas between its items.
    List(Vec<Self>),
}

/// The arguments of a name.
pub(in crate::tags) struct Arguments {
    /// Positional ones.
    pub(in crate::tags) positional: Vec<Value>,
    /// Named ones.
    pub(in crate::tags) named: Vec<(String, Value)>,
}

/// The names that a template can use.
pub(in crate::tags) trait Names {
    /// Returns the value of a name, or `None` if the name is unknown. `arguments` is `None` if the call has no
    /// arguments; a function that requires arguments returns an error then.
    fn value(&self, name: &str, arguments: Option<&Arguments>) -> Result<Option<Value>, RenderError>;
}

/// The reason why a template cannot be rendered.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RenderError {
    /// It is not a valid template.
    #[error(transparent)]
    Syntax(#[from] TemplateError),
    /// An unknown name has arguments.
    #[error("unknown function `{0}`")]
    NoFunction(String),
    /// A value has arguments.
    #[error("`{0}` takes no arguments")]
    NoArguments(String),
    /// A date has no format, or its format is not a text.
    #[error("`{0}` requires a format, as in `{{{{{0} 'YYYYMMDD'}}}}`")]
    Format(String),
    /// A date has an unknown named argument.
    #[error("unknown argument `{name}` of `{function}`; only `tz` is supported")]
    Named {
        /// The function.
        function: String,
        /// The argument.
        name: String,
    },
    /// An unknown time zone.
    #[error("unknown time zone `{0}`")]
    Zone(String),
}

impl RenderError {
    /// Returns a hint in the imperative.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Zone(_) => "use a time zone such as `Europe/Berlin`",
            _ => "correct the expression",
        }
    }
}

/// Renders `text`. Values are escaped for HTML in [`Dialect::Exact`] only, and never in `{{{…}}}`.
pub(in crate::tags) fn render(text: &str, names: &impl Names, dialect: Dialect) -> Result<String, RenderError> {
    let template = Template::read(text)?;
    let mut out = String::new();
    all(&template.parts, names, dialect, &mut out)?;
    Ok(out)
}

fn all(parts: &[Part], names: &impl Names, dialect: Dialect, out: &mut String) -> Result<(), RenderError> {
    for part in parts {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Output { call, raw } => {
                let text = shown(&evaluate(call, names)?);
                out.push_str(&if *raw || dialect == Dialect::Repaired { text } else { escaped(&text) });
            }
            Part::Condition { test, then, otherwise } => {
                let branch = if holds(&argument(test, names)?) { then } else { otherwise };
                all(branch, names, dialect, out)?;
            }
        }
    }
    Ok(())
}

fn evaluate(call: &Call, names: &impl Names) -> Result<Value, RenderError> {
    let name = call.path.parts.join(".");
    if call.arguments.is_empty() && call.named.is_empty() {
        return lookup(&call.path, names);
    }
    let mut arguments = Arguments { positional: Vec::new(), named: Vec::new() };
    for value in &call.arguments {
        arguments.positional.push(argument(value, names)?);
    }
    for (key, value) in &call.named {
        arguments.named.push((key.clone(), argument(value, names)?));
    }
    let known = match call.path.parts.as_slice() {
        [name] if call.path.up == 0 => names.value(name, Some(&arguments))?,
        _ => None,
    };
    match known {
        Some(value) => Ok(value),
        // Handlebars treats `{{name key=1}}` as a value, which may be missing.
        None if call.arguments.is_empty() => Ok(Value::Nothing),
        None => Err(RenderError::NoFunction(name)),
    }
}

fn argument(argument: &Argument, names: &impl Names) -> Result<Value, RenderError> {
    Ok(match argument {
        Argument::Text(text) => Value::Text(text.clone()),
        Argument::Number(number) => Value::Number(*number),
        Argument::Bool(value) => Value::Bool(*value),
        Argument::Nothing => Value::Nothing,
        Argument::Path(path) => lookup(path, names)?,
        Argument::Call(call) => evaluate(call, names)?,
    })
}

fn lookup(path: &Path, names: &impl Names) -> Result<Value, RenderError> {
    let [first, rest @ ..] = path.parts.as_slice() else { return Ok(Value::Nothing) };
    if path.up > 0 {
        return Ok(Value::Nothing);
    }
    let mut value = names.value(first, None)?.unwrap_or(Value::Nothing);
    for part in rest {
        value = match (value, part.parse::<usize>()) {
            (Value::List(items), Ok(index)) => items.get(index).cloned().unwrap_or(Value::Nothing),
            #[expect(clippy::cast_precision_loss, reason = "lists are short")]
            (Value::List(items), Err(_)) if part == "length" => Value::Number(items.len() as f64),
            _ => Value::Nothing,
        };
    }
    Ok(value)
}

/// Whether `{{#if}}` treats a value as true.
fn holds(value: &Value) -> bool {
    match value {
        Value::Nothing => false,
        Value::Bool(value) => *value,
        Value::Number(number) => *number != 0.0,
        Value::Text(text) => !text.is_empty(),
        Value::List(items) => !items.is_empty(),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Nothing => String::new(),
        Value::Bool(value) => value.to_string(),
        // The notation that JavaScript uses.
        Value::Number(number) if number.abs() >= 1e21 => format!("{number:e}").replace('e', "e+"),
        Value::Number(number) => number.to_string(),
        Value::Text(text) => text.clone(),
        Value::List(items) => items.iter().map(shown).collect::<Vec<_>>().join(","),
    }
}

/// Escapes for HTML as Handlebars does.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#x27;"),
            '`' => out.push_str("&#x60;"),
            '=' => out.push_str("&#x3D;"),
            _ => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Arguments, Dialect, Names, RenderError, Value, render};

    struct SomeNames;

    impl Names for SomeNames {
        fn value(&self, name: &str, arguments: Option<&Arguments>) -> Result<Option<Value>, RenderError> {
            Ok(match (name, arguments) {
                ("a", None) => Some(Value::Text("x=<1>".into())),
                ("list", None) => Some(Value::List(vec![Value::Text("rc".into()), Value::Number(1.0)])),
                ("zero", None) => Some(Value::Number(0.0)),
                ("join", Some(arguments)) => Some(Value::List(arguments.positional.clone())),
                _ => None,
            })
        }
    }

    #[test]
    fn expressions() {
        for (text, want) in [
            ("{{a}}/{{{a}}}/{{nope}}", "x&#x3D;&lt;1&gt;/x=<1>/"),
            ("{{list}} {{list.1}} {{list.[0]}} {{list.length}} {{list.9}}{{a.b}}", "rc,1 1 rc 2 "),
            ("{{#if zero}}y{{else if list}}l{{else}}n{{/if}}", "l"),
            ("{{#unless nope}}u{{/unless}}", "u"),
            ("{{join 1 'b' true (join 2) null}}", "1,b,true,2,"),
            ("{{../a}}{{this}}{{nope a=1}}", ""),
        ] {
            assert_eq!(render(text, &SomeNames, Dialect::Exact).as_deref(), Ok(want), "{text}");
        }
        assert_eq!(render("{{a}}", &SomeNames, Dialect::Repaired).as_deref(), Ok("x=<1>"));
        assert_eq!(render("{{f 1}}", &SomeNames, Dialect::Exact), Err(RenderError::NoFunction("f".into())));
    }
}
