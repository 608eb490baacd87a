//! Finds the correct name for a mistyped one.

/// Maximum length of a compared name, and maximum number of candidates. The comparison takes time proportional to the
/// product of the lengths.
const LONGEST: usize = 64;
const MOST: usize = 1000;

/// Returns the candidate that is closest to `wanted`, if one is close enough to be the intended name.
pub fn nearest<'a>(wanted: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if wanted.len() > LONGEST {
        return None;
    }
    let limit = (wanted.chars().count() / 3).max(2);
    candidates
        .into_iter()
        .take(MOST)
        .filter(|candidate| candidate.len() <= 2 * LONGEST)
        .map(|candidate| (distance(wanted, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Computes the Levenshtein distance, in characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn suggests_what_is_close_only() {
        let names = ["django", "docs", "celeryworker"];
        assert_eq!(nearest("djnago", names), Some("django"));
        assert_eq!(nearest("celery-worker", names), Some("celeryworker"));
        assert_eq!(nearest("postgres", names), None);
        assert_eq!(nearest("", []), None);
        let long = "a".repeat(100_000);
        assert_eq!(nearest(&long, [long.as_str()]), None, "not compared");
    }
}
