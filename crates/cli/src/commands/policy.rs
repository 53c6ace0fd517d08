//! `sovai policy`: what a policy decides, and why.

mod explain;

use crate::args::{PolicyArgs, PolicyCommand};
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;
use crate::facts::{self, Pinned};
use crate::input::kind_of;
use crate::manifest::{ManifestFile, count};
use crate::output::{Outcome, safe_line};
use crate::policy::{self, PolicyFile};
use serde::Serialize;
use sovai_core::TrustLevel;
use sovai_manifest::{Source, resolve};
use sovai_policy::{
    Allowed, Facts, Judgement, ModelFacts, RevocationFact, Severity, Subject, TrustFact, judge,
};
use sovai_verifier::Options;
use std::fmt::Write as _;
use std::io::ErrorKind;
use std::path::Path;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    policy: PolicyBody<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_kind: Option<&'static str>,
    refused: usize,
    warnings: usize,
    allowed: &'a [Allowed],
}

#[derive(Serialize)]
struct PolicyBody<'a> {
    name: &'a str,
    file: Option<String>,
    rules: &'a sovai_manifest::Policy,
}

/// Runs the command.
pub(crate) fn run(args: &PolicyArgs, ctx: &Ctx) -> Result<Exit, CliError> {
    match &args.command {
        PolicyCommand::Check { policy, target } => check(policy.as_deref(), target.as_deref(), ctx),
        PolicyCommand::Explain { code } => explain::run(code.as_deref(), ctx),
    }
}

fn check(flag: Option<&Path>, target: Option<&Path>, ctx: &Ctx) -> Result<Exit, CliError> {
    let is_manifest = |path: &Path| path.extension().is_some_and(|end| end == "yaml" || end == "yml");
    let (file, facts, kind) = match target {
        None => (PolicyFile::of(None, flag, ctx.out)?, Facts::default(), None),
        Some(path) if is_manifest(path) => {
            let manifest = ManifestFile::load(path, ctx.out)?;
            let file = PolicyFile::of(Some(&manifest), flag, ctx.out)?;
            (file, of_manifest(&manifest, ctx)?, Some("manifest"))
        }
        Some(path) => {
            let file = PolicyFile::of(None, flag, ctx.out)?;
            (file, of_folder(path, ctx)?, Some("folder"))
        }
    };
    let judgement = judge(&file.policy, &facts);
    let refused = judgement.count(Severity::Refuse);
    let warnings = judgement.count(Severity::Warn);
    let mut text = policy::text(&judgement, &file, true);
    let _ = match (target, refused) {
        (None, _) => writeln!(text, "valid: {}", file.shown()),
        (Some(_), 0) => writeln!(text, "\nallowed by {}{}", file.shown(), also(warnings)),
        (Some(_), n) => writeln!(
            text,
            "\nrefused by {}: {}{}; `sovai policy explain CODE` explains a rule",
            file.shown(),
            count(n, "decision"),
            also(warnings)
        ),
    };
    let findings = policy::data(&judgement);
    let Judgement { allowed, .. } = &judgement;
    ctx.finish(Outcome {
        exit: if refused == 0 { Exit::Done } else { Exit::Refused },
        findings,
        body: Body {
            policy: PolicyBody {
                name: file.policy.name.as_str(),
                file: file.path.as_ref().map(|path| path.display().to_string()),
                rules: &file.policy,
            },
            target: target.map(|path| path.display().to_string()),
            target_kind: kind,
            refused,
            warnings,
            allowed,
        },
        text,
    })
}

fn also(warnings: usize) -> String {
    if warnings == 0 { String::new() } else { format!(", {}", count(warnings, "warning")) }
}

/// What a manifest declares, and what its files are where they lie on this host. No byte is compared with a pin here:
/// `verify` does that.
fn of_manifest(file: &ManifestFile, ctx: &Ctx) -> Result<Facts, CliError> {
    let lock = file.lock()?;
    let resolved = resolve(&file.manifest, lock.as_ref());
    let mut facts = Facts { models: Vec::new(), images: facts::images(&file.manifest) };
    for (name, model) in &file.manifest.models {
        let locked = lock.as_ref().and_then(|lock| lock.models.get(name));
        let mut known = facts::declared(name, model, locked);
        let pins = resolved.models.get(name);
        known.trust = Some(match pins {
            Some(_) => level(TrustLevel::Digest, "every file is pinned; `sovai verify` compares the bytes"),
            None => level(TrustLevel::Unknown, "its files are pinned nowhere"),
        });
        if let Source::File(path) = &model.source {
            let source = file.resolve(path);
            let pinned = pins.map_or(Pinned::Nothing, |pins| Pinned::of(pins));
            match fs_err::symlink_metadata(&source) {
                Ok(_) => look(&mut known, &source, &pinned, true, ctx)?,
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => {
                    let shown = safe_line(&source.display().to_string());
                    return Err(CliError::new(
                        Exit::Unreachable,
                        format!("model {name}: {shown} cannot be read"),
                    )
                    .source(&error));
                }
            }
        }
        facts.models.push(known);
    }
    Ok(facts)
}

fn level(level: TrustLevel, why: &str) -> TrustFact {
    TrustFact { level, why: vec![why.to_owned()], revocations: RevocationFact::NotNeeded }
}

/// A bare folder or file: what would be decided about it if all of it were pinned.
fn of_folder(path: &Path, ctx: &Ctx) -> Result<Facts, CliError> {
    let shown = path.display().to_string();
    kind_of(path, "target")?;
    let source = Some(format!("file:{shown}"));
    let mut known = ModelFacts { source, ..ModelFacts::new(Subject::Folder(shown)) };
    look(&mut known, path, &Pinned::All, false, ctx)?;
    Ok(Facts { models: vec![known], images: Vec::new() })
}

/// Adds what the files of a model are.
fn look(
    known: &mut ModelFacts,
    source: &Path,
    pinned: &Pinned,
    is_model: bool,
    ctx: &Ctx,
) -> Result<(), CliError> {
    let options = Options { cancel: ctx.interrupt()?.cancel(), ..Options::new(ctx.threads(None)) };
    let examination = pinned.examine(source, is_model, &options)?;
    facts::add_examination(known, &examination, pinned);
    if let Some(label) = facts::hub_label(source, pinned) {
        known.hub_license = Some(label);
    }
    Ok(())
}
