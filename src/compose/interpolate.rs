//! `${VAR:-default}` and its kin, as compose-go substitutes them
//! (<https://github.com/compose-spec/compose-spec/blob/main/12-interpolation.md>).

use thiserror::Error;

/// Why a text cannot be interpolated.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum InterpolationError {
    /// `${…}` is malformed.
    #[error("has a malformed `${{…}}`: write `${{NAME}}` or `${{NAME:-default}}`, or `$$` for a dollar sign")]
    Malformed,
    /// `${VAR:?message}` and `VAR` is not set.
    #[error(
        "needs the variable `{name}`{}: set it in the step's `env:` or in the env file",
        if message.is_empty() { String::new() } else { format!(" ({message})") }
    )]
    Required {
        /// The variable.
        name: String,
        /// What the file's author says of it.
        message: String,
    },
    /// Defaults within defaults, without end.
    #[error("has `${{…}}` nested more than {MAX_DEPTH} deep: use fewer")]
    TooDeep,
}

/// How deep defaults may be nested.
const MAX_DEPTH: usize = 64;

/// Where values come from, and what was asked for in vain.
pub trait Lookup {
    /// The variable's value.
    fn value(&mut self, name: &str) -> Option<String>;
    /// Called for each `$VAR` or `${VAR}` that is not set and has no default.
    fn unset(&mut self, name: &str);
}

/// The text with its variables replaced.
pub fn interpolate(text: &str, lookup: &mut dyn Lookup) -> Result<String, InterpolationError> {
    substitute(text, lookup, 0)
}

fn substitute(text: &str, lookup: &mut dyn Lookup, depth: usize) -> Result<String, InterpolationError> {
    if depth > MAX_DEPTH {
        return Err(InterpolationError::TooDeep);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        out.push_str(&rest[..dollar]);
        let after = &rest[dollar + 1..];
        let name = name_at(after);
        if let Some(tail) = after.strip_prefix('$') {
            out.push('$');
            rest = tail;
        } else if !name.is_empty() {
            out.push_str(&plain(name, lookup));
            rest = &after[name.len()..];
        } else if let Some(inner) = after.strip_prefix('{') {
            let (content, tail) = split_braces(inner).ok_or(InterpolationError::Malformed)?;
            out.push_str(&braced(content, lookup, depth)?);
            rest = tail;
        } else {
            // A lone dollar sign stands for itself.
            out.push('$');
            rest = after;
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// The variable name that a text begins with; may be empty.
fn name_at(text: &str) -> &str {
    let end = text
        .bytes()
        .enumerate()
        .position(|(i, b)| !(b == b'_' || b.is_ascii_alphabetic() || (i > 0 && b.is_ascii_digit())))
        .unwrap_or(text.len());
    &text[..end]
}

fn plain(name: &str, lookup: &mut dyn Lookup) -> String {
    lookup.value(name).unwrap_or_else(|| {
        lookup.unset(name);
        String::new()
    })
}

/// Splits what follows `${` at the brace that closes it. As compose-go does, any `{` counts as an opening brace,
/// and where they do not balance, the last `}` of the line closes.
fn split_braces(inner: &str) -> Option<(&str, &str)> {
    let line = &inner[..inner.find('\n').unwrap_or(inner.len())];
    let last = line.rfind('}')?;
    let mut open = 1_usize;
    let mut skip = false;
    for (i, byte) in inner.bytes().enumerate().take(last + 1) {
        if std::mem::take(&mut skip) {
            continue;
        }
        match byte {
            b'}' => {
                open -= 1;
                if open == 0 {
                    return Some((&inner[..i], &inner[i + 1..]));
                }
            }
            b'{' => {
                open += 1;
                skip = true;
            }
            _ => {}
        }
    }
    Some((&inner[..last], &inner[last + 1..]))
}

fn braced(content: &str, lookup: &mut dyn Lookup, depth: usize) -> Result<String, InterpolationError> {
    let name = name_at(content);
    if name.is_empty() {
        return Err(InterpolationError::Malformed);
    }
    let rest = &content[name.len()..];
    if rest.is_empty() {
        return Ok(plain(name, lookup));
    }
    // With a colon, an empty value counts as none.
    let (operator, colon) = match rest.strip_prefix(':') {
        Some(operator) => (operator, true),
        None => (rest, false),
    };
    let value = lookup.value(name);
    let usable = value.clone().filter(|value| !colon || !value.is_empty());
    let argument = operator.get(1..).unwrap_or_default();
    match operator.as_bytes().first() {
        Some(b'-') => usable.map_or_else(|| substitute(argument, lookup, depth + 1), Ok),
        Some(b'+') if usable.is_some() => substitute(argument, lookup, depth + 1),
        Some(b'+') => Ok(value.unwrap_or_default()),
        Some(b'?') => {
            let Some(value) = usable else {
                let message = substitute(argument, lookup, depth + 1)?;
                return Err(InterpolationError::Required { name: name.to_owned(), message });
            };
            Ok(value)
        }
        _ => Err(InterpolationError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{InterpolationError, Lookup, interpolate};

    #[derive(Default)]
    struct Fixed(Vec<String>);

    impl Lookup for Fixed {
        fn value(&mut self, name: &str) -> Option<String> {
            match name {
                "SET" => Some("set".into()),
                "EMPTY" => Some(String::new()),
                "DOLLAR" => Some("$SET".into()),
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
    fn says_what_is_wrong() {
        for text in ["${", "${}", "${SET", "${1}", "${A B}", "${NO:-a\nb}", "${A:}", "${A!x}"] {
            assert_eq!(interpolate(text, &mut Fixed::default()), Err(InterpolationError::Malformed), "{text}");
        }
        for (text, message) in [("${EMPTY:?say $SET}", "say set"), ("${NO?}", ""), ("${NO:?}", "")] {
            let error = interpolate(text, &mut Fixed::default()).unwrap_err();
            assert!(matches!(&error, InterpolationError::Required { message: m, .. } if m == message), "{text}");
        }
    }

    #[test]
    fn tells_of_unset_variables() {
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
