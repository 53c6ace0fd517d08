//! `--abort`: forgets what was brought in of a bundle that is not whole.

use crate::commands::store::kept_blobs;
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::Outcome;
use serde::Serialize;
use sovai_bundle::Index;
use sovai_bundle::import::{forget, unfinished};
use sovai_core::{Name, Sha256, format_bytes};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    stack: &'a Name,
    sequence: u64,
    /// Whether there was something of it.
    aborted: bool,
    /// Bytes that nothing takes any more.
    freed: u64,
}

pub(super) fn run(index: &Index, digest: Sha256, ctx: &Ctx) -> Result<Exit, CliError> {
    let store = ctx.open_store()?;
    let stack = store.stack(&index.stack).lock(super::HOLDER)?;
    // Blobs go: nobody may be using them.
    let alone = store.hold_alone(super::HOLDER)?;
    let found = unfinished(&store, &index.stack)?;
    let found = found.iter().find(|found| found.sequence == index.sequence);
    let mut freed = 0;
    if let Some(found) = found {
        if found.digest != digest {
            ctx.out.warn("what is half brought in under this number is another bundle; it is forgotten");
        }
        let brought = forget(&store, &stack, found)?;
        let kept = kept_blobs(&store)?;
        freed = brought.remove(&store, &alone, &kept)?;
    }
    drop((alone, stack));
    let name = index.name();
    let text = match found {
        Some(_) => format!("bundle {name}: forgotten, {} freed\n", format_bytes(freed)),
        None => format!("bundle {name}: nothing of it is half brought in\n"),
    };
    let body = Body { stack: &index.stack, sequence: index.sequence, aborted: found.is_some(), freed };
    ctx.finish(Outcome { exit: Exit::Done, findings: Vec::new(), body, text })
}
