//! Parses `.env` files, in the syntax of compose-go (<https://docs.docker.com/compose/how-tos/environment-variables/variable-interpolation/#env-file-syntax>).

use std::collections::BTreeMap;

use super::{
    error::ComposeError,
    interpolate::{Lookup, interpolate},
};
use crate::domain::invalid::Invalid;

/// Adds a file's variables to `values`, replacing existing ones. `file` names it in errors.
///
/// Values may refer to variables of `environment`, which take precedence, and to those already in `values`. Errors
/// never contain a value. Returns the length of all names and values, in bytes.
pub fn parse_into(
    file: &str,
    text: &str,
    environment: &BTreeMap<String, String>,
    values: &mut BTreeMap<String, String>,
) -> Result<usize, ComposeError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut rest = text;
    let mut bytes = 0;
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            return Ok(bytes);
        }
        let offset = text.len() - rest.len();
        let error = |reason: Invalid| {
            let line = u32::try_from(text[..offset].matches('\n').count() + 1).unwrap_or(u32::MAX);
            ComposeError::Dotenv { file: file.to_owned(), line, reason }
        };
        if rest.starts_with('#') {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
            continue;
        }
        let (name, value) = split_name(rest).map_err(&error)?;
        match value {
            // A name without a value takes its value from the environment.
            Value::Inherited(after) => {
                if let Some(value) = environment.get(name) {
                    values.insert(name.to_owned(), value.clone());
                }
                rest = after;
            }
            Value::Given(after) => {
                let mut lookup = Scope { environment, values };
                let (value, after) = take_value(after, &mut lookup).map_err(&error)?;
                bytes += name.len() + value.len();
                if bytes > MAX_BYTES {
                    let limit = MAX_BYTES >> 20;
                    let problem = format!("the values are longer than {limit} MiB in total");
                    return Err(error(Invalid::new(problem, "use fewer or shorter ones")));
                }
                values.insert(name.to_owned(), value);
                rest = after;
            }
        }
    }
}

/// Maximum length of the values of one file, after variables are replaced, in bytes.
const MAX_BYTES: usize = 4 << 20;

struct Scope<'a> {
    environment: &'a BTreeMap<String, String>,
    values: &'a BTreeMap<String, String>,
}

impl Lookup for Scope<'_> {
    fn value(&self, name: &str) -> Option<&str> {
        self.environment.get(name).or_else(|| self.values.get(name)).map(String::as_str)
    }

    fn unset(&mut self, _name: &str) {}
}

/// The text after a name.
enum Value<'a> {
    Inherited(&'a str),
    Given(&'a str),
}

fn is_blank(c: char) -> bool {
    matches!(c, '\t' | '\u{b}' | '\u{c}' | '\r' | ' ' | '\u{85}' | '\u{a0}')
}

fn split_name(text: &str) -> Result<(&str, Value<'_>), Invalid> {
    let text = match text.strip_prefix("export") {
        Some(rest) if rest.starts_with(char::is_whitespace) => rest.trim_start_matches(is_blank),
        _ => text,
    };
    let end = text.find(['=', ':', '\n']).unwrap_or(text.len());
    let name = &text[..end];
    if let Some(bad) = name.chars().find(|c| !(is_blank(*c) || c.is_alphanumeric() || "_.-[]".contains(*c))) {
        return Err(Invalid::new(format!("a variable's name contains `{bad}`"), "write `NAME=value`"));
    }
    let name = name.trim();
    if name.contains(' ') {
        return Err(Invalid::new("a variable's name contains a space", "write `NAME=value`"));
    }
    let after = text.get(end + 1..).unwrap_or_default().trim_start_matches(is_blank);
    Ok((name, if text[end..].starts_with(['=', ':']) { Value::Given(after) } else { Value::Inherited(after) }))
}

fn take_value<'a>(text: &'a str, lookup: &mut Scope<'_>) -> Result<(String, &'a str), Invalid> {
    let Some(quote @ ('"' | '\'')) = text.chars().next() else {
        let (line, after) = text.split_once('\n').unwrap_or((text, ""));
        let value = line.split(" #").next().unwrap_or_default().trim_end();
        return Ok((expand(value, lookup)?, after));
    };
    let mut value = String::new();
    let mut escaped = false;
    for (i, c) in text.char_indices().skip(1) {
        match c {
            c if c == quote && !escaped => {
                let value = if quote == '"' { expand(&unescape(&value), lookup)? } else { value };
                return Ok((value, &text[i + 1..]));
            }
            '\\' if !escaped => {
                escaped = true;
                continue;
            }
            c => {
                // Only escapes of the quote are handled here; `unescape` handles the others.
                if escaped && c != quote {
                    value.push('\\');
                }
                value.push(c);
            }
        }
        escaped = false;
    }
    Err(Invalid::new(format!("the value has no closing {quote}"), format!("add {quote} at its end")))
}

fn expand(value: &str, lookup: &mut Scope<'_>) -> Result<String, Invalid> {
    interpolate(value, lookup).map_err(|error| Invalid::new(format!("the value {error}"), error.hint()))
}

/// Replaces shell escapes. `\$` becomes `$$`, which interpolation replaces by `$`.
fn unescape(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(start) = rest.find('\\') {
        out.push_str(&rest[..start]);
        let after = &rest[start + 1..];
        let single = match after.chars().next() {
            Some('a') => Some('\u{7}'),
            Some('b') => Some('\u{8}'),
            Some('f') => Some('\u{c}'),
            Some('n') => Some('\n'),
            Some('r') => Some('\r'),
            Some('t') => Some('\t'),
            Some('v') => Some('\u{b}'),
            Some('"') => Some('"'),
            Some('\\') => Some('\\'),
            _ => None,
        };
        if let Some(c) = single {
            out.push(c);
            rest = &after[1..];
        } else if let Some(tail) = after.strip_prefix('$') {
            out.push_str("$$");
            rest = tail;
        } else if let Some((c, tail)) = octal(after) {
            out.push(c);
            rest = tail;
        } else {
            out.push('\\');
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

/// Parses `0` and three octal digits, which encode one byte.
fn octal(text: &str) -> Option<(char, &str)> {
    let digits = text.strip_prefix('0')?.get(..3)?;
    let code = u8::from_str_radix(digits, 8).ok()?;
    Some((char::from(code), &text[4..]))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::parse_into;

    fn parse(text: &str) -> Result<BTreeMap<String, String>, String> {
        let environment = BTreeMap::from([("OUTER".to_owned(), "outer".to_owned())]);
        let mut values = BTreeMap::new();
        parse_into(".env", text, &environment, &mut values).map_err(|e| e.to_string())?;
        Ok(values)
    }

    #[test]
    fn errors_name_the_line_but_no_value() {
        for (text, want) in [
            ("A=1\nB='hunter2\n", ".env:2: the value has no closing '"),
            ("\n\nA B=1", ".env:3: a variable's name contains a space"),
            ("A!=1", ".env:1: a variable's name contains `!`"),
        ] {
            assert_eq!(parse(text), Err(want.to_owned()), "{text}");
        }
    }

    #[test]
    fn values_can_use_earlier_ones_and_the_environment() {
        let values = parse("\u{feff}A=1\r\nB=${A}2\nexport C='$A'\nD: \"x$OUTER\\$A\"\nOUTER\nE=a#b # c\n").unwrap();
        let want = [("A", "1"), ("B", "12"), ("C", "$A"), ("D", "xouter$A"), ("E", "a#b"), ("OUTER", "outer")];
        assert_eq!(values.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect::<Vec<_>>(), want);
    }

    proptest! {
        #[test]
        fn never_panics(text in "([A-C =:#$'\"\\\\{}0-9é\n\r]|export ){0,60}|\\PC*") {
            let _ = parse(&text);
        }
    }
}
