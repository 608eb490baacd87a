//! Removes secrets from the environment that other processes can read.
//!
//! The runner passes inputs and tokens as variables. The kernel shows the initial variables of a process in
//! `/proc/PID/environ` as long as it runs, even if the process changes them. So the program executes itself again without
//! these variables, and receives them in a memory file, which it then empties.

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

/// Set if standard input contains the variables.
const MARK: &str = "BUILD_DEPLOY_ENVIRONMENT";

/// Variables by name.
pub type Variables = Vec<(OsString, OsString)>;

/// Hides the variables and returns all of them. On failure, returns `variables` without hiding them.
pub fn hide(variables: Variables, arguments: impl IntoIterator<Item = OsString>) -> Variables {
    if variables.iter().any(|(name, _)| name == MARK) {
        return received().unwrap_or(variables);
    }
    if variables.iter().any(|(name, _)| is_hidden(name)) {
        // Returns only on failure.
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
    // The program's name selects the stage.
    command.arg0(arguments.next().unwrap_or_default()).args(arguments).env(MARK, "stdin").stdin(Stdio::from(file));
    for (name, _) in variables.iter().filter(|(name, _)| is_hidden(name)) {
        command.env_remove(name);
    }
    Err(command.exec())
}

/// Reads the variables and empties the file, which remains open as standard input.
fn received() -> io::Result<Variables> {
    let mut file = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    file.set_len(0)?;
    Ok(unpacked(&bytes))
}

/// Encodes variables like the kernel: `name=value`, each followed by a null byte.
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
    fn variables_round_trip() {
        let odd = OsString::from_vec(vec![0xff, b'=', b'\n']);
        let variables: Variables =
            vec![("A".into(), "x=y".into()), ("EMPTY".into(), "".into()), ("INPUT_MANY-LINES".into(), odd)];
        assert_eq!(unpacked(&packed(&variables)), variables);
    }
}
