//! What the runner makes of `GITHUB_OUTPUT`, `GITHUB_STATE` and `GITHUB_ENV` (`FileCommandManager.cs`,
//! `EnvFileKeyValuePairs`), and of `GITHUB_ARTIFACTS` (`CreateArtifactsFileCommand.cs`).

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

/// The images of a file of artifacts, with their digests. Files as artifacts are not supported here. The error is what
/// the runner would say; it fails the step.
pub fn artifacts(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut images = BTreeMap::new();
    for (index, line) in text.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty()) {
        let invalid = |reason: &str| format!("Invalid $GITHUB_ARTIFACTS entry on line {}: {reason}", index + 1);
        if line.contains('=') {
            return Err(invalid("entries containing '=' are reserved and not permitted"));
        }
        let image = line.strip_prefix("oci://").and_then(|image| image.rsplit_once("@sha256:"));
        let (name, hex) = image
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| invalid("oci:// entries must include an @sha{256,384,512}:<hex> digest"))?;
        if hex.len() != 64 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(invalid("digest 'sha256' must be 64 hex characters"));
        }
        let digest = format!("sha256:{hex}");
        if images.insert(name.to_owned(), digest.clone()).is_some_and(|other| other != digest) {
            return Err(invalid("conflicting digest"));
        }
    }
    Ok(images)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{artifacts, parse};

    #[test]
    fn reads_images_and_refuses_the_rest() {
        let (one, two) = ("1".repeat(64), "2".repeat(64));
        let text = format!("oci://ghcr.io/o/a@sha256:{one}\n\noci://localhost:5000/b:main@sha256:{two}\n");
        let expected = [("ghcr.io/o/a", &one), ("localhost:5000/b:main", &two)];
        let expected = expected.map(|(name, hex)| (name.to_owned(), format!("sha256:{hex}")));
        assert_eq!(artifacts(&text).unwrap(), expected.into());
        for bad in ["oci://a@sha256:1", "oci://a:main", "a=b", &format!("oci://a@sha256:{one}\noci://a@sha256:{two}")] {
            assert!(artifacts(bad).is_err(), "{bad}");
        }
    }

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
