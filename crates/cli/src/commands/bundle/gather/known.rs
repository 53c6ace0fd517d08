//! What the catalogue knows of the models, as files: the other side may have an older sovai.

use super::{Items, Source};
use crate::error::CliError;
use sovai_bundle::Role;
use sovai_catalog::{CatalogModel, models};
use sovai_core::FilePin;
use sovai_manifest::{Model, Source as Origin};

/// Adds the entries of the models that the stack has, as JSON under `catalog/`.
pub(super) fn add(source: &Source<'_>, items: &mut Items) -> Result<(), CliError> {
    let manifest = source.pinned.manifest();
    for (name, pins) in &source.pinned.resolved.models {
        let Some(model) = manifest.models.get(name) else { continue };
        for entry in models().iter().filter(|entry| is_of(entry, model, pins)) {
            let mut text = serde_json::to_string_pretty(entry).map_err(CliError::internal)?;
            text.push('\n');
            items.add(&format!("catalog/{}.json", entry.id), Role::Catalog, text.into_bytes())?;
        }
    }
    Ok(())
}

/// Whether a model is a variant of an entry: by the repository that it comes from, or by its one file.
fn is_of(entry: &CatalogModel, model: &Model, pins: &[FilePin]) -> bool {
    let repository = |scheme: &str| match &model.source {
        Origin::Remote { scheme: of, rest } if of == scheme => {
            Some(rest.split_once('@').map_or(rest.as_str(), |(repository, _)| repository).to_owned())
        }
        _ => None,
    };
    let (hf, modelscope) = (repository("hf"), repository("modelscope"));
    let is = |known: Option<&String>, of: &Option<String>| known.is_some() && known == of.as_ref();
    entry.variants.iter().any(|variant| {
        let file = variant.file.as_ref().map(|file| file.value.sha256);
        is(variant.hf.value(), &hf)
            || is(variant.modelscope.value(), &modelscope)
            || pins.iter().any(|pin| Some(pin.sha256) == file)
    })
}
