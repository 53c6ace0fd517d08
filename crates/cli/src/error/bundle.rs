//! What an error about volumes means to the person who typed the command.

use super::CliError;
use crate::exit::Exit;
use sovai_bundle::SetError;

impl From<SetError> for CliError {
    fn from(error: SetError) -> Self {
        let exit = match &error {
            SetError::NotThere { .. }
            | SetError::NoVolume { .. }
            | SetError::Twice { .. }
            | SetError::TooMany { .. } => Exit::Usage,
            SetError::Read { .. } => Exit::Unreachable,
            SetError::NoIndex { .. } => Exit::Mismatch,
            // Copies of one bundle that disagree are damage; the disks of two bundles are a slip.
            SetError::Mixed { bundles } => {
                let mut names = bundles.iter().map(|(name, ..)| name);
                let first = names.next();
                if names.all(|name| Some(name) == first) { Exit::Mismatch } else { Exit::Usage }
            }
        };
        let new = Self::wrap(exit, &error);
        match &error {
            SetError::NotThere { .. } => {
                new.hint("check the path; a relative one starts at the working folder")
            }
            SetError::NoVolume { .. } => new.hint(
                "name the folders of the volumes, as STACK-1.v001, a payload in one, or one folder that holds them",
            ),
            SetError::Twice { .. } => new.hint("name one of the two"),
            SetError::Read { .. } => new.hint("check the disk and the permissions"),
            SetError::TooMany { .. } => new.hint("name fewer folders: those of one bundle"),
            SetError::NoIndex { .. } => {
                new.hint("add another volume of the bundle: each has a copy of bundle.json")
            }
            SetError::Mixed { .. } if exit == Exit::Mismatch => {
                new.hint("add further volumes of the bundle, or its signature with --signature FILE: they tell which is right")
            }
            SetError::Mixed { .. } => new.hint("name the volumes of one bundle: `DIR/STACK-SEQUENCE.*`"),
        }
    }
}
