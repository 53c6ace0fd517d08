//! `sovai bundle`: one stack, whole and signed, on volumes that cross a gap.

mod base;
mod create;
mod decide;
mod gather;
mod import;
pub(super) mod inspect;
mod page;
mod repair;
mod request;
mod sign;
pub(super) mod signers;
pub(super) mod verify;

use crate::args::{BundleArgs, BundleCommand, SignerArgs, VolumesArgs};
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;
use sovai_bundle::{Index, Ruling, VolumeId, VolumeSet};
use std::path::{Path, PathBuf};

/// `kind` of the JSON result of whatever reads a bundle.
const RESULT: &str = "BundleResult";

/// Runs the command.
pub(crate) fn run(args: &BundleArgs, ctx: &Ctx) -> Result<Exit, CliError> {
    match &args.command {
        BundleCommand::Inspect { volumes } => inspect::run(volumes, ctx),
        BundleCommand::Verify { volumes, threads } => verify::run(volumes, *threads, ctx),
        BundleCommand::Approve(args) => decide::run(args, Ruling::Approved, ctx),
        BundleCommand::Reject(args) => decide::run(args, Ruling::Rejected, ctx),
        BundleCommand::Create(args) => match &args.only {
            Some(only) => request::only(args, only, ctx),
            None => create::run(args, ctx),
        },
        BundleCommand::Import { volumes, policy, out, abort, threads } => {
            let (policy, out) = (policy.as_deref(), out.as_deref());
            import::run(&import::Wish { volumes, policy, out, abort: *abort, threads: *threads }, ctx)
        }
        BundleCommand::Repair { folder, out, patch, threads } => {
            repair::run(&repair::Job { folder, out: out.as_deref(), patch, threads: *threads }, ctx)
        }
        BundleCommand::Request { volumes, svg, threads } => {
            request::run(volumes, svg.as_deref(), *threads, ctx)
        }
    }
}

/// `sovai sign bundle`: a further signature over an index.
pub(super) fn sign(
    volumes: &VolumesArgs,
    signer: &SignerArgs,
    out: Option<&Path>,
    ctx: &Ctx,
) -> Result<Exit, CliError> {
    sign::run(volumes, signer, out, ctx)
}

/// Opens the volumes that were named.
pub(in crate::commands) fn open(args: &VolumesArgs) -> Result<VolumeSet, CliError> {
    Ok(VolumeSet::open(&args.volumes, &args.signature, &args.decision)?)
}

/// Opens volumes, with the signatures and decisions that lie on them alone.
fn open_paths(paths: &[PathBuf]) -> Result<VolumeSet, CliError> {
    Ok(VolumeSet::open(paths, &[], &[])?)
}

/// Whether a path is a volume of a bundle, or a folder of volumes.
pub(super) fn is_bundle(path: &Path) -> bool {
    VolumeSet::is_volume(path)
}

/// `volume 3 of 9`.
pub(in crate::commands) fn label(index: &Index, id: VolumeId) -> String {
    match id {
        VolumeId::Data(number) => format!("volume {number} of {}", index.volumes.len()),
        VolumeId::Parity(number) => {
            let all = index.parity.as_ref().map_or(0, |parity| parity.volumes.len());
            format!("parity volume {number} of {all}")
        }
    }
}

/// A number for people: `1,204`.
pub(in crate::commands) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Numbers for people, sorted: `1, 3 to 5`.
pub(in crate::commands) fn listed(numbers: &[u64]) -> String {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            _ => runs.push((*number, *number)),
        }
    }
    let runs = runs.into_iter().map(|(first, last)| match last - first {
        0 => first.to_string(),
        1 => format!("{first}, {last}"),
        _ => format!("{first} to {last}"),
    });
    runs.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!(
            [grouped(7), grouped(999), grouped(1204), grouped(1_000_000)],
            ["7", "999", "1,204", "1,000,000"]
        );
        assert_eq!(listed(&[1, 3, 4, 5, 8, 9]), "1, 3 to 5, 8, 9");
    }
}
