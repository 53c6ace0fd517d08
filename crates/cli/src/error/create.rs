//! What an error of `bundle create` means to the person who typed the command.

use super::CliError;
use crate::exit::Exit;
use sovai_bundle::create::CreateError;
use sovai_bundle::parity::ParityError;
use sovai_bundle::plan::PlanError;
use sovai_core::format_bytes;
use std::io::ErrorKind;

impl From<PlanError> for CliError {
    fn from(error: PlanError) -> Self {
        let new = Self::wrap(Exit::Usage, &error);
        match &error {
            PlanError::TooSmall { minimum, .. } => {
                new.hint(format!("--volume-size {minimum} ({}) or more", format_bytes(*minimum)))
            }
            PlanError::Contents(_) => new.hint(
                "paths in a bundle are plain ASCII of at most 100 bytes: rename the file that is named",
            ),
        }
    }
}

impl From<CreateError> for CliError {
    fn from(error: CreateError) -> Self {
        let exit = match error {
            CreateError::Store(error) => return error.into(),
            CreateError::Cancelled => {
                return crate::signals::interrupted().hint("the same command goes on where it was stopped");
            }
            CreateError::Exists { .. } => Exit::Usage,
            CreateError::NoSpace { .. } => Exit::Resources,
            CreateError::Rotten { .. } => Exit::Mismatch,
            CreateError::Parity(ParityError::Io(ref source)) => match source.kind() {
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Exit::Resources,
                _ => Exit::Internal,
            },
            CreateError::Parity(_) => Exit::Internal,
            CreateError::Io { ref source, .. } => match source.kind() {
                ErrorKind::StorageFull
                | ErrorKind::QuotaExceeded
                | ErrorKind::PermissionDenied
                | ErrorKind::ReadOnlyFilesystem => Exit::Resources,
                ErrorKind::NotADirectory | ErrorKind::AlreadyExists => Exit::Usage,
                _ => Exit::Internal,
            },
        };
        let new = Self::wrap(exit, &error);
        match &error {
            CreateError::Exists { .. } => {
                new.hint("name another folder with --out, another --sequence, or remove that bundle")
            }
            CreateError::NoSpace { .. } => new.hint("free some space, or name a folder on another disk with --out"),
            CreateError::Rotten { .. } => {
                new.hint("sovai store verify --remove-damaged, then sovai pull MANIFEST; nothing of the bundle was kept")
            }
            CreateError::Io { source, .. }
                if matches!(source.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) =>
            {
                new.hint("free some space and run the same command again: it goes on where it stopped")
            }
            CreateError::Io { source, .. } if source.kind() == ErrorKind::PermissionDenied => {
                new.hint("name a folder that this user can write with --out")
            }
            _ => new,
        }
    }
}
