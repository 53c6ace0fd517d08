//! A container image: what it is pinned to, what it runs on, its packages.

use crate::cdx::{Aggregate, Component, Composition, Hash, Kind};
use crate::claim::{Claim, Properties};
use crate::license;
use crate::packages::{Package, Packages};
use crate::purl::purl;
use sovai_core::{Reference, Sha256};
use std::collections::BTreeSet;

/// What is said of an image.
#[derive(Debug, Clone, Default)]
pub struct ImageFacts {
    /// Its name, as the manifest writes it.
    pub name: String,
    /// `linux/amd64`.
    pub platform: Option<String>,
    /// Its ID: the digest of its configuration.
    pub id: Option<Sha256>,
    /// Digest of its manifest.
    pub manifest: Option<Sha256>,
    /// Whether that is a digest at a registry.
    pub at_registry: bool,
    /// Digests of its layers, lowest first; none where the store does not have it.
    pub layers: Vec<Sha256>,
    /// Its packages, or why they were not read.
    pub packages: PackagesRead,
}

/// What is known of an image's packages.
#[derive(Debug, Clone)]
pub enum PackagesRead {
    /// Its layers were read.
    Read(Packages),
    /// They were not, and why.
    Not(String),
}

impl Default for PackagesRead {
    fn default() -> Self {
        Self::Not("the image is not in the store".to_owned())
    }
}

/// The image as a component, and how whole the list of its packages is.
pub(crate) fn component(facts: &ImageFacts) -> (Component, Composition) {
    let bom_ref = format!("image:{}", facts.name);
    let stored = !facts.layers.is_empty();
    let mut properties = Properties::default();
    let reference = Reference::new(&facts.name).ok();
    if let Some(id) = &facts.id {
        properties.fact("image:id", id);
    }
    if let Some(manifest) = &facts.manifest {
        properties.fact("image:manifest", manifest);
    }
    for layer in &facts.layers {
        properties.fact("image:layer", layer);
    }
    if let Some(platform) = &facts.platform {
        properties.fact("platform", platform);
    }
    let source = if stored { "sovai hashed its layers" } else { "the pins of manifest and lock" };
    properties.claim("hashes", Claim::verified_if(stored), source);
    let (components, aggregate) = packages(&bom_ref, &facts.packages, &mut properties);
    let component = Component {
        kind: Kind::Container,
        name: reference.as_ref().map_or_else(|| facts.name.clone(), path),
        version: reference.as_ref().and_then(Reference::tag).map(str::to_owned),
        hashes: facts.manifest.or(facts.id).iter().map(Hash::sha256).collect(),
        purl: reference.as_ref().and_then(|reference| address(facts, reference)),
        components,
        properties: properties.0,
        bom_ref: bom_ref.clone(),
        ..Component::default()
    };
    (component, Composition { aggregate, assemblies: vec![bom_ref] })
}

/// Host and path of a reference.
fn path(reference: &Reference) -> String {
    match reference.host() {
        Some(host) => format!("{host}/{}", reference.path()),
        None => reference.path().to_owned(),
    }
}

/// `pkg:oci/...`, which names a digest at a registry; of another image there is none.
fn address(facts: &ImageFacts, reference: &Reference) -> Option<String> {
    let digest = facts.manifest.filter(|_| facts.at_registry)?.to_string();
    let name = reference.path().rsplit('/').next().unwrap_or_default();
    let architecture = facts.platform.as_deref().and_then(|platform| platform.split('/').nth(1));
    let qualifiers = [
        ("arch", architecture.unwrap_or_default()),
        ("repository_url", &path(reference)),
        ("tag", reference.tag().unwrap_or_default()),
    ];
    Some(purl("oci", "", name, &digest, &qualifiers))
}

fn packages(image: &str, read: &PackagesRead, properties: &mut Properties) -> (Vec<Component>, Aggregate) {
    let packages = match read {
        PackagesRead::Not(why) => {
            properties.fact("packages", format!("not read: {why}"));
            return (Vec::new(), Aggregate::Unknown);
        }
        PackagesRead::Read(packages) => packages,
    };
    if let Some(system) = &packages.system {
        properties.fact("system", system);
    }
    for (path, why) in &packages.unread {
        properties.fact("packages", format!("{path} was not read: {why}"));
    }
    if packages.read.is_empty() && packages.unread.is_empty() {
        properties.fact("packages", "no package database in its layers");
    }
    if packages.read.is_empty() {
        return (Vec::new(), Aggregate::Unknown);
    }
    let read: Vec<_> = packages.read.iter().copied().collect();
    let source = format!("the database of {} in the image's layers", read.join(" and "));
    properties.claim("packages", Claim::Declared, source);
    let mut seen = BTreeSet::new();
    let components = packages.packages.iter().filter_map(|package| {
        let bom_ref = format!("{image}/{}", package.purl);
        seen.insert(bom_ref.clone()).then(|| library(bom_ref, package))
    });
    // There are files in every image that no package brought.
    (components.collect(), Aggregate::Incomplete)
}

fn library(bom_ref: String, package: &Package) -> Component {
    Component {
        kind: Kind::Library,
        bom_ref,
        name: package.name.clone(),
        version: Some(package.version.clone()),
        licenses: package.license.iter().map(|text| license::written(text, Claim::Declared)).collect(),
        purl: Some(package.purl.clone()),
        ..Component::default()
    }
}
