//! One file per verb; each only puts the rooms in sequence.

mod emit;
mod explain;
mod init;
mod probe;
mod provision;
mod run;
mod status;
mod verify;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Verb};
use crate::command::LARDER_FAILED;
use crate::output::Output;

/// Done.
pub const DONE: u8 = 0;
/// Failed.
pub const FAILED: u8 = 1;
/// The command line was wrong.
pub const USAGE: u8 = 2;
/// `verify`: artifacts differ.
pub const DIFFERENT: u8 = 3;

/// Runs the verb that the arguments ask for.
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    let wraps = wraps_a_command(&arguments);
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // There is nobody left to tell if the terminal is gone.
            let _ = error.print();
            let wrong = if wraps { LARDER_FAILED } else { USAGE };
            return ExitCode::from(if error.use_stderr() { wrong } else { DONE });
        }
    };
    let output = Output::new(&cli.global);
    let done = match cli.verb {
        Verb::Init(arguments) => init::init(cli.global.store, &arguments, output),
        Verb::Provision(arguments) => provision::provision(cli.global.store, arguments, output),
        Verb::Run(arguments) => run::run(cli.global.store, arguments, output),
        Verb::Verify(arguments) => verify::verify(cli.global.store, arguments, output),
        Verb::Status(arguments) => status::status(cli.global.store, &arguments, output),
        Verb::Explain(arguments) => explain::explain(cli.global.store, &arguments, output),
        Verb::Emit(arguments) => emit::emit(cli.global.store, &arguments),
        Verb::Probe => probe::probe(),
    };
    ExitCode::from(done.unwrap_or_else(|error| {
        output.error(&error);
        if wraps { LARDER_FAILED } else { FAILED }
    }))
}

/// Whether the verb passes on the exit code of another command, so that its own failures must not
/// be taken for that.
fn wraps_a_command(arguments: &[OsString]) -> bool {
    let mut words = arguments.iter().skip(1);
    while let Some(word) = words.next() {
        match word.to_str() {
            Some("--store" | "--color") => drop(words.next()),
            Some(option) if option.starts_with('-') => {}
            verb => return matches!(verb, Some("run" | "verify")),
        }
    }
    false
}
