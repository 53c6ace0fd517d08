//! `sovai down`: takes a stack away, from labels alone.

use super::record::{Recorder, stack_digest};
use crate::args::DownArgs;
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{Outcome, safe_line};
use crate::stack::stack_name;
use serde::Serialize;
use sovai_core::Name;
use sovai_deployer::docker::Docker;
use sovai_deployer::{Down, down, forget};
use std::fmt::Write as _;
use std::time::Duration;

/// How long a container may take to end before it is killed: long enough for open streams to drain.
const GRACE: Duration = Duration::from_secs(15);

#[derive(Serialize)]
struct Body<'a> {
    stack: &'a Name,
    removed: &'a Down,
}

/// Runs the command.
pub(crate) fn run(args: &DownArgs, ctx: &Ctx) -> Result<Exit, CliError> {
    let mut recorder = Recorder::new("down");
    let result = work(args, ctx, &mut recorder);
    recorder.finish(&result, ctx);
    result
}

fn work(args: &DownArgs, ctx: &Ctx, recorder: &mut Recorder) -> Result<Exit, CliError> {
    let name = stack_name(&args.target, ctx)?;
    // The labels say what there is to take away; a store that is not there, or knows nothing of the stack, is not needed.
    let path = ctx.store_path()?;
    let known = path.join("oci-layout").exists() && path.join("stacks").join(name.as_str()).exists();
    let store = known.then(|| ctx.open_store()).transpose()?;
    if let Some(store) = &store {
        recorder.begin(store);
        recorder.run.stack = Some(name.to_string());
        recorder.run.about(format!("stack {name}"), &stack_digest(&name));
    }
    let folder = store.map(|store| store.stack(&name));
    let _lock = folder.as_ref().map(|folder| folder.lock("sovai down")).transpose()?;
    let reporter = ctx.reporter();
    let removed = ctx.block_on(async {
        let engine = Docker::connect(Some(&ctx.settings.host)).await?;
        Ok::<_, CliError>(down(&engine, name.as_str(), GRACE, &*reporter).await?)
    })??;
    drop(reporter);
    if let Some(folder) = &folder {
        forget(folder)?;
    }
    let mut text = String::new();
    let kinds =
        [("container", &removed.containers), ("network", &removed.networks), ("image", &removed.images)];
    for (kind, names) in kinds {
        recorder.run.removed.insert(format!("{kind}s"), names.len() as u64);
        for name in names {
            let _ = writeln!(text, "removed {kind} {}", safe_line(name));
        }
    }
    if text.is_empty() {
        let _ = writeln!(text, "nothing of stack {name} is there");
    } else {
        let _ = writeln!(text, "stack {name} is gone; its weights and keys stay in the store");
    }
    ctx.finish(Outcome {
        exit: Exit::Done,
        findings: Vec::new(),
        body: Body { stack: &name, removed: &removed },
        text,
    })
}
