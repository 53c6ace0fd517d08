//! The lock on a store or on a stack: `flock`, so that it dies with its holder.

use crate::error::{Context as _, StoreError};
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longest text of a holder that is read back, in bytes.
const MAX_HOLDER: u64 = 512;
/// How often, and how long apart, the holder's name is looked for: it writes it just after it got the lock.
const NAME_TRIES: u32 = 10;
const NAME_PAUSE: Duration = Duration::from_millis(5);

/// A held lock; dropping it gives it back.
#[derive(Debug)]
pub struct StoreLock {
    file: File,
    path: PathBuf,
    /// Its file goes with it.
    passing: bool,
}

impl StoreLock {
    /// Takes the lock on `path` without waiting and writes down who holds it.
    pub(crate) fn take(path: &Path, holder: &str) -> Result<Self, StoreError> {
        let mut file = open(path)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                return Err(StoreError::Busy { path: path.to_owned(), holder: read_holder(&mut file) });
            }
            Err(error) => return Err(StoreError::io("lock", path, error)),
        }
        write_holder(&mut file, path, holder)?;
        Ok(Self { file, path: path.to_owned(), passing: false })
    }

    /// Takes the lock on `path`, anywhere, without waiting; its file is made, and removed when the lock is given back. `holder`
    /// is the command, for the one who finds it busy.
    pub fn take_passing(path: &Path, holder: &str) -> Result<Self, StoreError> {
        loop {
            let mut lock = Self::take(path, holder)?;
            // Its last holder may have removed the name after we opened the file: then others lock another one.
            if is_named(&lock.file, path) {
                lock.passing = true;
                return Ok(lock);
            }
        }
    }

    /// The lock file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for StoreLock {
    fn drop(&mut self) {
        if self.passing && is_named(&self.file, &self.path) {
            drop(fs_err::remove_file(&self.path));
        }
        // So that the next one who is told "busy" does not read our name.
        drop(self.file.set_len(0));
        // Closing the file is not enough: a child that was forked and has not yet run its program holds a copy of it.
        let _ = rustix::fs::flock(&self.file, FlockOperation::Unlock);
    }
}

/// Whether the open file is the one that has this name now.
fn is_named(file: &File, path: &Path) -> bool {
    match (rustix::fs::fstat(file), rustix::fs::lstat(path)) {
        (Ok(open), Ok(named)) => (open.st_dev, open.st_ino) == (named.st_dev, named.st_ino),
        _ => false,
    }
}

/// A hold on the store's blobs; dropping it gives it back. See [`crate::Store::hold`].
#[derive(Debug)]
pub struct StoreHold {
    file: File,
    /// What this process wrote into the file, if it did.
    line: Option<String>,
}

impl StoreHold {
    pub(crate) fn shared(path: &Path, holder: &str) -> Result<Self, StoreError> {
        let mut hold = Self::lock(open(path)?, path, FlockOperation::NonBlockingLockShared)?;
        // One name is enough to tell that somebody is there; it is written anew when that process has ended.
        if !is_living(&first_line(&mut hold.file)) {
            hold.line = Some(write_holder(&mut hold.file, path, holder)?);
        }
        Ok(hold)
    }

    pub(crate) fn alone(path: &Path, holder: &str) -> Result<StoreAlone, StoreError> {
        let file = open(path)?;
        let mut hold = Self::lock(file, path, FlockOperation::NonBlockingLockExclusive)?;
        hold.line = Some(write_holder(&mut hold.file, path, holder)?);
        Ok(StoreAlone(hold))
    }

    fn lock(mut file: File, path: &Path, how: FlockOperation) -> Result<Self, StoreError> {
        match rustix::fs::flock(&file, how) {
            Ok(()) => Ok(Self { file, line: None }),
            Err(Errno::WOULDBLOCK) => {
                Err(StoreError::Busy { path: path.to_owned(), holder: read_living(&mut file) })
            }
            Err(error) => Err(StoreError::io("lock", path, error)),
        }
    }
}

/// A hold on the store's blobs that nobody shares. See [`crate::Store::hold_alone`].
#[derive(Debug)]
pub struct StoreAlone(StoreHold);

impl std::ops::Deref for StoreAlone {
    type Target = StoreHold;

    fn deref(&self) -> &StoreHold {
        &self.0
    }
}

impl Drop for StoreHold {
    fn drop(&mut self) {
        // Those who hold on are without a name then; the next one writes its own.
        if let Some(line) = &self.line
            && first_line(&mut self.file) == *line
        {
            drop(self.file.set_len(0));
        }
        // As with `StoreLock`: a forked child may hold a copy.
        let _ = rustix::fs::flock(&self.file, FlockOperation::Unlock);
    }
}

/// Whether the line of a holder names a process that is there now.
fn is_living(line: &str) -> bool {
    line.split_once(' ').is_some_and(|(pid, _)| {
        pid.bytes().all(|b| b.is_ascii_digit()) && Path::new("/proc").join(pid).exists()
    })
}

/// What the file of a lock says, without waiting for it.
fn first_line(file: &mut File) -> String {
    let mut text = String::new();
    match file.rewind().and_then(|()| (&*file).take(MAX_HOLDER).read_to_string(&mut text)) {
        Ok(_) => text,
        Err(_) => String::new(),
    }
}

/// The name in the file of a shared lock, unless its process has ended and others hold on.
fn read_living(file: &mut File) -> String {
    let holder = read_holder(file);
    match holder.strip_prefix("process ") {
        Some(line) if !is_living(line) => "another process".to_owned(),
        _ => holder,
    }
}

fn open(path: &Path) -> Result<File, StoreError> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR).context("open", path)?;
    Ok(File::from(fd))
}

/// Writes down who holds the lock, in place of who held it before; gives what it wrote.
fn write_holder(file: &mut File, path: &Path, holder: &str) -> Result<String, StoreError> {
    let line: String = holder.chars().filter(|c| !c.is_control()).take(200).collect();
    file.set_len(0).context("write", path)?;
    file.rewind().context("write", path)?;
    let line = format!("{} {line}\n", std::process::id());
    file.write_all(line.as_bytes()).context("write", path)?;
    Ok(line)
}

/// `process 123 (sovai deploy)`, from the lock file.
fn read_holder(file: &mut File) -> String {
    for attempt in 0..NAME_TRIES {
        if attempt > 0 {
            std::thread::sleep(NAME_PAUSE);
        }
        let mut text = String::new();
        let read = file.rewind().and_then(|()| (&*file).take(MAX_HOLDER).read_to_string(&mut text));
        if read.is_ok()
            && let Some((pid, command)) = text.trim_end().split_once(' ')
            && pid.bytes().all(|b| b.is_ascii_digit())
        {
            return format!("process {pid} ({})", command.escape_debug());
        }
    }
    "another process".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_of_the_file_in_a_forked_child_does_not_keep_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let lock = StoreLock::take(&path, "first").unwrap();
        let copy = lock.file.try_clone().unwrap();
        drop(lock);
        StoreLock::take(&path, "second").unwrap();
        drop(copy);
    }
}
