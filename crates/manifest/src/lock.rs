//! The lock: every file and image of a manifest resolved to size and digest.

use crate::Diagnostic;
use crate::shape::LOCK;
use crate::yaml::Limits;
use serde::Serialize;
use sovai_core::{ImageId, Name, RelPath, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// What a manifest's sources and images were resolved to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Lock {
    /// Files of each model.
    pub models: BTreeMap<Name, LockedModel>,
    /// Images, by their name as the manifest writes it (without digest).
    pub images: BTreeMap<String, LockedImage>,
}

/// A model as it was resolved.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct LockedModel {
    /// The commit at a hub, or the digest (`sha256:...`) of the model's manifest in a registry.
    pub revision: Option<String>,
    /// The licence that the source states, in its words; where it states none, the manifest's.
    pub license: Option<String>,
    /// The files with the licence's text, sorted by path.
    pub license_files: Vec<LicenseFile>,
    /// Its files, sorted by path.
    pub files: Vec<LockedFile>,
}

/// A file with a licence's text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct LicenseFile {
    /// Path at the source.
    pub path: RelPath,
    /// SHA-256 of the whole file.
    pub sha256: Sha256,
}

/// A file as it was resolved.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct LockedFile {
    /// Path inside the model's folder.
    pub path: RelPath,
    /// Exact length in bytes.
    pub size: u64,
    /// SHA-256 of the whole file.
    pub sha256: Sha256,
    /// The model's source as the manifest writes it; the entry is stale when that changes.
    pub source: String,
}

/// An image as it was resolved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LockedImage {
    /// `linux/amd64`.
    pub platform: String,
    /// Digest of the image index that lists it; `None` where its registry has none.
    pub index: Option<Sha256>,
    /// Digest of its manifest in a registry, for this platform; `None` for a local image.
    pub manifest: Option<Sha256>,
    /// ID in a container engine.
    pub config: ImageId,
}

impl Lock {
    /// Reads a lock; diagnostics are as good as a manifest's. `Some` unless one of them is an error.
    pub fn parse(bytes: &[u8]) -> (Option<Self>, Vec<Diagnostic>) {
        crate::read(bytes, Limits::LOCK, &LOCK, crate::cross::lock, crate::build::lock)
    }

    /// The lock as YAML: keys sorted, the same bytes for the same lock.
    ///
    /// Written by hand and not by a serializer: the text must not change with a version of somebody's crate, every text
    /// is in quotes so that no reader takes it for a number, and each file takes one entry of four lines, so that a
    /// review sees just the files that changed.
    pub fn to_yaml(&self) -> String {
        let mut out =
            String::from("# Made by `sovai lock`. Do not edit.\napiVersion: sovai/v1\nkind: Lock\n");
        self.write_models(&mut out);
        self.write_images(&mut out);
        out
    }

    fn write_models(&self, out: &mut String) {
        if self.models.is_empty() {
            return;
        }
        out.push_str("models:\n");
        for (name, model) in &self.models {
            let _ = writeln!(out, "  {}:", quote(name.as_str()));
            for (key, value) in [("revision", &model.revision), ("license", &model.license)] {
                if let Some(value) = value {
                    let _ = writeln!(out, "    {key}: {}", quote(value));
                }
            }
            let mut licenses: Vec<_> = model.license_files.iter().collect();
            licenses.sort();
            if !licenses.is_empty() {
                out.push_str("    licenseFiles:\n");
            }
            for file in licenses {
                let _ = writeln!(out, "      - path: {}", quote(file.path.as_str()));
                let _ = writeln!(out, "        sha256: {}", quote(&file.sha256.hex()));
            }
            let mut files: Vec<_> = model.files.iter().collect();
            files.sort();
            if files.is_empty() {
                out.push_str("    files: []\n");
                continue;
            }
            out.push_str("    files:\n");
            for file in files {
                let _ = writeln!(out, "      - path: {}", quote(file.path.as_str()));
                let _ = writeln!(out, "        size: {}", file.size);
                let _ = writeln!(out, "        sha256: {}", quote(&file.sha256.hex()));
                let _ = writeln!(out, "        source: {}", quote(&file.source));
            }
        }
    }

    fn write_images(&self, out: &mut String) {
        if self.images.is_empty() {
            return;
        }
        out.push_str("images:\n");
        for (name, image) in &self.images {
            let _ = writeln!(out, "  {}:", quote(name));
            let _ = writeln!(out, "    platform: {}", quote(&image.platform));
            for (key, digest) in [("index", image.index), ("manifest", image.manifest)] {
                if let Some(digest) = digest {
                    let _ = writeln!(out, "    {key}: {}", quote(&digest.to_string()));
                }
            }
            let _ = writeln!(out, "    config: {}", quote(&image.config.to_string()));
        }
    }
}

/// A text in YAML's double quotes.
fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            // What the reader refuses as raw characters, and what would look like another text.
            c if c.is_control()
                || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}') =>
            {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
pub(crate) mod tests;
