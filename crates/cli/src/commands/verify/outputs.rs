//! Files that options name: written whole, over nothing but an older one of their kind.

use crate::error::CliError;
use crate::exit::Exit;
use crate::input::read_bounded;
use crate::output::safe_line;
use sovai_core::Name;
use sovai_signing::dsse::Envelope;
use sovai_verifier::Passport;
use std::path::{Path, PathBuf};

/// Most bytes of a file that may be written over.
const MAX_OLD: usize = 64 << 20;
/// Permission bits: both kinds are public.
const MODE: u32 = 0o644;

/// Kind of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Passport,
    Summary,
}

impl Kind {
    const fn words(self) -> &'static str {
        match self {
            Self::Passport => "passport",
            Self::Summary => "verification summary",
        }
    }

    const fn end(self) -> &'static str {
        match self {
            Self::Passport => "passport.json",
            Self::Summary => "vsa.json",
        }
    }

    fn is_one(self, bytes: &[u8]) -> bool {
        match self {
            Self::Passport => Passport::parse(bytes).is_ok(),
            Self::Summary => Envelope::parse(bytes).is_ok(),
        }
    }
}

/// Where the file of a model goes: `out`, or `MODEL.passport.json` in it where it is a folder or there are several models.
pub(super) fn place(out: &Path, kind: Kind, model: Option<&Name>, models: usize) -> PathBuf {
    match model {
        Some(model) if models > 1 || out.is_dir() => out.join(format!("{model}.{}", kind.end())),
        _ => out.to_owned(),
    }
}

/// Refuses to write over something else: a slip in an option must not cost a file of weights.
pub(super) fn check(path: &Path, kind: Kind) -> Result<(), CliError> {
    let shown = safe_line(&path.display().to_string());
    let refuse = || {
        CliError::new(
            Exit::Usage,
            format!("{shown} is there and is no {}; it is not overwritten", kind.words()),
        )
        .hint("name another file")
    };
    let Ok(found) = fs_err::symlink_metadata(path) else { return Ok(()) };
    if !found.is_file() || usize::try_from(found.len()).map_or(true, |size| size > MAX_OLD) {
        return Err(refuse());
    }
    if kind.is_one(&read_bounded(path, MAX_OLD, "file")?) { Ok(()) } else { Err(refuse()) }
}

/// The line that says that a passport was written.
pub(super) fn told(path: &Path) -> String {
    format!("written: {} (passport)\n", safe_line(&path.display().to_string()))
}

/// Writes it, and the folder around it where that is not there.
pub(super) fn write(path: &Path, kind: Kind, bytes: &[u8]) -> Result<(), CliError> {
    check(path, kind)?;
    let failed = |error: &(dyn std::error::Error + 'static)| {
        let shown = safe_line(&path.display().to_string());
        CliError::new(Exit::Resources, format!("{} {shown} cannot be written", kind.words())).source(error)
    };
    if let Some(folder) = path.parent().filter(|folder| *folder != Path::new("")) {
        fs_err::create_dir_all(folder).map_err(|error| failed(&error))?;
    }
    sovai_store::atomic::write(path, bytes, MODE).map_err(|error| failed(&error))
}
