//! Parsers for single values: booleans, lists, pairs, durations, sizes, platforms, colors.
//!
//! They return `None` for an invalid value. The caller creates the error, because it knows whether the value may be
//! shown.

use std::time::Duration;

/// Parses a YAML boolean. Besides the core schema of YAML 1.2 (`true`, `True`, `TRUE`), it accepts the spellings of
/// YAML 1.1 that are common in workflows.
pub fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" => Some(true),
        "false" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// Returns the items of a list, one per line, without blank lines and lines that begin with `#`.
pub fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// Returns the items of a list whose items cannot contain a comma: `a,b` is two items, as in Docker's own actions.
pub fn comma_lines(text: &str) -> impl Iterator<Item = &str> {
    lines(text).flat_map(|line| line.split(',')).map(str::trim).filter(|item| !item.is_empty())
}

/// Splits an item at the first `=`. Returns `None` if there is no `=` or nothing before it.
pub fn pair(item: &str) -> Option<(&str, &str)> {
    let (key, value) = item.split_once('=')?;
    let key = key.trim();
    (!key.is_empty()).then(|| (key, value.trim()))
}

/// Parses a duration such as `45m`, `1h30m` or `90s`. A number without a unit is rejected, because it could mean
/// minutes or seconds.
pub fn duration(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at(digits);
        let number: u64 = number.parse().ok()?;
        let (seconds, tail) = match tail.as_bytes().first()? {
            b'h' => (3600, &tail[1..]),
            b'm' => (60, &tail[1..]),
            b's' => (1, &tail[1..]),
            _ => return None,
        };
        total = total.checked_add(Duration::from_secs(number.checked_mul(seconds)?))?;
        rest = tail;
    }
    (!total.is_zero()).then_some(total)
}

/// Parses a size in bytes, in Docker's notation: `64m`, `1g`, `1.5g`, `512kb`, `1048576`. Units are powers of 1024
/// (<https://pkg.go.dev/github.com/docker/go-units#RAMInBytes>).
pub fn bytes(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let number = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = lower[number.len()..].trim_end_matches("ib").trim_end_matches('b');
    let shift = match unit {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return None,
    };
    let number = number.trim();
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |part: &str| (!part.is_empty() && part.len() <= 9).then(|| part.parse::<u64>().ok()).flatten();
    // Nine digits shifted by 40 bits stay below 2^70, so 128-bit arithmetic cannot overflow.
    let parts = u128::from(digits(fraction)?);
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let units = u128::from(if whole.len() > 9 && shift == 0 { whole.parse().ok()? } else { digits(whole)? });
    let value = (units << shift) + ((parts << shift) / scale);
    u64::try_from(value).ok()
}

/// Whether the text is a platform: `os/architecture` or `os/architecture/variant`.
pub fn is_platform(text: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b))
    };
    matches!(text.split('/').count(), 2 | 3) && text.split('/').all(part)
}

/// Parses a color `#RRGGBB` into a number.
pub fn color(text: &str) -> Option<u32> {
    let hex = text.strip_prefix('#').filter(|hex| hex.len() == 6 && hex.bytes().all(|b| b.is_ascii_hexdigit()))?;
    u32::from_str_radix(hex, 16).ok()
}

/// Parses an `http` or `https` URL.
pub fn url(text: &str) -> Option<String> {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))?;
    let fits =
        !host.is_empty() && !host.starts_with('/') && !text.contains(|c: char| c.is_whitespace() || c.is_control());
    fits.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{boolean, bytes, color, comma_lines, duration, is_platform, lines, pair, url};

    #[test]
    fn booleans() {
        assert_eq!(["true", "True", "on", "FALSE", "no"].map(boolean), [true, true, true, false, false].map(Some));
        assert_eq!(["", "1", "tru", "auto"].map(boolean), [None; 4]);
    }

    #[test]
    fn lists_skip_blanks_and_comments() {
        let text = "\n a=1 \r\n# no\n\n  # neither\nb # stays\n";
        assert_eq!(lines(text).collect::<Vec<_>>(), ["a=1", "b # stays"]);
        assert_eq!(comma_lines("a, b\n,c").collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(pair("A = b=c "), Some(("A", "b=c")));
        assert_eq!([pair("=x"), pair("x"), pair("x=")], [None, None, Some(("x", ""))]);
    }

    #[test]
    fn durations() {
        for (text, seconds) in [("45m", 2700), ("1h30m", 5400), ("90s", 90), ("2h", 7200)] {
            assert_eq!(duration(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for bad in ["", "45", "0s", "m", "1d", "-1m", "1.5h", "99999999999999999999h", "9999999999999999999h", "1µ"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn sizes() {
        for (text, want) in [
            ("64m", 64 << 20),
            ("1g", 1 << 30),
            ("1.5G", 3 << 29),
            ("512kb", 512 << 10),
            ("1GiB", 1 << 30),
            ("67108864", 64 << 20),
            ("17179869184", 16 << 30),
        ] {
            assert_eq!(bytes(text), Some(want), "{text}");
        }
        for bad in [
            "",
            "m",
            "-1m",
            "1x",
            "1..5g",
            "99999999999999999999",
            "9999999999t",
            "1.g",
            "é",
            "1.0000000000000000000000000000000000000000",
            "1.0000000000000000000000000000000000000000g",
        ] {
            assert_eq!(bytes(bad), None, "{bad}");
        }
    }

    #[test]
    fn urls() {
        assert_eq!(url("https://shop.example/a?b").as_deref(), Some("https://shop.example/a?b"));
        for bad in ["shop.example", "javascript:alert(1)", "https://", "https:///x", "https://a b"] {
            assert_eq!(url(bad), None, "{bad}");
        }
    }

    #[test]
    fn platforms_and_colors() {
        assert!(["linux/amd64", "linux/arm/v7"].into_iter().all(is_platform));
        assert!(!["linux", "linux/", "Linux/amd64", "a/b/c/d", "linux/amd 64"].into_iter().any(is_platform));
        assert_eq!(color("#FEE75c"), Some(0x00FE_E75C));
        assert_eq!(["FEE75C", "#FEE75", "#+EE75C", "yellow"].map(color), [None; 4]);
    }
}
