//! The messages that the documentation quotes are those that the program prints.

use std::{fs, path::Path};

use super::{codes, path, rows};

/// The text of all source files without tests and comments, with string literals as they read.
pub(crate) fn source() -> String {
    fn below(directory: &Path, all: &mut String) {
        for entry in fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap().path();
            let name = entry.file_stem().unwrap().to_str().unwrap();
            if name.ends_with("tests") {
                continue;
            }
            if entry.is_dir() {
                below(&entry, all);
            } else if entry.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&entry).unwrap();
                let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
                for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
                    *all += line;
                    *all += "\n";
                }
            }
        }
    }
    let mut all = String::new();
    below(&path("src"), &mut all);
    // A literal goes on after a backslash at the end of its line.
    let mut joined = String::with_capacity(all.len());
    let mut parts = all.split("\\\n");
    joined.push_str(parts.next().unwrap_or_default());
    parts.for_each(|part| joined.push_str(part.trim_start()));
    joined.replace("\\\"", "\"")
}

#[test]
fn quoted_messages_are_printed_by_the_program() {
    let page = fs::read_to_string(path("docs/troubleshooting.md")).unwrap();
    let mut quoted: Vec<String> = page.lines().filter(|line| line.starts_with("### ")).flat_map(codes).collect();
    let readme = fs::read_to_string(path("README.md")).unwrap();
    let (_, section) = readme.split_once("\n## Troubleshooting\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    quoted.extend(rows(section).iter().flat_map(|row| codes(&row[0])));
    let (_, section) = page.split_once("\n## Rollbacks\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    quoted.extend(rows(section).iter().flat_map(|row| codes(&row[0])));
    assert!(quoted.len() > 20, "only {} messages were found", quoted.len());
    let source = source();
    let missing: Vec<&String> = quoted
        .iter()
        .filter(|message| message.split('…').map(str::trim).any(|part| part.len() > 2 && !source.contains(part)))
        .collect();
    assert!(missing.is_empty(), "no source file contains {missing:#?}");
}
