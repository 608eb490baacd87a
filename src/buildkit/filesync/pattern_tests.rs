//! moby's table tests as data, and a comparison with a reference implementation without shortcuts.

use proptest::prelude::*;

use super::*;

/// Matches a path as the walk does: first every directory above it, then the path.
fn matches(patterns: &Patterns, path: &str) -> Result<bool, PatternError> {
    let mut parent = Vec::new();
    let mut own = Vec::new();
    let path = path.strip_suffix('/').unwrap_or(path);
    for (at, _) in path.match_indices('/').filter(|(at, _)| *at > 0) {
        patterns.matches(&path[..at], &parent, &mut own)?;
        std::mem::swap(&mut parent, &mut own);
    }
    patterns.matches(path, &parent, &mut own)
}

fn one(pattern: &str, path: &str) -> Result<bool, PatternError> {
    matches(&Patterns::new([pattern])?, path)
}

#[test]
fn single_patterns_match_as_in_moby() {
    for (pattern, path, want) in [
        ("**", "file", true),
        ("**", "file/", true),
        ("**/", "file", true),
        ("**/", "file/", true),
        ("**", "/", true),
        ("**/", "/", true),
        ("**", "dir/file", true),
        ("**/", "dir/file", true),
        ("**", "dir/file/", true),
        ("**/", "dir/file/", true),
        ("**/**", "dir/file", true),
        ("**/**", "dir/file/", true),
        ("dir/**", "dir/file", true),
        ("dir/**", "dir/file/", true),
        ("dir/**", "dir/dir2/file", true),
        ("dir/**", "dir/dir2/file/", true),
        ("**/dir", "dir", true),
        ("**/dir", "dir/file", true),
        ("**/dir2/*", "dir/dir2/file", true),
        ("**/dir2/*", "dir/dir2/file/", true),
        ("**/dir2/**", "dir/dir2/dir3/file", true),
        ("**/dir2/**", "dir/dir2/dir3/file/", true),
        ("**file", "file", true),
        ("**file", "dir/file", true),
        ("**/file", "dir/file", true),
        ("**file", "dir/dir/file", true),
        ("**/file", "dir/dir/file", true),
        ("**/file*", "dir/dir/file", true),
        ("**/file*", "dir/dir/file.txt", true),
        ("**/file*txt", "dir/dir/file.txt", true),
        ("**/file*.txt", "dir/dir/file.txt", true),
        ("**/file*.txt*", "dir/dir/file.txt", true),
        ("**/**/*.txt", "dir/dir/file.txt", true),
        ("**/**/*.txt2", "dir/dir/file.txt", false),
        ("**/*.txt", "file.txt", true),
        ("**/**/*.txt", "file.txt", true),
        ("a**/*.txt", "a/file.txt", true),
        ("a**/*.txt", "a/dir/file.txt", true),
        ("a**/*.txt", "a/dir/dir/file.txt", true),
        ("a/*.txt", "a/dir/file.txt", false),
        ("a/*.txt", "a/file.txt", true),
        ("a/*.txt**", "a/file.txt", true),
        ("a[b-d]e", "ae", false),
        ("a[b-d]e", "ace", true),
        ("a[b-d]e", "aae", false),
        ("a[^b-d]e", "aze", true),
        (".*", ".foo", true),
        (".*", "foo", false),
        ("abc.def", "abcdef", false),
        ("abc.def", "abc.def", true),
        ("abc.def", "abcZdef", false),
        ("abc?def", "abcZdef", true),
        ("abc?def", "abcdef", false),
        ("a\\\\", "a\\", true),
        ("**/foo/bar", "foo/bar", true),
        ("**/foo/bar", "dir/foo/bar", true),
        ("**/foo/bar", "dir/dir2/foo/bar", true),
        ("abc/**", "abc", false),
        ("abc/**", "abc/def", true),
        ("abc/**", "abc/def/ghi", true),
        ("**/.foo", ".foo", true),
        ("**/.foo", "bar.foo", false),
        ("a(b)c/def", "a(b)c/def", true),
        ("a(b)c/def", "a(b)c/xyz", false),
        ("a.|)$(}+{bc", "a.|)$(}+{bc", true),
        (
            "dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl",
            "dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl",
            true,
        ),
        ("dist/*.whl", "dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl", true),
        ("a\\*b", "a*b", true),
        // As v0.6.1 has it, which buildx is released with: see `kind`.
        ("a|b", "a|b", true),
        ("a|b", "a", false),
        ("**/a|b", "x/a|b", true),
        ("a*|b", "axyz", true),
        ("a*|b", "a/c", true),
        ("a*|b", "xb", true),
        ("a*|b", "xc", false),
        ("*.js|*.ts", "x.js", true),
        ("*.js|*.ts", "x.js.map", true),
        ("*.js|*.ts", "d/x.js", false),
        ("*.js|*.ts", "d/x.ts", true),
        ("*.{js,ts}", "x.{js,ts}", true),
        ("*.{js,ts}", "x.js", false),
        ("*.a{2}", "x.aa", true),
        ("a{2}", "a{2}", true),
    ] {
        assert_eq!(one(pattern, path), Ok(want), "{pattern:?} {path:?}");
    }
}

#[test]
fn the_last_match_decides() {
    for (patterns, path, want) in [
        (&["**", "!util/docker/web"][..], "util/docker/web/foo", false),
        (&["**", "!util/docker/web", "util/docker/web/foo"], "util/docker/web/foo", true),
        (&["**", "!dist/proxy.py-2.4.0rc3.whl"], "dist/proxy.py-2.4.0rc3.whl", false),
        (&["**", "!dist/*.whl"], "dist/proxy.py-2.4.0rc3.whl", false),
        (&["!fileutils.go", "*.go"], "fileutils.go", true),
        (&["*.go", "!fileutils.go"], "fileutils.go", false),
        (&["docs", "!docs/README.md"], "docs/README.md", false),
        (&["docs/", "!docs/README.md"], "docs/README.md", false),
        (&["docs/*", "!docs/README.md"], "docs/README.md", false),
        (&["docs", "  !docs/README.md"], "docs/README.md", false),
        (&["docs", "!docs/README.md  "], "docs/README.md", false),
        (&["docs", "config", ""], "config", true),
        (&[], "any/path/there", false),
    ] {
        let read = Patterns::new(patterns.iter().copied()).unwrap();
        assert_eq!(matches(&read, path), Ok(want), "{patterns:?} {path:?}");
    }
}

/// moby's rows of Go's `TestMatch`; `None` is an error. Unlike there, a match of the directory above counts.
#[test]
fn go_patterns_match_as_in_moby() {
    for (pattern, path, want) in [
        ("abc", "abc", Some(true)),
        ("*", "abc", Some(true)),
        ("*c", "abc", Some(true)),
        ("a*", "a", Some(true)),
        ("a*", "abc", Some(true)),
        ("a*", "ab/c", Some(true)),
        ("a*/b", "abc/b", Some(true)),
        ("a*/b", "a/c/b", Some(false)),
        ("a*b*c*d*e*/f", "axbxcxdxe/f", Some(true)),
        ("a*b*c*d*e*/f", "axbxcxdxexxx/f", Some(true)),
        ("a*b*c*d*e*/f", "axbxcxdxe/xxx/f", Some(false)),
        ("a*b*c*d*e*/f", "axbxcxdxexxx/fff", Some(false)),
        ("a*b?c*x", "abxbbxdbxebxczzx", Some(true)),
        ("a*b?c*x", "abxbbxdbxebxczzy", Some(false)),
        ("ab[c]", "abc", Some(true)),
        ("ab[b-d]", "abc", Some(true)),
        ("ab[e-g]", "abc", Some(false)),
        ("ab[^c]", "abc", Some(false)),
        ("ab[^b-d]", "abc", Some(false)),
        ("ab[^e-g]", "abc", Some(true)),
        ("a\\*b", "a*b", Some(true)),
        ("a\\*b", "ab", Some(false)),
        ("a?b", "a☺b", Some(true)),
        ("a[^a]b", "a☺b", Some(true)),
        ("a???b", "a☺b", Some(false)),
        ("a[^a][^a][^a]b", "a☺b", Some(false)),
        ("[a-ζ]*", "α", Some(true)),
        ("*[a-ζ]", "A", Some(false)),
        ("a?b", "a/b", Some(false)),
        ("a*b", "a/b", Some(false)),
        ("[\\]a]", "]", Some(true)),
        ("[\\-]", "-", Some(true)),
        ("[x\\-]", "x", Some(true)),
        ("[x\\-]", "-", Some(true)),
        ("[x\\-]", "z", Some(false)),
        ("[\\-x]", "x", Some(true)),
        ("[\\-x]", "-", Some(true)),
        ("[\\-x]", "a", Some(false)),
        ("[]a]", "]", None),
        ("[-]", "-", None),
        ("[x-]", "x", None),
        ("[-x]", "x", None),
        ("\\", "a", None),
        ("[a-b-c]", "a", None),
        ("[", "a", None),
        ("[^", "a", None),
        ("[^bc", "a", None),
        ("a[", "a", None),
        ("a[", "ab", None),
        ("*x", "xxx", Some(true)),
        ("[Local-Only]/", "x", None),
    ] {
        assert_eq!(one(pattern, path).ok(), want, "{pattern:?} {path:?}");
    }
}

#[test]
fn patterns_compile_as_in_moby() {
    let regex = |source: &str| Kind::Regex(source.to_owned());
    for (pattern, want) in [
        ("*", regex("^[^/]*$")),
        ("file*", regex("^file[^/]*$")),
        ("*file", regex("^[^/]*file$")),
        ("a*/b", regex("^a[^/]*/b$")),
        ("**", Kind::Suffix),
        ("**/**", regex("^(.*/)?.*$")),
        ("dir/**", Kind::Prefix),
        ("**/dir", Kind::Suffix),
        ("**/dir2/*", regex("^(.*/)?dir2/[^/]*$")),
        ("**/dir2/**", regex("^(.*/)?dir2/.*$")),
        ("**file", Kind::Suffix),
        ("**/file*txt", regex("^(.*/)?file[^/]*txt$")),
        ("**/**/*.txt", regex(r"^(.*/)?(.*/)?[^/]*\.txt$")),
        ("a[b-d]e", regex("^a[b-d]e$")),
        (".*", regex(r"^\.[^/]*$")),
        ("abc.def", Kind::Exact),
        ("abc?def", regex("^abc[^/]def$")),
        ("**/foo/bar", Kind::Suffix),
        ("a(b)c/def", Kind::Exact),
        ("a.|)$(}+{bc", Kind::Exact),
        ("a.|)$(}+{bc*", regex(r"^a\.|\)\$\(}\+{bc[^/]*$")),
        ("dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl", Kind::Exact),
    ] {
        assert_eq!(kind(pattern), want, "{pattern:?}");
    }
}

#[test]
fn a_bad_pattern_is_named() {
    assert_eq!(Patterns::new(["a", "!"]).unwrap_err(), PatternError::LoneException);
    assert_eq!(Patterns::new(["src/[a"]).unwrap_err(), PatternError::Malformed("src/[a".to_owned()));
    // moby finds this one only where it counts.
    let lazy = Patterns::new(["*", "[z-a]"]).unwrap();
    assert_eq!(matches(&lazy, "x"), Ok(true));
    for malformed in ["[z-a]", "*{2}", "a?{2,1}"] {
        let error = matches(&Patterns::new([malformed]).unwrap(), "x").unwrap_err();
        assert!(error.to_string().contains(&format!("`{malformed}`")), "{error}");
    }
}

#[test]
fn patterns_that_would_fill_the_memory_are_refused() {
    let large = vec!["?{1000}"; 10_000];
    assert_eq!(Patterns::new(large).unwrap_err(), PatternError::TooMany);
    let usual: Vec<String> = (0..1000).map(|i| format!("a{i}/**/b?[cd]")).collect();
    assert!(Patterns::new(usual.iter().map(String::as_str)).is_ok());
}

/// moby's `MatchesUsingParentResults` from the root down to `path`, with a regular expression for everything that has
/// a star. (Its `MatchesOrParentMatches` differs for `a/b` under `a/*` and `!a`, but a walk does not use it.)
pub(in super::super) fn reference(patterns: &[String], path: &str) -> Option<bool> {
    let mut parent: Option<Vec<bool>> = None;
    let mut matched = false;
    for path in path.match_indices('/').map(|(at, _)| &path[..at]).chain([path]) {
        let mut own = Vec::new();
        matched = false;
        for pattern in patterns.iter().filter(|pattern| !pattern.trim().is_empty()) {
            let cleaned = glob::clean(pattern.trim());
            let (exception, text) = match cleaned.strip_prefix('!') {
                Some(text) => (true, text),
                None => (false, cleaned.as_str()),
            };
            let inherited = parent.as_ref().is_some_and(|parent| parent[own.len()]);
            let fits = inherited || (exception == matched && fits(text, path)?);
            own.push(fits);
            if fits {
                matched = !exception;
            }
        }
        parent = Some(own);
    }
    Some(matched)
}

fn fits(pattern: &str, path: &str) -> Option<bool> {
    Some(match kind(pattern) {
        Kind::Exact => path == pattern,
        Kind::Prefix => path.starts_with(&pattern[..pattern.len() - 2]),
        Kind::Suffix => path.ends_with(&pattern[2..]) || pattern[2..].strip_prefix('/') == Some(path),
        Kind::Regex(source) => regexp::compile(&source)?.is_match(path),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn shortcuts_and_parent_results_change_nothing(
        patterns in prop::collection::vec("!?(\\*\\*/|a/|)([ab.*?/|\n]|\\{2\\}|\\*\\*|\\[ab\\]|\\[\\^a\\]|\\\\[a*]){1,6}", 1..5),
        path in "[ab\n][ab.\n]{0,2}(/[ab][ab.]{0,2}){0,3}",
    ) {
        let Ok(read) = Patterns::new(patterns.iter().map(String::as_str)) else {
            return Err(TestCaseError::reject("not a pattern"));
        };
        if let Some(want) = reference(&patterns, &path) {
            prop_assert_eq!(matches(&read, &path), Ok(want));
        }
    }
}
