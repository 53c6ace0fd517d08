//! Diagnostics: what a text breaks, where, and what to do.

use std::ops::Range;

/// One problem of a text.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Diagnostic {
    /// Stable code of the rule: `SOV0022`. [`crate::rules`] explains it.
    pub code: &'static str,
    /// Whether the text is refused.
    pub severity: Severity,
    /// What is wrong, with what was found.
    pub message: String,
    /// Where.
    pub span: Option<Span>,
    /// What to do.
    pub hint: Option<String>,
}

/// Whether a problem makes a text unusable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The text is refused.
    Error,
    /// The text is taken.
    Warning,
}

/// A place in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// Byte after the last one.
    pub end: usize,
    /// Line of the first byte, from 1.
    pub line: u32,
    /// Column of the first byte in characters, from 1.
    pub column: u32,
}

/// Most diagnostics that one run reports; the rest is counted.
const MAX_DIAGNOSTICS: usize = 100;

/// Gathers diagnostics and knows where lines start.
#[derive(Debug)]
pub(crate) struct Sink<'a> {
    text: &'a str,
    line_starts: Vec<usize>,
    diagnostics: Vec<Diagnostic>,
    left_out: usize,
    errors: usize,
}

impl<'a> Sink<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        let newlines = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let line_starts = std::iter::once(0).chain(newlines.map(|(at, _)| at + 1)).collect();
        Self { text, line_starts, diagnostics: Vec::new(), left_out: 0, errors: 0 }
    }

    pub(crate) fn error(&mut self, code: &'static str, at: &Range<usize>, message: impl Into<String>) {
        self.push(code, Severity::Error, at, message.into(), None);
    }

    pub(crate) fn error_hint(
        &mut self,
        code: &'static str,
        at: &Range<usize>,
        message: impl Into<String>,
        hint: impl Into<Option<String>>,
    ) {
        self.push(code, Severity::Error, at, message.into(), hint.into());
    }

    pub(crate) fn warning(
        &mut self,
        code: &'static str,
        at: &Range<usize>,
        message: impl Into<String>,
        hint: impl Into<Option<String>>,
    ) {
        self.push(code, Severity::Warning, at, message.into(), hint.into());
    }

    fn push(
        &mut self,
        code: &'static str,
        severity: Severity,
        at: &Range<usize>,
        message: String,
        hint: Option<String>,
    ) {
        self.errors += usize::from(severity == Severity::Error);
        if self.diagnostics.len() >= MAX_DIAGNOSTICS {
            self.left_out += 1;
            return;
        }
        let span = Some(self.span(at));
        self.diagnostics.push(Diagnostic { code, severity, message, span, hint });
    }

    /// Line and column of a range of bytes; ends are moved to where characters start.
    pub(crate) fn span(&self, at: &Range<usize>) -> Span {
        let start = self.text.floor_char_boundary(at.start);
        let end = self.text.floor_char_boundary(at.end).max(start);
        let line = self.line_starts.partition_point(|line_start| *line_start <= start);
        let line_start = self.line_starts.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let column = self.text.get(line_start..start).map_or(0, |before| before.chars().count()) + 1;
        Span { start, end, line: narrow(line), column: narrow(column) }
    }

    /// Whether further diagnostics are only counted, so that their words need not be made.
    pub(crate) fn is_full(&self) -> bool {
        self.diagnostics.len() >= MAX_DIAGNOSTICS
    }

    /// Whether a diagnostic that refuses the text was given.
    pub(crate) fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// All diagnostics, in the order of the text.
    pub(crate) fn finish(mut self) -> Vec<Diagnostic> {
        self.diagnostics.sort_by_key(|diagnostic| (diagnostic.span, diagnostic.code));
        self.diagnostics.dedup();
        if self.left_out > 0 {
            self.diagnostics.push(Diagnostic {
                code: "SOV0012",
                severity: if self.errors > 0 { Severity::Error } else { Severity::Warning },
                message: format!("{} more problems are not shown", self.left_out),
                span: None,
                hint: Some("mend those above first".to_owned()),
            });
        }
        self.diagnostics
    }
}

/// Texts are at most 1 MiB, so that lines and columns always fit.
fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// A found text for a message: in backticks, control characters escaped, not longer than 60 characters.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::from("`");
    for (count, c) in text.chars().enumerate() {
        if count == 60 {
            out.push('…');
            break;
        }
        if c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
        {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out.push('`');
    out
}
