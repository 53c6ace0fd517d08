//! The executable surface: all in a model that can run, or that says what shall run.

mod config;

pub use config::{Config, MAX_CONFIG, config};

use crate::content::ContentType;
use crate::template::{Template, TemplatePlace};
use serde::Serialize;
use sha2::Digest as _;
use sovai_core::Sha256;
use std::fmt::Write as _;

/// A key of a configuration that names code, with its value: `AutoModel` and `modeling_x.XModel`. Raw text from outside.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct CodeEntry {
    /// The key.
    pub key: String,
    /// What it names, at most 1 KiB of it.
    pub value: String,
}

/// What an item of the surface is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum SurfaceKind {
    /// Python source: engines import it where remote code is allowed, and some where it is not.
    PythonFile,
    /// `auto_map` of a configuration: classes that engines import from the model's own files, or from another model.
    AutoMap {
        /// Class and where it is.
        entries: Vec<CodeEntry>,
    },
    /// `custom_pipelines` of a configuration.
    CustomPipelines {
        /// Pipeline and what implements it.
        entries: Vec<CodeEntry>,
    },
    /// `trust_remote_code` set by the model itself.
    TrustRemoteCode,
    /// A chat template: code of a template language that runs on every request.
    ChatTemplate {
        /// Where it stands.
        place: TemplatePlace,
        /// Its name, where it has one.
        name: Option<String>,
    },
    /// A pickle: loading it runs what it says.
    Pickle,
    /// A ZIP archive as `torch.save` makes it, with a pickle in it.
    TorchZip,
    /// A program or library, or `WebAssembly`.
    Executable,
    /// A llamafile or another program that runs on every system.
    Llamafile,
    /// A script that names its interpreter.
    Script,
    /// A Keras model (HDF5 or ZIP): it can hold layers of arbitrary code.
    Keras,
    /// An ONNX model that takes weights from other files.
    OnnxExternalData {
        /// The paths that it names, raw; at most 1,000.
        locations: Vec<String>,
    },
    /// An archive or compressed file: what is in it was not looked at.
    Archive,
}

impl SurfaceKind {
    /// The kind in a few words.
    pub const fn words(&self) -> &'static str {
        match self {
            Self::PythonFile => "Python source",
            Self::AutoMap { .. } => "auto_map",
            Self::CustomPipelines { .. } => "custom_pipelines",
            Self::TrustRemoteCode => "trust_remote_code",
            Self::ChatTemplate { .. } => "chat template",
            Self::Pickle => "pickle",
            Self::TorchZip => "pickle in a ZIP archive",
            Self::Executable => "program",
            Self::Llamafile => "llamafile",
            Self::Script => "script",
            Self::Keras => "Keras or HDF5 model",
            Self::OnnxExternalData { .. } => "ONNX external data",
            Self::Archive => "archive, not looked into",
        }
    }

    /// What it names, raw: `KEY=VALUE`, the name of a template, paths.
    pub fn names(&self) -> Vec<String> {
        match self {
            Self::AutoMap { entries } | Self::CustomPipelines { entries } => {
                entries.iter().map(|entry| format!("{}={}", entry.key, entry.value)).collect()
            }
            Self::ChatTemplate { name, .. } => name.iter().cloned().collect(),
            Self::OnnxExternalData { locations } => locations.clone(),
            _ => Vec::new(),
        }
    }
}

/// One thing in a model that can run, or that says what shall run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct SurfaceItem {
    /// The file, relative to the model, as its name is.
    pub path: String,
    /// What it is.
    #[serde(flatten)]
    pub kind: SurfaceKind,
    /// Digest of the whole file; of a chat template in a larger file, of the template's text; of entries of a
    /// configuration, of their lines `KEY=VALUE\n` in order. Nothing where the file is too large to be read for this:
    /// then its pin counts.
    pub sha256: Option<Sha256>,
    /// Length in bytes of what the digest is of, else of the file.
    pub bytes: u64,
}

impl SurfaceItem {
    /// A chat template.
    pub fn template(template: &Template) -> Self {
        Self {
            path: template.path.clone(),
            kind: SurfaceKind::ChatTemplate { place: template.place, name: template.name.clone() },
            sha256: Some(template.sha256),
            bytes: template.text.len() as u64,
        }
    }

    /// Entries of a configuration, with the digest of their lines.
    pub fn entries(path: &str, kind: SurfaceKind) -> Self {
        let mut lines = String::new();
        match &kind {
            SurfaceKind::AutoMap { entries } | SurfaceKind::CustomPipelines { entries } => {
                for entry in entries {
                    let _ = writeln!(lines, "{}={}", entry.key, entry.value);
                }
            }
            _ => lines.push_str("trust_remote_code=true\n"),
        }
        let sha256 = Some(Sha256::from_bytes(sha2::Sha256::digest(lines.as_bytes()).into()));
        Self { path: path.to_owned(), kind, sha256, bytes: lines.len() as u64 }
    }
}

/// What a file is on the executable surface, by its content and, for Python, by its name too. Templates, configurations
/// and ONNX models are read for that: see [`template_place`], [`config`] and [`crate::external_data`].
pub fn of_content(path: &str, content: ContentType) -> Option<SurfaceKind> {
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name).to_lowercase();
    // Engines go by the name here, whatever the bytes look like.
    if [".py", ".pyw", ".pyi"].iter().any(|end| name.ends_with(end)) {
        return Some(SurfaceKind::PythonFile);
    }
    if [".pyc", ".pyo", ".pyd"].iter().any(|end| name.ends_with(end)) {
        return Some(SurfaceKind::Executable);
    }
    Some(match content {
        ContentType::Python => SurfaceKind::PythonFile,
        ContentType::Pickle => SurfaceKind::Pickle,
        ContentType::TorchZip => SurfaceKind::TorchZip,
        ContentType::Elf | ContentType::Pe | ContentType::MachO | ContentType::Wasm => {
            SurfaceKind::Executable
        }
        ContentType::Llamafile => SurfaceKind::Llamafile,
        ContentType::Script => SurfaceKind::Script,
        ContentType::Hdf5 | ContentType::Keras => SurfaceKind::Keras,
        ContentType::Zip
        | ContentType::Npz
        | ContentType::SevenZip
        | ContentType::Rar
        | ContentType::Tar
        | ContentType::Gzip
        | ContentType::Bzip2
        | ContentType::Xz
        | ContentType::Zstd => SurfaceKind::Archive,
        _ => return None,
    })
}

/// Where a file that is a template as a whole counts as a chat template, and its name.
pub fn template_place(path: &str, content: ContentType) -> Option<(TemplatePlace, Option<&str>)> {
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    if path.split('/').rev().skip(1).any(|folder| folder == "additional_chat_templates") {
        return Some((TemplatePlace::Additional, Some(stem)));
    }
    match name {
        "chat_template.jinja" => Some((TemplatePlace::JinjaFile, None)),
        _ if content == ContentType::Jinja => Some((TemplatePlace::JinjaFile, Some(stem))),
        _ => None,
    }
}

/// The content that a name promises, where a name does; what engines load by name alone.
pub fn promised(path: &str) -> Option<(&'static str, &'static [ContentType])> {
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name).to_lowercase();
    let end = name.rsplit_once('.').map_or("", |(_, end)| end);
    Some(match end {
        "safetensors" => ("safetensors", &[ContentType::Safetensors]),
        "gguf" => ("gguf", &[ContentType::Gguf]),
        "json" => ("JSON", &[ContentType::Json, ContentType::Text, ContentType::Empty]),
        "jinja" | "txt" | "md" | "yaml" | "yml" | "toml" | "rst" => (
            "text",
            &[
                ContentType::Text,
                ContentType::Json,
                ContentType::Jinja,
                ContentType::Python,
                ContentType::Script,
                ContentType::Empty,
                // Text of another encoding.
                ContentType::Unknown,
            ],
        ),
        "npy" => ("npy", &[ContentType::Npy]),
        "onnx" => ("onnx", &[ContentType::Onnx]),
        "png" | "jpg" | "jpeg" | "gif" | "webp" => ("an image", &[ContentType::Image]),
        "pdf" => ("pdf", &[ContentType::Pdf]),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_bytes_both_count() {
        assert_eq!(of_content("a/modeling_x.py", ContentType::Unknown), Some(SurfaceKind::PythonFile));
        assert_eq!(of_content("x.safetensors", ContentType::Pickle), Some(SurfaceKind::Pickle));
        assert_eq!(of_content("README.md", ContentType::Elf), Some(SurfaceKind::Executable));
        assert_eq!(of_content("__pycache__/a.PYC", ContentType::Unknown), Some(SurfaceKind::Executable));
        assert_eq!(of_content("README.md", ContentType::Text), None);
    }

    #[test]
    fn template_files_are_found_by_place() {
        let place = |path| template_place(path, ContentType::Text);
        assert_eq!(place("chat_template.jinja"), Some((TemplatePlace::JinjaFile, None)));
        assert_eq!(
            place("additional_chat_templates/rag.jinja"),
            Some((TemplatePlace::Additional, Some("rag")))
        );
        assert_eq!(place("additional_chat_templates"), None);
        assert_eq!(place("README.md"), None);
        assert_eq!(
            template_place("tool.j2", ContentType::Jinja),
            Some((TemplatePlace::JinjaFile, Some("tool")))
        );
    }

    #[test]
    fn promises_of_names_are_kept_or_not() {
        let kept = |path, content| promised(path).is_none_or(|(_, kinds)| kinds.contains(&content));
        assert!(!kept("model.safetensors", ContentType::Pickle));
        assert!(!kept("config.json", ContentType::TorchZip));
        assert!(!kept("README.md", ContentType::Elf));
        assert!(kept("README.md", ContentType::Text));
        assert!(kept("model.bin", ContentType::Pickle), "a .bin file promises nothing");
    }
}
