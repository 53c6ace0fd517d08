//! Which checkpoint and engine a manifest gets, and what is known of its accelerators.

use super::wanted::Wanted;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::safe_line;
use sovai_catalog::{CatalogModel, EngineUse, Layout, Variant, Verdict, suggest};

/// What a manifest is written from.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) model: &'static CatalogModel,
    pub(super) variant: &'static Variant,
    /// Name of the engine's profile.
    pub(super) engine: &'static str,
    /// How the catalogue says that the engine serves it; `None` where it says nothing for this variant and card.
    pub(super) usage: Option<&'static EngineUse>,
    pub(super) wanted: Option<Wanted>,
    /// The layout that is known to work.
    pub(super) layout: Option<&'static Layout>,
    pub(super) warnings: Vec<String>,
}

/// Why a checkpoint cannot be used.
struct Refusal {
    why: String,
    source: String,
    instead: String,
}

/// Chooses: a checkpoint that is known to work on these accelerators; else the first that nothing speaks against and whose
/// published memory is there; else the first that nothing speaks against.
pub(super) fn choose(
    model: &'static CatalogModel,
    wanted: Option<Wanted>,
    variant: Option<&str>,
    engine: Option<&str>,
) -> Result<Choice, CliError> {
    let variants: Vec<&'static Variant> = match variant {
        None => model.variants.iter().collect(),
        Some(id) => vec![named(model, id)?],
    };
    if let Some(name) = engine
        && !model.engines.iter().any(|entry| entry.engine == name)
    {
        let known: Vec<&str> = model.engines.iter().map(|entry| entry.engine.as_str()).collect();
        return Err(CliError::new(
            Exit::Usage,
            format!("the catalogue does not know how `{}` serves {}", safe_line(name), model.name),
        )
        .hint(format!("it knows {}", unique(&known).join(", "))));
    }
    let mut refusals = Vec::new();
    let mut choices = Vec::new();
    for variant in variants {
        for engine in engines_of(model, variant, engine) {
            match refusal(model, variant, engine, wanted) {
                Some(refusal) => refusals.push((variant, engine, refusal)),
                None => choices.push(choice(model, variant, engine, wanted)),
            }
        }
    }
    // What the catalogue says nothing about must not stand in for what it speaks against.
    if !refusals.is_empty() || choices.iter().any(|choice| choice.usage.is_some()) {
        choices.retain(|choice| choice.usage.is_some());
    }
    let best = choices
        .iter()
        .position(|choice| choice.layout.is_some())
        .or_else(|| choices.iter().position(is_large_enough))
        .unwrap_or(0);
    if best < choices.len() {
        return Ok(choices.swap_remove(best));
    }
    Err(refused(model, wanted, &refusals))
}

fn named(model: &'static CatalogModel, id: &str) -> Result<&'static Variant, CliError> {
    model.variant(id).ok_or_else(|| {
        let known: Vec<&str> = model.variants.iter().map(|variant| variant.id.as_str()).collect();
        let error =
            CliError::new(Exit::Usage, format!("{} has no checkpoint `{}`", model.name, safe_line(id)));
        match suggest(id, known.iter().copied()) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error.hint(format!("it has {}", known.join(", "))),
        }
    })
}

/// The engines that read a checkpoint, in the order of the entry.
fn engines_of(model: &'static CatalogModel, variant: &Variant, only: Option<&str>) -> Vec<&'static str> {
    let reads = |entry: &&EngineUse| match &variant.engine {
        Some(engine) => entry.engine == *engine,
        None => entry.variants.is_empty() || entry.variants.contains(&variant.id),
    };
    let asked = |entry: &&EngineUse| only.is_none_or(|name| entry.engine == name);
    let names: Vec<&str> =
        model.engines.iter().filter(reads).filter(asked).map(|entry| entry.engine.as_str()).collect();
    unique(&names)
}

fn unique<'a>(names: &[&'a str]) -> Vec<&'a str> {
    let mut seen = Vec::new();
    for name in names {
        if !seen.contains(name) {
            seen.push(*name);
        }
    }
    seen
}

/// Whether a source says that it does not work.
fn refusal(model: &CatalogModel, variant: &Variant, engine: &str, wanted: Option<Wanted>) -> Option<Refusal> {
    let wanted = wanted?;
    let card = wanted.card;
    let precision = variant.precision.value();
    if let Some(cannot) =
        card.cannot.iter().find(|cannot| precision.is_some_and(|is| cannot.precisions.contains(is)))
    {
        return Some(Refusal {
            why: cannot.reason.value.clone(),
            source: cannot.reason.source.clone(),
            instead: cannot.instead.clone(),
        });
    }
    let speaks = |layout: &&Layout| layout.speaks_of(&card.id, wanted.count, &variant.id, engine);
    if let Some(layout) = model.layouts.iter().filter(speaks).find(|layout| layout.verdict == Verdict::Fails)
    {
        return Some(Refusal {
            why: layout.says.value.clone(),
            source: layout.says.source.clone(),
            instead: layout.instead.clone().unwrap_or_default(),
        });
    }
    // Sources that need several hosts say so as the least; a stack runs on one.
    let of_card = |layout: &&Layout| {
        let devices = Layout { count: None, ..(*layout).clone() };
        layout.verdict == Verdict::Works && devices.speaks_of(&card.id, wanted.count, &variant.id, engine)
    };
    let known: Vec<&Layout> = model.layouts.iter().filter(of_card).collect();
    let small = |layout: &&Layout| layout.count.is_none_or(|count| wanted.count <= count);
    if known.iter().any(|layout| layout.hosts == 1) {
        return None;
    }
    known.into_iter().find(small).map(|layout| Refusal {
        why: format!(
            "it is known to work on {} hosts of this kind together, and a stack runs on one: {}",
            layout.hosts, layout.says.value
        ),
        source: layout.says.source.clone(),
        instead: "a smaller model, a smaller checkpoint (`sovai catalog show`), or larger accelerators"
            .to_owned(),
    })
}

fn choice(
    model: &'static CatalogModel,
    variant: &'static Variant,
    engine: &'static str,
    wanted: Option<Wanted>,
) -> Choice {
    let card = wanted.map(|wanted| (wanted.card.id.as_str(), wanted.card.vendor.as_str()));
    let usage = usage(model, variant, engine, card);
    let layout = wanted.and_then(|wanted| {
        model.layouts.iter().find(|layout| {
            layout.verdict == Verdict::Works
                && layout.hosts == 1
                && layout.speaks_of(&wanted.card.id, wanted.count, &variant.id, engine)
        })
    });
    let mut choice = Choice { model, variant, engine, usage, wanted, layout, warnings: Vec::new() };
    choice.warnings = warnings(&choice);
    choice
}

/// The entry of an engine that speaks of a card most closely: of the card, of its vendor, of any.
fn usage(
    model: &'static CatalogModel,
    variant: &Variant,
    engine: &str,
    card: Option<(&str, &str)>,
) -> Option<&'static EngineUse> {
    let mut held: Vec<&EngineUse> = model
        .engines
        .iter()
        .filter(|entry| entry.engine == engine && entry.holds_for(&variant.id, card))
        .collect();
    let distance = |entry: &EngineUse| match card {
        Some((id, _)) if entry.accelerators.iter().any(|name| name == id) => 0,
        _ if entry.accelerators.is_empty() => 2,
        _ => 1,
    };
    held.sort_by_key(|entry| (distance(entry), entry.variants.is_empty()));
    held.first().copied()
}

/// Whether the published memory is there, as far as both are known.
fn is_large_enough(choice: &Choice) -> bool {
    match (choice.variant.memory_gb.value(), choice.wanted.map(Wanted::memory_gb)) {
        (Some(need), Some(Some(have))) => *need <= have,
        _ => true,
    }
}

fn warnings(choice: &Choice) -> Vec<String> {
    let Choice { model, variant, wanted, .. } = choice;
    let mut warnings = Vec::new();
    let Some(wanted) = *wanted else {
        if choice.engine != "llama.cpp" {
            warnings.push(
                "no accelerators are named: name them with --accelerators, or write them in".to_owned(),
            );
        }
        return warnings;
    };
    if choice.layout.is_none() {
        let known: Vec<String> = model
            .layouts
            .iter()
            .filter(|layout| layout.verdict == Verdict::Works && layout.hosts == 1)
            .filter_map(|layout| Some(format!("{}x{}", layout.count?, layout.card)))
            .collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        warnings
            .push(format!("no source says that {} was run on {wanted}; known to work: {known}", model.name));
    }
    match (variant.memory_gb.value(), wanted.memory_gb()) {
        (Some(need), Some(have)) if *need > have => warnings.push(format!(
            "{wanted} have {have} GB together, less than the published minimum of {need} GB for `{}`",
            variant.id
        )),
        _ => {}
    }
    if choice.usage.is_none() {
        warnings.push(format!(
            "the catalogue has no arguments of {} for `{}` on {}",
            choice.engine, variant.id, wanted.card.name
        ));
    }
    warnings
}

/// Every checkpoint is spoken against.
fn refused(
    model: &CatalogModel,
    wanted: Option<Wanted>,
    refusals: &[(&'static Variant, &'static str, Refusal)],
) -> CliError {
    let Some(wanted) = wanted else {
        return CliError::new(
            Exit::Usage,
            format!("no engine of the catalogue reads that checkpoint of {}", model.name),
        );
    };
    let Some((_, _, first)) = refusals.first() else {
        return CliError::new(
            Exit::Usage,
            format!("no engine that was asked for reads that checkpoint of {}", model.name),
        )
        .hint(format!("sovai catalog show {}", model.id));
    };
    let mut error =
        CliError::new(Exit::Resources, format!("{} is known not to work on {wanted}", model.name));
    let mut said: Vec<&str> = Vec::new();
    for (variant, engine, refusal) in refusals {
        if !said.contains(&refusal.why.as_str()) {
            error = error.cause(format!(
                "{} ({}) with {engine}: {} ({})",
                model.name, variant.id, refusal.why, refusal.source
            ));
            said.push(&refusal.why);
        }
    }
    error = error.hint(format!("instead: {}", first.instead));
    let works = model.layouts.iter().find(|layout| {
        layout.verdict == Verdict::Works && layout.hosts == 1 && layout.card == wanted.card.id
    });
    if let Some(layout) = works
        && let (Some(count), Some(variant), Some(engine)) =
            (layout.count, layout.variants.first(), &layout.engine)
    {
        let known = format!("--accelerators {count}x{} --variant {variant} --engine {engine}", layout.card);
        error = error.hint(format!("known to work: {known}"));
    }
    error.hint(format!("sovai catalog show {}", model.id))
}
