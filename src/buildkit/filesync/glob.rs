//! Go's `path/filepath`: `Clean`, `Join` and `Match`, which define BuildKit's patterns. Pure.
//!
//! Source: <https://pkg.go.dev/path/filepath>, for Unix.

/// A pattern that Go's `filepath.Match` rejects: an open `[`, an empty range, a `\` at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadPattern;

/// `filepath.Clean`: the shortest equal path; `.` if nothing is left.
pub(super) fn clean(path: &str) -> String {
    let absolute = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => _ = parts.pop(),
            ".." if absolute => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (absolute, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

/// `filepath.Join`: both, cleaned; an empty one is ignored.
pub(super) fn join(first: &str, second: &str) -> String {
    match (first.is_empty(), second.is_empty()) {
        (true, true) => String::new(),
        (true, false) => clean(second),
        (false, true) => clean(first),
        (false, false) => clean(&format!("{first}/{second}")),
    }
}

/// Directory and base name of a clean path; the directory of a path without `/` is `.`.
pub(super) fn split(path: &str) -> (&str, &str) {
    match path.rsplit_once('/') {
        Some(("", base)) => ("/", base),
        Some((dir, base)) => (dir, base),
        None => (".", path),
    }
}

/// `filepath.Match`: whether the whole of `name` matches; `*`, `?` and `[...]` do not cross a `/`.
pub(super) fn matches(pattern: &str, name: &str) -> Result<bool, BadPattern> {
    let (mut pattern, mut name) = (pattern, name);
    'pattern: while !pattern.is_empty() {
        let (star, chunk, rest) = next_chunk(pattern);
        pattern = rest;
        if star && chunk.is_empty() {
            return Ok(!name.contains('/'));
        }
        // The last chunk has to match the rest of the name; if it does not, a later start after the star may.
        if let Some(left) = match_chunk(chunk, name)?
            && (left.is_empty() || !pattern.is_empty())
        {
            name = left;
            continue;
        }
        if star {
            for (start, skipped) in name.char_indices() {
                if skipped == '/' {
                    break;
                }
                if let Some(left) = match_chunk(chunk, &name[start + skipped.len_utf8()..])?
                    && (left.is_empty() || !pattern.is_empty())
                {
                    name = left;
                    continue 'pattern;
                }
            }
        }
        while !pattern.is_empty() {
            let (_, chunk, rest) = next_chunk(pattern);
            match_chunk(chunk, "")?;
            pattern = rest;
        }
        return Ok(false);
    }
    Ok(name.is_empty())
}

/// Leading stars, the text up to the next star, and the rest.
fn next_chunk(pattern: &str) -> (bool, &str, &str) {
    let text = pattern.trim_start_matches('*');
    let star = text.len() < pattern.len();
    let (mut in_range, mut escaped) = (false, false);
    for (at, ch) in text.char_indices() {
        match ch {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '[' => in_range = true,
            ']' => in_range = false,
            '*' if !in_range => return (star, &text[..at], &text[at..]),
            _ => {}
        }
    }
    (star, text, "")
}

/// The rest of `name` after a match of `chunk` at its start. A chunk that does not match is still parsed to its end, since
/// a syntax error in it must be reported.
fn match_chunk<'n>(chunk: &str, name: &'n str) -> Result<Option<&'n str>, BadPattern> {
    let mut chunk = chunk.chars();
    let mut left = Some(name);
    while let Some(ch) = chunk.next() {
        let mut found = None;
        if let Some(text) = left {
            let mut chars = text.chars();
            found = chars.next();
            left = found.map(|_| chars.as_str());
        }
        let fits = match ch {
            '[' => match_range(&mut chunk, found)?,
            '?' => found.is_some_and(|found| found != '/'),
            '\\' => found == Some(chunk.next().ok_or(BadPattern)?),
            ch => found == Some(ch),
        };
        if !fits {
            left = None;
        }
    }
    Ok(left)
}

/// Parses a range after its `[` and returns whether `found` is in it.
fn match_range(chunk: &mut std::str::Chars<'_>, found: Option<char>) -> Result<bool, BadPattern> {
    let negated = chunk.as_str().starts_with('^');
    if negated {
        chunk.next();
    }
    let (mut matched, mut ranges) = (false, 0);
    loop {
        if ranges > 0 && chunk.as_str().starts_with(']') {
            chunk.next();
            return Ok(found.is_some() && matched != negated);
        }
        let low = range_end(chunk)?;
        let mut high = low;
        if chunk.as_str().starts_with('-') {
            chunk.next();
            high = range_end(chunk)?;
        }
        matched |= found.is_some_and(|found| low <= found && found <= high);
        ranges += 1;
    }
}

fn range_end(chunk: &mut std::str::Chars<'_>) -> Result<char, BadPattern> {
    let end = match chunk.next() {
        None | Some('-' | ']') => return Err(BadPattern),
        Some('\\') => chunk.next().ok_or(BadPattern)?,
        Some(ch) => ch,
    };
    if chunk.as_str().is_empty() { Err(BadPattern) } else { Ok(end) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clean_and_join_are_gos() {
        for (path, want) in [
            ("", "."),
            ("abc", "abc"),
            ("abc/", "abc"),
            ("./abc//def/.", "abc/def"),
            ("abc/../..", ".."),
            ("../../abc", "../../abc"),
            ("/../abc", "/abc"),
            ("/", "/"),
            ("abc/def/../ghi", "abc/ghi"),
        ] {
            assert_eq!(clean(path), want, "{path:?}");
        }
        assert_eq!(join(".", "/x/y"), "x/y");
        assert_eq!(join(".", "/"), ".");
        assert_eq!(join("a", "../../b"), "../b");
        assert_eq!(join("/a", ""), "/a");
    }

    /// The table of Go's own `TestMatch`, without the two rows for which moby differs.
    #[test]
    fn match_is_gos() {
        for (pattern, name, want) in [
            ("abc", "abc", Ok(true)),
            ("*", "abc", Ok(true)),
            ("*c", "abc", Ok(true)),
            ("a*", "a", Ok(true)),
            ("a*", "ab/c", Ok(false)),
            ("a*/b", "abc/b", Ok(true)),
            ("a*/b", "a/c/b", Ok(false)),
            ("a*b*c*d*e*/f", "axbxcxdxe/f", Ok(true)),
            ("a*b*c*d*e*/f", "axbxcxdxexxx/f", Ok(true)),
            ("a*b*c*d*e*/f", "axbxcxdxe/xxx/f", Ok(false)),
            ("a*b?c*x", "abxbbxdbxebxczzx", Ok(true)),
            ("a*b?c*x", "abxbbxdbxebxczzy", Ok(false)),
            ("ab[b-d]", "abc", Ok(true)),
            ("ab[^b-d]", "abc", Ok(false)),
            ("a\\*b", "a*b", Ok(true)),
            ("a?b", "a☺b", Ok(true)),
            ("a[^a]b", "a☺b", Ok(true)),
            ("a???b", "a☺b", Ok(false)),
            ("[a-ζ]*", "α", Ok(true)),
            ("*[a-ζ]", "A", Ok(false)),
            ("[\\]a]", "]", Ok(true)),
            ("[\\-x]", "-", Ok(true)),
            ("[]a]", "]", Err(BadPattern)),
            ("[-]", "-", Err(BadPattern)),
            ("[x-]", "x", Err(BadPattern)),
            ("\\", "a", Err(BadPattern)),
            ("[a-b-c]", "a", Err(BadPattern)),
            ("[", "a", Err(BadPattern)),
            ("[^bc", "a", Err(BadPattern)),
            ("a[", "ab", Err(BadPattern)),
            ("*x", "xxx", Ok(true)),
        ] {
            assert_eq!(matches(pattern, name), want, "{pattern:?} {name:?}");
        }
    }
}
