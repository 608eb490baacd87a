//! Formats durations, sizes and counts.

use std::time::Duration;

/// A duration: `0.4s`, `12.3s`, `1m 05s`, `1h 02m`.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => {
            // Truncated, so that 59.96 s does not become 60.0s.
            format!("{seconds}.{}s", duration.subsec_millis() / 100)
        }
        60..3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h {:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

/// A size in decimal units, as registries show it: `999 B`, `45.2 MB`.
pub fn bytes(bytes: u64) -> String {
    let mut unit = 1_u64;
    let mut name = "B";
    for next in ["kB", "MB", "GB", "TB"] {
        if bytes / unit < 1000 {
            break;
        }
        unit *= 1000;
        name = next;
    }
    if unit == 1 { format!("{bytes} B") } else { format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit) }
}

/// A count with its noun: `1 warning`, `2 warnings`.
pub fn count(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{bytes, count, duration};

    #[test]
    fn durations_sizes_and_counts() {
        for (millis, want) in [(0, "0.0s"), (440, "0.4s"), (59_960, "59.9s"), (65_000, "1m 05s"), (3_720_000, "1h 02m")]
        {
            assert_eq!(duration(Duration::from_millis(millis)), want);
        }
        for (size, want) in [(999, "999 B"), (1000, "1.0 kB"), (45_260_000, "45.2 MB"), (u64::MAX, "18446744.0 TB")] {
            assert_eq!(bytes(size), want);
        }
        assert_eq!([count(1, "image"), count(0, "image")], ["1 image", "0 images"]);
    }
}
