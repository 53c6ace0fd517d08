//! The sovai manifest and lock: text in, typed values and diagnostics out.
mod diagnostic;
mod lock;
mod model;
mod resolve;
pub use diagnostic::{Diagnostic, Severity, Span};
pub use lock::{Lock, LockedFile, LockedImage, LockedModel};
pub use model::*;
pub use resolve::{Resolved, ResolvedImage, Unpinned, UnpinnedKind, Why, resolve};

/// Largest manifest or lock in bytes.
pub const MAX_BYTES: usize = 1 << 20;

/// What a text came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// The manifest; `None` when a diagnostic is an error.
    pub manifest: Option<Manifest>,
    /// All problems, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
}

/// Whether rendered text has colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Color {
    /// ANSI colours.
    Always,
    /// Plain text.
    Never,
}

/// One rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Stable code.
    pub code: &'static str,
    /// What must hold, in one line.
    pub title: &'static str,
    /// Why.
    pub explanation: &'static str,
    /// A text that breaks it.
    pub example: &'static str,
}

/// Parses a manifest.
pub fn parse(_bytes: &[u8]) -> Parsed {
    Parsed { manifest: None, diagnostics: Vec::new() }
}
/// Renders diagnostics for a terminal.
pub fn render(_diagnostics: &[Diagnostic], _file_name: &str, _text: &[u8], _color: Color) -> String {
    String::new()
}
/// All rules.
pub fn rules() -> &'static [Rule] {
    &[]
}
/// JSON Schema of the manifest.
pub fn schema() -> serde_json::Value {
    serde_json::Value::Null
}
impl Lock {
    /// Parses a lock.
    pub fn parse(_bytes: &[u8]) -> (Option<Self>, Vec<Diagnostic>) {
        (None, Vec::new())
    }
    /// Deterministic text.
    pub fn to_yaml(&self) -> String {
        String::new()
    }
}
