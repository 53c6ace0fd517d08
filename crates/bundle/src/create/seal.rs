//! What lies beside the payloads; and the names that say that all is whole.

use super::CreateError;
use crate::index::Index;
use crate::plan::{Made, Plan};
use crate::signed::{envelope_name, sign_bundle};
use crate::volume::{VolumeId, names};
use crate::{readme, sums};
use sha2::Digest as _;
use sovai_core::Sha256;
use sovai_signing::PrivateKey;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

/// Mode of files that all may read.
const MODE: u32 = 0o644;
/// Mode of the program.
const PROGRAM_MODE: u32 = 0o755;

/// The folder of a volume under the hidden one, made when it is not there.
pub(super) fn folder(work: &Path, plan: &Plan, id: VolumeId) -> Result<PathBuf, CreateError> {
    let folder = work.join(id.folder(&plan.contents.stack, plan.contents.sequence));
    fs_err::create_dir_all(&folder).map_err(|error| CreateError::io("create", &folder, error))?;
    Ok(folder)
}

/// Writes what lies beside the payloads, and signs.
pub(super) fn seal(work: &Path, plan: &Plan, made: &Made, key: &PrivateKey) -> Result<(), CreateError> {
    let index = plan.index(made);
    let text = index.to_json();
    let chunks = made.chunks.to_text();
    let envelope = format!("{}\n", sign_bundle(&index, sums::sha256(text.as_bytes()), key).to_json());
    for id in plan.ids() {
        let folder = folder(work, plan, id)?;
        let signatures = folder.join(names::SIGNATURES);
        fs_err::create_dir_all(&signatures).map_err(|error| CreateError::io("create", &signatures, error))?;
        small(&folder.join(names::README), readme::text(plan, id).as_bytes())?;
        small(&folder.join(names::INDEX), text.as_bytes())?;
        small(&folder.join(names::CHUNKS), chunks.as_bytes())?;
        if let Some(program) = plan.program.as_ref().filter(|_| plan.has_program(id)) {
            copy(&program.path, &folder.join(names::PROGRAM), program.sha256)?;
        }
        let sums = sums::text(&index, text.as_bytes(), id).unwrap_or_default();
        small(&folder.join(names::SUMS), sums.as_bytes())?;
        small(&signatures.join(envelope_name(key.public().id())), envelope.as_bytes())?;
        sync(&folder)?;
    }
    sync(work)
}

fn small(path: &Path, bytes: &[u8]) -> Result<(), CreateError> {
    Ok(sovai_store::atomic::write(path, bytes, MODE)?)
}

/// Copies the program, which must still be the one that was planned for.
fn copy(from: &Path, to: &Path, expected: Sha256) -> Result<(), CreateError> {
    let fail = |error: std::io::Error| CreateError::io("write", to, error);
    let mut source = fs_err::File::open(from).map_err(|error| CreateError::io("read", from, error))?;
    let mut target = fs_err::File::create(to).map_err(fail)?;
    let mut hash = sha2::Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        let read = source.read(&mut buffer).map_err(|error| CreateError::io("read", from, error))?;
        let bytes = buffer.get(..read).unwrap_or_default();
        if bytes.is_empty() {
            break;
        }
        hash.update(bytes);
        target.write_all(bytes).map_err(fail)?;
    }
    let found = Sha256::from_bytes(hash.finalize().into());
    if found != expected {
        return Err(CreateError::Rotten { path: from.to_owned(), expected, found: found.to_string() });
    }
    rustix::fs::fchmod(target.file(), rustix::fs::Mode::from_raw_mode(PROGRAM_MODE))
        .map_err(|error| fail(error.into()))?;
    target.sync_all().map_err(fail)
}

/// Gives the volumes their names. Does what an earlier run left to do of it.
pub(super) fn publish(
    work: &Path,
    out: &Path,
    plan: &Plan,
) -> Result<(Index, Sha256, Vec<PathBuf>), CreateError> {
    let mut volumes = Vec::new();
    for id in plan.ids() {
        let name = id.folder(&plan.contents.stack, plan.contents.sequence);
        let (from, to) = (work.join(&name), out.join(&name));
        match fs_err::rename(&from, &to) {
            // An earlier run has done so.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && to.is_dir() => {}
            renamed => renamed.map_err(|error| CreateError::io("rename into place", &to, error))?,
        }
        volumes.push(to);
    }
    sync(out)?;
    let path = volumes.first().map(|folder| folder.join(names::INDEX)).unwrap_or_default();
    let text = fs_err::read(&path).map_err(|error| CreateError::io("read", &path, error))?;
    let index = Index::parse(&text)
        .map_err(|error| CreateError::io("read", &path, std::io::Error::other(error.to_string())))?;
    Ok((index, sums::sha256(&text), volumes))
}

/// Makes the names in a folder last.
pub(super) fn sync(folder: &Path) -> Result<(), CreateError> {
    let fail = |error| CreateError::io("write", folder, error);
    fs_err::File::open(folder).and_then(|folder| folder.sync_all()).map_err(fail)
}

/// Makes the name of a file last.
pub(super) fn sync_parent(path: &Path) -> Result<(), CreateError> {
    path.parent().map_or(Ok(()), sync)
}
