//! Package databases of images: what dpkg and apk wrote, as text from outside.

use crate::purl::purl;
use std::collections::{BTreeMap, BTreeSet};

/// Most packages that are taken of one image.
pub const MAX_PACKAGES: usize = 20_000;
/// Longest name, version, architecture or licence that is taken, in bytes.
const MAX_FIELD: usize = 512;

/// A package that a database lists.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version, as the database has it.
    pub version: String,
    /// `amd64`, `all`, `x86_64`; empty where the database says none.
    pub architecture: String,
    /// Its licence, as the database has it; dpkg's says none.
    pub license: Option<String>,
    /// Its address.
    pub purl: String,
}

/// What the files of an image tell of its packages.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Packages {
    /// What was listed, sorted, each once.
    pub packages: Vec<Package>,
    /// Databases that were read: `dpkg`, `apk`.
    pub read: BTreeSet<&'static str>,
    /// Databases that are there and were not read, and why.
    pub unread: BTreeMap<String, &'static str>,
    /// `PRETTY_NAME` of its os-release.
    pub system: Option<String>,
}

const DPKG: &str = "var/lib/dpkg/status";
/// Images without dpkg itself have one file a package here.
const DPKG_FOLDER: &str = "var/lib/dpkg/status.d/";
const APK: [&str; 2] = ["lib/apk/db/installed", "usr/lib/apk/db/installed"];
/// Databases of rpm: Berkeley DB, ndb, `SQLite`; where they were and where they are.
const RPM: [&str; 6] = [
    "var/lib/rpm/Packages",
    "var/lib/rpm/Packages.db",
    "var/lib/rpm/rpmdb.sqlite",
    "usr/lib/sysimage/rpm/Packages",
    "usr/lib/sysimage/rpm/Packages.db",
    "usr/lib/sysimage/rpm/rpmdb.sqlite",
];
const RELEASE: [&str; 2] = ["etc/os-release", "usr/lib/os-release"];

/// Whether a file of an image is one that [`Packages::read`] looks at.
pub fn is_package_file(path: &str) -> bool {
    path == DPKG
        || path
            .strip_prefix(DPKG_FOLDER)
            .is_some_and(|name| !name.contains('/') && !name.ends_with(".md5sums"))
        || APK.contains(&path)
        || RPM.contains(&path)
        || RELEASE.contains(&path)
}

impl Packages {
    /// Reads the files of an image for which [`is_package_file`] holds: path, and bytes where they could be read.
    pub fn read<'a>(files: impl IntoIterator<Item = (&'a str, Option<&'a [u8]>)>) -> Self {
        let files: BTreeMap<&str, Option<&[u8]>> = files.into_iter().collect();
        let text = |path: &str| files.get(path).copied().flatten().map(String::from_utf8_lossy);
        let release = RELEASE.iter().find_map(|path| text(path)).unwrap_or_default();
        let release = |key: &str| {
            let value = release.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            value.map(|value| short(value.trim().trim_matches(['"', '\'']))).filter(|value| !value.is_empty())
        };
        let id = release("ID").unwrap_or_default();
        let distro = match release("VERSION_ID") {
            Some(version) if !id.is_empty() => format!("{id}-{version}"),
            _ => id.clone(),
        };
        let mut found = Self { system: release("PRETTY_NAME"), ..Self::default() };
        for (path, bytes) in &files {
            let (kind, default): (&'static str, _) = if *path == DPKG || path.starts_with(DPKG_FOLDER) {
                ("dpkg", "debian")
            } else if APK.contains(path) {
                ("apk", "alpine")
            } else if RPM.contains(path) {
                found
                    .unread
                    .insert((*path).to_owned(), "a database of rpm: sovai reads those of dpkg and apk");
                continue;
            } else {
                continue;
            };
            let Some(bytes) = bytes else {
                found.unread.insert((*path).to_owned(), "a link, or longer than what is read");
                continue;
            };
            let text = String::from_utf8_lossy(bytes);
            let at = Distribution { space: if id.is_empty() { default } else { &id }, distro: &distro };
            let listed = if kind == "dpkg" { dpkg(&text, *path != DPKG, &at) } else { apk(&text, &at) };
            found.packages.extend(listed);
            found.read.insert(kind);
            if found.packages.len() > MAX_PACKAGES {
                found.packages.truncate(MAX_PACKAGES);
                found.unread.insert((*path).to_owned(), "more packages than what is read");
                break;
            }
        }
        found.packages.sort();
        found.packages.dedup();
        found
    }
}

struct Distribution<'a> {
    space: &'a str,
    distro: &'a str,
}

/// A field as it is taken: without control characters, and no longer than the bound.
fn short(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars().filter(|c| !c.is_control()) {
        if out.len() + c.len_utf8() > MAX_FIELD {
            break;
        }
        out.push(c);
    }
    out
}

/// `status` of dpkg (deb-control(5), dpkg(1)): paragraphs of `Key: value`. A package whose `Status` does not end in
/// `installed` is not there; in `status.d` there is no `Status`.
fn dpkg(text: &str, alone: bool, at: &Distribution<'_>) -> Vec<Package> {
    paragraphs(text, ": ")
        .filter(|fields| {
            fields.get("Status").map_or(alone, |status| status.split(' ').next_back() == Some("installed"))
        })
        .filter_map(|fields| {
            let (name, version) = (short(fields.get("Package")?), short(fields.get("Version")?));
            let architecture = short(fields.get("Architecture").copied().unwrap_or_default());
            let purl =
                purl("deb", at.space, &name, &version, &[("arch", &architecture), ("distro", at.distro)]);
            Some(Package { name, version, architecture, license: None, purl })
        })
        .take(MAX_PACKAGES + 1)
        .collect()
}

/// `installed` of apk (apk-v2(5)): paragraphs of `K:value`.
fn apk(text: &str, at: &Distribution<'_>) -> Vec<Package> {
    paragraphs(text, ":")
        .filter_map(|fields| {
            let (name, version) = (short(fields.get("P")?), short(fields.get("V")?));
            let architecture = short(fields.get("A").copied().unwrap_or_default());
            let license = fields.get("L").map(|text| short(text)).filter(|text| !text.is_empty());
            let purl =
                purl("apk", at.space, &name, &version, &[("arch", &architecture), ("distro", at.distro)]);
            Some(Package { name, version, architecture, license, purl })
        })
        .take(MAX_PACKAGES + 1)
        .collect()
}

/// Paragraphs between empty lines, each as its fields; the first of a name counts, and lines that go on with one are left
/// out.
fn paragraphs<'a>(text: &'a str, colon: &'a str) -> impl Iterator<Item = BTreeMap<&'a str, &'a str>> {
    let mut lines = text.lines().peekable();
    std::iter::from_fn(move || {
        while lines.next_if(|line| line.trim().is_empty()).is_some() {}
        lines.peek()?;
        let mut fields = BTreeMap::new();
        while let Some(line) = lines.next_if(|line| !line.trim().is_empty()) {
            if let Some((key, value)) = line.split_once(colon)
                && !key.starts_with([' ', '\t'])
                && is_of_use(key)
            {
                fields.entry(key).or_insert(value.trim());
            }
        }
        Some(fields)
    })
}

fn is_of_use(key: &str) -> bool {
    ["Package", "Version", "Architecture", "Status", "P", "V", "A", "L"].contains(&key)
}

#[cfg(test)]
mod tests;
