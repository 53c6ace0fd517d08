//! `sovai export sbom` and `sovai export provenance`: what a stack consists of, and where this program comes from.

use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{Outcome, safe_line};
use crate::provenance::{self, BUILD};
use crate::sbom::{Bills, source_date, stored_images};
use crate::stack::Pinned;
use serde::Serialize;
use serde_json::{Value, json};
use sha2::Digest as _;
use sovai_core::Sha256;
use sovai_store::{Store, atomic};
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    out: String,
    sha256: Sha256,
    bytes: usize,
    /// How many components it lists, at any depth.
    components: usize,
    /// How many claims are of each kind.
    verified: usize,
    declared: usize,
}

/// Writes the bill of materials of a stack, or of sovai itself.
pub(super) fn run(manifest: Option<&Path>, out: &Path, ctx: &Ctx) -> Result<Exit, CliError> {
    let created = source_date()?;
    let program = Some(provenance::program()?);
    let levels = BTreeMap::new();
    let (bytes, subject) = match manifest {
        Some(manifest) => {
            let pinned = Pinned::load(manifest, ctx)?;
            let store = ctx.settings.store.as_deref().map(Store::look).transpose()?.flatten();
            let images = match &store {
                Some(store) => stored_images(&pinned, store)?,
                None => BTreeMap::new(),
            };
            let options = sovai_verifier::Options {
                cancel: ctx.interrupt()?.cancel(),
                ..sovai_verifier::Options::new(ctx.threads(None))
            };
            let bills = Bills {
                pinned: &pinned,
                store: store.as_ref(),
                images: &images,
                levels: &levels,
                sequence: None,
                created,
                program,
            };
            (bills.stack(&options)?, format!("stack {}", pinned.name()))
        }
        None => (crate::sbom::own(created, program), "sovai".to_owned()),
    };
    write(out, &bytes)?;
    let counted = Counts::of(&bytes)?;
    let shown = safe_line(&out.display().to_string());
    let text = format!(
        "{subject}: {} components, {} claims verified, {} declared: {shown}\n",
        counted.components, counted.verified, counted.declared
    );
    let body = Body {
        out: out.display().to_string(),
        sha256: Sha256::from_bytes(sha2::Sha256::digest(&bytes).into()),
        bytes: bytes.len(),
        components: counted.components,
        verified: counted.verified,
        declared: counted.declared,
    };
    ctx.finish(Outcome { exit: Exit::Done, findings: Vec::new(), body, text })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProvenanceBody {
    out: String,
    /// SHA-256 of the running program.
    program: Sha256,
    /// The commit of its sources, where the build script knew one.
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<&'static str>,
    /// Whether `scripts/build.sh` built it.
    built_by_script: bool,
}

/// Writes where the running program comes from.
pub(super) fn provenance(out: &Path, ctx: &Ctx) -> Result<Exit, CliError> {
    let program = provenance::program()?;
    write(out, &BUILD.bytes(program)?)?;
    if !BUILD.is_known() {
        ctx.out
            .warn("this program was not built by scripts/build.sh: it does not know from what it was built");
    }
    let shown = safe_line(&out.display().to_string());
    let text =
        format!("sovai {program}\n  commit  {}\n  written {shown}\n", BUILD.commit.unwrap_or("unknown"));
    let body = ProvenanceBody {
        out: out.display().to_string(),
        program,
        commit: BUILD.commit,
        built_by_script: BUILD.is_known(),
    };
    ctx.finish(Outcome { exit: Exit::Done, findings: Vec::new(), body, text })
}

fn write(out: &Path, bytes: &[u8]) -> Result<(), CliError> {
    if out.is_dir() {
        let shown = safe_line(&out.display().to_string());
        return Err(CliError::new(Exit::Usage, format!("{shown} is a folder")).hint("name a file"));
    }
    Ok(atomic::write(out, bytes, 0o644)?)
}

/// What a document lists and claims.
#[derive(Default)]
struct Counts {
    components: usize,
    verified: usize,
    declared: usize,
}

impl Counts {
    fn of(bytes: &[u8]) -> Result<Self, CliError> {
        let bom: Value = serde_json::from_slice(bytes).map_err(CliError::internal)?;
        let mut counts = Self::default();
        // What wrote the document is no part of what it lists.
        if let Some(components) = bom.get("components") {
            counts.add(&json!({ "components": components }));
        }
        Ok(counts)
    }

    fn add(&mut self, value: &Value) {
        match value {
            Value::Array(values) => values.iter().for_each(|value| self.add(value)),
            Value::Object(members) => {
                if let Some(Value::Array(components)) = members.get("components") {
                    self.components += components.len();
                }
                let is_claim = members
                    .get("name")
                    .and_then(Value::as_str)
                    .is_some_and(|name| name.starts_with("sovai:claim:"));
                if is_claim {
                    match members.get("value").and_then(Value::as_str) {
                        Some("verified") => self.verified += 1,
                        _ => self.declared += 1,
                    }
                }
                members.values().for_each(|value| self.add(value));
            }
            _ => {}
        }
    }
}
