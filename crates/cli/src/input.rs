//! Reads files that a person names, never more of them than will be looked at.

use crate::error::CliError;
use crate::exit::Exit;
use crate::output::safe_line;
use rustix::fs::OFlags;
use std::fs::{FileType, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Reads a regular file whole, but at most `limit + 1` bytes, so that the reader can tell "at the limit" from "beyond".
///
/// Anything else (folder, FIFO, device, socket) is refused without waiting for it. `what` names it in messages.
pub(crate) fn read_bounded(path: &Path, limit: usize, what: &str) -> Result<Vec<u8>, CliError> {
    let shown = safe_line(&path.display().to_string());
    let fail = |error: &io::Error| {
        CliError::new(Exit::Usage, format!("{what} {shown} cannot be read")).source(error)
    };
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = OpenOptions::new()
        .read(true)
        // A FIFO without a writer would block for ever in a plain open.
        .custom_flags(flags.bits().cast_signed())
        .open(path)
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => CliError::new(Exit::Usage, format!("{what} {shown} is not there"))
                .hint("check the path; a relative one starts at the working folder"),
            // Opening a socket.
            _ if error.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error()) => {
                CliError::new(Exit::Usage, format!("{what} {shown} is a socket, not a regular file"))
            }
            _ => fail(&error),
        })?;
    let metadata = file.metadata().map_err(|error| fail(&error))?;
    if !metadata.is_file() {
        let found = word_of(metadata.file_type());
        return Err(CliError::new(Exit::Usage, format!("{what} {shown} is {found}, not a regular file")));
    }
    let limit = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes).map_err(|error| fail(&error))?;
    Ok(bytes)
}

/// Whether a place that a person names is a `folder` or a `file`. Anything else is refused, and is not opened; `what` names
/// it in messages.
pub(crate) fn kind_of(path: &Path, what: &str) -> Result<&'static str, CliError> {
    let shown = safe_line(&path.display().to_string());
    let error = match (fs_err::metadata(path), fs_err::symlink_metadata(path)) {
        (Ok(metadata), _) if metadata.is_dir() => return Ok("folder"),
        (Ok(metadata), _) if metadata.is_file() => return Ok("file"),
        (Ok(metadata), _) => {
            let found = word_of(metadata.file_type());
            let message = format!("{what} {shown} is {found}, not a folder or a regular file");
            return Err(CliError::new(Exit::Usage, message).hint("name the folder or the file of a model"));
        }
        // A link that leads nowhere is there: what reads it says so.
        (Err(_), Ok(link)) if link.is_symlink() => return Ok("file"),
        (Err(error), _) => error,
    };
    if error.kind() == io::ErrorKind::NotFound {
        Err(CliError::new(Exit::Usage, format!("{what} {shown} is not there"))
            .hint("check the path; a relative one starts at the working folder"))
    } else {
        Err(CliError::new(Exit::Usage, format!("{what} {shown} cannot be read")).source(&error))
    }
}

fn word_of(kind: FileType) -> &'static str {
    if kind.is_dir() {
        "a folder"
    } else if kind.is_fifo() {
        "a named pipe"
    } else if kind.is_char_device() || kind.is_block_device() {
        "a device"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "something else"
    }
}
