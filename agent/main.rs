//! The table of contents: parse, run, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    monopod::cli::main()
}
