//! `sovai schema`: the JSON Schema of the manifest, or of the policy.

use crate::args::SchemaArgs;
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::Outcome;
use serde_json::json;

/// Runs the command.
pub(crate) fn run(args: &SchemaArgs, ctx: &Ctx) -> Result<Exit, CliError> {
    let schema = if args.policy { sovai_manifest::policy_schema() } else { sovai_manifest::schema() };
    let mut text = serde_json::to_string_pretty(&schema).map_err(CliError::internal)?;
    text.push('\n');
    ctx.finish(Outcome { exit: Exit::Done, findings: Vec::new(), body: json!({ "schema": schema }), text })
}
