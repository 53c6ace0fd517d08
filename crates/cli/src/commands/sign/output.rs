//! Where a signature is written: atomically, and over nothing but an older signature.

use crate::error::CliError;
use crate::exit::Exit;
use crate::input::read_bounded;
use crate::output::safe_line;
use sovai_signing::json::Limits;
use std::path::Path;

/// Permission bits of a signature: it is public.
const MODE: u32 = 0o644;

/// Refuses to write over what is no older signature: a slip in an option must not cost a file of weights.
pub(in crate::commands) fn check(path: &Path, is_signature: impl Fn(&[u8]) -> bool) -> Result<(), CliError> {
    let refuse = || {
        let shown = safe_line(&path.display().to_string());
        CliError::new(Exit::Usage, format!("{shown} is there and is no signature; it is not overwritten"))
            .hint("name another file")
    };
    let Ok(found) = fs_err::symlink_metadata(path) else { return Ok(()) };
    let limit = Limits::BUNDLE.bytes;
    if !found.is_file() || usize::try_from(found.len()).map_or(true, |size| size > limit) {
        return Err(refuse());
    }
    if is_signature(&read_bounded(path, limit, "file")?) { Ok(()) } else { Err(refuse()) }
}

/// Writes it.
pub(in crate::commands) fn write(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    sovai_store::atomic::write(path, bytes, MODE).map_err(|error| {
        let shown = safe_line(&path.display().to_string());
        CliError::new(Exit::Resources, format!("signature {shown} cannot be written")).source(&error)
    })
}
