//! The program `build-deploy`: takes the environment and the arguments, runs the command, ends with its status.

use std::process::ExitCode;

use build_deploy::{commands, environ, inputs::runner::RunnerEnv};

fn main() -> ExitCode {
    let env = RunnerEnv::new(environ::hide(std::env::vars_os().collect(), std::env::args_os()));
    // One thread: the work is the daemon's; what we do of it waits for sockets, or runs on the blocking pool.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return ExitCode::from(commands::fatal(std::io::stdout(), &error)),
    };
    let status = runtime.block_on(commands::dispatch(std::env::args_os(), env, std::io::stdout()));
    // What still runs on the blocking pool, such as the name lookup of a chat that is down, is not waited for.
    runtime.shutdown_background();
    ExitCode::from(status)
}
