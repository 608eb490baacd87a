//! Writes the files that the runner reads after each stage: outputs, state, job summary, variables and artifacts.

use std::{fs::OpenOptions, io::Write, path::Path};

use thiserror::Error;

/// Why a file of the runner could not be written.
#[derive(Debug, Error)]
pub enum FileError {
    /// It could not be opened or written.
    #[error("failed to write {path} ({variable}): {source}; the container must run as root, like the runner")]
    Unwritable {
        /// The variable with its path.
        variable: &'static str,
        /// Its path.
        path: String,
        /// The system error.
        source: std::io::Error,
    },
    /// A name that the runner would misinterpret.
    #[error("`{0}` is not a valid output name")]
    Name(String),
    /// A value that contains the delimiter, which cannot happen by chance.
    #[error("the value of `{0}` contains the delimiter of the file")]
    Delimiter(String),
}

/// A file of the runner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunnerFile {
    /// Outputs of the step.
    Output,
    /// State for the post stage of the same step.
    State,
    /// The job summary, Markdown.
    Summary,
    /// Variables of the later steps of the job.
    Env,
    /// Artifacts that the step produced.
    Artifacts,
}

impl RunnerFile {
    /// The variable with its path. It is unset outside an action; then nothing is written.
    pub fn variable(self) -> &'static str {
        match self {
            Self::Output => "GITHUB_OUTPUT",
            Self::State => "GITHUB_STATE",
            Self::Summary => "GITHUB_STEP_SUMMARY",
            Self::Env => "GITHUB_ENV",
            Self::Artifacts => "GITHUB_ARTIFACTS",
        }
    }

    /// Appends text in a single write.
    pub fn append(self, path: &Path, text: &str) -> Result<(), FileError> {
        let open = OpenOptions::new().append(true).create(true).open(path);
        open.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|source| FileError::Unwritable {
            variable: self.variable(),
            path: path.display().to_string(),
            source,
        })
    }
}

/// The text that assigns values to names, for [`RunnerFile::Output`], [`RunnerFile::State`] and [`RunnerFile::Env`].
/// `random` must be new for each call, so that no value can contain the delimiter and set another name.
pub fn assignments<'a>(
    values: impl IntoIterator<Item = (&'a str, &'a str)>,
    random: [u8; 16],
) -> Result<String, FileError> {
    let delimiter = format!("ghadelimiter_{:032x}", u128::from_be_bytes(random));
    let mut text = String::new();
    for (name, value) in values {
        if name.is_empty() || name.contains(['\r', '\n', '=']) || name.contains("<<") {
            return Err(FileError::Name(name.escape_debug().to_string()));
        }
        if value.contains(&delimiter) || name.contains(&delimiter) {
            return Err(FileError::Delimiter(name.to_owned()));
        }
        text.extend([name, "<<", &delimiter, "\n", value, "\n", &delimiter, "\n"]);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::{FileError, RunnerFile, assignments};

    /// Reads the file as the runner's `EnvFileKeyValuePairs` does, written after its C# source.
    fn read(text: &str) -> Vec<(String, String)> {
        let mut pairs = Vec::new();
        let mut lines = text.split_inclusive('\n');
        while let Some(line) = lines.next() {
            let line = line.strip_suffix('\n').unwrap_or(line);
            if line.is_empty() {
                continue;
            }
            let equals = line.find('=');
            let heredoc = line.find("<<");
            match (equals, heredoc) {
                (Some(equals), heredoc) if heredoc.is_none_or(|heredoc| equals < heredoc) => {
                    pairs.push((line[..equals].to_owned(), line[equals + 1..].to_owned()));
                }
                (_, Some(heredoc)) => {
                    let delimiter = &line[heredoc + 2..];
                    let mut value = String::new();
                    loop {
                        let next = lines.next().expect("matching delimiter not found");
                        if next.strip_suffix('\n').unwrap_or(next) == delimiter {
                            break;
                        }
                        value.push_str(next);
                    }
                    pairs.push((line[..heredoc].to_owned(), value.strip_suffix('\n').unwrap_or(&value).to_owned()));
                }
                _ => panic!("invalid format '{line}'"),
            }
        }
        pairs
    }

    proptest! {
        #[test]
        fn the_runner_reads_the_same_values(first in any::<String>(), second in any::<String>()) {
            let text = assignments([("images", first.as_str()), ("tags", &second)], [7; 16]).unwrap();
            assert_eq!(read(&text), [("images".to_owned(), first), ("tags".to_owned(), second)]);
        }
    }

    #[test]
    fn rejects_invalid_names_and_delimiters() {
        for name in ["", "a=b", "a<<b", "a\nb"] {
            assert!(matches!(assignments([(name, "x")], [0; 16]), Err(FileError::Name(_))), "{name:?}");
        }
        let guessed = format!("x\nghadelimiter_{}\nresult=success", "00".repeat(16));
        assert!(matches!(assignments([("a", guessed.as_str())], [0; 16]), Err(FileError::Delimiter(_))));
    }

    #[test]
    fn appends_and_reports_failures() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("set_output");
        std::fs::write(&path, "a=1\n").unwrap();
        RunnerFile::Output.append(&path, "b=2\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a=1\nb=2\n");
        let error = RunnerFile::Summary.append(&directory.path().join("no/such"), "x").unwrap_err().to_string();
        assert!(error.contains("no/such (GITHUB_STEP_SUMMARY)"), "{error}");
    }
}
