//! Chat templates: where they were found, and how two of them differ. None is ever rendered.

use serde::{Deserialize, Serialize};
use sha2::Digest as _;
use similar::{Algorithm, TextDiff};
use sovai_core::Sha256;
use std::fmt::Write as _;
use std::time::Duration;

/// Longest template in bytes that is looked at.
pub const MAX_TEMPLATE: u64 = 16 << 20;

/// Where a chat template stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TemplatePlace {
    /// `tokenizer.chat_template` or `tokenizer.chat_template.NAME` of a GGUF file.
    Gguf,
    /// `chat_template.jinja`.
    JinjaFile,
    /// `chat_template.json`.
    JsonFile,
    /// `chat_template` of `tokenizer_config.json`.
    TokenizerConfig,
    /// A file of `additional_chat_templates/`.
    Additional,
}

impl TemplatePlace {
    /// The place in words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Gguf => "the GGUF header",
            Self::JinjaFile => "chat_template.jinja",
            Self::JsonFile => "chat_template.json",
            Self::TokenizerConfig => "tokenizer_config.json",
            Self::Additional => "additional_chat_templates",
        }
    }
}

/// A chat template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Template {
    /// The file that holds it, relative to the model.
    pub path: String,
    /// Where in it.
    pub place: TemplatePlace,
    /// Its name, where it has one: `tool_use`.
    pub name: Option<String>,
    /// Digest of its text, UTF-8.
    pub sha256: Sha256,
    /// Its text as it stands there; at most [`MAX_TEMPLATE`] bytes. Hostile: never render it, escape it to show it.
    pub text: String,
}

impl Template {
    /// A template with the digest of its text.
    pub fn new(path: &str, place: TemplatePlace, name: Option<&str>, text: String) -> Self {
        let sha256 = Sha256::from_bytes(sha2::Sha256::digest(text.as_bytes()).into());
        Self { path: path.to_owned(), place, name: name.map(str::to_owned), sha256, text }
    }
}

/// Most lines of a difference.
const MAX_LINES: usize = 400;
/// Most bytes of a line of a difference.
const MAX_LINE: usize = 400;
/// Most bytes of either text that are compared.
const MAX_COMPARED: usize = 1 << 20;
/// Time after which a coarser difference is good enough.
const DEADLINE: Duration = Duration::from_millis(500);

/// How `other` differs from `base`: unified text with three lines of context, at most 400 lines of at most 400 bytes.
/// Nothing where they are equal. The text is as raw as the templates are.
pub fn diff(base: &Template, other: &Template) -> Option<String> {
    diff_text(&base.text, &other.text)
}

/// [`diff`] of bare texts.
pub fn diff_text(base: &str, other: &str) -> Option<String> {
    if base == other {
        return None;
    }
    let (old, new) = (start(base, MAX_COMPARED), start(other, MAX_COMPARED));
    let mut config = TextDiff::configure();
    let compared = config.algorithm(Algorithm::Patience).timeout(DEADLINE).diff_lines(old, new);
    let mut text = String::new();
    let unified = compared.unified_diff().context_radius(3).to_string();
    let mut lines = unified.lines();
    for line in lines.by_ref().take(MAX_LINES) {
        text.push_str(start(line, MAX_LINE));
        text.push_str(if line.len() > MAX_LINE { "...\n" } else { "\n" });
    }
    let more = lines.count();
    if more > 0 {
        let _ = writeln!(text, "... and {more} lines more");
    }
    if old.len() < base.len() || new.len() < other.len() {
        text.push_str("... the first MiB of each was compared\n");
    }
    Some(text)
}

/// The beginning of a text, whole characters, at most `most` bytes.
fn start(text: &str, most: usize) -> &str {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn a_difference_is_shown_line_by_line() {
        let template = |text: &str| Template::new("a", TemplatePlace::JinjaFile, None, text.to_owned());
        let (base, other) = (template("a\nb\nc\n"), template("a\n{{ evil }}\nc\n"));
        assert_eq!(diff(&base, &base), None);
        assert_eq!(diff(&base, &other).unwrap(), "@@ -1,3 +1,3 @@\n a\n-b\n+{{ evil }}\n c\n");
        assert_ne!(base.sha256, other.sha256);
    }

    #[test]
    fn a_difference_is_bounded_in_size_and_time() {
        let begin = Instant::now();
        let lines = |from: usize| {
            (0..200_000).map(|n| ((n * 7 + from) % 1000).to_string()).collect::<Vec<_>>().join("\n")
        };
        let text = diff_text(&lines(0), &lines(3)).unwrap();
        assert!(text.lines().count() <= MAX_LINES + 2);
        let text = diff_text(&"ä".repeat(1 << 20), "x").unwrap();
        assert!(text.len() < 2 * MAX_LINE + 200, "{}", text.len());
        assert!(begin.elapsed() < Duration::from_secs(10));
    }
}
