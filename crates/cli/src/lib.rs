//! The `sovai` command line.
//!
//! [`run`] reads a command line, gathers the settings and runs one command of `commands/`. Here alone are clap (in
//! `args`), printing (in `output`), progress bars (in `report`) and exit codes ([`Exit`]); the other crates give values
//! and errors, and `error` decides what each of them means to the person who typed the command.

mod args;
mod commands;
mod config;
mod ctx;
mod error;
mod exit;
mod facts;
mod findings;
mod input;
mod judge;
mod keys;
mod manifest;
mod net;
mod output;
mod policy;
mod provenance;
mod reading;
mod report;
mod sbom;
mod signals;
mod stack;

pub use exit::{Exit, table_markdown};

use ctx::Ctx;
use error::CliError;
use output::Printer;
use std::ffi::OsString;
use std::path::Path;

/// Runs a command line, whose first word is the program's name; gives the process's exit code.
pub fn run(argv: impl IntoIterator<Item = OsString>) -> u8 {
    let argv: Vec<OsString> = argv.into_iter().collect();
    let cli = match args::parse(argv.iter().cloned()) {
        Ok(cli) => cli,
        Err(early) => {
            output::early(&early, args::asks_for_json(&argv));
            return early.exit.code();
        }
    };
    let kind = cli.command.kind();
    let (out, result) = match settings(&cli.global) {
        Ok(settings) => {
            let ctx = Ctx::new(settings, kind);
            ctx.out.detail(&ctx.settings.describe());
            (ctx.out, caught(|| commands::run(cli.command, &ctx)))
        }
        Err((out, error)) => (out, Err(error)),
    };
    match result {
        Ok(exit) => exit.code(),
        Err(error) => {
            out.error(kind, &error);
            error.exit().code()
        }
    }
}

/// A panic is a defect of ours and ends like any other internal error; what panicked has been printed by then.
fn caught(work: impl FnOnce() -> Result<Exit, CliError>) -> Result<Exit, CliError> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(CliError::new(Exit::Internal, "internal error: this is a defect of sovai")
            .hint("report it with the message above; the same command may be run again"))
    })
}

fn settings(flags: &args::GlobalArgs) -> Result<config::Settings, (Printer, CliError)> {
    let cwd = std::env::current_dir();
    let around = config::Surroundings {
        var: &|name| std::env::var_os(name),
        // A working folder that was removed has no configuration, and relative paths fail where they are used.
        cwd: cwd.as_deref().unwrap_or(Path::new(".")),
        root: rustix::process::geteuid().is_root(),
    };
    config::load(flags, &around).map_err(|error| {
        let out = Printer { form: config::form_before_settings(flags, &around), talk: config::talk(flags) };
        (out, error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_exit_1() {
        assert_eq!(caught(|| Ok(Exit::Drift)).unwrap(), Exit::Drift);
        let error = caught(|| panic!("on purpose")).unwrap_err();
        assert_eq!(error.exit(), Exit::Internal);
    }
}
