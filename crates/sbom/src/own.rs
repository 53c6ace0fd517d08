//! What sovai itself consists of: `data/linked.tsv`, which `cargo xtask generate` writes from what cargo resolves, and
//! `cargo xtask check` compares.

use crate::cdx::{Aggregate, Bom, Component, Composition, Dependency, Hash, Kind, License};
use crate::claim::{Claim, Properties};
use crate::license;
use crate::purl::purl;
use crate::stack::{Tool, metadata};
use sovai_core::Sha256;

const LINKED: &str = include_str!("../data/linked.tsv");

/// A crate that is linked into the program: a line of `data/linked.tsv`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Linked<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its version.
    pub version: &'a str,
    /// SPDX expression, as its author writes it; empty where there is none.
    pub license: &'a str,
    /// SHA-256 of the package at the registry; of crates of this repository there is none.
    pub checksum: Option<Sha256>,
    /// What it needs, as `NAME@VERSION`.
    pub needs: Vec<&'a str>,
}

/// Every crate that is linked into the program, by name and version; the first is `sovai`.
pub fn linked() -> impl Iterator<Item = Linked<'static>> {
    LINKED.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let mut fields = line.split('\t');
        Some(Linked {
            name: fields.next()?,
            version: fields.next()?,
            license: fields.next()?,
            checksum: Sha256::from_hex(fields.next()?).ok(),
            needs: fields.next().map(|needs| needs.split(' ').filter(|need| !need.is_empty()).collect())?,
        })
    })
}

/// The bill of materials of sovai itself.
///
/// What it lists was resolved by cargo for x86-64 Linux, ordinary dependencies without procedural macros; that the program
/// was built from it is declared, not verified.
pub fn own_bom(tool: &Tool<'_>, timestamp: Option<String>) -> Bom {
    let mut root = tool.component();
    "sovai".clone_into(&mut root.bom_ref);
    let mut properties = Properties(std::mem::take(&mut root.properties));
    properties.claim("components", Claim::Declared, "what cargo resolved, for x86-64, when it was released");
    properties.fact("not-listed", "the standard library of Rust and the C library, which are linked in too");
    root.properties = properties.0;
    let mut bom = Bom::new(metadata(tool, root, timestamp));
    for one in linked() {
        let reference = reference(one.name, one.version);
        if one.name == "sovai" {
            "sovai".clone_into(&mut bom.metadata.component.bom_ref);
        } else {
            bom.components.push(component(&one, reference.clone()));
        }
        let reference = if one.name == "sovai" { "sovai".to_owned() } else { reference };
        let depends_on = one.needs.iter().filter_map(|need| need.split_once('@'));
        let depends_on = depends_on.map(|(name, version)| self::reference(name, version)).collect();
        bom.dependencies.push(Dependency { reference, depends_on });
    }
    bom.compositions
        .push(Composition { aggregate: Aggregate::Incomplete, assemblies: vec!["sovai".to_owned()] });
    bom
}

fn reference(name: &str, version: &str) -> String {
    format!("crate:{name}@{version}")
}

fn component(one: &Linked<'_>, bom_ref: String) -> Component {
    let licenses: Vec<License> = Some(one.license)
        .filter(|text| !text.is_empty())
        .map(|text| license::written(text, Claim::Declared))
        .into_iter()
        .collect();
    Component {
        kind: Kind::Library,
        bom_ref,
        name: one.name.to_owned(),
        version: Some(one.version.to_owned()),
        hashes: one.checksum.iter().map(Hash::sha256).collect(),
        licenses,
        // A crate of this repository is in no registry.
        purl: one.checksum.map(|_| purl("cargo", "", one.name, one.version, &[])),
        ..Component::default()
    }
}
