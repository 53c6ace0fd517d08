//! What is written of `CycloneDX` 1.6: the parts of its schema that a stack's bill of materials uses, in the schema's order.
//!
//! 1.6 is ECMA-424, the newest version that the readers in use take; what 1.7 adds (citations: who said which field) is
//! said by properties here. Not the crate `cyclonedx-bom`: 0.8.1 writes 1.3 to 1.5.

use crate::serial;
use serde::Serialize;

/// A whole document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bom {
    #[serde(rename = "$schema")]
    schema: &'static str,
    #[serde(rename = "bomFormat")]
    format: &'static str,
    spec_version: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    serial_number: String,
    version: u32,
    /// What it is about, who wrote it and when.
    pub metadata: Metadata,
    /// What it lists.
    pub components: Vec<Component>,
    /// What needs what.
    pub dependencies: Vec<Dependency>,
    /// How whole its lists are.
    pub compositions: Vec<Composition>,
}

/// What a document is about, who wrote it and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Metadata {
    /// RFC 3339, UTC. Only where the caller was given a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
    /// What wrote it.
    pub tools: Tools,
    /// What it is about.
    pub component: Component,
    /// Further facts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub properties: Vec<Property>,
}

/// What wrote a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tools {
    /// One: sovai.
    pub components: Vec<Component>,
}

/// Something that a document lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
#[serde(rename_all = "kebab-case")]
pub struct Component {
    /// What kind of thing.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// How others in the document refer to it; unique.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub bom_ref: String,
    /// Who published it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publisher: Option<String>,
    /// Its name.
    pub name: String,
    /// Its version, revision or tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What it is, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Digests of its bytes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hashes: Vec<Hash>,
    /// Its licence.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub licenses: Vec<License>,
    /// Its address among packages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purl: Option<String>,
    /// Where it descends from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pedigree: Option<Pedigree>,
    /// Where it and what is said of it can be found.
    #[serde(rename = "externalReferences", skip_serializing_if = "Vec::is_empty")]
    pub external_references: Vec<Reference>,
    /// What it consists of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<Self>,
    /// Of a model.
    #[serde(rename = "modelCard", skip_serializing_if = "Option::is_none")]
    pub model_card: Option<ModelCard>,
    /// Further facts, and what is known of each: see [`crate::Claim`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub properties: Vec<Property>,
}

/// Kinds of components that are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A program, or a whole stack.
    #[default]
    Application,
    /// A container image.
    Container,
    /// A file.
    File,
    /// A package.
    Library,
    /// A model.
    MachineLearningModel,
}

/// A digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hash {
    alg: &'static str,
    content: String,
}

impl Hash {
    /// SHA-256.
    pub fn sha256(digest: &sovai_core::Sha256) -> Self {
        Self { alg: "SHA-256", content: digest.hex() }
    }
}

/// A licence: one with a name, or an expression.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum License {
    /// One.
    One {
        /// Which.
        license: NamedLicense,
    },
    /// Several, put together by the rules of SPDX.
    Expression {
        /// The expression.
        expression: String,
        /// Who says so.
        acknowledgement: Acknowledgement,
    },
}

/// A licence by its SPDX id, or by another name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NamedLicense {
    /// SPDX id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// `LicenseRef-...`, or whatever was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Who says so.
    pub acknowledgement: Acknowledgement,
    /// Where its text was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// Who says that something has a licence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Acknowledgement {
    /// Its authors, or the manifest.
    Declared,
    /// Whoever wrote the document, having looked.
    Concluded,
}

/// Where something descends from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct Pedigree {
    /// What it was made from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ancestors: Vec<Component>,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
}

/// Where something can be found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reference {
    /// The address.
    pub url: String,
    /// What is there: a word of the schema.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// What is known of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
#[serde(rename_all = "camelCase")]
pub struct ModelCard {
    /// What it was built like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_parameters: Option<ModelParameters>,
    /// What is to be considered before it is used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub considerations: Option<Considerations>,
    /// Further facts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub properties: Vec<Property>,
}

/// What a model was built like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
#[serde(rename_all = "camelCase")]
pub struct ModelParameters {
    /// The family that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub architecture_family: Option<String>,
    /// Its architecture, as its files or the catalogue have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_architecture: Option<String>,
}

/// What is to be considered before a model is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
#[serde(rename_all = "camelCase")]
pub struct Considerations {
    /// Limits of use.
    pub technical_limitations: Vec<String>,
}

/// A fact that the schema has no place for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Property {
    /// `sovai:...`.
    pub name: String,
    /// The fact.
    pub value: String,
}

/// What something needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Dependency {
    /// `bom-ref` of what needs.
    #[serde(rename = "ref")]
    pub reference: String,
    /// `bom-ref` of what is needed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<String>,
}

/// How whole the parts are that are listed of something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Composition {
    /// How whole.
    pub aggregate: Aggregate,
    /// `bom-ref` of what it is said of.
    pub assemblies: Vec<String>,
}

/// How whole a list is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Aggregate {
    /// Everything is listed.
    Complete,
    /// There is more.
    Incomplete,
    /// Nobody looked.
    Unknown,
}

impl Bom {
    /// A document about something; its serial number follows from the rest when it is written.
    pub fn new(metadata: Metadata) -> Self {
        Self {
            schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
            format: "CycloneDX",
            spec_version: "1.6",
            serial_number: String::new(),
            version: 1,
            metadata,
            components: Vec::new(),
            dependencies: Vec::new(),
            compositions: Vec::new(),
        }
    }

    /// As JSON with a line end; the same document gives the same bytes. The serial number is a UUID of version 8 from the
    /// SHA-256 of all the rest (RFC 9562, appendix B.2).
    pub fn to_json(&self) -> Vec<u8> {
        let mut whole = Self { serial_number: String::new(), ..self.clone() };
        whole.serial_number = serial::urn(&whole.render());
        whole.render()
    }

    #[expect(clippy::expect_used, reason = "texts and lists always serialise")]
    fn render(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("serialisable");
        bytes.push(b'\n');
        bytes
    }
}
