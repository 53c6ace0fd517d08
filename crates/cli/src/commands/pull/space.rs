//! Whether all that a pull lacks has room on the store's disk: asked once, before the first byte of a model or a layer comes.

use super::Pull;
use super::images::{self, Planned};
use crate::error::CliError;
use sovai_core::Sha256;
use sovai_sources::SourceError;
use sovai_store::Store;
use std::collections::BTreeMap;

/// Free space that is left over for documents, journals and small files, in bytes.
const SPARE: u64 = 16 << 20;

/// Bytes of a blob that are yet to come.
fn lacking(store: &Store, digest: &Sha256, size: u64) -> u64 {
    if store.has_blob(digest) {
        return 0;
    }
    size.saturating_sub(store.partial_bytes(digest, size))
}

/// Fails when models and images together need more than there is. What lies in the store counts as there; one blob of it
/// that turns out damaged is seen to where it is fetched again.
pub(super) fn check(pull: &Pull<'_>, planned: &[Planned<'_>]) -> Result<(), CliError> {
    let models = pull.pinned.resolved.models.iter();
    let wanted = models.filter(|(name, _)| pull.args.model.is_empty() || pull.args.model.contains(name));
    let mut blobs: BTreeMap<Sha256, u64> =
        wanted.flat_map(|(_, pins)| pins).map(|pin| (pin.sha256, pin.size)).collect();
    let others = images::needed(pull, planned, &mut blobs)?;
    let needed = blobs
        .iter()
        .fold(others, |sum, (digest, size)| sum.saturating_add(lacking(pull.store, digest, *size)));
    if needed == 0 {
        return Ok(());
    }
    let (needed, free) = (needed.saturating_add(SPARE), pull.store.free_bytes()?);
    if needed > free {
        let path = pull.store.root().to_owned();
        return Err(SourceError::NoSpace { needed, free, path }.into());
    }
    Ok(())
}
