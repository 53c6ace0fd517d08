//! The auditor's page: what the log tells, for a person who does not know sovai. Made of a [`Story`] alone, so that the same
//! log gives the same bytes.

mod diagram;
mod sections;
mod words;

#[cfg(test)]
pub(crate) use words::{EACH_LINE, KEY_ID};

use crate::html::{digest, facts, page, shown, table, time};
use crate::story::{LINES, Story};
use maud::{Markup, html};
use sovai_core::Sha256;
use sovai_signing::KeyId;

/// What the page says besides the story.
pub(crate) struct Frame<'a> {
    /// The stack that it is about; `None`: all.
    pub(crate) stack: Option<&'a str>,
    /// The site's own key.
    pub(crate) key: KeyId,
    /// Digest of the last line.
    pub(crate) last: Option<Sha256>,
}

/// The whole page.
pub(crate) fn write(story: &Story, frame: &Frame<'_>) -> String {
    let body = html! {
        h1 { "Evidence: what ran here, and who vouches for it" }
        p.lead {
            "This page was made from a log that the program sovai keeps on this host. Each time models were looked up, fetched, \
             verified, carried or started, it wrote one signed line. The lines are chained: none can be changed, removed or \
             moved without breaking the ones after it. Times are UTC, by the clocks of the hosts that are named."
        }
        (heading(story, frame))
        (sections::running(story))
        (sections::models(story))
        (sections::runs(story))
        (sections::trouble(story))
        (sections::decisions(story))
        (sections::bundles(story))
        (sections::said(story))
        (chain(story, frame))
        (words::without_sovai(frame))
        (words::glossary())
    };
    let title = match frame.stack {
        Some(stack) => format!("Evidence of stack {stack}"),
        None => "Evidence".to_owned(),
    };
    page(&title, &body)
}

fn heading(story: &Story, frame: &Frame<'_>) -> Markup {
    let period = match (story.first, story.last) {
        (Some(first), Some(last)) => format!("{} to {}", time(first), time(last)),
        _ => "no line has a time".to_owned(),
    };
    let join = |all: &std::collections::BTreeSet<String>| {
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        if all.is_empty() { "none is named".to_owned() } else { all.join(", ") }
    };
    let rows = [
        (
            "about",
            html! {
            @if let Some(stack) = frame.stack { "stack " b { (shown(stack)) } ", and no other of this host" }
            @else { "every stack of this host" }
            },
        ),
        ("hosts", html! { (shown(&join(&story.hosts))) }),
        ("period", html! { (period) }),
        ("lines in the log", html! { (story.lines) }),
        ("signed by", html! { "the key of this site, " code { (frame.key.to_string()) } }),
        (
            "last line",
            html! {
            @if let Some(last) = &frame.last { code { (last.to_string()) } } @else { "the log is empty" }
            },
        ),
        ("written by", html! { "sovai " (shown(&join(&story.versions))) }),
    ];
    html! {
        (facts(&rows))
        div.verdict {
            "When this page was written, every line of the log was signed by a key of this site, followed the line before it, \
             and none was missing. Whether that is still so can be checked: see “How to check this”. Compare the key and the \
             last line with what you were told another way."
        }
    }
}

fn chain(story: &Story, frame: &Frame<'_>) -> Markup {
    let rows: Vec<Vec<Markup>> = story
        .newest
        .iter()
        .rev()
        .map(|line| {
            vec![
                html! { (line.seq) },
                html! { span.w { (line.time.map_or_else(|| "–".to_owned(), time)) } },
                html! { (line.kind.name()) },
                html! { (shown(line.stack.as_deref().unwrap_or("–"))) },
                html! { (shown(line.result.as_deref().unwrap_or("–"))) },
                digest(&line.digest),
            ]
        })
        .collect();
    html! {
        section #chain .apart {
            h2 { "The chain" }
            p.note {
                "Each line of log.jsonl, newest first, with its SHA-256. A line names the digest of the one before, so the digest \
                 of the last line stands for all of them."
                @if frame.stack.is_some() { " Lines about other stacks are listed here too: without them the chain could not be checked." }
                @if story.lines > LINES as u64 {
                    " The newest " (LINES) " of " (story.lines) " lines are shown; log.jsonl has them all."
                }
            }
            (table(&["line", "time", "statement", "stack", "result", "SHA-256 of the line"], &[0], &rows, "The log is empty."))
        }
    }
}
