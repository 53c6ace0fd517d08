//! What `bundle import` says at its end.

use super::judge::Admitted;
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;
use crate::manifest::count;
use crate::output::{Outcome, hint_line, safe_line, style};
use serde::Serialize;
use serde_json::{Value, json};
use sovai_bundle::import::{Damage, Fault, Taken};
use sovai_bundle::{VolumeId, VolumeSet};
use sovai_core::{Name, Sha256, format_bytes};
use sovai_signing::KeyId;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Damaged chunks of one volume that are told one by one.
const MAX_TOLD: usize = 20;

/// A payload that was here.
pub(super) struct VolumeRead {
    pub(super) volume: VolumeId,
    pub(super) path: PathBuf,
    /// What was taken of it, or why it cannot be opened.
    pub(super) taken: Result<Taken, String>,
}

/// What came of reading the volumes.
#[derive(Default)]
pub(super) struct Read {
    pub(super) volumes: Vec<VolumeRead>,
    /// Bytes that are in, and of all; nothing where nothing was looked at.
    pub(super) progress: Option<(u64, u64)>,
    /// Volumes of which something is missing.
    pub(super) missing: Vec<VolumeId>,
}

pub(super) struct Report<'a> {
    pub(super) set: &'a VolumeSet,
    pub(super) admitted: &'a Admitted,
    pub(super) read: &'a Read,
    /// The bundle's folder, once it is whole.
    pub(super) folder: Option<&'a Path>,
    /// Whether it was whole before.
    pub(super) was_there: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    stack: &'a Name,
    sequence: u64,
    /// Digest of the index.
    digest: Sha256,
    signers: &'a [KeyId],
    approvals: &'a [KeyId],
    policy: &'a str,
    /// Whether it is whole and can be deployed.
    whole: bool,
    /// Whether it was so before.
    unchanged: bool,
    volumes: Vec<VolumeBody<'a>>,
    missing: &'a [VolumeId],
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<Bytes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    manifest: Option<String>,
}

#[derive(Serialize)]
struct Bytes {
    there: u64,
    total: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VolumeBody<'a> {
    volume: VolumeId,
    path: String,
    /// Bytes that were read.
    read: u64,
    /// Bytes that were in before.
    there: u64,
    /// Chunks that were not brought in.
    damaged: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

impl VolumeRead {
    fn body(&self) -> VolumeBody<'_> {
        let (read, there, damaged, error) = match &self.taken {
            Ok(taken) => (taken.read, taken.there, taken.damaged.len(), None),
            Err(error) => (0, 0, 0, Some(error.as_str())),
        };
        VolumeBody { volume: self.volume, path: self.path.display().to_string(), read, there, damaged, error }
    }
}

impl Report<'_> {
    /// Writes the result. `out` is a folder that gets a copy of the stack's files.
    pub(super) fn finish(&self, out: Option<&Path>, ctx: &Ctx) -> Result<Exit, CliError> {
        let index = self.set.index();
        let name = index.name();
        let manifest = self.folder.map(|folder| folder.join(index.manifest.as_path()));
        let mut text = self.admitted.text.clone();
        let (exit, findings) = self.volumes(&mut text);
        if let Some(manifest) = &manifest {
            let how = if self.was_there { "in the store already" } else { "whole, verified" };
            let _ = writeln!(text, "bundle {name}: {}{how}{}", style::OK, style::RESET);
            let _ = writeln!(text, "  signed by {}", keys(&self.admitted.signers));
            let _ = writeln!(text, "  manifest  {}", shown(manifest));
            if let (Some(folder), Some(out)) = (self.folder, out) {
                let copied = copy(folder, out)?;
                let _ = writeln!(text, "  {} written to {}", count(copied, "file"), shown(out));
            }
            text.push_str(&hint_line(&format!("next: sovai deploy {}", shown(manifest))));
        } else {
            self.not_whole(exit, &mut text);
        }
        let body = Body {
            stack: &index.stack,
            sequence: index.sequence,
            digest: self.set.digest(),
            signers: &self.admitted.signers,
            approvals: &self.admitted.approvals,
            policy: &self.admitted.policy,
            whole: manifest.is_some(),
            unchanged: self.was_there,
            volumes: self.read.volumes.iter().map(VolumeRead::body).collect(),
            missing: &self.read.missing,
            bytes: self.read.progress.map(|(there, total)| Bytes { there, total }),
            manifest: manifest.map(|path| path.display().to_string()),
        };
        ctx.finish(Outcome { exit, findings, body, text })
    }

    /// What is to be said of each volume, and how the command ends.
    fn volumes(&self, text: &mut String) -> (Exit, Vec<Value>) {
        let (mut wrong, mut unreadable) = (false, false);
        let mut findings = Vec::new();
        for VolumeRead { volume, path, taken } in &self.read.volumes {
            let taken = match taken {
                Ok(taken) => taken,
                Err(error) => {
                    unreadable = true;
                    let _ = writeln!(text, "{volume}: {}: {}", shown(path), safe_line(error));
                    findings.push(json!({ "type": "unreadable", "volume": volume, "message": error }));
                    continue;
                }
            };
            for (told, damage) in taken.damaged.iter().enumerate() {
                match damage.fault {
                    Fault::Unreadable(_) => unreadable = true,
                    Fault::Wrong | Fault::Short => wrong = true,
                }
                let (kind, message) = words(damage);
                if told < MAX_TOLD {
                    let _ = writeln!(text, "{}damaged{} {}", style::ERROR, style::RESET, safe_line(&message));
                }
                let (chunk, offset) = (damage.chunk, damage.at);
                findings.push(
                    json!({ "type": kind, "volume": volume, "chunk": chunk, "offset": offset, "message": message }),
                );
            }
            let rest = taken.damaged.len().saturating_sub(MAX_TOLD);
            if rest > 0 {
                let _ = writeln!(text, "  and {} more of {volume}", count(rest, "chunk"));
            }
            if taken.given_up {
                let _ = writeln!(text, "{volume}: the rest was not read: is the disk still there?");
            }
            if taken.damaged.is_empty() {
                let _ = writeln!(text, "{volume}: {} read, verified", format_bytes(taken.read));
            }
        }
        let exit = match (wrong, unreadable, self.folder) {
            (true, ..) => Exit::Mismatch,
            (false, true, _) => Exit::Unreachable,
            (false, false, Some(_)) => Exit::Done,
            (false, false, None) => Exit::Resources,
        };
        (exit, findings)
    }

    fn not_whole(&self, exit: Exit, text: &mut String) {
        let index = self.set.index();
        if let Some((there, total)) = self.read.progress {
            let (there, total) = (format_bytes(there), format_bytes(total));
            let _ = writeln!(text, "bundle {}: {there} of {total} are in the store", index.name());
        }
        let tried: BTreeSet<VolumeId> = self.read.volumes.iter().map(|read| read.volume).collect();
        let (again, absent): (Vec<&VolumeId>, Vec<&VolumeId>) =
            self.read.missing.iter().partition(|id| tried.contains(id));
        let names = |ids: &[&VolumeId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        if let Some(first) = absent.first() {
            let first = first.folder(&index.stack, index.sequence);
            let _ = writeln!(text, "still missing: {}", names(&absent));
            let hint = format!("bring them in, in any order: sovai bundle import DISK/{first}");
            text.push_str(&hint_line(&hint));
        }
        if !again.is_empty() {
            let _ = writeln!(text, "to be brought again: {}", names(&again));
            text.push_str(&hint_line(if exit == Exit::Unreachable {
                "what could be read is kept: put the disk in again, and run the same command"
            } else {
                "what is right is kept; `sovai bundle repair` mends volumes where there is parity, `sovai bundle request` \
                 prints what to send again"
            }));
        }
        text.push_str(&hint_line("to forget what was brought in: the same command with --abort"));
    }
}

fn words(damage: &Damage) -> (&'static str, String) {
    let place = format!("{}: chunk {} at {}", damage.volume, damage.chunk, format_bytes(damage.at));
    match &damage.fault {
        Fault::Wrong => ("chunk-damaged", format!("{place} has other bytes than the bundle's table says")),
        Fault::Short => ("chunk-missing", format!("{place}: the payload ends before it does")),
        Fault::Unreadable(error) => ("chunk-unreadable", format!("{place} cannot be read: {error}")),
    }
}

fn keys(ids: &[KeyId]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn shown(path: &Path) -> String {
    safe_line(&path.display().to_string())
}

/// Copies the stack's files out of the store, to where people keep them. Gives how many.
fn copy(folder: &Path, out: &Path) -> Result<usize, CliError> {
    let mut copied = 0;
    for name in ["stack", "sbom", "catalog", "docs"] {
        let (from, to) = (folder.join(name), out.join(name));
        if from.is_dir() {
            copied += copy_folder(&from, &to)?;
        }
    }
    Ok(copied)
}

fn copy_folder(from: &Path, to: &Path) -> Result<usize, CliError> {
    fs_err::create_dir_all(to).map_err(|error| CliError::wrap(Exit::Usage, &error))?;
    let mut copied = 0;
    for entry in fs_err::read_dir(from).map_err(CliError::internal)? {
        let entry = entry.map_err(CliError::internal)?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().map_err(CliError::internal)?.is_dir() {
            copied += copy_folder(&source, &target)?;
        } else {
            let bytes = fs_err::read(&source).map_err(CliError::internal)?;
            sovai_store::atomic::write(&target, &bytes, 0o644)?;
            copied += 1;
        }
    }
    Ok(copied)
}
