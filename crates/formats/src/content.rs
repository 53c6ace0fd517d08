//! What a file is.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What a file is, told from its first bytes. See [`crate::sniff()`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ContentType {
    /// No bytes at all.
    Empty,
    /// Weights as safetensors.
    Safetensors,
    /// Weights as GGUF, of either byte order.
    Gguf,
    /// A JSON object or list.
    Json,
    /// UTF-8 text that is none of the more exact kinds.
    Text,
    /// A Jinja template.
    Jinja,
    /// Python source.
    Python,
    /// A Python pickle, protocol 0 to 5: reading it can run any code.
    Pickle,
    /// A ZIP archive as `torch.save` makes it: it holds a pickle.
    TorchZip,
    /// Any other ZIP archive.
    Zip,
    /// A 7-Zip archive.
    SevenZip,
    /// A RAR archive.
    Rar,
    /// A tar archive.
    Tar,
    /// gzip-compressed data.
    Gzip,
    /// bzip2-compressed data.
    Bzip2,
    /// xz-compressed data.
    Xz,
    /// Zstandard-compressed data.
    Zstd,
    /// A program or library for Linux.
    Elf,
    /// A program or library for Windows.
    Pe,
    /// A program or library for macOS.
    MachO,
    /// A `WebAssembly` module.
    Wasm,
    /// A llamafile, or another program that runs on every system (Actually Portable Executable).
    Llamafile,
    /// An ONNX model.
    Onnx,
    /// A TensorFlow Lite model.
    TfLite,
    /// HDF5: Keras models of the older form, and data.
    Hdf5,
    /// A Keras model of the newer form: a ZIP archive.
    Keras,
    /// One `NumPy` array.
    Npy,
    /// Several `NumPy` arrays: a ZIP archive.
    Npz,
    /// A tokenizer of `SentencePiece`.
    SentencePiece,
    /// A git-lfs pointer: a few lines of text where the file itself should be.
    GitLfsPointer,
    /// A script that names its interpreter (`#!`).
    Script,
    /// A picture.
    Image,
    /// A PDF document.
    Pdf,
    /// None of these.
    Unknown,
}

impl ContentType {
    /// The word for it, as in JSON.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Safetensors => "safetensors",
            Self::Gguf => "gguf",
            Self::Json => "json",
            Self::Text => "text",
            Self::Jinja => "jinja",
            Self::Python => "python",
            Self::Pickle => "pickle",
            Self::TorchZip => "torch-zip",
            Self::Zip => "zip",
            Self::SevenZip => "seven-zip",
            Self::Rar => "rar",
            Self::Tar => "tar",
            Self::Gzip => "gzip",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
            Self::Elf => "elf",
            Self::Pe => "pe",
            Self::MachO => "mach-o",
            Self::Wasm => "wasm",
            Self::Llamafile => "llamafile",
            Self::Onnx => "onnx",
            Self::TfLite => "tf-lite",
            Self::Hdf5 => "hdf5",
            Self::Keras => "keras",
            Self::Npy => "npy",
            Self::Npz => "npz",
            Self::SentencePiece => "sentence-piece",
            Self::GitLfsPointer => "git-lfs-pointer",
            Self::Script => "script",
            Self::Image => "image",
            Self::Pdf => "pdf",
            Self::Unknown => "unknown",
        }
    }

    /// Whether it is text for people or programs to read.
    pub const fn is_text(self) -> bool {
        matches!(
            self,
            Self::Json | Self::Text | Self::Jinja | Self::Python | Self::GitLfsPointer | Self::Script
        )
    }
}

impl fmt::Display for ContentType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}
