//! The page to print beside a decision: what was looked at, by whom, and the lines of a register of media.

use super::verify::Checked;
use maud::{Markup, html};
use sovai_bundle::{Decision, Ruling, VolumeReport, VolumeSet, VolumeState};
use sovai_core::{Sha256, format_bytes};
use sovai_evidence::html::{digest, facts, page, shown, table, time};
use sovai_signing::PublicKey;
use sovai_trust::Fingerprint;

/// What the page shows.
pub(super) struct Facts<'a> {
    pub(super) set: &'a VolumeSet,
    pub(super) checked: &'a Checked,
    pub(super) decision: &'a Decision,
    pub(super) key: &'a PublicKey,
    /// What the store calls the key.
    pub(super) name: Option<String>,
    /// SHA-256 of the decision's file.
    pub(super) sha256: Sha256,
}

/// The page as one file of HTML.
pub(super) fn render(about: &Facts<'_>) -> String {
    let index = about.set.index();
    let decision = about.decision;
    let passed = decision.decision == Ruling::Approved;
    let word = if passed { "approved" } else { "rejected" };
    let body = html! {
        h1 { "Bundle " (shown(&index.name())) ": " (word) }
        div class=(if passed { "verdict" } else { "verdict bad" }) { (shown(&decision.reason)) }
        (facts(&[
            ("Decided", html! { (time(decision.decided)) " UTC, on host " (shown(&decision.inspected.host)) }),
            ("By key", html! {
                @if let Some(name) = &about.name { (shown(name)) ", " }
                code { (about.key.id().0.hex()) }
            }),
            ("Code to compare", html! { code { (Fingerprint::of(about.key).code) } }),
            ("Index (SHA-256)", digest(&about.set.digest())),
            ("Decision (SHA-256)", digest(&about.sha256)),
            ("Made", html! { (time(index.created)) " UTC by " (shown(&index.tool.name)) " " (shown(&index.tool.version)) }),
        ]))
        (inspected(about))
        (contents(about))
        (custody(about))
        (register(about))
    };
    // Closer than other pages: with a few volumes it is one sheet.
    let body = html! { div style="zoom:.7" { (body) } };
    page(&format!("{} {word}", index.name()), &body)
}

fn inspected(about: &Facts<'_>) -> Markup {
    let inspected = &about.decision.inspected;
    let of = |state| about.checked.report.volumes.iter().filter(|volume| volume.state == state).count();
    let (whole, damaged, missing) =
        (of(VolumeState::Whole), of(VolumeState::Damaged), of(VolumeState::Missing));
    html! {
        h2 { "What was looked at" }
        (facts(&[
            ("Volumes", html! { (whole) " whole, " (damaged) " damaged, " (missing) " missing" }),
            ("Compared", html! { (inspected.chunks) " chunks, " (format_bytes(inspected.bytes)) ", with " (shown(&inspected.tool)) }),
            ("Signers", html! {
                @if inspected.signers.is_empty() { "none" }
                @for (key, status) in &inspected.signers { div { (shown(status)) ": " code { (shown(key)) } } }
            }),
            ("Kinds of files", html! {
                @if inspected.formats.is_empty() { "not seen" }
                @for (at, (kind, files)) in inspected.formats.iter().enumerate() { @if at > 0 { ", " } (files) " " (shown(kind)) }
            }),
            ("Findings", html! {
                @if inspected.findings.is_empty() { "none" }
                @for finding in &inspected.findings { div { (shown(finding)) } }
            }),
        ]))
    }
}

fn contents(about: &Facts<'_>) -> Markup {
    let index = about.set.index();
    let models = index.models.iter().map(|(name, model)| {
        vec![
            html! { (shown(name.as_str())) },
            html! { (format_bytes(model.bytes)) },
            html! { (shown(model.license.as_deref().unwrap_or("none is named"))) },
            html! { (model.trust) },
            html! { (shown(&model.source)) },
        ]
    });
    let images = index.images.iter().map(|(name, image)| {
        vec![
            html! { (shown(name)) },
            html! { (format_bytes(image.bytes)) },
            html! { code { (shown(&image.id.to_string())) } },
        ]
    });
    html! {
        h2 { "What it holds" }
        (table(&["Model", "Size", "Licence", "Trust, as prepared", "Source"], &[1], &models.collect::<Vec<_>>(), "No model."))
        (table(&["Image", "Size", "Identity"], &[1], &images.collect::<Vec<_>>(), "No image."))
    }
}

fn custody(about: &Facts<'_>) -> Markup {
    let before = about.set.decisions_by(&[]);
    if before.is_empty() {
        return html! { p.note { "No decision lay there before this one." } };
    }
    let rows = before.iter().map(|signed| {
        let who = signed.hints.first().map_or("", String::as_str);
        vec![
            html! { span.w { (time(signed.decision.decided)) } },
            html! { (signed.decision.decision) },
            html! { code { (shown(who)) } },
            html! { (shown(&signed.decision.reason)) @if !signed.lost.is_empty() { " (the decision before it is not here)" } },
        ]
    });
    html! {
        h2 { "Hands before" }
        (table(&["Time (UTC)", "Decision", "Key, as it calls itself", "Reason"], &[], &rows.collect::<Vec<_>>(), "No decision was there before this one."))
    }
}

/// One line a medium, and two lines to sign.
fn register(about: &Facts<'_>) -> Markup {
    let index = about.set.index();
    let here = |volume: &&VolumeReport| volume.state != VolumeState::Missing;
    let rows = about.checked.report.volumes.iter().filter(here).map(|volume| {
        let sha256 = index.volume(volume.volume).map(|volume| volume.payload.sha256);
        vec![
            html! { "" },
            html! { (shown(&index.name())) },
            html! { span.w { (super::label(index, volume.volume)) } },
            html! { @if let Some(sha256) = sha256 { (digest(&sha256)) } },
            html! { "" },
            html! { span.w { (time(about.decision.decided).split(' ').next().unwrap_or_default()) } },
        ]
    });
    let heads = ["Serial of medium", "Set", "Volume", "Payload (SHA-256)", "Classification", "Date"];
    html! {
        h2 { "Register of media" }
        (table(&heads, &[], &rows.collect::<Vec<_>>(), "No volume."))
        table {
            tbody {
                @for who in ["Name, signature (decides)", "Name, signature (second)"] {
                    tr { th scope="row" style="width:16rem;height:3.6rem;vertical-align:bottom" { (who) } td { "" } }
                }
            }
        }
    }
}
