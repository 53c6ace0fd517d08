//! `sovai verify MANIFEST`: every model of a stack against its pins, its signatures and the policy.

use super::base;
use super::folder::{policy_text, scan_text};
use super::outputs::{self, Kind};
use super::report::{Against, Checked, License, ModelBody, PolicyBody, Signatures, effort};
use super::setup::Setup;
use super::vsa::{self, Written};
use crate::args::VerifyArgs;
use crate::commands::record::{self, Recorder};
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;
use crate::facts;
use crate::findings;
use crate::manifest::{ManifestFile, count};
use crate::output::{Outcome, hint_line, safe_line, style};
use crate::policy::{self, PolicyFile};
use serde::Serialize;
use sovai_core::{FilePin, Name};
use sovai_formats::Template;
use sovai_manifest::{ImagePin, Lock, Model, Resolved, Unpinned, UnpinnedKind, Why, resolve};
use sovai_policy::{Facts, Judgement, Severity, Subject};
use sovai_store::{Store, model_manifest};
use sovai_verifier::{Finding, Passport, Remainders, Report, VerifyError};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    target: String,
    target_kind: &'static str,
    stack: &'a Name,
    models: Vec<ModelBody<'a>>,
    images: Vec<ImageBody<'a>>,
    unpinned: &'a [Unpinned],
    signatures: Signatures,
    policy: Option<PolicyBody>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    summaries: Vec<Written>,
}

#[derive(Serialize)]
struct ImageBody<'a> {
    name: &'a str,
    pin: Option<String>,
}

/// The models as they were checked, what the policy judges by, and passports that were made.
struct Models {
    checked: Vec<Checked>,
    facts: Facts,
    passports: BTreeMap<Name, Passport>,
}

pub(super) fn run(args: &VerifyArgs, ctx: &Ctx, recorder: &mut Recorder) -> Result<Exit, CliError> {
    let file = ManifestFile::load(&args.target, ctx.out)?;
    let lock = file.lock()?;
    let resolved = resolve(&file.manifest, lock.as_ref());
    let policy = PolicyFile::of(Some(&file), args.policy.as_deref(), ctx.out)?;
    let setup = Setup::new(args, Some(policy), ctx)?;
    begin(&file, lock.as_ref(), &resolved, &setup, recorder);
    let names: Vec<Option<&Name>> = resolved.models.keys().map(Some).collect();
    if args.summary.vsa.is_some() && names.is_empty() {
        let shown = safe_line(&file.path.display().to_string());
        return Err(CliError::new(
            Exit::Usage,
            "--vsa signs what a comparison came to, and no model is pinned",
        )
        .hint(format!("sovai lock {shown}")));
    }
    let writer = vsa::Writer::new(&args.summary, &setup, ctx)?;
    if let Some(writer) = &writer {
        writer.check(&names)?;
    }
    if let Some(out) = &args.passport.out {
        for name in &names {
            outputs::check(&outputs::place(out, Kind::Passport, *name, names.len()), Kind::Passport)?;
        }
    }
    let models = check(&file, lock.as_ref(), &resolved, args, &setup)?;
    let judgement = setup.judge.decide(&models.facts);
    let looked = models.checked.iter().filter(|model| args.scan && model.examination.is_some());
    let mut told: String = looked.map(scan_text).collect();
    for (name, passport) in &models.passports {
        let good = models.checked.iter().any(|model| model.name.as_ref() == Some(name) && model.matches());
        if let (Some(out), true) = (&args.passport.out, good) {
            let path = outputs::place(out, Kind::Passport, Some(name), names.len());
            outputs::write(&path, Kind::Passport, &passport.to_json())?;
            told.push_str(&outputs::told(&path));
        }
    }
    let summaries = match &writer {
        Some(writer) => summarise(writer, &file, &models.checked, &judgement, lock.is_some(), ctx)?,
        None => Vec::new(),
    };
    told.extend(summaries.iter().map(Written::told));
    models.checked.iter().for_each(|checked| checked.record(recorder));
    let Setup { judge, reporter, .. } = setup;
    drop(reporter);
    finish(
        &file,
        &resolved,
        &models.checked,
        judge.policy.as_ref(),
        &judgement,
        (summaries, told, recorder),
        ctx,
    )
}

/// From here on the run is recorded, if anything is pinned: without pins nothing is compared.
fn begin(
    file: &ManifestFile,
    lock: Option<&Lock>,
    resolved: &Resolved,
    setup: &Setup,
    recorder: &mut Recorder,
) {
    let Some(store) = setup.store.as_ref().filter(|_| !resolved.models.is_empty()) else { return };
    recorder.begin(store);
    recorder.manifest(file);
    if lock.is_some() {
        recorder.lock(file);
    }
    recorder.policy(setup.judge.policy.as_ref());
    for (name, pins) in &resolved.models {
        let model = recorder.model(name);
        *model = record::pinned_model(pins);
        record::declare(model, &file.manifest, name, lock.and_then(|lock| lock.models.get(name)));
    }
}

/// Verifies every model that is pinned, all of them, also after one that failed.
fn check(
    file: &ManifestFile,
    lock: Option<&Lock>,
    resolved: &Resolved,
    args: &VerifyArgs,
    setup: &Setup,
) -> Result<Models, CliError> {
    // What cannot be read at all is said before anything is read.
    let store = setup.store.as_ref().map(Store::root);
    for (name, pins) in &resolved.models {
        file.place(name, pins, store)?;
    }
    let base = args.base.as_deref().map(|path| base::templates(path, &setup.options)).transpose()?;
    let mut models = Models {
        checked: Vec::new(),
        facts: Facts { models: Vec::new(), images: facts::images(&file.manifest) },
        passports: BTreeMap::new(),
    };
    for (name, model) in &file.manifest.models {
        let mut checked = unpinned(name, model);
        if let Some(pins) = resolved.models.get(name) {
            let made = compare(file, lock, name, pins, base.as_deref(), args, setup, &mut checked)?;
            models.passports.extend(made.map(|made| (name.clone(), made)));
        }
        // A model that is pinned nowhere is a warning here: nothing is known of it that a policy could judge.
        models.facts.models.extend(checked.judgement.as_ref().map(|judgement| judgement.facts.clone()));
        models.checked.push(checked);
    }
    Ok(models)
}

/// A model of which nothing was found out yet.
fn unpinned(name: &Name, model: &Model) -> Checked {
    Checked {
        name: Some(name.clone()),
        source: model.source.to_string(),
        against: Against::Nothing,
        report: None,
        listed: None,
        license: model.license.as_deref().map(License::new),
        judgement: None,
        signatures: Vec::new(),
        named: true,
        examination: None,
        tell_formats: false,
        passport: None,
        unsigned: Vec::new(),
        compat: false,
        refusals: Vec::new(),
        differences: Vec::new(),
        scan: Vec::new(),
    }
}

/// One model against its pins.
#[expect(clippy::too_many_arguments, reason = "one call; each is a part of what was read before")]
fn compare(
    file: &ManifestFile,
    lock: Option<&Lock>,
    name: &Name,
    pins: &[FilePin],
    base: Option<&[Template]>,
    args: &VerifyArgs,
    setup: &Setup,
    checked: &mut Checked,
) -> Result<Option<Passport>, CliError> {
    let source = file.place(name, pins, setup.store.as_ref().map(Store::root))?;
    let (passport, options) = match args.passport.out {
        Some(_) => setup.passport_of(&source)?,
        None => (None, setup.options.clone()),
    };
    let report = sovai_verifier::verify(&source, pins, &options, setup.store.as_ref(), &*setup.reporter);
    checked.against = Against::Pins;
    match (report, findings::missing_single(&source, pins)) {
        (Err(VerifyError::SourceMissing { .. }), Some(missing)) => {
            checked.report = Some(unread(missing, pins));
            return Ok(None);
        }
        (report, _) => checked.report = Some(report?),
    }
    let locked = lock.and_then(|lock| lock.models.get(name));
    let judged = setup.judge.stack_model(
        file,
        name,
        locked,
        pins,
        &source,
        checked.matches(),
        setup.compat,
        &setup.options,
        &*setup.reporter,
    )?;
    if let Some(base) = base {
        checked.differences = base::differences(&judged.examination.templates, base);
    }
    if args.scan {
        checked.scan = setup.scan(&source)?;
    }
    checked.examination = Some(judged.examination);
    checked.judgement = Some(judged.judgement);
    checked.signatures = judged.signatures;
    Ok(passport)
}

/// The report of a model of which nothing could be read.
fn unread(missing: Finding, pins: &[FilePin]) -> Report {
    Report {
        findings: vec![missing],
        files: pins.len() as u64,
        bytes: FilePin::total(pins),
        hashed: 0,
        elapsed: Duration::ZERO,
        remainder: Remainders::default(),
    }
}

/// A summary of each model that is pinned.
fn summarise(
    writer: &vsa::Writer<'_>,
    file: &ManifestFile,
    models: &[Checked],
    judgement: &Judgement,
    locked: bool,
    ctx: &Ctx,
) -> Result<Vec<Written>, CliError> {
    let of: Vec<&Checked> = models.iter().filter(|model| model.report.is_some()).collect();
    let mut all = Vec::new();
    for model in &of {
        let name = model.name.as_ref().map_or("", Name::as_str);
        let passed = model.exit() == Exit::Done && !refuses(judgement, name);
        let pins = model.judgement.as_ref().and_then(|judgement| judgement.digest);
        let Some(subject) = pins.or_else(|| model_digest(file, name)) else { continue };
        match writer.write(model, of.len(), passed, subject, vsa::lock_input(file, locked)?) {
            Ok(written) => all.push(written),
            Err(error) if passed => return Err(error),
            // What was found matters more than that it could not be written down.
            Err(error) => ctx.out.warn(&safe_line(error.message())),
        }
    }
    Ok(all)
}

/// Whether the policy refuses this model.
fn refuses(judgement: &Judgement, name: &str) -> bool {
    judgement.decisions.iter().any(|decision| {
        decision.severity == Severity::Refuse && matches!(&decision.subject, Subject::Model(of) if of == name)
    })
}

/// The digest of a model whose files could not be read: that of its pins.
fn model_digest(file: &ManifestFile, name: &str) -> Option<sovai_core::Sha256> {
    let resolved = resolve(&file.manifest, file.lock().ok()?.as_ref());
    let (_, pins) = resolved.models.iter().find(|(of, _)| of.as_str() == name)?;
    Some(model_manifest(pins).1)
}

fn finish(
    file: &ManifestFile,
    resolved: &Resolved,
    models: &[Checked],
    policy: Option<&PolicyFile>,
    judgement: &Judgement,
    (summaries, told, recorder): (Vec<Written>, String, &mut Recorder),
    ctx: &Ctx,
) -> Result<Exit, CliError> {
    let mut text = format!("{}stack {}{}\n", style::BOLD, file.manifest.name, style::RESET);
    let mut data = Vec::new();
    for checked in models {
        let name = checked.name.as_ref().map_or("", Name::as_str);
        data.extend(checked.findings());
        if checked.against == Against::Nothing {
            let license = checked.license.as_ref();
            let license =
                license.map_or("no licence stated".to_owned(), |l| format!("licence {}", l.shown()));
            let (on, off) = (style::WARNING, style::RESET);
            let _ = writeln!(text, "model {name}: {on}not pinned{off}  trust level unknown, {license}");
        } else {
            let refused_by = policy.filter(|_| refuses(judgement, name));
            text.push_str(&checked.text(&format!("model {name}"), refused_by, ctx.settings.talk));
        }
    }
    let images = image_bodies(file, resolved);
    for image in &images {
        let name = safe_line(image.name);
        let _ = match &image.pin {
            Some(pin) => writeln!(text, "image {name}: pinned to {pin}"),
            None => writeln!(text, "image {name}: {}not pinned{}", style::WARNING, style::RESET),
        };
    }
    if let Some(file) = policy {
        text.push_str(&policy_text(file, judgement, ctx));
    }
    warn(resolved, file, ctx);

    let conflict = resolved.unpinned.iter().any(|unpinned| matches!(unpinned.why, Why::Conflict { .. }));
    let differ: usize =
        models.iter().map(|model| model.report.as_ref().map_or(0, |report| report.findings.len())).sum();
    let refused = judgement.is_refused() || models.iter().any(|model| model.exit() == Exit::Refused);
    let exit = match (differ, conflict || refused) {
        (1.., _) => Exit::Mismatch,
        (0, true) => Exit::Refused,
        (0, false) => Exit::Done,
    };
    let reports: Vec<&Report> = models.iter().filter_map(|model| model.report.as_ref()).collect();
    let signatures = Signatures::of(models);
    text.push('\n');
    let _ = if differ > 0 {
        writeln!(text, "failed: {}; the source is not what was pinned", count(differ, "finding"))
    } else if conflict {
        writeln!(text, "refused: the manifest and its lock do not agree")
    } else if refused {
        writeln!(text, "refused: `sovai policy explain CODE` explains a rule")
    } else if reports.is_empty() {
        writeln!(text, "nothing was verified: no model is pinned")
    } else {
        writeln!(text, "verified: {}; {}", effort(&reports), signatures.shown())
    };
    text.push_str(&told);
    data.extend(policy::data(judgement));
    data.extend(resolved.unpinned.iter().map(as_warning));
    recorder.found(&data);
    let body = Body {
        target: file.path.display().to_string(),
        target_kind: "manifest",
        stack: &file.manifest.name,
        models: models.iter().map(Checked::body).collect(),
        images,
        unpinned: &resolved.unpinned,
        signatures,
        policy: policy.map(|file| PolicyBody::new(file, judgement)),
        summaries,
    };
    ctx.finish(Outcome { exit, findings: data, body, text })
}
fn image_bodies<'a>(file: &'a ManifestFile, resolved: &Resolved) -> Vec<ImageBody<'a>> {
    let mut names: Vec<&str> =
        file.manifest.services.values().map(|service| service.image.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let pin = |name| resolved.images.get(name).map(|image| shown_pin(image.pin));
    names.into_iter().map(|name| ImageBody { name, pin: pin(name) }).collect()
}

fn shown_pin(pin: ImagePin) -> String {
    match pin {
        ImagePin::Digest(digest) => format!("registry digest {digest}"),
        ImagePin::Id(id) => format!("image ID {id}"),
    }
}

fn warn(resolved: &Resolved, file: &ManifestFile, ctx: &Ctx) {
    for unpinned in &resolved.unpinned {
        ctx.out.warn(&safe_line(&unpinned.to_string()));
    }
    if !resolved.unpinned.is_empty() {
        let manifest = safe_line(&file.path.display().to_string());
        ctx.out.say(hint_line(&format!("sovai lock {manifest}")).trim_end());
    }
}

/// What is pinned nowhere, as a finding that is a warning.
fn as_warning(unpinned: &Unpinned) -> serde_json::Value {
    let kind = match unpinned.kind {
        UnpinnedKind::Model => "model",
        UnpinnedKind::Image => "image",
    };
    serde_json::json!({
        "type": "unpinned", "severity": "warning", "kind": kind, "name": unpinned.name, "message": unpinned.to_string()
    })
}
