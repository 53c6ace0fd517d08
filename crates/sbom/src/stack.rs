//! A whole stack.

use crate::cdx::{Aggregate, Bom, Component, Composition, Dependency, Hash, Kind, Metadata, Tools};
use crate::claim::{Claim, Properties};
use crate::image::{self, ImageFacts};
use crate::model::{self, ModelFacts};
use sovai_core::Sha256;
use sovai_manifest::Manifest;
use std::collections::BTreeMap;

/// The sovai that writes a document.
#[derive(Debug, Clone, Copy)]
pub struct Tool<'a> {
    /// Its version.
    pub version: &'a str,
    /// SHA-256 of its program file.
    pub digest: Option<Sha256>,
}

impl Tool<'_> {
    pub(crate) fn component(&self) -> Component {
        let mut properties = Properties::default();
        if self.digest.is_some() {
            properties.claim("hashes", Claim::Verified, "the program hashed its own file");
        }
        Component {
            kind: Kind::Application,
            name: "sovai".to_owned(),
            version: Some(self.version.to_owned()),
            hashes: self.digest.iter().map(Hash::sha256).collect(),
            properties: properties.0,
            ..Component::default()
        }
    }
}

pub(crate) fn metadata(tool: &Tool<'_>, component: Component, timestamp: Option<String>) -> Metadata {
    Metadata {
        timestamp,
        tools: Tools { components: vec![tool.component()] },
        component,
        properties: Vec::new(),
    }
}

/// What a document about a stack is made from.
#[derive(Debug, Clone)]
pub struct StackFacts<'a> {
    /// The manifest.
    pub manifest: &'a Manifest,
    /// Its models.
    pub models: Vec<ModelFacts<'a>>,
    /// Its images, each once.
    pub images: Vec<ImageFacts>,
    /// Number of the bundle that it is for.
    pub sequence: Option<u64>,
    /// When, in RFC 3339: not the time of writing, or the same stack would give two documents.
    pub timestamp: Option<String>,
    /// What writes it.
    pub tool: Tool<'a>,
}

/// The bill of materials of a stack: its models and images, and what is known of each. The same facts give the same
/// document.
pub fn stack_bom(facts: &StackFacts<'_>) -> Bom {
    let manifest = facts.manifest;
    let name = format!("stack:{}", manifest.name);
    let mut properties = Properties::default();
    for (service, said) in &manifest.services {
        let model = said.model.as_ref().map(|model| format!(", model {model}")).unwrap_or_default();
        let engine = said.engine.as_ref().map(|engine| format!(", engine {engine}")).unwrap_or_default();
        properties.fact(&format!("service:{service}"), format!("image {}{engine}{model}", said.image.name));
    }
    let root = Component {
        kind: Kind::Application,
        bom_ref: name.clone(),
        name: manifest.name.to_string(),
        version: facts.sequence.map(|sequence| sequence.to_string()),
        properties: properties.0,
        ..Component::default()
    };
    let mut bom = Bom::new(metadata(&facts.tool, root, facts.timestamp.clone()));
    let mut whole: BTreeMap<Aggregate, Vec<String>> = BTreeMap::new();
    for facts in &facts.models {
        let component = model::component(facts);
        // All files of a model are listed, or its digests would not be what was pinned.
        whole.entry(Aggregate::Complete).or_default().push(component.bom_ref.clone());
        bom.components.push(component);
    }
    for facts in &facts.images {
        let (component, composition) = image::component(facts);
        whole.entry(composition.aggregate).or_default().extend(composition.assemblies);
        bom.components.push(component);
    }
    let listed: Vec<String> = bom.components.iter().map(|component| component.bom_ref.clone()).collect();
    bom.dependencies.push(Dependency { reference: name, depends_on: listed.clone() });
    for reference in listed {
        let mut models: Vec<String> = manifest
            .services
            .values()
            .filter(|service| format!("image:{}", service.image.name) == reference)
            .filter_map(|service| Some(format!("model:{}", service.model.as_ref()?)))
            .collect();
        models.sort();
        models.dedup();
        bom.dependencies.push(Dependency { reference, depends_on: models });
    }
    bom.compositions =
        whole.into_iter().map(|(aggregate, assemblies)| Composition { aggregate, assemblies }).collect();
    bom
}
