//! Parses the input `secrets`.

use super::{
    error::InputError,
    quoted::quoted_lines,
    values::{lines, pair},
};
use crate::{domain::secret::Secret, yaml};

const INPUT: &str = "secrets";

const HINT: &str = "write one `id=value` per line; for a value of several lines, use a YAML mapping (`id: |`), or quote the \
                    whole `id=value` and double the quotes inside";

/// Parses `id=value` lines, or a YAML mapping. Errors contain line numbers, but never the text of a line.
pub(super) fn secrets(text: &str) -> Result<Vec<(String, Secret)>, InputError> {
    let first = lines(text).next().unwrap_or_default();
    let secrets = if let Some(lines) = quoted_lines(text) {
        let lines = lines.map_err(|mistake| wrong(mistake.line, &mistake.problem))?;
        lines.iter().map(|(number, line)| of_line(*number, line)).collect::<Result<_, _>>()?
    } else if first.is_empty() || pair(first).is_some_and(|(id, _)| is_id(id)) {
        let numbered = text.lines().enumerate().filter_map(|(index, line)| Some((index + 1, lines(line).next()?)));
        numbered.map(|(number, line)| of_line(number, line)).collect::<Result<_, _>>()?
    } else {
        mapping(text)?
    };
    for (index, (id, _)) in secrets.iter().enumerate() {
        if secrets.iter().take(index).any(|(other, _)| other == id) {
            return Err(InputError::hidden(INPUT, format!("has the duplicate id `{id}`"), "remove one of the entries"));
        }
    }
    Ok(secrets)
}

fn of_line(number: usize, line: &str) -> Result<(String, Secret), InputError> {
    let (id, value) = pair(line).ok_or_else(|| wrong(number, "is not of the form `id=value`"))?;
    // The remaining lines of a key that was pasted after `id=` may look like `id=value` too, and ids are shown.
    if value.starts_with("-----BEGIN ") && !value.contains('\n') {
        return Err(wrong(number, "is the beginning of a value of several lines"));
    }
    if !is_id(id) {
        return Err(wrong(number, "is not of the form `id=value`"));
    }
    Ok((id.to_owned(), Secret::new(value)))
}

fn mapping(text: &str) -> Result<Vec<(String, Secret)>, InputError> {
    let invalid = |error: yaml::YamlError| wrong(error.at.line_number(), &error.problem.without_text());
    let document = yaml::parse_one(INPUT, text).map_err(invalid)?;
    let Some(entries) = document.entries() else {
        return Err(InputError::hidden(INPUT, "is neither `id=value` lines nor a YAML mapping", HINT));
    };
    let entry = |(id, value): &(yaml::Key, yaml::Node)| match value.written() {
        Some(value) if is_id(&id.text) => Ok((id.text.clone(), Secret::new(value))),
        _ => Err(wrong(id.at.line_number(), "is not an id with a text")),
    };
    entries.iter().map(entry).collect()
}

fn is_id(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

fn wrong(line: usize, problem: &str) -> InputError {
    InputError::hidden(INPUT, problem, HINT).at_line(line)
}

#[cfg(test)]
mod tests {
    use super::secrets;

    #[test]
    fn lines_and_mappings() {
        let shown = |text: &str| -> Vec<String> {
            secrets(text).unwrap().iter().map(|(id, secret)| format!("{id}={:?}", secret.expose())).collect()
        };
        assert_eq!(shown(""), [""; 0]);
        assert_eq!(shown("# c\na=1\n\nb.c-d = x=y \n"), [r#"a="1""#, r#"b.c-d="x=y""#]);
        assert_eq!(shown("empty="), [r#"empty="""#]);
        assert_eq!(shown("key: |\n  one\n  two\nother: 'a=b'"), [r#"key="one\ntwo\n""#, r#"other="a=b""#]);
        assert_eq!(shown(r#"{"a": "b: c"}"#), [r#"a="b: c""#]);
        // From the documentation of docker/build-push-action.
        let quoted = "# c\nTOKEN=ab,c=d\n\"KEY=aaa\n\n# b\"\nFOO=bar\n\"JSON={\"\"k\"\":\"\"v\"\"}\"";
        let want = [r#"TOKEN="ab,c=d""#, r#"KEY="aaa\n\n# b""#, r#"FOO="bar""#, r#"JSON="{\"k\":\"v\"}""#];
        assert_eq!(shown(quoted), want);
        assert_eq!(shown("\"a\": x"), [r#"a="x""#], "a key of YAML may be quoted too");
        let in_block = "env: |\n  \"FOO=bar\"\nother: x";
        assert_eq!(shown(in_block), [r#"env="\"FOO=bar\"\n""#, r#"other="x""#], "a block in YAML is not a line");
        let beside = "\"K=a\nb\"\nORIGINS=[\"a\",\"b\"]";
        assert_eq!(shown(beside), [r#"K="a\nb""#, r#"ORIGINS="[\"a\",\"b\"]""#], "only quoted lines are unquoted");
    }

    #[test]
    fn mistakes_show_no_secret() {
        for (text, want) in [
            ("a=1\nhunter2", "line 2: is not of the form `id=value`"),
            ("a=-----BEGIN KEY-----\nhunter2=\n", "line 1: is the beginning of a value of several lines"),
            ("a=1\na=hunter2", "has the duplicate id `a`"),
            ("hunter2", "is neither `id=value` lines nor a YAML mapping"),
            ("\"a=hunter2", "line 1: has a `\"` without a closing"),
            ("\"a=x\"\nhunter2", "line 2: is not of the form `id=value`"),
            ("\"a=x\ny\"\nb=-----BEGIN KEY-----\nhunter2=", "line 3: is the beginning of a value of several lines"),
            ("a: [hunter2]", "line 1: is not an id with a text"),
            ("a: 1\n hunter2: [", "line 2: invalid YAML"),
        ] {
            let error = secrets(text).unwrap_err().to_string();
            assert!(error.contains(want), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
