//! Versions of BuildKit. Pure.

/// Major and minor number of a version.
pub type Version = (u64, u64);

/// Parses a version as BuildKit reports it, such as `v0.25.2` or `v0.13.0-rc1`. `None` for `v0.0.0+unknown`, which all of
/// Debian's builds report.
pub fn parse(text: &str) -> Option<Version> {
    let mut numbers = text.trim_start_matches('v').split('.');
    let version = (numbers.next()?.parse().ok()?, numbers.next()?.split(['-', '+']).next()?.parse().ok()?);
    (version != (0, 0)).then_some(version)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn parses_releases_and_candidates() {
        assert_eq!(parse("v0.25.2"), Some((0, 25)));
        assert_eq!(parse("v0.13.0-rc1"), Some((0, 13)));
        assert_eq!(parse("0.8+unknown"), Some((0, 8)));
        assert_eq!([parse("v0.0.0+unknown"), parse(""), parse("master")], [None; 3]);
    }
}
