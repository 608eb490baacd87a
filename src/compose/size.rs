//! Parses sizes such as `64m`, as Docker does (<https://github.com/docker/go-units/blob/v0.5.0/size.go>).

/// Returns a size in bytes; `k`, `m`, `g`, `t` and `p` are powers of 1024.
pub fn bytes(text: &str) -> Option<u64> {
    let end = text.rfind(|c: char| c.is_ascii_digit() || matches!(c, '.' | ' '))?;
    let (number, unit) = text.split_at(end + 1);
    let number: f64 = number.strip_suffix(' ').unwrap_or(number).parse().ok()?;
    let power = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 1,
        "m" | "mb" | "mib" => 2,
        "g" | "gb" | "gib" => 3,
        "t" | "tb" | "tib" => 4,
        "p" | "pb" | "pib" => 5,
        _ => return None,
    };
    let bytes = number * 1024_f64.powi(power);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
    (bytes.is_finite() && (0.0..9.2e18).contains(&bytes)).then_some(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn reads_units() {
        for (text, want) in [
            ("64", Some(64)),
            ("64b", Some(64)),
            ("1.5g", Some(1_610_612_736)),
            ("64 MB", Some(67_108_864)),
            ("2KiB", Some(2048)),
            ("", None),
            ("m", None),
            ("-1", None),
            ("64x", None),
            ("6 4 m", None),
            ("64bb", None),
            ("nan", None),
        ] {
            assert_eq!(bytes(text), want, "{text}");
        }
    }
}
