//! `sovai plan`: what `deploy` would do, and why. Changes nothing.

use crate::args::PlanArgs;
use crate::commands::deploy::stored_in;
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;
use crate::judge::Judge;
use crate::judge::stack::refuse_early;
use crate::output::{Outcome, safe_line};
use crate::policy::PolicyFile;
use crate::stack::{Host, Pinned, plan};
use serde::Serialize;
use sovai_core::{FilePin, Name, Sha256, format_bytes};
use sovai_deployer::docker::Docker;
use sovai_deployer::{Action, Plan};
use sovai_store::Store;
use std::fmt::Write as _;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    stack: &'a Name,
    generation: u32,
    changes: bool,
    verify: Vec<Verify<'a>>,
    actions: Vec<&'a Action>,
    unchanged: &'a [String],
}

#[derive(Serialize)]
struct Verify<'a> {
    model: &'a Name,
    digest: Sha256,
    files: usize,
    bytes: u64,
}

/// Runs the command.
pub(crate) fn run(args: &PlanArgs, ctx: &Ctx) -> Result<Exit, CliError> {
    let pinned = Pinned::load(&args.manifest, ctx)?;
    let store = ctx.store_path()?;
    // A store that is not there yet is not made just to be looked at.
    let opened = match store.join("oci-layout").try_exists() {
        Ok(true) => Some(Store::open(store)?),
        _ => None,
    };
    let folder = opened.as_ref().map(|store| store.stack(pinned.name()));
    let policy = PolicyFile::of(Some(&pinned.file), None, ctx.out)?;
    refuse_early(&Judge::new(opened.as_ref(), Some(policy))?, &pinned, Some(store))?;
    stored_in(&pinned, opened.as_ref())?;
    let plan = ctx.block_on(async {
        let engine = Docker::connect(Some(&ctx.settings.host)).await?;
        let host = Host::look(&engine).await?;
        let blueprint = pinned.blueprint(&engine, &host, store, None).await?;
        Ok::<_, CliError>(plan(&engine, &blueprint, folder.as_ref()).await?.0)
    })??;
    let verify: Vec<_> = plan
        .models
        .iter()
        .map(|(model, reference)| Verify {
            model,
            digest: reference.digest,
            files: reference.files.len(),
            bytes: FilePin::total(&reference.files),
        })
        .collect();
    ctx.finish(Outcome {
        exit: Exit::Done,
        findings: Vec::new(),
        text: text(&plan, &verify),
        body: Body {
            stack: &plan.stack,
            generation: plan.generation,
            changes: !plan.is_empty(),
            actions: plan.actions.iter().chain(&plan.cleanup).collect(),
            unchanged: &plan.unchanged,
            verify,
        },
    })
}

fn text(plan: &Plan, verify: &[Verify<'_>]) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "stack {}, generation {}", plan.stack, plan.generation);
    for model in verify {
        let object = format!("model {} ({})", model.model, format_bytes(model.bytes));
        let _ = writeln!(text, "  verify   {object:<44} nothing is started that was not verified");
    }
    for action in plan.actions.iter().chain(&plan.cleanup) {
        let _ = writeln!(text, "  {}", safe_line(&action.to_string()));
    }
    for name in &plan.unchanged {
        let _ = writeln!(text, "  keep     container {}", safe_line(name));
    }
    if plan.is_empty() {
        text.push_str("nothing to change\n");
    }
    text
}
