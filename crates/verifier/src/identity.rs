//! What tells that a file is still the one that was read: file system, inode, size, mtime, ctime.

use rustix::fs::{FileType, Stat};
use serde::{Deserialize, Serialize};
use std::os::fd::AsFd;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// File systems (`statfs` magic numbers, Linux `include/uapi/linux/magic.h`; ZFS and bcachefs from their own sources)
/// whose kernel sets ctime itself at each change, to better than [`SETTLED`]. FAT, exFAT, 9p, FUSE and network file
/// systems are left out on purpose: there, ctime is missing, coarse, or what a server says. Files on them are read each
/// time.
const HONEST_CTIME: [u64; 8] = [
    0xEF53,      // ext2, ext3, ext4
    0x5846_5342, // XFS
    0x9123_683E, // btrfs
    0xF2F5_2010, // F2FS
    0x0102_1994, // tmpfs
    0x794C_7630, // overlayfs
    0x2FC1_2FC1, // ZFS
    0xCA45_1A4E, // bcachefs
];

/// A file whose ctime is younger than this when its reading begins could change later within the same tick of the clock
/// that stamps files, and look unchanged. A tick is at most 10 ms (`CONFIG_HZ=100`); this is twice that.
pub(crate) const SETTLED: Duration = Duration::from_millis(20);

/// Which file system, as the kernel names it: type and `f_fsid`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FsId {
    kind: u64,
    id: u64,
}

impl FsId {
    /// The file system of an open file or folder; nothing where its ctime proves nothing, or where it has no ID.
    pub(crate) fn of(fd: impl AsFd) -> Option<Self> {
        // The magic number is 32 bits in a signed word of varying length.
        let kind = u64::from(u32::try_from(rustix::fs::fstatfs(&fd).ok()?.f_type & 0xFFFF_FFFF).ok()?);
        let id = rustix::fs::fstatvfs(&fd).ok()?.f_fsid;
        (HONEST_CTIME.contains(&kind) && id != 0).then_some(Self { kind, id })
    }
}

/// The state of a file; two equal ones mean the same bytes, as far as the kernel tells.
///
/// In JSON a row of numbers: receipts of many files are read at each run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Row", into = "Row")]
pub(crate) struct Identity {
    fs: FsId,
    inode: u64,
    size: u64,
    /// Seconds and nanoseconds since 1970.
    mtime: (i64, i64),
    ctime: (i64, i64),
}

/// Type and ID of the file system, inode, size, seconds and nanoseconds of mtime and of ctime.
type Row = (u64, u64, u64, u64, i64, i64, i64, i64);

impl From<Row> for Identity {
    fn from(row: Row) -> Self {
        let (kind, id, inode, size, ..) = row;
        Self { fs: FsId { kind, id }, inode, size, mtime: (row.4, row.5), ctime: (row.6, row.7) }
    }
}

impl From<Identity> for Row {
    fn from(it: Identity) -> Self {
        (it.fs.kind, it.fs.id, it.inode, it.size, it.mtime.0, it.mtime.1, it.ctime.0, it.ctime.1)
    }
}

impl Identity {
    pub(crate) fn new(fs: FsId, stat: &Stat) -> Self {
        let nanos = |nanos: u64| i64::try_from(nanos).unwrap_or(-1);
        Self {
            fs,
            inode: stat.st_ino,
            size: size(stat),
            mtime: (stat.st_mtime, nanos(stat.st_mtime_nsec)),
            ctime: (stat.st_ctime, nanos(stat.st_ctime_nsec)),
        }
    }

    /// The same file with the same bytes, but for what `link` and `unlink` change.
    pub(crate) fn same_but_links(&self, other: &Self) -> bool {
        *self == Self { ctime: self.ctime, ..*other }
    }

    /// How long ago the file changed; nothing when its ctime lies in the future.
    pub(crate) fn age(&self, now: SystemTime) -> Option<Duration> {
        let seconds = u64::try_from(self.ctime.0).ok()?;
        let nanos = u32::try_from(self.ctime.1).ok()?;
        now.duration_since(UNIX_EPOCH + Duration::new(seconds, nanos)).ok()
    }

    /// Whether a change after `now` is sure to change the identity.
    pub(crate) fn is_settled(&self, now: SystemTime) -> bool {
        self.age(now).is_some_and(|age| age >= SETTLED)
    }
}

/// Waits until the youngest of these files has settled: at most [`SETTLED`]. One from the future is not waited for.
pub(crate) fn settle<'a>(identities: impl IntoIterator<Item = &'a Identity>) {
    let now = SystemTime::now();
    let youngest = identities.into_iter().filter_map(|identity| identity.age(now)).min();
    if let Some(rest) = youngest.and_then(|age| SETTLED.checked_sub(age)) {
        // Slept in full, or a file read right after would not count as settled.
        std::thread::sleep(rest + Duration::from_millis(1));
    }
}

/// Length in bytes; the kernel never gives a negative one.
pub(crate) fn size(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}

/// Whether two looks at an open file saw the same state; also where there is no [`Identity`].
pub(crate) fn unchanged(before: &Stat, after: &Stat) -> bool {
    let key =
        |s: &Stat| (s.st_dev, s.st_ino, s.st_size, s.st_mtime, s.st_mtime_nsec, s.st_ctime, s.st_ctime_nsec);
    key(before) == key(after)
}

pub(crate) fn is_regular(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64, nanos: i64) -> Identity {
        let fs = FsId { kind: 0xEF53, id: 1 };
        Identity { fs, inode: 1, size: 1, mtime: (0, 0), ctime: (seconds, nanos) }
    }

    #[test]
    fn a_file_is_settled_when_its_ctime_is_two_ticks_old() {
        let now = UNIX_EPOCH + Duration::new(100, 0);
        assert!(at(99, 980_000_000).is_settled(now));
        assert!(!at(99, 980_000_001).is_settled(now));
        assert!(!at(100, 0).is_settled(now));
        assert!(!at(101, 0).is_settled(now), "from the future: the clock was or is wrong");
        assert!(!at(-1, 0).is_settled(now));
    }

    #[test]
    fn links_change_ctime_and_nothing_else_may() {
        assert!(at(1, 0).same_but_links(&at(2, 0)));
        assert!(!at(1, 0).same_but_links(&Identity { size: 2, ..at(2, 0) }));
        assert!(!at(1, 0).same_but_links(&Identity { mtime: (1, 0), ..at(2, 0) }));
        assert!(!at(1, 0).same_but_links(&Identity { inode: 2, ..at(2, 0) }));
    }

    #[test]
    fn proc_cannot_vouch_for_its_files_and_is_given_no_identity() {
        let file = fs_err::File::open("/proc/self/status").unwrap();
        assert_eq!(FsId::of(file.file()), None);
    }
}
