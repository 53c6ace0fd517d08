//! What model files are, told from their bytes: bounded parsers of safetensors and GGUF headers, content sniffing, and
//! the executable surface of a model.
//!
//! Entry points: [`sniff()`] says what a file is; [`safetensors::read`] and [`gguf::parse`] read headers and give a
//! [`TensorMap`]; [`index::Check`] compares a `model.safetensors.index.json` with the shards beside it; [`surface`] lists
//! what can run; [`scan::Scan`] looks into tensors. Every refusal is a [`FormatError`] with a code of [`rules()`].
//!
//! Everything that is read here is hostile: counts, sizes and depth are bounded by constants that each module states, no
//! arithmetic on outside numbers is unchecked, nothing is unpickled and no template is rendered. Text from outside stays
//! raw in data; whoever shows it escapes it.
//!
//! This crate does no I/O of its own: callers hand it bytes, or a reader.

mod content;
mod data;
mod error;
pub mod gguf;
pub mod index;
mod onnx;
mod pickle;
mod rules;
pub mod safetensors;
pub mod scan;
mod sniff;
pub mod surface;
pub mod template;
mod tensors;

pub use content::ContentType;
pub use data::Plain;
pub use error::{ContentError, FormatError, GgufError, IndexError, Quoted, SafetensorsError};
pub use onnx::external_data;
pub use rules::{Rule, Severity, rule, rules};
pub use sniff::{HEAD, MOST, is_unsure, sniff, sniff_whole};
pub use surface::{CodeEntry, SurfaceItem, SurfaceKind};
pub use template::{Template, TemplatePlace};
pub use tensors::{TensorMap, TensorRef};
