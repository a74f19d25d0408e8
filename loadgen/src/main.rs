//! `polder-loadgen`: options in, load out.

use std::process::ExitCode;

use clap::Parser;
use polder_loadgen::options::{Cli, Subcommand};
use polder_loadgen::{bench, claims, compare, generators, interrupt, merge, page, profile, started, verify};

fn main() -> ExitCode {
    interrupt::end_with_the_reader();
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
        Some(Subcommand::Claims(options)) => claims::run(options),
        Some(Subcommand::Bench(options)) => bench::run(options),
        Some(Subcommand::Generators(options)) => generators::run(options),
        Some(Subcommand::Verify(options)) => verify::run(options),
        Some(Subcommand::Merge(options)) => merge::run(options),
        Some(Subcommand::Report(options)) => page::run(options),
        Some(Subcommand::FindRate(options)) => started::find_rate(options),
        Some(Subcommand::Profiles { name }) => profile::list(name.as_deref()).map(|text| print!("{text}")),
        None => started::run(&cli.load),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("polder-loadgen: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
