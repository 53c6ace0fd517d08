//! `sovai bundle repair`: lost and damaged volumes are made again from the others, from parity and from patches.

use super::signers::Signers;
use super::{grouped, label, listed, open_paths, verify};
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{Outcome, hint_line, safe_line, style};
use serde::Serialize;
use sovai_bundle::repair::{
    Lost, Patch, RepairError, RepairOptions, RepairedVolume, find_patches, repair as mend,
};
use sovai_bundle::{Index, VerifyOptions, VolumeSet};
use sovai_core::{Name, Sha256};
use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// The program that runs, whatever lies at its path by now.
const OWN: &str = "/proc/self/exe";
/// Volumes that an error names.
const MAX_NAMED: usize = 20;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    action: &'static str,
    bundle: String,
    stack: &'a Name,
    sequence: u64,
    index: Sha256,
    volumes: &'a [RepairedVolume],
    signatures: &'a Signers,
}

/// What was typed.
pub(super) struct Job<'a> {
    pub(super) folder: &'a Path,
    pub(super) out: Option<&'a Path>,
    pub(super) patch: &'a [PathBuf],
    pub(super) threads: Option<NonZeroUsize>,
}

/// Runs the command.
pub(super) fn run(job: &Job<'_>, ctx: &Ctx) -> Result<Exit, CliError> {
    if !job.folder.is_dir() {
        return Err(CliError::new(Exit::Usage, format!("`{}` is no folder", job.folder.display()))
            .hint("name the folder that the folders of the volumes lie in"));
    }
    let set = open_paths(&[job.folder.to_owned()])?;
    let checked = verify::check(&set, job.threads, ctx)?;
    let patches = patches(&set, &[job.folder.to_owned()], job.patch)?;
    let options = RepairOptions {
        verify: VerifyOptions { threads: ctx.threads(job.threads), cancel: ctx.interrupt()?.cancel() },
        folder: job.folder,
        out: job.out,
        patches: &patches,
        program: Some(Path::new(OWN)),
    };
    let reporter = ctx.reporter();
    let repaired = mend(&set, &checked.report, &options, &*reporter)
        .map_err(|error| failed(error, set.index(), job.folder))?;
    drop(reporter);
    let index = set.index();
    let mut text = format!("bundle {}, index {}\n", index.name(), set.digest());
    for volume in &repaired.volumes {
        text.push_str(&line(index, volume));
    }
    text.push_str(&checked.signers.text());
    let lacking = repaired.volumes.iter().any(|volume| !volume.lacking.is_empty());
    let exit = if lacking { Exit::Resources } else { Exit::Done };
    let words = match (lacking, repaired.volumes.is_empty()) {
        (true, _) => "the payloads are whole; small files are still missing",
        (false, true) => "nothing was missing or damaged",
        (false, false) => "whole again",
    };
    let colour = if lacking { style::WARNING } else { style::OK };
    let _ = writeln!(text, "{colour}{words}{}", style::RESET);
    if lacking {
        let folder = safe_line(&job.folder.display().to_string());
        text.push_str(&hint_line(&format!("`sovai bundle request {folder}` prints what must be sent again")));
    }
    let body = Body {
        action: "repair",
        bundle: index.name(),
        stack: &index.stack,
        sequence: index.sequence,
        index: set.digest(),
        volumes: &repaired.volumes,
        signatures: &checked.signers,
    };
    ctx.finish(Outcome { exit, findings: checked.findings(), body, text })
}

/// The patches beside the volumes, and those that were named.
pub(super) fn patches(
    set: &VolumeSet,
    folders: &[PathBuf],
    named: &[PathBuf],
) -> Result<Vec<Patch>, CliError> {
    let mut paths = Vec::new();
    for folder in folders.iter().filter(|folder| folder.is_dir()) {
        paths.extend(find_patches(folder, &set.index().name())?);
    }
    paths.extend(named.iter().cloned());
    let open = |path: &PathBuf| {
        Patch::open(path, set.index(), set.index_bytes()).map_err(|error| {
            CliError::wrap(Exit::Mismatch, &error).hint("take it away, or have it sent again")
        })
    };
    paths.iter().map(open).collect()
}

fn line(index: &Index, volume: &RepairedVolume) -> String {
    let mut parts = Vec::new();
    for (count, what) in [(volume.computed, "computed"), (volume.received, "taken from a patch")] {
        match count {
            0 => {}
            1 => parts.push(format!("1 chunk {what}")),
            count => parts.push(format!("{} chunks {what}", grouped(count))),
        }
    }
    if !volume.files.is_empty() {
        parts.push(format!("{} written again", volume.files.join(", ")));
    }
    if !volume.lacking.is_empty() {
        parts.push(format!("{} cannot be made again", volume.lacking.join(", ")));
    }
    if parts.is_empty() {
        parts.push("its end was put right".to_owned());
    }
    let path = safe_line(&volume.path.display().to_string());
    format!("{}: {} in {path}\n", label(index, volume.volume), safe_line(&parts.join("; ")))
}

/// What an error means to the person who typed the command.
fn failed(error: RepairError, index: &Index, folder: &Path) -> CliError {
    let exit = match &error {
        RepairError::Store(_) => {
            let RepairError::Store(error) = error else { return CliError::internal(error) };
            return error.into();
        }
        RepairError::Cancelled => {
            return crate::signals::interrupted().hint("the same command goes on where it was stopped");
        }
        RepairError::NotEnough { .. } | RepairError::ReadOnly { .. } | RepairError::NoSpace { .. } => {
            Exit::Resources
        }
        RepairError::NoTable | RepairError::Contradiction { .. } => Exit::Mismatch,
        RepairError::Io(_) | RepairError::Parity(_) => Exit::Internal,
    };
    let mut new = CliError::wrap(exit, &error);
    match &error {
        RepairError::NotEnough { lost, .. } => {
            for (id, lost) in lost.iter().take(MAX_NAMED) {
                new = new.cause(match lost {
                    Lost::All => format!("{} is missing, or all of it is bad", label(index, *id)),
                    Lost::Some(numbers) => {
                        let numbers: Vec<u64> = numbers.iter().copied().collect();
                        format!("{}: bad are the chunks {}", label(index, *id), listed(&numbers))
                    }
                });
            }
            if lost.len() > MAX_NAMED {
                new = new.cause(format!("and {} volumes more", lost.len() - MAX_NAMED));
            }
            new.hint("put further volumes into the folder, if there are any")
                .hint(format!("`sovai bundle request {}` prints what must be sent again", folder.display()))
        }
        RepairError::ReadOnly { .. } => {
            new.hint("name a folder that can be written to with --out DIR: what is not whole is written there")
        }
        RepairError::NoSpace { .. } => new.hint(
            "free some space, or name a folder on another disk with --out DIR; the same command goes on where it was stopped",
        ),
        RepairError::NoTable => new.hint("put another volume into the folder: each has a copy of chunks.txt"),
        RepairError::Contradiction { .. } => new
            .hint("the bundle cannot be repaired with its parity: have what is bad sent again, `sovai bundle request`"),
        _ => new,
    }
}
