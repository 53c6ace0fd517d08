//! The `sovai` program: runs [`sovai::run`] and ends with its exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(sovai::run(std::env::args_os()))
}
