//! Addresses of packages (ECMA-427, package URL).

use std::fmt::Write as _;

/// Writes text with all but letters, digits and `.-_~` as `%XX`.
pub(crate) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b".-_~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// `pkg:KIND/SPACE/NAME@VERSION?KEY=VALUE`; empty parts and values are left out. Qualifiers are given sorted.
pub(crate) fn purl(
    kind: &str,
    space: &str,
    name: &str,
    version: &str,
    qualifiers: &[(&str, &str)],
) -> String {
    let mut out = format!("pkg:{kind}/");
    for part in space.split('/').filter(|part| !part.is_empty()) {
        let _ = write!(out, "{}/", encode(part));
    }
    out.push_str(&encode(name));
    if !version.is_empty() {
        // A colon needs no escape there (ECMA-427, 5.6).
        let _ = write!(out, "@{}", encode(version).replace("%3A", ":"));
    }
    let written = qualifiers.iter().filter(|(_, value)| !value.is_empty());
    for (number, (key, value)) in written.enumerate() {
        let value = encode(value).replace("%3A", ":").replace("%2F", "/");
        let _ = write!(out, "{}{key}={value}", if number == 0 { '?' } else { '&' });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::purl;

    /// Examples of the specification's types `deb`, `apk`, `oci` and `huggingface`.
    #[test]
    fn addresses_are_those_of_the_specification() {
        assert_eq!(
            purl("deb", "debian", "curl", "7.50.3-1", &[("arch", "i386"), ("distro", "jessie")]),
            "pkg:deb/debian/curl@7.50.3-1?arch=i386&distro=jessie"
        );
        assert_eq!(
            purl("deb", "debian", "attr", "1:2.4.47-2", &[("arch", "")]),
            "pkg:deb/debian/attr@1:2.4.47-2"
        );
        assert_eq!(purl("apk", "alpine", "g++", "1", &[]), "pkg:apk/alpine/g%2B%2B@1");
        assert_eq!(
            purl(
                "oci",
                "",
                "debian",
                "sha256:244fd4",
                &[("arch", "amd64"), ("repository_url", "ghcr.io/debian")]
            ),
            "pkg:oci/debian@sha256:244fd4?arch=amd64&repository_url=ghcr.io/debian"
        );
        assert_eq!(
            purl("huggingface", "microsoft", "deberta-v3-base", "559062ad", &[]),
            "pkg:huggingface/microsoft/deberta-v3-base@559062ad"
        );
    }
}
