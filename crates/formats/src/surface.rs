//! The executable surface: all in a model that can run, or that says what shall run.

use crate::template::TemplatePlace;
use serde::Serialize;
use sovai_core::Sha256;

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
