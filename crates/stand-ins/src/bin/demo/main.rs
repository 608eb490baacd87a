//! The program behind `make demo`.

#![expect(clippy::print_stderr, reason = "errors of a program go there")]

mod scenes;
mod show;

use std::{io, process::ExitCode};

use clap::Parser as _;

use show::Options;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match show::show(&Options::parse(), &mut io::stdout()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error}");
            ExitCode::FAILURE
        }
    }
}
