//! Pages for people: one file of HTML each, without script, reference or anything from elsewhere, made to be printed on A4.
//!
//! Pages are written with `maud`: its macro escapes what it is given, and the shape of a page can be read in the code. Text
//! that came from outside is given as [`shown`], which also makes visible what would hide or reorder text, bounds the
//! length, and leaves nothing that a mail program or a reader would make a link of.
//!
//! Invariants: a page never has the letters `http` or `<script` in it, whatever it shows; the same input gives the same
//! bytes.

mod bars;
#[cfg(test)]
mod tests;

pub use bars::{Bar, bars};

use crate::time::rfc3339;
use maud::{DOCTYPE, Escaper, Markup, PreEscaped, Render, html};
use sovai_core::{Sha256, is_hidden};
use std::fmt::Write as _;

/// Most characters of one text that are shown.
pub const MAX_SHOWN: usize = 1000;

const STYLE: &str = include_str!("html/style.css");

/// A text from outside, ready for a page: see [`shown`].
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a>(&'a str);

/// Shows a text from outside: escaped, with control, bidirectional and invisible characters written as `\u{..}`, at most
/// [`MAX_SHOWN`] characters of it, and never as something that becomes a link.
pub const fn shown(text: &str) -> Shown<'_> {
    Shown(text)
}

impl Render for Shown<'_> {
    fn render_to(&self, buffer: &mut String) {
        let mut plain = String::with_capacity(self.0.len().min(MAX_SHOWN));
        for (at, c) in self.0.chars().enumerate() {
            if at == MAX_SHOWN {
                plain.push('…');
                break;
            }
            if c.is_control() || is_hidden(c) {
                plain.extend(c.escape_default());
            } else {
                plain.push(c);
            }
        }
        let mut escaped = String::with_capacity(plain.len());
        // Writing into a string cannot fail.
        let _ = Escaper::new(&mut escaped).write_str(&plain);
        // The same letters to a reader; no address to what looks for one in the bytes.
        for (at, c) in escaped.char_indices() {
            let begins =
                escaped.as_bytes().get(at..at + 4).is_some_and(|four| four.eq_ignore_ascii_case(b"http"));
            match c {
                'h' if begins => buffer.push_str("&#104;"),
                'H' if begins => buffer.push_str("&#72;"),
                c => buffer.push(c),
            }
        }
    }
}

/// A whole page: `title` stands in the head alone, so the body begins with its own heading.
pub fn page(title: &str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="referrer" content="no-referrer";
                title { (shown(title)) }
                style { (PreEscaped(STYLE)) }
            }
            body { main { (body) } }
        }
    };
    let mut text = page.into_string();
    text.push('\n');
    text
}

/// A list of facts, each with its name.
pub fn facts(rows: &[(&str, Markup)]) -> Markup {
    html! {
        table.facts {
            tbody {
                @for (name, value) in rows {
                    tr { th scope="row" { (shown(name)) } td { (value) } }
                }
            }
        }
    }
}

/// A table; where it has no rows, `none` is said instead. Columns of `numbers`, counted from 0, stand to the right.
pub fn table(heads: &[&str], numbers: &[usize], rows: &[Vec<Markup>], none: &str) -> Markup {
    if rows.is_empty() {
        return html! { p.none { (shown(none)) } };
    }
    let class = |at: usize| numbers.contains(&at).then_some("n");
    html! {
        table {
            thead { tr { @for (at, head) in heads.iter().enumerate() { th scope="col" class=[class(at)] { (shown(head)) } } } }
            tbody {
                @for row in rows {
                    tr { @for (at, cell) in row.iter().enumerate() { td class=[class(at)] { (cell) } } }
                }
            }
        }
    }
}

/// A digest in full, in a fixed-width face; it may be broken anywhere.
pub fn digest(digest: &Sha256) -> Markup {
    html! { code { (digest.hex()) } }
}

/// The first twelve digits of a digest, for a figure or a narrow column.
pub fn short(digest: &Sha256) -> String {
    digest.hex().chars().take(12).collect()
}

/// A time for people: `2026-01-31 12:00:00`, UTC, which the page says once.
pub fn time(seconds: u64) -> String {
    rfc3339(seconds).replace('T', " ").replace('Z', "")
}

/// How long something took: `0.3 s`, `4 min 7 s`, `2 h 5 min`.
pub fn duration(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    match seconds {
        0..=99 => format!("{seconds}.{} s", milliseconds % 1000 / 100),
        100..=5999 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}
