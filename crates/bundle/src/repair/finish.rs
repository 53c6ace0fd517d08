//! The last look at a payload that was made whole, and its name.

use super::payload::Work;
use super::{RepairError, RepairOptions};
use crate::progress::Progress;
use crate::set::folder::BUFFER;
use crate::verify::read_range;
use sha2::Digest as _;
use sovai_core::Sha256;

impl Work {
    /// Cuts off what is too long, makes all of it last, reads it as a whole, and gives it its name.
    pub(super) fn finish(
        &mut self,
        options: &RepairOptions<'_>,
        progress: &Progress<'_>,
    ) -> Result<(), RepairError> {
        let Some(target) = self.target.take() else { return Ok(()) };
        let subject = self.id.to_string();
        let wrong = |place: String| RepairError::Contradiction { volume: self.id, place };
        if target.file.metadata()?.len() != self.payload.size {
            target.file.set_len(self.payload.size)?;
        }
        target.file.sync_all().map_err(|error| RepairError::at(target.path(), error))?;
        let mut hasher = sha2::Sha256::new();
        let mut buffer = vec![0; BUFFER];
        let done = read_range(target.file.file(), 0, self.payload.size, &mut buffer, |bytes| {
            hasher.update(bytes);
            progress.add(&subject, bytes.len() as u64);
            !options.verify.cancel.is_cancelled()
        })?;
        if options.verify.cancel.is_cancelled() {
            return Err(RepairError::Cancelled);
        }
        let found = Sha256::from_bytes(hasher.finalize().into());
        if done != self.payload.size || found != self.payload.sha256 {
            return Err(wrong(format!("as a whole: expected {}, found {found}", self.payload.sha256)));
        }
        if !target.in_place {
            fs_err::rename(target.path(), &target.last)
                .map_err(|error| RepairError::at(&target.last, error))?;
            sync_folder(&target.last)?;
        }
        Ok(())
    }
}

/// Makes the name of a file last.
pub(super) fn sync_folder(path: &std::path::Path) -> Result<(), RepairError> {
    let folder = crate::set::parent(path);
    fs_err::File::open(folder)?.sync_all()?;
    Ok(())
}
