//! A deployed stack as a drawing: clients, gateway, services, models with their digests.

use crate::html::shown;
use crate::run::Run;
use maud::{Markup, html};
use std::collections::BTreeMap;

/// Most services and most models that are drawn.
const MOST: usize = 12;
/// Height of one row, of a box, and of the heads of the columns.
const ROW: usize = 62;
const BOX: usize = 46;
const TOP: usize = 24;
const WIDTH: usize = 680;

/// A column: where it begins and how wide its boxes are.
struct Column {
    x: usize,
    width: usize,
}

const CLIENTS: Column = Column { x: 2, width: 102 };
const GATEWAY: Column = Column { x: 140, width: 136 };
const SERVICES: Column = Column { x: 310, width: 150 };
const MODELS: Column = Column { x: 506, width: 172 };

/// Draws what a deploy made run. `stack` is its name.
pub(super) fn draw(stack: &str, run: &Run) -> Markup {
    let services: Vec<_> = run.services.iter().take(MOST).collect();
    if services.is_empty() {
        return html! {};
    }
    let mut models: Vec<&str> = Vec::new();
    for model in services.iter().filter_map(|(_, service)| service.model.as_deref()) {
        if !models.contains(&model) && models.len() < MOST {
            models.push(model);
        }
    }
    let rows = services.len().max(models.len()).max(1);
    let height = TOP + rows * ROW + 4;
    let at: BTreeMap<&str, usize> =
        services.iter().zip(0..).map(|((name, _), row)| (name.as_str(), row)).collect();
    let place = |row: usize, of: usize| TOP + row * ROW + (rows - of.max(1)) * ROW / 2;
    let door = place(0, 1);
    let behind: Vec<usize> = run
        .gateway
        .iter()
        .flat_map(|gateway| gateway.routes.values())
        .filter_map(|name| at.get(name.as_str()).copied())
        .collect();
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {height}")) role="img"
            aria-label=(shown(&format!("Stack {stack}: clients, gateway, services and models"))) {
            (head(&CLIENTS, "clients")) (head(&GATEWAY, "gateway")) (head(&SERVICES, "services")) (head(&MODELS, "models"))
            @if let Some(gateway) = &run.gateway {
                (line(&CLIENTS, door, &GATEWAY, door))
                @for row in unique(&behind) { (line(&GATEWAY, door, &SERVICES, place(row, services.len()))) }
                (block(&CLIENTS, door, "clients", &[(false, if gateway.keys { "each with a key".to_owned() } else { "no key asked".to_owned() })]))
                (block(&GATEWAY, door, "gateway", &[
                    (true, gateway.listen.clone()),
                    (false, format!("{}{}", if gateway.tls { "TLS, " } else { "no TLS, " }, count(gateway.routes.len(), "route"))),
                ]))
            }
            @for ((name, service), row) in services.iter().zip(0..) {
                @let y = place(row, services.len());
                @if let Some(model) = service.model.as_deref().and_then(|model| models.iter().position(|known| *known == model)) {
                    (line(&SERVICES, y, &MODELS, place(model, models.len())))
                }
                (block(&SERVICES, y, name, &[
                    (false, service.engine.clone().unwrap_or_else(|| "plain container".to_owned())),
                    (true, id(run.images.get(&service.image).and_then(|image| image.id.as_deref()))),
                ]))
            }
            @for (name, row) in models.iter().zip(0..) {
                @let facts = run.models.get(*name);
                (block(&MODELS, place(row, models.len()), name, &[
                    (true, id(facts.and_then(|facts| facts.digest.as_deref()))),
                    (false, facts.map_or_else(String::new, |facts| {
                        let trust = facts.trust.as_deref().unwrap_or("not judged");
                        format!("trust level {trust}")
                    })),
                ]))
            }
        }
        @if run.services.len() > MOST { p.note { "The first " (MOST) " of " (run.services.len()) " services are drawn." } }
    }
}

fn unique(rows: &[usize]) -> std::collections::BTreeSet<usize> {
    rows.iter().copied().collect()
}

fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// `sha256:` and twelve digits.
fn id(digest: Option<&str>) -> String {
    digest.map_or_else(
        || "no digest".to_owned(),
        |digest| digest.chars().take(7 + 12).collect::<String>() + "…",
    )
}

fn head(column: &Column, text: &str) -> Markup {
    html! { text x=(column.x) y="12" class="small" { (text) } }
}

/// A box with a name and lines below it, those of digests in a fixed-width face.
fn block(column: &Column, y: usize, name: &str, lines: &[(bool, String)]) -> Markup {
    html! {
        rect x=(column.x) y=(y) width=(column.width) height=(BOX) rx="4" class="box" {}
        text x=(column.x + 8) y=(y + 15) class="head" { (shown(&fit(name, column.width / 8))) }
        @for ((mono, text), row) in lines.iter().zip(0..) {
            @let class = if *mono { "mono" } else { "small" };
            text x=(column.x + 8) y=(y + 28 + row * 12) class=(class) { (shown(&fit(text, column.width / 6))) }
        }
    }
}

fn fit(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).collect::<String>() + "…"
}

/// From the right side of one box to the left side of another.
fn line(from: &Column, from_y: usize, to: &Column, to_y: usize) -> Markup {
    let (x, y) = (from.x + from.width, from_y + BOX / 2);
    let (end, end_y) = (to.x - 6, to_y + BOX / 2);
    let middle = usize::midpoint(x, end);
    html! {
        path d=(format!("M{x} {y} C{middle} {y} {middle} {end_y} {end} {end_y}")) class="line" {}
        path d=(format!("M{} {} l-7 -4 v8 z", to.x, end_y)) class="tip" {}
    }
}
