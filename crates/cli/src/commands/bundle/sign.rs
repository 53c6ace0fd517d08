//! `sovai sign bundle`: a further signature over an index, beside those that are there. No volume is written anew.

use crate::args::{SignerArgs, VolumesArgs};
use crate::commands::sign::output;
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;
use crate::keys;
use crate::manifest::count;
use crate::output::{Outcome, safe_line};
use serde::Serialize;
use sovai_bundle::{SetFinding, VolumeSet, Weight, envelope_name, names, sign_bundle, sums_text};
use sovai_core::{Sha256, format_bytes};
use sovai_signing::KeyId;
use sovai_signing::dsse::Envelope;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Most bytes of a `SHA256SUMS` that are looked at: it has six lines.
const MAX_SUMS: u64 = 64 << 10;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    bundle: String,
    /// SHA-256 of the index: what was signed.
    digest: Sha256,
    key_id: KeyId,
    /// The files that were written.
    signatures: Vec<String>,
    /// How many envelopes over this index there were before.
    before: usize,
}

/// Runs the command.
pub(super) fn run(
    volumes: &VolumesArgs,
    signer: &SignerArgs,
    out: Option<&Path>,
    ctx: &Ctx,
) -> Result<Exit, CliError> {
    let key = keys::private(&signer.key, signer.passphrase_file.as_deref())?;
    let set = VolumeSet::open(&volumes.volumes, &volumes.signature, &volumes.decision)?;
    check(&set)?;
    let mut text = what(&set);
    let envelope = sign_bundle(set.index(), set.digest(), &key);
    let key_id = key.public().id();
    let before = set.signatures().iter().filter(|found| found.fit.is_ok()).count();
    let targets: Vec<PathBuf> = match out {
        Some(out) => vec![out.to_owned()],
        None => set
            .present()
            .map(|volume| volume.path.join(names::SIGNATURES).join(envelope_name(key_id)))
            .collect(),
    };
    for target in &targets {
        output::check(target, |bytes| Envelope::parse(bytes).is_ok())?;
    }
    for target in &targets {
        if let (None, Some(folder)) = (out, target.parent()) {
            fs_err::create_dir_all(folder).map_err(|error| {
                CliError::new(Exit::Resources, "the signature cannot be laid onto the volume")
                    .source(&error)
                    .hint("of a medium that cannot be written, name a file with --out, and carry it beside the volumes")
            })?;
        }
        output::write(target, format!("{}\n", envelope.to_json()).as_bytes())?;
        let _ = writeln!(text, "signature: {}", safe_line(&target.display().to_string()));
    }
    let _ = writeln!(text, "key id: {key_id}");
    let body = Body {
        bundle: set.index().name(),
        digest: set.digest(),
        key_id,
        signatures: targets.iter().map(|path| path.display().to_string()).collect(),
        before,
    };
    ctx.finish(Outcome { exit: Exit::Done, findings: Vec::new(), body, text })
}

/// Whether what lies beside the payloads is what the index says. Payloads are not read: who signs says that this index is the
/// one that was agreed upon, and `bundle verify` says whether the bytes are what it names.
fn check(set: &VolumeSet) -> Result<(), CliError> {
    let mut wrong: Vec<String> = set
        .findings()
        .iter()
        .filter(|finding| finding.weight == Weight::Bytes)
        .map(SetFinding::to_string)
        .collect();
    if set.table().is_none() {
        wrong.push(format!("no volume has the table of chunks, {}, that the index names", names::CHUNKS));
    }
    for volume in set.present() {
        let expected = sums_text(set.index(), set.index_bytes(), volume.id).unwrap_or_default();
        let found = volume.read(names::SUMS, MAX_SUMS);
        let why = match &found {
            Ok(Some(bytes)) if bytes == expected.as_bytes() => continue,
            Ok(Some(_)) => "does not agree with the index".to_owned(),
            Ok(None) => "is not there".to_owned(),
            Err(error) => error.to_string(),
        };
        wrong.push(format!("{}: {} {why}", volume.path.display(), names::SUMS));
    }
    if wrong.is_empty() {
        return Ok(());
    }
    let mut details = String::new();
    for line in &wrong {
        let _ = writeln!(details, "  {}", safe_line(line));
    }
    Err(CliError::new(
        Exit::Mismatch,
        format!("the volumes do not agree with their index: {}", count(wrong.len(), "finding")),
    )
    .with_details(details)
    .hint("sovai bundle verify says which bytes are bad; sign what is whole"))
}

/// What is signed, for people.
fn what(set: &VolumeSet) -> String {
    let index = set.index();
    let mut text = String::new();
    let parity = index.parity.as_ref().map_or(0, |parity| parity.volumes.len());
    let _ = writeln!(
        text,
        "bundle {}: {} of data, {parity} of parity, {} of payload",
        index.name(),
        count(index.volumes.len(), "volume"),
        format_bytes(index.payload_bytes())
    );
    for (name, model) in &index.models {
        let license = model.license.as_deref().map_or_else(|| "none stated".to_owned(), safe_line);
        let _ = writeln!(
            text,
            "  model {name}: {}, licence {license}, trust level {}",
            model.digest, model.trust
        );
    }
    for (name, image) in &index.images {
        let _ = writeln!(text, "  image {}: {}", safe_line(name), image.id);
    }
    let _ = writeln!(text, "index: {}", set.digest());
    text
}
