//! The type of a scalar, and the text that Compose converts it to, for example in a build argument.
//!
//! Follows `go-yaml`, which Compose uses: YAML 1.2 with the octal numbers of YAML 1.1
//! (<https://github.com/yaml/go-yaml/blob/v4.0.0-rc.3/resolve.go>); `yes` and `on` are strings.

use std::borrow::Cow;

/// A single value.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar {
    /// `null`, `~` or an empty value.
    Null,
    /// `true` or `false`, and its source text.
    Bool(bool, String),
    /// A whole number and its source text.
    Int(i128, String),
    /// A number and its source text.
    Float(f64, String),
    /// A string.
    Text(String),
}

impl Scalar {
    /// Returns the text that Compose uses if a string is required: numbers in Go's shortest form, `null` as an empty
    /// text.
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Null => Cow::Borrowed(""),
            Self::Bool(true, _) => Cow::Borrowed("true"),
            Self::Bool(false, _) => Cow::Borrowed("false"),
            Self::Int(number, _) => Cow::Owned(number.to_string()),
            Self::Float(number, _) => Cow::Owned(go_float(*number)),
            Self::Text(text) => Cow::Borrowed(text),
        }
    }

    /// Returns the source text; empty for `null`.
    pub fn source(&self) -> Cow<'_, str> {
        match self {
            Self::Bool(_, source) | Self::Int(_, source) | Self::Float(_, source) => Cow::Borrowed(source),
            _ => self.text(),
        }
    }

    /// Returns the name of its type, for errors.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "empty",
            Self::Bool(..) => "a boolean",
            Self::Int(..) | Self::Float(..) => "a number",
            Self::Text(_) => "a string",
        }
    }
}

/// Determines the type of a scalar. `plain` means neither quoted nor a block; `core` is the type that a tag requires, such
/// as `str`.
pub(super) fn resolve(text: &str, plain: bool, core: Option<&str>) -> Scalar {
    if core == Some("str") || (!plain && core.is_none()) {
        return Scalar::Text(text.to_owned());
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        "true" | "True" | "TRUE" => return Scalar::Bool(true, text.to_owned()),
        "false" | "False" | "FALSE" => return Scalar::Bool(false, text.to_owned()),
        ".nan" | ".NaN" | ".NAN" => return Scalar::Float(f64::NAN, text.to_owned()),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
            return Scalar::Float(f64::INFINITY, text.to_owned());
        }
        "-.inf" | "-.Inf" | "-.INF" => return Scalar::Float(f64::NEG_INFINITY, text.to_owned()),
        _ => {}
    }
    let digits = text.replace('_', "");
    if let Some(number) = integer(&digits) {
        return if core == Some("float") {
            #[expect(clippy::cast_precision_loss, reason = "the tag requires it")]
            let number = number as f64;
            Scalar::Float(number, text.to_owned())
        } else {
            Scalar::Int(number, text.to_owned())
        };
    }
    // Rust's parser also accepts words such as `inf`, which are strings in YAML.
    let float_form = digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'))
        && digits.bytes().any(|b| b.is_ascii_digit());
    match digits.parse::<f64>() {
        Ok(number) if float_form && number.is_finite() => Scalar::Float(number, text.to_owned()),
        _ => Scalar::Text(text.to_owned()),
    }
}

/// Parses an integer like Go's `strconv.ParseInt(text, 0, 64)`, and unsigned numbers up to 64 bits.
fn integer(text: &str) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix(['+', '-']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', rest @ ..] if !rest.is_empty() => (16, &lower[2..]),
        [b'0', b'o', rest @ ..] if !rest.is_empty() => (8, &lower[2..]),
        [b'0', b'b', rest @ ..] if !rest.is_empty() => (2, &lower[2..]),
        [b'0', rest @ ..] if !rest.is_empty() => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    if !digits.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    let number = i128::from(u64::from_str_radix(digits, radix).ok()?);
    let number = if negative { -number } else { number };
    (number >= i128::from(i64::MIN)).then_some(number)
}

/// Formats a number like Go's `fmt.Sprint`: the shortest digits, with an exponent below 1e-4 and from 1e+06 on.
fn go_float(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{number:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if number == 0.0 || (-4..6).contains(&exponent) {
        return format!("{number}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::resolve;

    #[test]
    fn renders_plain_words_as_go_does() {
        for (text, want) in [
            ("true", "true"),
            ("TRUE", "true"),
            ("yes", "yes"),
            ("on", "on"),
            ("null", ""),
            ("~", ""),
            ("", ""),
            ("012", "10"),
            ("0o17", "15"),
            ("08", "8"),
            ("0x1F", "31"),
            ("1_000", "1000"),
            ("+7", "7"),
            ("-0", "0"),
            ("18446744073709551615", "18446744073709551615"),
            ("3.10", "3.1"),
            ("1.0", "1"),
            ("1e3", "1000"),
            ("1000000.5", "1.0000005e+06"),
            ("0.00001", "1e-05"),
            (".5", "0.5"),
            (".inf", "+Inf"),
            (".nan", "NaN"),
            ("inf", "inf"),
            ("1.2.3", "1.2.3"),
            ("22:22", "22:22"),
            ("-", "-"),
            ("e", "e"),
            ("+", "+"),
        ] {
            assert_eq!(resolve(text, true, None).text(), want, "{text}");
            assert_eq!(resolve(text, false, None).text(), text, "quoted {text}");
            assert_eq!(resolve(text, true, Some("str")).text(), text, "!!str {text}");
        }
    }
}
