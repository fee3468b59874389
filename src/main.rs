//! Parse, run, exit code; nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    larder::main(&std::env::args_os().collect::<Vec<_>>())
}
