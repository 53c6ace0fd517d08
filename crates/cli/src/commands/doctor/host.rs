//! Checks of this host.

use super::{Check, Status};
use crate::ctx::Ctx;
use rustix::fs::Access;
use sovai_core::format_bytes;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// The gateway's usual port.
const PORT: u16 = 8080;
/// Below this no model fits.
const DISK_FAIL: u64 = 1 << 30;
/// Below this only small models fit.
const DISK_WARN: u64 = 20 << 30;
/// Below this no engine starts.
const MEMORY_FAIL: u64 = 256 << 20;
/// Below this only the smallest models run.
const MEMORY_WARN: u64 = 2 << 30;
/// When this version was written: no clock that is right shows an earlier time.
const WRITTEN: &str = "2026-11-01T00:00:00Z";

pub(super) fn checks(ctx: &Ctx) -> Vec<Check> {
    let mut checks = vec![platform()];
    match &ctx.settings.store {
        Some(path) => checks.extend([store(path), disk(path)]),
        None => checks.push(
            Check::new("store", Status::Fail, "no folder: neither XDG_DATA_HOME nor HOME is set")
                .hint("name one with --store DIR or SOVAI_STORE"),
        ),
    }
    checks.extend([memory(), accelerators(Path::new("/sys/bus/pci/devices")), clock(), port(PORT)]);
    checks
}

/// This host's architecture as image platforms name it.
pub(super) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn platform() -> Check {
    let detail = format!("{}/{}", std::env::consts::OS, architecture());
    if detail == "linux/amd64" {
        Check::new("platform", Status::Ok, detail)
    } else {
        Check::new("platform", Status::Warn, format!("{detail}; sovai is tested on linux/amd64"))
    }
}

fn store(path: &Path) -> Check {
    let shown = path.display();
    let check = |status, detail: String| Check::new("store", status, detail);
    let metadata = match fs_err::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let parent = existing(path);
            return if rustix::fs::access(parent, Access::WRITE_OK | Access::EXEC_OK).is_ok() {
                check(
                    Status::Ok,
                    format!("{shown} is not there yet; the first command that needs it makes it"),
                )
            } else {
                check(Status::Fail, format!("{shown} is not there, and {} is not writable", parent.display()))
                    .hint("run as the user who may write there, or name another folder with --store DIR")
            };
        }
        Err(error) => {
            return check(Status::Fail, error.to_string()).hint("name another folder with --store DIR");
        }
    };
    let user = rustix::process::geteuid().as_raw();
    let mode = metadata.mode() & 0o777;
    if !metadata.is_dir() {
        return check(Status::Fail, format!("{shown} is not a folder"))
            .hint("name another folder with --store DIR");
    }
    if metadata.uid() != user {
        return check(
            Status::Fail,
            format!("{shown} belongs to user {}, not to user {user}", metadata.uid()),
        )
        .hint("run as that user, or name another folder with --store DIR");
    }
    if rustix::fs::access(path, Access::WRITE_OK | Access::READ_OK | Access::EXEC_OK).is_err() {
        return check(Status::Fail, format!("{shown} is not writable"))
            .hint("mount it writable, or name another folder with --store DIR");
    }
    let is_store = path.join("oci-layout").exists();
    let is_empty = fs_err::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
    if !is_store && !is_empty {
        return check(Status::Fail, format!("{shown} holds something else than a store"))
            .hint("name a folder that is empty, not there yet, or a store, with --store DIR");
    }
    if mode & 0o077 != 0 {
        return check(Status::Warn, format!("{shown} is open to other users (mode {mode:04o})"))
            .hint(format!("chmod 0700 {shown}"));
    }
    check(Status::Ok, format!("{shown}, mode {mode:04o}"))
}

fn disk(path: &Path) -> Check {
    let place = existing(path);
    match rustix::fs::statvfs(place) {
        Ok(stat) => amount(
            "disk",
            stat.f_bavail.saturating_mul(stat.f_frsize),
            (DISK_FAIL, DISK_WARN),
            &format!("free at {}", place.display()),
        )
        .hint_unless_ok("a store needs the size of its models; free some space, or name a folder on another disk with --store DIR"),
        Err(error) => Check::new("disk", Status::Warn, format!("{}: {error}", place.display())),
    }
}

fn memory() -> Check {
    let available = fs_err::read_to_string("/proc/meminfo").ok().and_then(|text| available(&text));
    match available {
        Some(bytes) => amount("memory", bytes, (MEMORY_FAIL, MEMORY_WARN), "available").hint_unless_ok(
            "a model needs somewhat more than its size: end other programs, or take a smaller model",
        ),
        None => Check::new("memory", Status::Warn, "cannot be told on this system"),
    }
}

/// `MemAvailable` of `/proc/meminfo`, in bytes.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

fn amount(name: &'static str, bytes: u64, (fail, warn): (u64, u64), what: &str) -> Check {
    let status = match bytes {
        bytes if bytes < fail => Status::Fail,
        bytes if bytes < warn => Status::Warn,
        _ => Status::Ok,
    };
    Check::new(name, status, format!("{} {what}", format_bytes(bytes)))
}

impl Check {
    fn hint_unless_ok(self, hint: &str) -> Self {
        if self.status == Status::Ok { self } else { self.hint(hint) }
    }
}

/// What the PCI bus has, by class, so that no vendor needs to be known: 3D controllers and processing accelerators.
///
/// Most display adapters (class 03 00) are no accelerators, and those that are cannot be told apart here: they are counted.
fn accelerators(devices: &Path) -> Check {
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for entry in fs_err::read_dir(devices).into_iter().flatten().flatten() {
        let read = |name: &str| {
            let text = fs_err::read_to_string(entry.path().join(name)).unwrap_or_default();
            text.trim().trim_start_matches("0x").to_owned()
        };
        let what = match read("class").get(..4) {
            Some("0302") => "3D controller",
            Some("0300") => "display adapter",
            Some("1200") => "processing accelerator",
            _ => continue,
        };
        *found.entry(format!("{what} {}:{}", read("vendor"), read("device"))).or_default() += 1;
    }
    let list: Vec<String> = found.iter().map(|(what, n)| format!("{n} x {what}")).collect();
    let detail = if list.is_empty() {
        "none on the PCI bus: engines run on the CPU".to_owned()
    } else {
        list.join(", ")
    };
    Check::new("accelerators", Status::Ok, detail)
}

fn clock() -> Check {
    let now = jiff::Timestamp::now();
    let detail = crate::report::time(now);
    let right = WRITTEN.parse::<jiff::Timestamp>().is_ok_and(|written| now >= written);
    if right {
        return Check::new("clock", Status::Ok, detail);
    }
    Check::new("clock", Status::Warn, format!("{detail} is before this version was made ({WRITTEN})"))
        .hint("set the clock: certificates and evidence go by it")
}

fn port(port: u16) -> Check {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    match TcpListener::bind(address) {
        Ok(_listener) => Check::new("port", Status::Ok, format!("{address} is free")),
        // A stack that is deployed already may be what holds it.
        Err(error) => Check::new("port", Status::Warn, format!("{address}: {error}"))
            .hint("a stack may hold it (sovai status); another one needs another `gateway.listen`"),
    }
}

/// The path, or the nearest folder above it that is there.
fn existing(path: &Path) -> &Path {
    path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn available_memory_is_read() {
        assert_eq!(available("MemTotal: 9 kB\nMemAvailable:   2048 kB\n"), Some(2 << 20));
        assert_eq!(available("MemTotal: 9 kB\n"), None);
    }

    #[test]
    fn amounts_have_two_limits() {
        let status = |bytes| amount("disk", bytes, (10, 20), "free").status;
        assert_eq!([status(9), status(10), status(20)], [Status::Fail, Status::Warn, Status::Ok]);
    }

    #[test]
    fn a_store_that_is_not_there_is_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        assert_eq!(store(&path).status, Status::Ok);
        assert!(!path.exists());
    }

    #[test]
    fn an_open_store_and_a_file_in_its_place_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let open = folder.path().join("open");
        fs_err::create_dir(&open).unwrap();
        fs_err::set_permissions(&open, std::fs::Permissions::from_mode(0o755)).unwrap();
        let check = store(&open);
        assert_eq!(check.status, Status::Warn);
        assert!(check.hint.unwrap().starts_with("chmod 0700 "));
        let file = folder.path().join("file");
        fs_err::write(&file, "").unwrap();
        assert_eq!(store(&file).status, Status::Fail);
        // Somebody's folder: nothing that would make it a store is advised.
        let check = store(folder.path());
        assert_eq!(check.status, Status::Fail);
        assert!(!check.hint.unwrap().contains("chmod"));
    }

    #[test]
    fn accelerators_are_counted_by_class_and_id() {
        let bus = tempfile::tempdir().unwrap();
        let device = |slot: &str, class: &str, id: &str| {
            let folder = bus.path().join(slot);
            fs_err::create_dir(&folder).unwrap();
            for (name, text) in [("class", class), ("vendor", "0x10de"), ("device", id)] {
                fs_err::write(folder.join(name), format!("{text}\n")).unwrap();
            }
        };
        assert!(accelerators(bus.path()).detail.starts_with("none"));
        device("0000:01:00.0", "0x030200", "0x2330");
        device("0000:02:00.0", "0x030200", "0x2330");
        device("0000:03:00.0", "0x120000", "0x0001");
        device("0000:04:00.0", "0x020000", "0x0002");
        assert_eq!(
            accelerators(bus.path()).detail,
            "2 x 3D controller 10de:2330, 1 x processing accelerator 10de:0001"
        );
    }

    #[test]
    fn a_taken_port_is_a_warning() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        assert_eq!(port(listener.local_addr().unwrap().port()).status, Status::Warn);
    }
}
