//! Keeps secrets out of the environment that the process shows to others.
//!
//! The runner passes inputs and tokens as variables, and the kernel shows those that a process was started with in
//! `/proc/PID/environ` for as long as it lives, whatever it does to them. So the program starts itself once more, in the
//! same process, without them; it gets them by a file in memory, which it empties.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, Read as _, Seek as _, Write as _},
    os::{
        fd::AsFd as _,
        unix::{
            ffi::{OsStrExt as _, OsStringExt as _},
            process::CommandExt as _,
        },
    },
    process::{Command, Stdio},
};

use rustix::fs::MemfdFlags;

use crate::inputs::runner::Owner;

/// Says that standard input holds the variables.
const MARK: &str = "BUILD_DEPLOY_ENVIRONMENT";

/// Variables by name.
pub type Variables = Vec<(OsString, OsString)>;

/// All variables of a process that was started with `variables` and `arguments`. Where this cannot be hidden, it returns
/// them as they are.
pub fn hide(variables: Variables, arguments: impl IntoIterator<Item = OsString>) -> Variables {
    if variables.iter().any(|(name, _)| name == MARK) {
        return received().unwrap_or(variables);
    }
    if variables.iter().any(|(name, _)| is_hidden(name)) {
        // It returns only if it fails.
        let _ = restart(&variables, arguments);
    }
    variables
}

fn is_hidden(name: &OsStr) -> bool {
    Owner::of(&name.to_string_lossy()) != Owner::Workflow
}

fn restart(variables: &Variables, arguments: impl IntoIterator<Item = OsString>) -> io::Result<()> {
    let mut file = File::from(rustix::fs::memfd_create("environment", MemfdFlags::CLOEXEC)?);
    file.write_all(&packed(variables))?;
    file.rewind()?;
    let mut arguments = arguments.into_iter();
    let mut command = Command::new("/proc/self/exe");
    // The name says which stage it is.
    command.arg0(arguments.next().unwrap_or_default()).args(arguments).env(MARK, "stdin").stdin(Stdio::from(file));
    for (name, _) in variables.iter().filter(|(name, _)| is_hidden(name)) {
        command.env_remove(name);
    }
    Err(command.exec())
}

/// Reads the variables, and empties the file: it stays open as standard input.
fn received() -> io::Result<Variables> {
    let mut file = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    file.set_len(0)?;
    Ok(unpacked(&bytes))
}

/// As the kernel keeps an environment: `name=value`, each ended by a zero byte.
fn packed(variables: &Variables) -> Vec<u8> {
    let parts = variables.iter().flat_map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes(), b"\0"]);
    parts.flatten().copied().collect()
}

fn unpacked(bytes: &[u8]) -> Variables {
    let text = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    let pair = |entry: &[u8]| {
        let at = entry.iter().position(|byte| *byte == b'=')?;
        Some((text(entry.get(..at)?), text(entry.get(at + 1..)?)))
    };
    bytes.split(|byte| *byte == 0).filter_map(pair).collect()
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsString, os::unix::ffi::OsStringExt as _};

    use super::{Variables, packed, unpacked};

    #[test]
    fn variables_arrive_as_they_were() {
        let odd = OsString::from_vec(vec![0xff, b'=', b'\n']);
        let variables: Variables =
            vec![("A".into(), "x=y".into()), ("EMPTY".into(), "".into()), ("INPUT_MANY-LINES".into(), odd)];
        assert_eq!(unpacked(&packed(&variables)), variables);
    }
}
