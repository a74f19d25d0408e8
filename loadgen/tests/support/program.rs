//! The generator itself: called as a library, or run as its users run it.

use std::process::{Command, Output};

use clap::Parser;
use polder_loadgen::options::{Cli, LoadOptions};
use polder_loadgen::result::Run;
use polder_loadgen::runner;

pub fn options(line: &str) -> LoadOptions {
    let words = std::iter::once("polder-loadgen").chain(line.split_whitespace());
    Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{line}: {error}")).load
}

pub fn runs(line: &str) -> Vec<Run> {
    runner::runs(&options(line)).unwrap_or_else(|failure| panic!("{line}: {failure}"))
}

pub fn program(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_polder-loadgen")).args(words).output().unwrap()
}

pub fn program_line(line: &str) -> Output {
    program(&line.split_whitespace().collect::<Vec<_>>())
}

/// All that it printed.
pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
