//! What a `RUN` does: a few commands, joined by `&&` or `;`. A command that is not known does nothing and succeeds.

use std::time::Duration;

use super::files::Files;

/// The way things are for a command.
pub(super) struct World<'a> {
    /// Files that were copied, and secrets, by absolute path.
    pub(super) files: &'a Files,
    /// What is printed goes there, line by line.
    pub(super) print: &'a (dyn Fn(&str) + Sync),
}

/// Runs a line and returns its exit code.
pub(super) async fn run(line: &str, world: &World<'_>) -> u32 {
    let mut code = 0;
    for commands in line.split(';') {
        code = 0;
        for command in commands.split("&&") {
            code = one(command.trim(), world).await;
            if code != 0 {
                break;
            }
        }
    }
    code
}

async fn one(command: &str, world: &World<'_>) -> u32 {
    let (name, rest) = command.split_once(' ').unwrap_or((command, ""));
    match name {
        "echo" => {
            (world.print)(&format!("{}\n", rest.trim_matches(['"', '\''])));
            0
        }
        "exit" => rest.parse().unwrap_or(2),
        "false" => 1,
        "sleep" => {
            // Anything but a whole number is `infinity`.
            match rest.parse() {
                Ok(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
                Err(_) => std::future::pending().await,
            }
            0
        }
        "cat" => {
            let content = world.files.get(rest).map(|content| String::from_utf8_lossy(content).into_owned());
            let missing = format!("cat: can't open '{rest}': No such file or directory\n");
            (world.print)(content.as_ref().unwrap_or(&missing));
            u32::from(content.is_none())
        }
        _ => 0,
    }
}
