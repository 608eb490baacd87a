//! Whitespace and numbers as JavaScript defines them, because docker/metadata-action relies on both.

/// Whether JavaScript treats a character as whitespace: `char::is_whitespace`, with the byte order mark and without
/// `U+0085`.
pub(in crate::tags) fn is_space(character: char) -> bool {
    character == '\u{feff}' || character.is_whitespace() && character != '\u{85}'
}

/// Removes the whitespace around a text.
pub(super) fn trimmed(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// Parses a number as JavaScript's `Number()` does: decimal of any size, or hexadecimal, octal or binary with a prefix
/// such as `0x`; an empty text is 0.
pub fn number(text: &str) -> Option<f64> {
    let text = trimmed(text);
    match text {
        "" => return Some(0.0),
        "Infinity" | "+Infinity" => return Some(f64::INFINITY),
        "-Infinity" => return Some(f64::NEG_INFINITY),
        _ => {}
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        let digits = text.get(..2).filter(|start| start.eq_ignore_ascii_case(prefix)).and_then(|_| text.get(2..));
        if let Some(digits) = digits {
            // Hexadecimal priorities above `u32::MAX` are not supported.
            return u32::from_str_radix(digits, radix).ok().filter(|_| !digits.starts_with('+')).map(f64::from);
        }
    }
    let plain = text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    plain.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers() {
        assert_eq!(["", " 7 ", "-1.5", "1e3", "\u{feff}1"].map(number), [0.0, 7.0, -1.5, 1000.0, 1.0].map(Some));
        assert_eq!(["0x1F", "0b11", "0O17"].map(number), [31.0, 3.0, 15.0].map(Some));
        assert_eq!(["Infinity", "-Infinity"].map(number), [f64::INFINITY, f64::NEG_INFINITY].map(Some));
        assert_eq!(["x", "inf", "NaN", "1 2", "0x", "0x+1", "-0x1"].map(number), [None; 7]);
    }
}
