//! What an error of bringing a bundle in means to the person who typed the command.

use super::CliError;
use crate::exit::Exit;
use sovai_bundle::import::ImportError;

impl From<ImportError> for CliError {
    fn from(error: ImportError) -> Self {
        let exit = match error {
            ImportError::Store(error) => return error.into(),
            ImportError::Verify(error) => return error.into(),
            ImportError::Cancelled => {
                return crate::signals::interrupted()
                    .hint("what was brought in is kept: the same command goes on from there");
            }
            ImportError::NoSpace { .. } | ImportError::Base { .. } => Exit::Resources,
            ImportError::Other { .. } => Exit::Refused,
            ImportError::Contradiction(_) => Exit::Mismatch,
            ImportError::NotWhole => Exit::Internal,
        };
        let mut new = Self::wrap(exit, &error);
        match &error {
            ImportError::NoSpace { .. } => {
                new.hint("free some space, or name a folder on another disk with --store DIR; what was brought in is kept")
            }
            ImportError::Base { missing } => {
                for digest in missing.iter().take(20) {
                    new = new.cause(format!("{digest} is not there, or is damaged"));
                }
                new.hint("bring in the bundle that this one builds on first, or ask for a whole one")
            }
            ImportError::Other { .. } => {
                new.hint("to forget the one that is half brought in: sovai bundle import --abort VOLUME")
            }
            ImportError::Contradiction(_) => new.hint("tell whoever made it: it was signed like this"),
            _ => new,
        }
    }
}
