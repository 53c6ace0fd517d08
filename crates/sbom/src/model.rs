//! A model: licence, digests, origin, lineage, model card.

use crate::card::model_card;
use crate::cdx::{Component, Hash, Kind, Pedigree, Reference};
use crate::claim::{Claim, Properties};
use crate::license;
use crate::purl::{encode, purl};
use sovai_catalog::{CatalogModel, license_test, models};
use sovai_core::{FilePin, Name, Sha256, TrustLevel};
use sovai_manifest::{Lineage, LineageLink, LockedModel, Model, Source};
use std::collections::BTreeMap;

/// What is said of a model: its pins, what manifest and lock say, and what was seen in its files.
#[derive(Debug, Clone, Copy)]
pub struct ModelFacts<'a> {
    /// Its name in the manifest.
    pub name: &'a Name,
    /// What the manifest says.
    pub model: &'a Model,
    /// What the lock says.
    pub locked: Option<&'a LockedModel>,
    /// Its files.
    pub files: &'a [FilePin],
    /// The model digest.
    pub digest: Sha256,
    /// What sovai saw itself.
    pub seen: &'a ModelSeen,
}

/// What sovai saw in a model's files.
#[derive(Debug, Clone, Default)]
pub struct ModelSeen {
    /// All its bytes were hashed, and are what was pinned.
    pub hashed: bool,
    /// `general.architecture` of a GGUF file.
    pub architecture: Option<String>,
    /// By path: what the files are.
    pub contents: BTreeMap<String, String>,
    /// Ids of the licences whose texts are among the files.
    pub licenses: Vec<String>,
    /// How strongly its origin is proven, where that was judged.
    pub trust: Option<TrustLevel>,
}

/// The model as a component.
pub(crate) fn component(facts: &ModelFacts<'_>) -> Component {
    let ModelFacts { name, model, locked, seen, .. } = *facts;
    let known = catalogue(facts);
    let revision = locked.and_then(|locked| locked.revision.as_deref()).or_else(|| model.wanted_revision());
    let mut properties = Properties::default();
    properties.fact("model:digest", facts.digest);
    properties.fact("model:bytes", FilePin::total(facts.files));
    let source = if seen.hashed { "sovai hashed every byte" } else { "the pins of manifest and lock" };
    properties.claim("hashes", Claim::verified_if(seen.hashed), source);
    let licenses = licence(facts, &mut properties);
    let origin = origin(facts, revision, &mut properties);
    if let Some(publisher) = &model.publisher {
        properties.claim("publisher", Claim::Declared, "the manifest");
        properties.fact("publisher", publisher);
    }
    if let Some(level) = seen.trust {
        // It is judged from signatures and digests, by the keys that the preparer trusts.
        properties.fact("trust-level", level);
        properties.claim(
            "trust-level",
            Claim::Verified,
            "sovai, by the keys that were trusted where this was written",
        );
    }
    let bom_ref = format!("model:{name}");
    let pedigree = model.lineage.as_ref().and_then(|lineage| pedigree(&bom_ref, lineage, &mut properties));
    if let Some((entry, variant)) = known {
        properties.fact("catalog", format!("{}/{variant}", entry.id));
    }
    let hashes = match facts.files {
        // Of several files, each has its own below.
        [one] => vec![Hash::sha256(&one.sha256)],
        _ => Vec::new(),
    };
    Component {
        kind: Kind::MachineLearningModel,
        publisher: model.publisher.clone().or_else(|| known.map(|(entry, _)| entry.publisher.clone())),
        name: name.to_string(),
        version: revision.map(str::to_owned),
        description: known.map(|(entry, _)| entry.name.clone()),
        hashes,
        licenses,
        purl: origin.purl,
        pedigree,
        external_references: origin.references,
        components: facts.files.iter().map(|file| file_component(&bom_ref, file, seen)).collect(),
        model_card: Some(model_card(facts, known.map(|(entry, _)| entry))),
        properties: properties.0,
        bom_ref,
    }
}

/// The catalogue's entry and variant of these very bytes, or of this very repository.
fn catalogue(facts: &ModelFacts<'_>) -> Option<(&'static CatalogModel, &'static str)> {
    let repository = match &facts.model.source {
        Source::Remote { scheme, rest } => Some((scheme.as_str(), repository(rest))),
        Source::File(_) => None,
    };
    models().iter().find_map(|entry| {
        let variant = entry.variants.iter().find(|variant| {
            let file = variant.file.as_ref().map(|file| file.value.sha256);
            let same = |scheme: &str, known: Option<&String>| {
                known.is_some_and(|known| repository == Some((scheme, known.as_str())))
            };
            facts.files.iter().any(|pin| Some(pin.sha256) == file)
                || same("hf", variant.hf.value())
                || same("modelscope", variant.modelscope.value())
        })?;
        Some((entry, variant.id.as_str()))
    })
}

/// `ORG/NAME` of what follows the scheme of a source at a hub.
fn repository(rest: &str) -> &str {
    let rest = rest.split_once('@').map_or(rest, |(before, _)| before);
    let end = rest.match_indices('/').nth(1).map_or(rest.len(), |(at, _)| at);
    &rest[..end]
}

fn licence(facts: &ModelFacts<'_>, properties: &mut Properties) -> Vec<crate::cdx::License> {
    let hub = facts.locked.and_then(|locked| locked.license.as_deref());
    let (text, source) = match (facts.model.license.as_deref(), hub) {
        (Some(text), _) => (text, "the manifest"),
        (None, Some(text)) => (text, "the hub, as the lock has it"),
        (None, None) => return Vec::new(),
    };
    let found = &facts.seen.licenses;
    let claim =
        Claim::verified_if(license_test(text, |id| found.iter().any(|known| known == id)) == Some(true));
    match claim {
        Claim::Verified => properties.claim("license", claim, "the licence's text among the model's files"),
        Claim::Declared => properties.claim("license", claim, source),
    }
    if let Some(hub) = hub {
        properties.fact("license:hub", hub);
    }
    if let sovai_catalog::LicenseCheck::Known(known) = sovai_catalog::license(text) {
        for duty in &known.duties {
            properties.fact("license:duty", format!("{} ({}, {})", duty.value, duty.source, duty.date));
        }
    }
    vec![license::written(text, claim)]
}

struct Origin {
    purl: Option<String>,
    references: Vec<Reference>,
}

fn origin(facts: &ModelFacts<'_>, revision: Option<&str>, properties: &mut Properties) -> Origin {
    let model = facts.model;
    properties.fact("origin", &model.source);
    let listed = facts.locked.is_some_and(|locked| locked.revision.is_some()) && model.source.is_hub();
    let source = if listed { "the list of the hub, as the lock has it" } else { "the manifest" };
    properties.claim("origin", Claim::Declared, source);
    for mirror in &model.mirrors {
        properties.fact("origin:mirror", mirror);
    }
    let Source::Remote { scheme, rest } = &model.source else {
        return Origin { purl: None, references: Vec::new() };
    };
    let repository = repository(rest);
    let at = revision.unwrap_or_default();
    let reference =
        |url: String, kind, comment: &str| Reference { url, kind, comment: Some(comment.to_owned()) };
    let hub = |host: &str, tree: &str| {
        let page = format!("https://{host}/{}", path(repository));
        let tree = if at.is_empty() { page.clone() } else { format!("{page}/{tree}/{}", encode(at)) };
        vec![
            reference(tree, "distribution", "declared: not asked for when this was written"),
            reference(page, "model-card", "declared: not read"),
        ]
    };
    match scheme.as_str() {
        "hf" => {
            let (space, name) = repository.split_once('/').unwrap_or(("", repository));
            Origin {
                purl: Some(purl("huggingface", space, name, at, &[])),
                references: hub("huggingface.co", "tree"),
            }
        }
        "modelscope" => Origin { purl: None, references: hub("modelscope.cn/models", "tree") },
        _ => Origin {
            purl: None,
            references: vec![reference(
                address(&model.source.to_string()),
                "distribution",
                "declared: not asked for when this was written",
            )],
        },
    }
}

fn path(text: &str) -> String {
    text.split('/').map(encode).collect::<Vec<_>>().join("/")
}

/// A text as an address: what cannot stand in one is written as `%XX`.
pub(crate) fn address(text: &str) -> String {
    let mut out = String::new();
    for (at, c) in text.char_indices() {
        let is_escape = c == '%'
            && text.as_bytes().get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit));
        if is_escape || c.is_ascii_alphanumeric() || "-._~:/?#@!$&'()*+,;=".contains(c) {
            out.push(c);
        } else {
            out.push_str(&encode(c.encode_utf8(&mut [0; 4])));
        }
    }
    out
}

fn file_component(model: &str, file: &FilePin, seen: &ModelSeen) -> Component {
    let mut properties = Properties::default();
    properties.fact("bytes", file.size);
    properties.claim(
        "hashes",
        Claim::verified_if(seen.hashed),
        if seen.hashed { "sovai" } else { "the pins" },
    );
    if let Some(content) = seen.contents.get(file.path.as_str()) {
        properties.fact("content", content);
        properties.claim("content", Claim::Verified, "the file's first bytes and its header");
    }
    Component {
        kind: Kind::File,
        bom_ref: format!("{model}/{}", file.path),
        name: file.path.to_string(),
        hashes: vec![Hash::sha256(&file.sha256)],
        properties: properties.0,
        ..Component::default()
    }
}

/// What a model was made from. That a link is proven is the manifest's word too: sovai has no way to check it, and the
/// property `sovai:lineage:...` says which of the two the manifest writes.
fn pedigree(model: &str, lineage: &Lineage, properties: &mut Properties) -> Option<Pedigree> {
    let links = [("base", &lineage.base), ("distilled-from", &lineage.distilled_from)];
    let mut pedigree = Pedigree::default();
    for (kind, link) in links {
        let Some(link) = link else { continue };
        let mut own = Properties::default();
        tell(kind, link, &mut own);
        pedigree.ancestors.push(Component {
            kind: Kind::MachineLearningModel,
            bom_ref: format!("{model}/lineage/{kind}"),
            name: link.name.clone(),
            properties: own.0,
            ..Component::default()
        });
    }
    if let Some(link) = &lineage.quantised_by {
        // Who did it is no ancestor of the model.
        properties.fact("quantised-by", &link.name);
        tell("quantised-by", link, properties);
        pedigree.notes = Some(format!("quantised by {}", link.name));
    }
    (pedigree != Pedigree::default()).then_some(pedigree)
}

fn tell(kind: &str, link: &LineageLink, properties: &mut Properties) {
    let word = match link.claim {
        sovai_manifest::Claim::Declared => "declared",
        sovai_manifest::Claim::Proven => "proven",
    };
    properties.fact(&format!("lineage:{kind}"), word);
    properties.claim(&format!("lineage:{kind}"), Claim::Declared, "the manifest");
    for note in &link.notes {
        properties.fact(&format!("lineage:{kind}:note"), format!("{}: {}", note.date, note.text));
    }
}
