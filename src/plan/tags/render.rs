//! Fills in templates, as Handlebars would.

use thiserror::Error;

use crate::inputs::{
    rules::Dialect,
    template::{Argument, Call, Part, Path, Template, TemplateError},
};

/// What a name stands for, or what is handed to one.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// Nothing is known under that name; shows as nothing.
    Nothing,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(f64),
    /// A text.
    Text(String),
    /// A list; shows with commas between its items.
    List(Vec<Self>),
}

/// What stands behind a name.
pub(super) struct Arguments {
    /// By place.
    pub(super) placed: Vec<Value>,
    /// By name.
    pub(super) named: Vec<(String, Value)>,
}

/// The names that a template may use.
pub(super) trait Names {
    /// What a name stands for. `arguments` is none where the name itself is asked, and whoever needs some must say so.
    /// `Ok(None)` if there is no such name.
    fn value(&self, name: &str, arguments: Option<&Arguments>) -> Result<Option<Value>, RenderError>;
}

/// Why a template cannot be filled in.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RenderError {
    /// It is none.
    #[error(transparent)]
    Syntax(#[from] TemplateError),
    /// A name takes arguments and is unknown.
    #[error("there is no function `{0}`")]
    NoFunction(String),
    /// A name is a value and takes no arguments.
    #[error("`{0}` takes no arguments")]
    NoArguments(String),
    /// A date has no format, or one that is no text.
    #[error("`{0}` needs a format, as in `{{{{{0} 'YYYYMMDD'}}}}`")]
    Format(String),
    /// A date has something else than a time zone.
    #[error("`{function}` knows no `{name}`, only `tz`")]
    Named {
        /// The function.
        function: String,
        /// What it does not know.
        name: String,
    },
    /// A time zone is none.
    #[error("there is no time zone `{0}`: write one like `Europe/Berlin`")]
    Zone(String),
    /// A time lies beyond the calendar.
    #[error("the time of `{0}` cannot be told")]
    Time(String),
}

/// Fills in `text`. Values are escaped for HTML in [`Dialect::Exact`] only, where the template does not say otherwise.
pub(super) fn render(text: &str, names: &impl Names, dialect: Dialect) -> Result<String, RenderError> {
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
    let mut arguments = Arguments { placed: Vec::new(), named: Vec::new() };
    for value in &call.arguments {
        arguments.placed.push(argument(value, names)?);
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
        // Handlebars takes `{{name key=1}}` for a value, which may be missing.
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
            #[expect(clippy::cast_precision_loss, reason = "no list here is that long")]
            (Value::List(items), Err(_)) if part == "length" => Value::Number(items.len() as f64),
            _ => Value::Nothing,
        };
    }
    Ok(value)
}

/// Whether `{{#if}}` goes on with it.
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
        // JavaScript's way of writing them.
        Value::Number(number) if number.abs() >= 1e21 => format!("{number:e}").replace('e', "e+"),
        Value::Number(number) => number.to_string(),
        Value::Text(text) => text.clone(),
        Value::List(items) => items.iter().map(shown).collect::<Vec<_>>().join(","),
    }
}

/// As Handlebars escapes for HTML.
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
    use super::{Arguments, Names, RenderError, Value, render};
    use crate::inputs::rules::Dialect;

    struct Some_;

    impl Names for Some_ {
        fn value(&self, name: &str, arguments: Option<&Arguments>) -> Result<Option<Value>, RenderError> {
            Ok(match (name, arguments) {
                ("a", None) => Some(Value::Text("x=<1>".into())),
                ("list", None) => Some(Value::List(vec![Value::Text("rc".into()), Value::Number(1.0)])),
                ("zero", None) => Some(Value::Number(0.0)),
                ("join", Some(arguments)) => Some(Value::List(arguments.placed.clone())),
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
            assert_eq!(render(text, &Some_, Dialect::Exact).as_deref(), Ok(want), "{text}");
        }
        assert_eq!(render("{{a}}", &Some_, Dialect::Repaired).as_deref(), Ok("x=<1>"));
        assert_eq!(render("{{f 1}}", &Some_, Dialect::Exact), Err(RenderError::NoFunction("f".into())));
    }
}
