use super::{MAX_PACKAGES, Packages, is_package_file};
use std::fmt::Write as _;

/// From a Debian 13 image, shortened.
const STATUS: &str = "Package: adduser
Status: install ok installed
Priority: important
Architecture: all
Version: 3.152
Depends: passwd (>= 1:4.17.2-5)
Description: add and remove users and groups
 Version: 9 stands in a line that goes on
 .

Package: attr
Status: deinstall ok config-files
Architecture: amd64
Version: 1:2.5.2-3

Package: g++
Status: hold ok installed
Architecture: amd64
Source: gcc-defaults (1.220)
Version: 4:14.2.0-1
";
/// From an Alpine 3.22 image, shortened.
const INSTALLED: &str = "C:Q1mB8CM0pPwPZuVzKf0LlmfD5DXVM=
P:musl
V:1.2.5-r10
A:x86_64
S:409628
L:MIT
F:lib
R:ld-musl-x86_64.so.1
a:0:0:755

C:Q1uKrRUdCFXZ3sqmHbKo8kKZbYd5k=
P:busybox
V:1.37.0-r18
A:x86_64
L:GPL-2.0-only
";

fn purls(found: &Packages) -> Vec<&str> {
    found.packages.iter().map(|package| package.purl.as_str()).collect()
}

#[test]
fn what_dpkg_has_installed_is_listed() {
    let release = "PRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\nVERSION_ID=\"13\"\nID=debian\n";
    let found = Packages::read([
        ("var/lib/dpkg/status", Some(STATUS.as_bytes())),
        ("usr/lib/os-release", Some(release.as_bytes())),
        ("etc/os-release", None),
    ]);
    assert_eq!(found.system.as_deref(), Some("Debian GNU/Linux 13 (trixie)"));
    assert_eq!(
        purls(&found),
        [
            "pkg:deb/debian/adduser@3.152?arch=all&distro=debian-13",
            "pkg:deb/debian/g%2B%2B@4:14.2.0-1?arch=amd64&distro=debian-13",
        ]
    );
    assert!(found.read.contains("dpkg") && found.unread.is_empty());
}

#[test]
fn what_apk_has_installed_is_listed_with_its_licence() {
    let found = Packages::read([("lib/apk/db/installed", Some(INSTALLED.as_bytes()))]);
    assert_eq!(
        purls(&found),
        ["pkg:apk/alpine/busybox@1.37.0-r18?arch=x86_64", "pkg:apk/alpine/musl@1.2.5-r10?arch=x86_64"]
    );
    assert_eq!(found.packages[1].license.as_deref(), Some("MIT"));
}

#[test]
fn images_without_dpkg_itself_list_their_packages_in_a_folder() {
    let one = "Package: base-files\nVersion: 12.4\nArchitecture: amd64\n";
    let files = ["var/lib/dpkg/status.d/base", "var/lib/dpkg/status.d/base.md5sums"];
    assert_eq!(files.map(is_package_file), [true, false]);
    let found = Packages::read([(files[0], Some(one.as_bytes()))]);
    assert_eq!(purls(&found), ["pkg:deb/debian/base-files@12.4?arch=amd64"]);
    // A status file proper says of each package whether it is installed.
    let found = Packages::read([("var/lib/dpkg/status", Some(one.as_bytes()))]);
    assert_eq!(purls(&found), [""; 0]);
}

#[test]
fn what_was_not_read_is_told() {
    let found = Packages::read([
        ("var/lib/rpm/rpmdb.sqlite", Some(b"SQLite format 3".as_slice())),
        ("var/lib/dpkg/status", None),
    ]);
    assert!(found.packages.is_empty() && found.read.is_empty());
    assert_eq!(found.unread.len(), 2);
    let mut many = String::new();
    for number in 0..=MAX_PACKAGES {
        let _ = write!(many, "P:p{number}\nV:1\n\n");
    }
    let found = Packages::read([("lib/apk/db/installed", Some(many.as_bytes()))]);
    assert_eq!((found.packages.len(), found.unread.len()), (MAX_PACKAGES, 1));
}

#[test]
fn hostile_fields_are_cut_and_bytes_that_are_no_text_do_no_harm() {
    let long = format!("P:{}\nV:1\u{1b}[2J\n", "x".repeat(5000));
    let found = Packages::read([("lib/apk/db/installed", Some(long.as_bytes()))]);
    assert_eq!((found.packages[0].name.len(), found.packages[0].version.as_str()), (512, "1[2J"));
    let found = Packages::read([("lib/apk/db/installed", Some(b"P:\xff\nV:\xfe\n\n\n\nP:\n:\n".as_slice()))]);
    assert_eq!(found.packages.len(), 1);
}
