//! Substitutes variables such as `${VAR:-default}` like compose-go
//! (<https://github.com/compose-spec/compose-spec/blob/main/12-interpolation.md>).

use thiserror::Error;

/// The reason why a text cannot be interpolated.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum InterpolationError {
    /// `${…}` is malformed.
    #[error("has a malformed `${{…}}`")]
    Malformed,
    /// `VAR` of `${VAR:?message}` is not set.
    #[error(
        "requires the variable `{name}`{}",
        if message.is_empty() { String::new() } else { format!(" ({message})") }
    )]
    Required {
        /// The variable.
        name: String,
        /// The message in the file.
        message: String,
    },
    /// Defaults are nested too deeply.
    #[error("has `${{…}}` nested more than {MAX_DEPTH} levels deep")]
    TooDeep,
    /// The result is too long.
    #[error("is longer than {} KiB after its variables are replaced", MAX_TEXT >> 10)]
    TooLong,
}

impl InterpolationError {
    /// Returns a hint in the imperative.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Malformed => "write `${NAME}` or `${NAME:-default}`, or `$$` for a dollar sign",
            Self::Required { .. } => "set it in the step's `env:` or in the env file",
            Self::TooDeep => "use fewer levels",
            Self::TooLong => "use fewer or shorter variables",
        }
    }
}

/// Maximum depth of nested defaults.
const MAX_DEPTH: usize = 64;

/// Maximum length of a text after its variables are replaced, in bytes.
pub const MAX_TEXT: usize = 1 << 20;

/// Provides the values of variables, and records unset ones.
pub trait Lookup {
    /// Returns the variable's value.
    fn value(&self, name: &str) -> Option<&str>;
    /// Called for each `$VAR` or `${VAR}` that is not set and has no default.
    fn unset(&mut self, name: &str);
}

/// Replaces the variables in a text.
pub fn interpolate(text: &str, lookup: &mut dyn Lookup) -> Result<String, InterpolationError> {
    substitute(text, lookup, 0)
}

fn substitute(text: &str, lookup: &mut dyn Lookup, depth: usize) -> Result<String, InterpolationError> {
    if depth > MAX_DEPTH {
        return Err(InterpolationError::TooDeep);
    }
    let mut out = String::new();
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        out.push_str(&rest[..dollar]);
        let after = &rest[dollar + 1..];
        let name = name_at(after);
        if let Some(tail) = after.strip_prefix('$') {
            out.push('$');
            rest = tail;
        } else if !name.is_empty() {
            plain(name, lookup, &mut out);
            rest = &after[name.len()..];
        } else if let Some(inner) = after.strip_prefix('{') {
            let (content, tail) = split_braces(inner).ok_or(InterpolationError::Malformed)?;
            braced(content, lookup, depth, &mut out)?;
            rest = tail;
        } else {
            // A single dollar sign is an ordinary character.
            out.push('$');
            rest = after;
        }
        // A value is not longer than a file, so at most one value exceeds the limit.
        if out.len() > MAX_TEXT {
            return Err(InterpolationError::TooLong);
        }
    }
    out.push_str(rest);
    if out.len() > MAX_TEXT { Err(InterpolationError::TooLong) } else { Ok(out) }
}

/// Returns the variable name at the beginning of a text; may be empty.
fn name_at(text: &str) -> &str {
    let end = text
        .bytes()
        .enumerate()
        .position(|(i, b)| !(b == b'_' || b.is_ascii_alphabetic() || (i > 0 && b.is_ascii_digit())))
        .unwrap_or(text.len());
    &text[..end]
}

fn plain(name: &str, lookup: &mut dyn Lookup, out: &mut String) {
    match lookup.value(name) {
        Some(value) => out.push_str(value),
        None => lookup.unset(name),
    }
}

/// Splits the text after `${` at the closing brace. As in compose-go, any `{` counts as an opening brace, and if the braces
/// do not balance, the last `}` of the line is the closing one.
fn split_braces(inner: &str) -> Option<(&str, &str)> {
    let mut last = None;
    let mut open = 1_usize;
    let mut skip = false;
    // Stops early, because a line may contain many variables.
    for (i, byte) in inner.bytes().enumerate().take_while(|(_, byte)| *byte != b'\n') {
        if byte == b'}' {
            last = Some(i);
        }
        if std::mem::take(&mut skip) {
            continue;
        }
        match byte {
            b'}' => {
                open -= 1;
                if open == 0 {
                    break;
                }
            }
            b'{' => {
                open += 1;
                skip = true;
            }
            _ => {}
        }
    }
    last.map(|last| (&inner[..last], &inner[last + 1..]))
}

fn braced(content: &str, lookup: &mut dyn Lookup, depth: usize, out: &mut String) -> Result<(), InterpolationError> {
    let name = name_at(content);
    if name.is_empty() {
        return Err(InterpolationError::Malformed);
    }
    let rest = &content[name.len()..];
    if rest.is_empty() {
        plain(name, lookup, out);
        return Ok(());
    }
    // With a colon, an empty value counts as unset.
    let (operator, colon) = match rest.strip_prefix(':') {
        Some(operator) => (operator, true),
        None => (rest, false),
    };
    let value = lookup.value(name);
    let usable = value.filter(|value| !colon || !value.is_empty());
    let argument = operator.get(1..).unwrap_or_default();
    match (operator.as_bytes().first(), usable) {
        (Some(b'-' | b'?'), Some(value)) => out.push_str(value),
        (Some(b'-'), None) | (Some(b'+'), Some(_)) => out.push_str(&substitute(argument, lookup, depth + 1)?),
        (Some(b'+'), None) => out.push_str(value.unwrap_or_default()),
        (Some(b'?'), None) => {
            let message = substitute(argument, lookup, depth + 1)?;
            return Err(InterpolationError::Required { name: name.to_owned(), message });
        }
        _ => return Err(InterpolationError::Malformed),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{InterpolationError, Lookup, interpolate};

    #[derive(Default)]
    struct Fixed(Vec<String>);

    impl Lookup for Fixed {
        fn value(&self, name: &str) -> Option<&str> {
            match name {
                "SET" => Some("set"),
                "EMPTY" => Some(""),
                "DOLLAR" => Some("$SET"),
                _ => None,
            }
        }
        fn unset(&mut self, name: &str) {
            self.0.push(name.into());
        }
    }

    #[test]
    fn replaces_every_form() {
        for (text, want) in [
            ("$SET-${SET}", "set-set"),
            ("$SETX.", "."),
            ("${NO:-d} ${NO-d} ${EMPTY:-d} ${EMPTY-d} ${SET:-d} ${SET-d}", "d d d  set set"),
            ("${NO:+a}|${NO+a}|${EMPTY:+a}|${EMPTY+a}|${SET:+a}|${SET+a}", "|||a|a|a"),
            ("${SET:?e}${SET?e}${EMPTY?e}", "setset"),
            ("$$SET $${SET} $$$SET", "$SET ${SET} $set"),
            ("cost: 5$ $5 $-", "cost: 5$ $5 $-"),
            ("${NO:-${SET}}${NO:-${NO2:-x}y}z", "setxyz"),
            ("${NO:-$$x}", "$x"),
            ("${NO:-a:-b} ${NO-a?b}", "a:-b a?b"),
            ("${NO:-{\"a\": 1}}", "{\"a\": 1}"),
            ("${DOLLAR}", "$SET"),
            ("é${SET}é", "éseté"),
        ] {
            assert_eq!(interpolate(text, &mut Fixed::default()).as_deref(), Ok(want), "{text}");
        }
    }

    #[test]
    fn errors() {
        for text in ["${", "${}", "${SET", "${1}", "${A B}", "${NO:-a\nb}", "${A:}", "${A!x}"] {
            assert_eq!(interpolate(text, &mut Fixed::default()), Err(InterpolationError::Malformed), "{text}");
        }
        for (text, message) in [("${EMPTY:?say $SET}", "say set"), ("${NO?}", ""), ("${NO:?}", "")] {
            let error = interpolate(text, &mut Fixed::default()).unwrap_err();
            assert!(matches!(&error, InterpolationError::Required { message: m, .. } if m == message), "{text}");
        }
    }

    #[test]
    fn unset_variables_are_reported() {
        let mut lookup = Fixed::default();
        assert_eq!(interpolate("$A ${B} ${C:-c} ${D+d}", &mut lookup).as_deref(), Ok("  c "));
        assert_eq!(lookup.0, ["A", "B"]);
    }

    proptest! {
        #[test]
        fn never_panics(text in "[${}A-Ca-c:?+\\-\n é]{0,40}|\\PC*") {
            let _ = interpolate(&text, &mut Fixed::default());
        }
    }
}
