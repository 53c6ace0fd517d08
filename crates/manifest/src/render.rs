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

/// Most bytes of a line that are looked at before and after the place. Longer lines are cut, so that a file of one line
/// costs no more than another one; what does not fit a terminal, the renderer leaves out.
const AROUND: usize = 2048;

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
    let mut cut = false;
    if let Some(span) = &diagnostic.span {
        let excerpt = Excerpt::new(text, span, Hidden::of(diagnostic.code));
        let snippet = Snippet::source(excerpt.line)
            .line_start(span.line as usize)
            .annotation(AnnotationKind::Primary.span(excerpt.start..excerpt.end));
        cut = excerpt.cut;
        group = if cut {
            // The renderer would count the column from where the line was cut.
            let origin = Origin::path(file_name).line(span.line as usize).char_column(span.column as usize);
            group.element(origin).element(snippet)
        } else {
            group.element(snippet.path(file_name))
        };
    }
    if let Some(hint) = &diagnostic.hint {
        group = group.element(Level::HELP.with_name("hint").message(hint.as_str()));
    }
    let out = renderer.render(&[group]);
    if cut { without_empty_origin(&out) } else { out }
}

/// Leaves out the line that introduces a snippet without a path.
fn without_empty_origin(text: &str) -> String {
    let is_empty_origin = |line: &str| {
        let mut rest = line;
        let mut plain = String::new();
        while let Some((before, code)) = rest.split_once('\x1b') {
            plain.push_str(before);
            rest = code.split_once('m').map_or("", |(_, after)| after);
        }
        plain.push_str(rest);
        plain.trim() == ":::"
    };
    text.lines().filter(|line| !is_empty_origin(line)).collect::<Vec<_>>().join("\n")
}

/// The one line that is shown, cut where it is long, and the place in it.
struct Excerpt {
    line: String,
    start: usize,
    end: usize,
    /// Whether its beginning is missing.
    cut: bool,
}

/// What of a line is not shown, because it may be a secret and the output may be kept.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hidden {
    Nothing,
    /// All values but the marked key.
    Values,
    /// The marked value too.
    Marked,
}

impl Hidden {
    fn of(code: &str) -> Self {
        match code {
            "SOV0081" => Self::Values,
            "SOV0067" | "SOV0082" => Self::Marked,
            _ => Self::Nothing,
        }
    }
}

impl Excerpt {
    fn new(text: &[u8], span: &Span, hidden: Hidden) -> Self {
        let at = span.start.min(text.len());
        let before = &text[at.saturating_sub(AROUND)..at];
        let cut = at > AROUND && !before.contains(&b'\n');
        let before =
            before.iter().rposition(|byte| *byte == b'\n').map_or(before, |newline| &before[newline + 1..]);
        let after = &text[at..text.len().min(at + AROUND)];
        let after = after
            .iter()
            .position(|byte| matches!(byte, b'\n' | b'\r'))
            .map_or(after, |newline| &after[..newline]);
        let marked = span.end.saturating_sub(span.start).min(after.len());
        // In a cut line, a character may be cut too: what is left of it shows as one U+FFFD.
        let clean = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace('\u{feff}', "");
        let (mut head, mut middle, mut tail) =
            (clean(before), clean(&after[..marked]), clean(&after[marked..]));
        if hidden != Hidden::Nothing {
            // A key before the first `:` is shown; what stands after it in the same line may be another secret.
            let key = head.find(':').unwrap_or(head.len());
            head = format!("{}{}", &head[..key], mask(&head[key..]));
            tail = if tail.trim().is_empty() { tail } else { " …".to_owned() };
        }
        if hidden == Hidden::Marked {
            middle = mask(&middle);
        }
        let (start, end) = (head.len(), head.len() + middle.len());
        Self { line: format!("{head}{middle}{tail}"), start, end: end.max(start), cut }
    }
}

/// Letters and digits as stars.
fn mask(text: &str) -> String {
    text.chars().map(|c| if c.is_alphanumeric() { '*' } else { c }).collect()
}

#[cfg(test)]
mod tests;
