//! The sovai manifest, its lock and the policy: text in, typed values and diagnostics out.
//!
//! Main types: [`Manifest`], [`Lock`], [`Policy`], [`Diagnostic`]. A text goes through four passes: bytes to a tree with places
//! (within budgets), the tree against the tables of keys, rules between values, and at last, only when
//! no rule is broken, the typed value. The tables are also what the JSON Schema and the reference page are written from.
//!
//! This crate is pure: it opens no file, knows no async runtime and never prints.

mod build;
mod check;
mod cross;
mod diagnostic;
mod format;
mod lock;
mod model;
mod node;
mod policy;
mod reference;
mod render;
mod resolve;
mod rules;
mod schema;
mod shape;
mod yaml;

pub use diagnostic::{Diagnostic, Severity, Span};
pub use lock::{LicenseFile, Lock, LockedFile, LockedImage, LockedModel};
pub use model::{
    Accelerators, Auth, Claim, Gateway, Image, ImagePin, ImageSource, Lineage, LineageLink, LineageNote,
    Manifest, Model, Parallelism, Resources, Secret, Service, Source, Tls, Wanted,
};
pub use policy::{
    ApprovalRule, BUILT_IN_POLICY, BundleRules, CertificateRules, ClaimRule, DistilledRule, FORMAT_WORDS,
    FormatRules, LicenseRules, LineageRules, OriginRules, Patterns, Policy, Reaction, RemainderRule,
    RemoteCode, RevocationRules, Role, RoleRules, RollbackRule, Templates, TrustRules, UsageRules,
    parse_policy,
};
pub use reference::{fields_markdown, policy_fields_markdown, rules_markdown};
pub use render::{Color, render};
pub use resolve::{Resolved, ResolvedImage, Unpinned, UnpinnedKind, Why, resolve};
pub use rules::{Rule, rules};
pub use schema::{lock_schema, policy_schema, schema};

use diagnostic::Sink;
use node::Node;
use shape::Object;
use yaml::Limits;

/// Largest manifest or policy in bytes.
///
/// A program that reads one from a file reads at most one byte more, which is enough for the diagnostic.
pub const MAX_BYTES: usize = 1 << 20;

/// Largest lock in bytes: room for 50,000 files.
pub const MAX_LOCK_BYTES: usize = 32 << 20;

/// What a text came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// The manifest; there unless a diagnostic is an error.
    pub manifest: Option<Manifest>,
    /// All problems, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads a manifest and checks every rule that needs nothing but its text.
pub fn parse(bytes: &[u8]) -> Parsed {
    let (manifest, diagnostics) =
        read(bytes, Limits::WRITTEN, &shape::MANIFEST, cross::manifest, build::manifest);
    Parsed { manifest, diagnostics }
}

/// The four passes, for one kind of document.
fn read<T>(
    bytes: &[u8],
    limits: Limits,
    object: &'static Object,
    cross: impl FnOnce(&Node, &mut Sink<'_>),
    build: impl FnOnce(&Node) -> Option<T>,
) -> (Option<T>, Vec<Diagnostic>) {
    let text = match yaml::decode(bytes, limits) {
        Ok(text) => text,
        Err(diagnostic) => return (None, vec![diagnostic]),
    };
    let mut sink = Sink::new(text);
    let root = yaml::read(text, limits, &mut sink);
    let mut value = None;
    match root {
        Some(root) => {
            check::document(&root, object, &mut sink);
            cross(&root, &mut sink);
            if !sink.has_errors() {
                value = build(&root);
                debug_assert!(value.is_some(), "a text that broke no rule could not be built");
                if value.is_none() {
                    sink.error("SOV0022", &root.span, "a value cannot be used; this is a fault of sovai");
                }
            }
        }
        None if !sink.has_errors() => {
            sink.error("SOV0025", &(0..0), format!("the file is empty; it should hold {}", object.noun));
        }
        None => {}
    }
    (value, sink.finish())
}

#[cfg(test)]
mod tests;
