//! All models, one of them, and those that a search finds.

use super::CatalogModel;
use super::files::FILES;
use crate::{card, suggest};
use serde::Deserialize;
use std::sync::OnceLock;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) model: Vec<CatalogModel>,
}

/// Every model of the catalogue, in the order of the data files' names and then of the entries.
pub fn models() -> &'static [CatalogModel] {
    static MODELS: OnceLock<Vec<CatalogModel>> = OnceLock::new();
    MODELS.get_or_init(|| {
        FILES
            .iter()
            // The texts are part of the binary and a test reads them, so this cannot fail on a user's machine.
            .flat_map(|(name, text)| {
                toml::from_str::<File>(text)
                    .map_or_else(|error| unreachable!("manifests/catalog/{name}: {error}"), |file| file.model)
            })
            .collect()
    })
}

/// The model of that id; case does not matter, and neither does an organisation in front.
pub fn model(id: &str) -> Option<&'static CatalogModel> {
    let wanted = id.rsplit('/').next().unwrap_or(id);
    models().iter().find(|model| model.id.eq_ignore_ascii_case(wanted))
}

/// The id that was most likely meant.
pub fn suggest_model(id: &str) -> Option<&'static str> {
    suggest(id.rsplit('/').next().unwrap_or(id), models().iter().map(|model| model.id.as_str()))
}

/// Models in which every word stands: in id, name, family, publisher, licence, variants, engines or accelerators.
pub fn search_models(text: &str) -> Vec<&'static CatalogModel> {
    let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    let found = |model: &&CatalogModel| {
        let text = searched(model);
        words.iter().all(|word| text.contains(word.as_str()))
    };
    if words.is_empty() { Vec::new() } else { models().iter().filter(found).collect() }
}

/// The text that a search looks at, in lower case.
fn searched(model: &CatalogModel) -> String {
    let mut words: Vec<&str> = vec![&model.id, &model.name, &model.family, &model.publisher];
    words.extend(model.license.value().map(String::as_str));
    for variant in &model.variants {
        words.push(&variant.id);
        let known = [&variant.hf, &variant.modelscope, &variant.precision, &variant.made_by];
        words.extend(known.into_iter().filter_map(|fact| fact.value().map(String::as_str)));
    }
    words.extend(model.engines.iter().map(|engine| engine.engine.as_str()));
    for layout in model.layouts.iter().filter(|layout| layout.verdict != super::Verdict::Fails) {
        words.push(&layout.card);
        if let Some(card) = card(&layout.card) {
            words.extend([card.name.as_str(), card.vendor.as_str()]);
        }
    }
    words.join("\n").to_lowercase()
}
