//! Checks and generated files of this workspace.
//!
//! `cargo xtask check` proves what the compiler does not: which crate may depend on which, how long a file may be, what
//! may not be left in the source, that links lead somewhere, and that generated documentation is current.
//! `cargo xtask generate` writes the latter.

mod direction;
mod files;
mod generated;
mod linked;
mod links;
mod problem;

use problem::{Problem, XtaskError};
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask check | generate";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    // The manifest of this crate stands one folder below the workspace's root.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let outcome = match arguments.as_slice() {
        ["check"] => check(root),
        ["generate"] => generated::write(root),
        _ => {
            tell(USAGE);
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(problems) => report(&problems),
        Err(error) => {
            tell(&format!("error: {error}"));
            let mut source = std::error::Error::source(&error);
            while let Some(cause) = source {
                tell(&format!("  caused by: {cause}"));
                source = cause.source();
            }
            ExitCode::FAILURE
        }
    }
}

/// All checks; every one runs, so that all problems are seen at once.
fn check(root: &Path) -> Result<Vec<Problem>, XtaskError> {
    let mut problems = direction::check(root)?;
    problems.extend(files::check(root)?);
    problems.extend(links::check(root)?);
    problems.extend(generated::check(root)?);
    Ok(problems)
}

fn report(problems: &[Problem]) -> ExitCode {
    for problem in problems {
        tell(&problem.to_string());
    }
    if problems.iter().any(Problem::is_error) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// One line on standard error. That it cannot be written there can be told to nobody.
fn tell(line: &str) {
    drop(writeln!(std::io::stderr(), "{line}"));
}
