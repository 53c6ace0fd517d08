//! `sovai catalog show`: every fact with the number of its source, and the sources at the end.

use super::{decimal, short};
use sovai_catalog::{
    Architecture, CatalogModel, EngineUse, Known, Layout, LicenseCheck, Sourced, Variant, Verdict, license,
};
use std::fmt::{Display, Write as _};

/// Columns of the labels.
const LABEL: usize = 18;

/// Lines of text, and the sources that they speak of.
#[derive(Default)]
struct Page {
    text: String,
    sources: Vec<(String, String)>,
}

impl Page {
    fn head(&mut self, title: &str) {
        let _ = writeln!(self.text, "\n{title}");
    }

    fn line(&mut self, label: &str, value: impl Display) {
        let _ = writeln!(self.text, "  {label:<LABEL$}{value}");
    }

    /// The number of a fact's source, for behind its value.
    fn cite<T>(&mut self, fact: &Sourced<T>) -> String {
        let source = (fact.source.clone(), fact.date.clone());
        let at = self.sources.iter().position(|known| *known == source).unwrap_or_else(|| {
            self.sources.push(source);
            self.sources.len() - 1
        });
        format!(" [{}]", at + 1)
    }

    /// A fact, shown by `show`.
    fn shown<T>(&mut self, label: &str, fact: &Known<T>, show: impl FnOnce(&T) -> String) {
        match fact {
            Known::Is(fact) => {
                let cited = self.cite(fact);
                self.line(label, show(&fact.value) + &cited);
            }
            Known::Unknown => self.line(label, "unknown"),
        }
    }

    fn fact<T: Display>(&mut self, label: &str, fact: &Known<T>) {
        self.shown(label, fact, T::to_string);
    }

    fn list(&mut self, label: &str, facts: &[Sourced<String>]) {
        for (index, fact) in facts.iter().enumerate() {
            let cited = self.cite(fact);
            self.line(if index == 0 { label } else { "" }, fact.value.clone() + &cited);
        }
    }
}

/// The page of a model.
pub(super) fn text(model: &CatalogModel) -> String {
    let mut page = Page::default();
    let _ = writeln!(page.text, "{} ({})", model.name, model.id);
    page.line("family", &model.family);
    page.line("publisher", &model.publisher);
    page.line("tested", model.tested.as_str());
    page.fact("released", &model.released);
    page.shown("parameters", &model.parameters.total, |number| short(*number));
    page.shown("active", &model.parameters.active, |number| short(*number));
    page.shown("context", &model.context, |tokens| format!("{tokens} tokens"));
    of_license(&mut page, model);
    page.head("checkpoints");
    for variant in &model.variants {
        of_variant(&mut page, variant);
    }
    page.head("architecture");
    of_architecture(&mut page, &model.architecture);
    for kv in &model.kv {
        let format = serde_json::to_value(kv.format).ok();
        let format = format.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default();
        let tokens = if kv.tokens == 1 { "a token".to_owned() } else { format!("{} tokens", kv.tokens) };
        let cited = page.cite(&kv.bytes);
        page.line("KV cache", format!("{format}: {} bytes for {tokens}{cited}", kv.bytes.value));
        if let Some(fact) = &kv.sequence_bytes {
            let cited = page.cite(fact);
            page.line("", format!("and {} bytes for each sequence{cited}", fact.value));
        }
    }
    page.head("engines");
    for entry in &model.engines {
        of_engine(&mut page, entry);
    }
    page.head("accelerators");
    for layout in &model.layouts {
        of_layout(&mut page, layout);
    }
    if model.layouts.is_empty() {
        page.line("", "none is known to work, or not to");
    }
    if !model.offline.is_empty() || !model.notes.is_empty() {
        page.head("notes");
        page.list("offline", &model.offline);
        page.list("", &model.notes);
    }
    if !model.manifests.is_empty() {
        page.head("manifests");
        for name in &model.manifests {
            page.line("", format_args!("manifests/{name}"));
        }
    }
    page.head("sources");
    for (at, (source, date)) in page.sources.iter().enumerate() {
        let _ = writeln!(page.text, "  {:<5}{date}  {source}", format!("[{}]", at + 1));
    }
    page.text
}

fn of_license(page: &mut Page, model: &CatalogModel) {
    page.fact("license", &model.license);
    if let Some(LicenseCheck::Known(known)) = model.license.value().map(|name| license(name)) {
        page.line("", format_args!("{}: {}", known.name, known.note));
        page.list("duties", &known.duties);
    }
    for label in &model.license_labels {
        let cited = page.cite(label);
        page.line("others call it", label.value.clone() + &cited);
    }
    page.list("limits of use", &model.usage_limits);
}

fn of_variant(page: &mut Page, variant: &Variant) {
    let _ = writeln!(page.text, "  {}", variant.id);
    page.fact("  hf", &variant.hf);
    page.fact("  modelscope", &variant.modelscope);
    if let Some(file) = &variant.file {
        let cited = page.cite(file);
        page.line("  file", format_args!("{} sha256:{}{cited}", file.value.path, file.value.sha256.hex()));
    }
    page.fact("  precision", &variant.precision);
    page.fact("  made by", &variant.made_by);
    page.shown("  size", &variant.disk_bytes, |bytes| decimal(*bytes));
    page.shown("  least memory", &variant.memory_gb, |gb| format!("{gb} GB"));
}

fn of_architecture(page: &mut Page, of: &Architecture) {
    page.shown("attention", &of.attention, |kind| {
        let word = serde_json::to_value(kind).ok();
        word.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
    });
    page.fact("layers", &of.layers);
    page.fact("hidden size", &of.hidden);
    page.fact("heads", &of.heads);
    page.fact("KV heads", &of.kv_heads);
    page.fact("head size", &of.head_dim);
    let rest = [
        ("full layers", &of.full_layers),
        ("window", &of.window),
        ("KV rank", &of.kv_lora_rank),
        ("rope size", &of.rope_dim),
        ("index head size", &of.index_head_dim),
        ("index top-k", &of.index_topk),
        ("record bytes", &of.record_bytes),
        ("index bytes", &of.index_bytes),
        ("layers by 4", &of.layers_by_4),
        ("layers by 128", &of.layers_by_128),
        ("linear layers", &of.linear_layers),
        ("linear heads", &of.linear_heads),
        ("linear key size", &of.linear_key_dim),
        ("linear value size", &of.linear_value_dim),
        ("experts", &of.experts),
        ("experts a token", &of.experts_active),
    ];
    for (label, fact) in rest {
        if let Some(fact) = fact {
            page.fact(label, fact);
        }
    }
}

fn of_engine(page: &mut Page, entry: &EngineUse) {
    let on = |names: &[String], what: &str| {
        if names.is_empty() { String::new() } else { format!(" {what} {}", names.join(", ")) }
    };
    let (variants, cards) = (on(&entry.variants, "of"), on(&entry.accelerators, "on"));
    let tested = entry.tested.as_str();
    let _ = writeln!(page.text, "  {}{variants}{cards}, tested {tested}", entry.engine);
    page.fact("  least version", &entry.minimum_version);
    page.fact("  image", &entry.image);
    page.shown("  arguments", &entry.args, |words| {
        if words.is_empty() { "none".to_owned() } else { words.join(" ") }
    });
    if let Some(env) = &entry.env {
        let cited = page.cite(env);
        let pairs: Vec<String> = env.value.iter().map(|(name, value)| format!("{name}={value}")).collect();
        page.line("  variables", pairs.join(" ") + &cited);
    }
}

fn of_layout(page: &mut Page, layout: &Layout) {
    let count = match (layout.count, layout.from_count) {
        (Some(count), _) => format!("{count}x"),
        (None, Some(least)) => format!("{least} or more x"),
        (None, None) => String::new(),
    };
    let hosts = if layout.hosts == 1 { String::new() } else { format!("{} hosts of ", layout.hosts) };
    let verdict = match layout.verdict {
        Verdict::Works => "works",
        Verdict::Fails => "fails",
    };
    let of =
        if layout.variants.is_empty() { String::new() } else { format!("{}: ", layout.variants.join(", ")) };
    let cited = page.cite(&layout.says);
    let instead = layout.instead.as_deref().map(|text| format!("; instead: {text}")).unwrap_or_default();
    let label = format!("{hosts}{count}{}", layout.card);
    page.line(&label, format_args!("{verdict}: {of}{}{cited}{instead}", layout.says.value));
}
