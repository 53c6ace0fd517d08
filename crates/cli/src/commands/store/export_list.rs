//! `sovai store export-list --out FILE`.

use super::named;
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;
use crate::manifest::count;
use crate::output::{Outcome, safe_line};
use serde::Serialize;
use sovai_bundle::delta::{BlobList, MAX_LISTED};
use sovai_core::{Sha256, format_bytes};
use std::path::Path;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    action: &'static str,
    path: String,
    /// SHA-256 of the list.
    digest: Sha256,
    blobs: usize,
    bytes: u64,
}

/// Runs the command.
pub(super) fn run(out: &Path, ctx: &Ctx) -> Result<Exit, CliError> {
    let store = named::open(ctx)?;
    let list = BlobList { blobs: store.blobs()? };
    if list.blobs.len() > MAX_LISTED {
        let found = list.blobs.len();
        return Err(CliError::new(
            Exit::Internal,
            format!("the store has {found} blobs; a list has at most {MAX_LISTED}"),
        )
        .hint("remove what nothing names: sovai store prune"));
    }
    let text = list.to_text();
    sovai_store::atomic::write(out, text.as_bytes(), 0o644)?;
    let bytes = list.blobs.values().fold(0_u64, |sum, size| sum.saturating_add(*size));
    let path = out.display().to_string();
    let (digest, blobs) = (crate::judge::digest(text.as_bytes()), list.blobs.len());
    let text =
        format!("{}: {}, {}\nlist: {digest}\n", safe_line(&path), count(blobs, "blob"), format_bytes(bytes));
    ctx.finish(Outcome {
        exit: Exit::Done,
        findings: Vec::new(),
        body: Body { action: "export-list", path, digest, blobs, bytes },
        text,
    })
}
