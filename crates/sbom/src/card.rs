//! The model card: what the files themselves say, what the catalogue knows, and limits of use.

use crate::cdx::{Considerations, ModelCard, ModelParameters};
use crate::claim::{Claim, Properties};
use crate::model::ModelFacts;
use sovai_catalog::{CatalogModel, Known};
use std::fmt::Display;

pub(crate) fn model_card(facts: &ModelFacts<'_>, entry: Option<&CatalogModel>) -> ModelCard {
    let mut properties = Properties::default();
    let architecture = facts.seen.architecture.clone();
    if architecture.is_some() {
        properties.claim("architecture", Claim::Verified, "the header of a file of the model");
    }
    let mut limits: Vec<String> = facts.model.usage.clone();
    if !limits.is_empty() {
        properties.claim("usage", Claim::Declared, "the manifest");
    }
    if let Some(entry) = entry {
        from_catalogue(entry, &mut limits, &mut properties);
    }
    let parameters = ModelParameters {
        architecture_family: entry.map(|entry| entry.family.clone()),
        model_architecture: architecture,
    };
    ModelCard {
        model_parameters: (parameters != ModelParameters::default()).then_some(parameters),
        considerations: (!limits.is_empty()).then_some(Considerations { technical_limitations: limits }),
        properties: properties.0,
    }
}

fn from_catalogue(entry: &CatalogModel, limits: &mut Vec<String>, properties: &mut Properties) {
    properties.claim("family", Claim::Declared, "sovai's catalogue");
    fact("released", &entry.released, properties);
    fact("parameters:total", &entry.parameters.total, properties);
    fact("parameters:active", &entry.parameters.active, properties);
    fact("context", &entry.context, properties);
    fact("license:catalog", &entry.license, properties);
    let shape = &entry.architecture;
    let numbers = [
        ("layers", &shape.layers),
        ("hidden", &shape.hidden),
        ("heads", &shape.heads),
        ("kv-heads", &shape.kv_heads),
        ("head-dim", &shape.head_dim),
    ];
    for (name, number) in numbers {
        fact(&format!("architecture:{name}"), number, properties);
    }
    for limit in &entry.usage_limits {
        if !limits.contains(&limit.value) {
            limits.push(limit.value.clone());
        }
        properties.claim("usage", Claim::Declared, format!("{} ({})", limit.source, limit.date));
    }
}

/// A fact of the catalogue, where it is known, with where and when it was found.
fn fact<T: Display>(name: &str, fact: &Known<T>, properties: &mut Properties) {
    if let Some(fact) = fact.fact() {
        properties.fact(name, &fact.value);
        properties.claim(name, Claim::Declared, format!("{} ({})", fact.source, fact.date));
    }
}
