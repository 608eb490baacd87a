//! The program `build-deploy`: reads the environment and the arguments, runs the command and exits with its status.

use std::process::ExitCode;

use build_deploy::{commands, environ, inputs::runner::RunnerEnv};

fn main() -> ExitCode {
    let env = RunnerEnv::new(environ::hide(std::env::vars_os().collect(), std::env::args_os()));
    // One thread is enough: the daemon does the work, and this process waits for sockets or uses the blocking pool.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return ExitCode::from(commands::fatal(std::io::stdout(), &error)),
    };
    let status = runtime.block_on(commands::dispatch(std::env::args_os(), env, std::io::stdout()));
    // Do not wait for tasks that still run on the blocking pool, such as the DNS lookup of a chat service that is down.
    runtime.shutdown_background();
    ExitCode::from(status)
}
