//! Diagnostics for people: place, line, caret, hint.

use crate::{Diagnostic, Severity, Span};
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

/// Whether rendered text has colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Color {
    /// ANSI colours.
    Always,
    /// Plain text.
    Never,
}

/// Most bytes of a line that are shown before and after the place.
const AROUND: usize = 120;

/// Renders diagnostics one after the other, each with `FILE:LINE:COLUMN`, its line of the text, a caret and its hint.
///
/// `text` are the bytes that were parsed; they need not be UTF-8. Only the lines that are shown are looked at.
pub fn render(diagnostics: &[Diagnostic], file_name: &str, text: &[u8], color: Color) -> String {
    let renderer = match color {
        Color::Always => Renderer::styled(),
        Color::Never => Renderer::plain(),
    };
    let mut out = String::new();
    for diagnostic in diagnostics {
        out.push_str(&render_one(diagnostic, file_name, text, &renderer));
        out.push_str("\n\n");
    }
    out.truncate(out.trim_end().len());
    if !out.is_empty() {
        out.push('\n');
    }
    out
}

fn render_one(diagnostic: &Diagnostic, file_name: &str, text: &[u8], renderer: &Renderer) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(diagnostic.message.as_str()).id(diagnostic.code);
    let mut group = Group::with_title(title);
    if let Some(span) = &diagnostic.span {
        let excerpt = Excerpt::new(text, span);
        let origin = Origin::path(file_name).line(span.line as usize).char_column(span.column as usize);
        group = group.element(origin).element(
            Snippet::source(excerpt.line)
                .line_start(span.line as usize)
                .annotation(AnnotationKind::Primary.span(excerpt.start..excerpt.end)),
        );
    }
    if let Some(hint) = &diagnostic.hint {
        group = group.element(Level::HELP.with_name("hint").message(hint.as_str()));
    }
    renderer.render(&[group])
}

/// The one line that is shown, cut where it is long, and the place in it.
struct Excerpt {
    line: String,
    start: usize,
    end: usize,
}

impl Excerpt {
    fn new(text: &[u8], span: &Span) -> Self {
        let at = span.start.min(text.len());
        let before = &text[at.saturating_sub(AROUND)..at];
        let before =
            before.iter().rposition(|byte| *byte == b'\n').map_or(before, |newline| &before[newline + 1..]);
        let after = &text[at..text.len().min(at + 2 * AROUND)];
        let after = after
            .iter()
            .position(|byte| matches!(byte, b'\n' | b'\r'))
            .map_or(after, |newline| &after[..newline]);
        let marked = span.end.saturating_sub(span.start).min(after.len());
        // In a cut line, a character may be cut too: what is left of it shows as one U+FFFD.
        let clean = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace('\u{feff}', "");
        let (head, middle, tail) = (clean(before), clean(&after[..marked]), clean(&after[marked..]));
        let (start, end) = (head.len(), head.len() + middle.len());
        Self { line: format!("{head}{middle}{tail}"), start, end: end.max(start) }
    }
}

#[cfg(test)]
mod tests;
