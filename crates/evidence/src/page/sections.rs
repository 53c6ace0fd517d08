//! The parts of the page that tell what was done.

use super::diagram;
use crate::html::{Bar, bars, duration, facts, shown, table};
use crate::run::Run;
use crate::story::{Kind, Seen, StackStory, Story};
use maud::{Markup, html};
use sovai_core::format_bytes;
use std::collections::BTreeSet;

/// Most bars of one drawing.
const BARS: usize = 20;
/// Most signers that are named in one cell.
const SIGNERS: usize = 5;

/// `2026-01-31 12:00:00` of a time as a statement has it; what is no time is shown as it is.
fn when(text: &str) -> Markup {
    html! { span.w { (shown(text.replacen('T', " ", 1).trim_end_matches('Z'))) } }
}

fn result(run: &Run) -> Markup {
    let class = match run.result.as_str() {
        "done" => "tag",
        "refused" | "interrupted" => "tag warn",
        _ => "tag bad",
    };
    html! { span class=(class) { (shown(&run.result)) } }
}

fn keys(keys: &[String]) -> Markup {
    html! {
        @if keys.is_empty() { "none" }
        @for key in keys.iter().take(SIGNERS) { code { (shown(key)) } " " }
        @if keys.len() > SIGNERS { "and " (keys.len() - SIGNERS) " more" }
    }
}

fn or(text: Option<&String>, otherwise: &'static str) -> Markup {
    html! { @if let Some(text) = text { (shown(text)) } @else { span.note { (otherwise) } } }
}

fn left_out(story: &Story, what: &'static str) -> Markup {
    html! {
        @if let Some(count) = story.left_out.get(what) {
            p.note { (count) " older " (what) " are not shown here; the folder “reports” has them all." }
        }
    }
}

/// What runs, a part for each stack.
pub(super) fn running(story: &Story) -> Markup {
    html! {
        section #running {
            h2 { "What runs" }
            @if story.stacks.is_empty() { p.none { "The log tells of no stack." } }
            @for (name, stack) in &story.stacks { (of_stack(name, stack)) }
            (left_out(story, "stacks"))
        }
    }
}

fn of_stack(name: &str, stack: &StackStory) -> Markup {
    let Some(deployed) = stack.serves() else {
        return html! {
            h3 { "Stack " (shown(name)) }
            @if let Some(down) = &stack.down {
                p { "It was taken away on " (when(&down.run.time)) " (line " (down.seq) ")." }
            } @else {
                p { "The log tells of no deploy that ended well." }
            }
        };
    };
    let run = &deployed.run;
    let images: Vec<Vec<Markup>> = run
        .images
        .iter()
        .map(|(image, facts)| {
            vec![html! { (shown(image)) }, html! { code { (shown(facts.id.as_deref().unwrap_or("–"))) } }]
        })
        .collect();
    let generation = run.generation.map_or_else(|| "–".to_owned(), |number| number.to_string());
    let rows = [
        ("last deploy", html! { (when(&run.time)) " on host " (shown(&run.place)) ", line " (deployed.seq) }),
        ("generation", html! { (generation) }),
        (
            "door",
            html! {
            @if let Some(gateway) = &run.gateway {
                               (shown(&gateway.listen)) ", " (if gateway.tls { "with TLS" } else { "without TLS" }) ", "
                               (if gateway.keys { "clients need a key" } else { "no key is asked for" })
            } @else { "no gateway: nothing is published" }
            },
        ),
    ];
    html! {
        h3 { "Stack " (shown(name)) }
        (facts(&rows))
        (diagram::draw(name, run))
        (table(&["image", "ID, as the container engine has it"], &[], &images, "No image is named."))
    }
}

/// Where the models come from, and who verified them.
pub(super) fn models(story: &Story) -> Markup {
    let mut all: Vec<_> = story.models.iter().collect();
    all.sort_by_key(|(_, model)| std::cmp::Reverse(model.last));
    let sizes: Vec<Bar> = all
        .iter()
        .filter_map(|(_, model)| {
            let bytes = model.facts.bytes?;
            Some(Bar { label: joined(&model.names), value: bytes, text: format_bytes(bytes) })
        })
        .take(BARS)
        .collect();
    html! {
        section #models {
            h2 { "Models: from where, verified by whom" }
            p.note {
                "A model is named by the digest of the list of its files, so two models with the same digest are the same bytes. \
                 The trust level says how strongly its origin is proven; the words are explained at the end."
            }
            @if all.is_empty() { p.none { "The log tells of no model." } }
            @for (digest, model) in &all {
                h3 { (shown(&joined(&model.names))) }
                (facts(&[
                    ("digest", html! { code { (shown(digest)) } }),
                    ("from", html! {
                        (or(model.facts.source.as_ref(), "not said"))
                        @if let Some(revision) = &model.facts.revision { ", revision " code { (shown(revision)) } }
                        @if let Some(endpoint) = &model.facts.endpoint { ", asked at " (shown(endpoint)) }
                    }),
                    ("licence", or(model.facts.license.as_ref(), "none is stated")),
                    ("size", html! {
                        (model.facts.bytes.map_or_else(|| "not said".to_owned(), format_bytes))
                        @if let Some(files) = model.facts.files { " in " (files) (if files == 1 { " file" } else { " files" }) }
                    }),
                    ("trust level", or(model.facts.trust.as_ref(), "was not judged")),
                    ("signed by", keys(&model.facts.signers)),
                    ("last verified", html! {
                        @if let Some(seen) = &model.verified {
                            (when(&seen.time)) " by " (seen.command) " on host " (shown(&seen.place)) ", line " (seen.seq) ": "
                            @if seen.matches { span.tag { "every byte as pinned" } } @else { span.tag.bad { "bytes differ" } }
                            br; span.note { "the line is signed by key " }
                            @for key in &seen.by { code { (key.to_string()) } " " }
                        } @else { span.note { "no run compared its bytes" } }
                    }),
                ]))
            }
            (left_out(story, "models"))
            @if !sizes.is_empty() {
                h3 { "Sizes" }
                (bars("Sizes of the models", &sizes))
            }
        }
    }
}

fn joined(names: &BTreeSet<String>) -> String {
    names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// What was done, newest first, and how long it took.
pub(super) fn runs(story: &Story) -> Markup {
    let rows: Vec<Vec<Markup>> = story
        .runs
        .iter()
        .rev()
        .map(|seen| {
            let run = &seen.run;
            vec![
                html! { (seen.seq) },
                when(&run.time),
                html! { (seen.command) },
                html! { (shown(run.stack.as_deref().unwrap_or("–"))) },
                result(run),
                html! { (duration(run.milliseconds)) },
                html! { (bytes(run).map_or_else(|| "–".to_owned(), format_bytes)) },
                html! { (shown(&run.place)) },
            ]
        })
        .collect();
    let times: Vec<Bar> = story
        .runs
        .iter()
        .rev()
        .take(BARS)
        .map(|seen| Bar {
            label: format!(
                "{} {}, line {}",
                seen.command,
                seen.run.stack.as_deref().unwrap_or_default(),
                seen.seq
            ),
            value: seen.run.milliseconds,
            text: duration(seen.run.milliseconds),
        })
        .collect();
    html! {
        section #runs {
            h2 { "What was done" }
            (table(
                &["line", "time", "command", "stack", "result", "took", "data", "host"],
                &[0, 5, 6], &rows, "The log tells of no run.",
            ))
            (left_out(story, "runs"))
            @if !times.is_empty() {
                h3 { "How long it took" }
                (bars("Durations of the newest runs", &times))
            }
        }
    }
}

/// How much data a run was about.
fn bytes(run: &Run) -> Option<u64> {
    let models = run.models.values().filter_map(|model| model.bytes);
    let all: Vec<u64> = models.chain(run.bundle.iter().filter_map(|bundle| bundle.bytes)).collect();
    (!all.is_empty()).then(|| all.iter().fold(0, |sum: u64, more| sum.saturating_add(*more)))
}

/// Runs that did not end well, with what they found.
pub(super) fn trouble(story: &Story) -> Markup {
    let rows: Vec<Vec<Markup>> = story
        .bad
        .iter()
        .rev()
        .map(|seen| {
            let run = &seen.run;
            vec![
                html! { (seen.seq) },
                when(&run.time),
                html! { (seen.command) " " (shown(run.stack.as_deref().unwrap_or_default())) },
                html! { (result(run)) " exit " (run.exit_code) },
                html! {
                    @if let Some(message) = &run.message { (shown(message)) br; }
                    @for (kind, count) in run.findings.iter().take(BARS) { span.note { (count) " × " (shown(kind)) " " } }
                },
            ]
        })
        .collect();
    html! {
        section #findings {
            h2 { "What did not end well" }
            p.note { "Runs that failed or were refused, with what they found. A refusal is no fault: it is what the rules are for." }
            (table(&["line", "time", "run", "result", "why, and findings"], &[0], &rows, "Every run ended well."))
            (left_out(story, "runs that did not end well"))
        }
    }
}

/// Decisions of policies and of the rules of trust.
pub(super) fn decisions(story: &Story) -> Markup {
    let rows: Vec<Vec<Markup>> = story
        .decisions
        .iter()
        .rev()
        .map(|(seq, command, stack, made)| {
            let class = if made.severity == "refuse" { "tag bad" } else { "tag warn" };
            vec![
                html! { (seq) },
                html! { (shown(command)) " " (shown(stack.as_deref().unwrap_or_default())) },
                html! { span class=(class) { (shown(&made.severity)) } },
                html! { span.w { code { (shown(&made.code)) } } },
                html! { (shown(&made.subject)) },
                html! { (shown(&made.message)) },
            ]
        })
        .collect();
    html! {
        section #decisions {
            h2 { "What the policy decided" }
            p.note {
                "Each rule has a number. What is not listed was let pass without a remark. “sovai policy explain” and the number \
                 tells what a rule is for."
            }
            (table(&["line", "run", "decision", "rule", "about", "what was found"], &[0], &rows, "No rule had anything to say."))
            (left_out(story, "decisions"))
        }
    }
}

/// What crossed the gap.
pub(super) fn bundles(story: &Story) -> Markup {
    let row = |seen: &Seen| {
        let (run, bundle) = (&seen.run, seen.run.bundle.clone().unwrap_or_default());
        vec![
            html! { (seen.seq) },
            when(&run.time),
            html! { (seen.command) " " (result(run)) },
            html! { (shown(run.stack.as_deref().unwrap_or("–"))) "-" (bundle.sequence) br; code { (shown(&bundle.index)) } },
            html! {
                (keys(&bundle.signers))
                @if let Some(decision) = &bundle.decision { br; b { (shown(decision)) } }
                @if let Some(reason) = &bundle.reason { ": " (shown(reason)) }
            },
        ]
    };
    let rows: Vec<Vec<Markup>> = story.bundles.iter().rev().map(row).collect();
    html! {
        @if !rows.is_empty() {
            section #bundles {
                h2 { "What crossed the gap" }
                p.note { "Bundles are stacks on disks. The digest is that of the bundle's signed index, which names every byte." }
                (table(&["line", "time", "what", "bundle", "signed by; decision"], &[0], &rows, ""))
                (left_out(story, "runs about bundles"))
            }
        }
    }
}

/// Summaries for others, and what was seen at other sources.
pub(super) fn said(story: &Story) -> Markup {
    let rows: Vec<Vec<Markup>> = story
        .said
        .iter()
        .rev()
        .map(|(kind, said)| {
            let what = if *kind == Kind::Witness { "seen elsewhere" } else { "summary for others" };
            vec![
                html! { (said.seq) },
                when(&said.time),
                html! { (what) },
                html! { (shown(&said.what)) },
                html! { (shown(&said.how)) },
                html! { (shown(&said.place)) },
            ]
        })
        .collect();
    html! {
        @if !rows.is_empty() {
            section #witnesses {
                h2 { "Summaries, and digests seen elsewhere" }
                p.note {
                    "Digests that independent sources show make a model’s origin more certain. A summary tells others what was \
                     verified here (SLSA verification summary)."
                }
                (table(&["line", "time", "what", "source or model", "how", "host"], &[0], &rows, ""))
                (left_out(story, "summaries and sightings"))
            }
        }
    }
}
