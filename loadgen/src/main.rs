//! `polder-loadgen`: options in, load out.

use std::process::ExitCode;

use clap::Parser;
use polder_loadgen::options::{Cli, Subcommand};
use polder_loadgen::{compare, runner, verify};

/// A server that is gone has this exit code of its own.
const EXIT_SERVER_GONE: u8 = 2;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Printing fails only if nobody listens.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
    };
    let outcome = match &cli.subcommand {
        Some(Subcommand::Compare(options)) => compare::run(options),
        Some(Subcommand::Verify(options)) => verify::run(options),
        None => runner::run(&cli.load),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("polder-loadgen: {error}");
            if error.is_server_gone() { ExitCode::from(EXIT_SERVER_GONE) } else { ExitCode::FAILURE }
        }
    }
}
