//! `sovai completions`: a shell's completion script.

use crate::args::{self, CompletionsArgs};
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::Outcome;
use serde_json::json;

/// Runs the command.
pub(crate) fn run(args: &CompletionsArgs, ctx: &Ctx) -> Result<Exit, CliError> {
    let script = String::from_utf8(args::completions(args.shell)).map_err(CliError::internal)?;
    let body = json!({ "shell": args.shell.to_string(), "script": script });
    ctx.finish(Outcome { exit: Exit::Done, findings: Vec::new(), body, text: script })
}
