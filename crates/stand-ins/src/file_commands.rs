//! What the runner makes of `GITHUB_OUTPUT` and `GITHUB_STATE` (`FileCommandManager.cs`, `EnvFileKeyValuePairs`).

use std::collections::BTreeMap;

/// The names and values of a file. The error is what the runner would say; it fails the step.
pub fn parse(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut pairs = BTreeMap::new();
    let mut lines = text.split('\n');
    while let Some(line) = lines.next() {
        if line.is_empty() {
            continue;
        }
        match (line.find('='), line.find("<<")) {
            (Some(equals), heredoc) if heredoc.is_none_or(|heredoc| equals < heredoc) => {
                pairs.insert(name_of(&line[..equals], line)?, line[equals + 1..].to_owned());
            }
            (_, Some(heredoc)) => {
                let (name, delimiter) = (name_of(&line[..heredoc], line)?, &line[heredoc + 2..]);
                if delimiter.is_empty() {
                    return Err(format!("Invalid format '{line}'. Name and delimiter must not be empty"));
                }
                pairs.insert(name, heredoc_value(&mut lines, delimiter)?);
            }
            _ => return Err(format!("Invalid format '{line}'")),
        }
    }
    Ok(pairs)
}

fn heredoc_value<'a>(lines: &mut impl Iterator<Item = &'a str>, delimiter: &str) -> Result<String, String> {
    let mut value: Vec<&str> = Vec::new();
    for line in lines {
        if line == delimiter {
            return Ok(value.join("\n"));
        }
        value.push(line);
    }
    Err(format!("Matching delimiter not found '{delimiter}'"))
}

fn name_of(name: &str, line: &str) -> Result<String, String> {
    if name.is_empty() { Err(format!("Invalid format '{line}'. Name must not be empty")) } else { Ok(name.to_owned()) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::parse;

    #[test]
    fn reads_both_forms_and_refuses_the_rest() {
        let parsed = parse("a=1=2\nb<<X\none\n\ntwo\nX\nc<<E\nE\na=3\n").unwrap();
        let expected: BTreeMap<String, String> =
            [("a", "3"), ("b", "one\n\ntwo"), ("c", "")].map(|(k, v)| (k.into(), v.into())).into();
        assert_eq!(parsed, expected);
        for bad in ["plain", "=x", "<<X\nX", "a<<X\nno end", "a<<\n"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
