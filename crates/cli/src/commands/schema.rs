//! `sovai schema`: the JSON Schema of the manifest, a policy, a lock, or the result of `verify`.

use crate::args::SchemaArgs;
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::Outcome;
use serde_json::json;

/// Schema of `VerifyResult`, as it is in the documentation; a test holds the command's results against it.
const RESULT: &str = include_str!("../../../../docs/schema/sovai-verify-result-v1.schema.json");

/// Runs the command.
pub(crate) fn run(args: &SchemaArgs, ctx: &Ctx) -> Result<Exit, CliError> {
    let schema = match (args.policy, args.lock, args.result) {
        (true, _, _) => sovai_manifest::policy_schema(),
        (_, true, _) => sovai_manifest::lock_schema(),
        (_, _, true) => serde_json::from_str(RESULT).map_err(CliError::internal)?,
        _ => sovai_manifest::schema(),
    };
    let mut text = serde_json::to_string_pretty(&schema).map_err(CliError::internal)?;
    text.push('\n');
    ctx.finish(Outcome { exit: Exit::Done, findings: Vec::new(), body: json!({ "schema": schema }), text })
}
