//! `sovai verify FOLDER|FILE`: its digests, or the comparison with pins, a signature or a passport.

use super::outputs::{self, Kind};
use super::report::{
    Against, Checked, License, Listed, ModelBody, PassportFact, PolicyBody, Signatures, effort, remarks_text,
};
use super::setup::Setup;
use super::vsa::{self, Written};
use super::{against, base, plain, signed, split_pins};
use crate::args::VerifyArgs;
use crate::commands::record::Recorder;
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;
use crate::facts::{self, Pinned};
use crate::input::kind_of;
use crate::judge::{ModelInput, Refused, Verdict, remainder_text};
use crate::manifest::{ManifestFile, count};
use crate::output::{Outcome, safe_line};
use crate::policy::{self, PolicyFile};
use serde::Serialize;
use sovai_core::{FilePin, Name, Sha256, TrustLevel, format_bytes};
use sovai_manifest::resolve;
use sovai_policy::{Facts, ModelFacts, Severity, Subject};
use sovai_store::model_manifest;
use sovai_trust::Basis;
use sovai_verifier::{Passport, Remainder, Report};
use std::collections::BTreeSet;
use std::fmt::Write as _;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    target: String,
    target_kind: &'static str,
    trust: TrustLevel,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a Name>,
    /// Files with lengths and digests, where those are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<&'a [FilePin]>,
    bytes: u64,
    models: [ModelBody<'a>; 1],
    signatures: Signatures,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<PolicyBody>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    summaries: Vec<Written>,
}

/// What one way of verifying found.
pub(super) struct Found {
    pub(super) name: Option<Name>,
    pub(super) source: String,
    pub(super) against: Against,
    pub(super) report: Option<Report>,
    pub(super) listed: Option<Listed>,
    /// Files that are pinned, signed or in a passport.
    pub(super) pins: Vec<FilePin>,
    /// Which files somebody vouches for.
    pub(super) pinned: Pinned,
    /// Files with lengths and digests, for the result.
    pub(super) files: Option<Vec<FilePin>>,
    /// The model digest.
    pub(super) digest: Option<Sha256>,
    /// What a summary is about where there is no model digest.
    pub(super) subject: Sha256,
    pub(super) signatures: Vec<Verdict>,
    pub(super) named: bool,
    pub(super) unsigned: Vec<Remainder>,
    pub(super) passport: Option<PassportFact>,
    pub(super) unsigned_passport: bool,
    pub(super) refusals: Vec<Refused>,
    /// A passport that was made on the way.
    pub(super) made: Option<Passport>,
    declared: ModelFacts,
    license: Option<License>,
    revision: Option<String>,
    inputs: Vec<sovai_evidence::vsa::Named>,
}

impl Found {
    pub(super) fn new(args: &VerifyArgs, against: Against) -> Self {
        let source = args.target.display().to_string();
        Self {
            name: None,
            against,
            report: None,
            listed: None,
            pins: Vec::new(),
            // Where something is to be compared, nothing counts before it was.
            pinned: Pinned::Paths(BTreeSet::new()),
            files: None,
            digest: None,
            subject: Sha256::from_bytes([0; 32]),
            signatures: Vec::new(),
            named: true,
            unsigned: Vec::new(),
            passport: None,
            unsigned_passport: false,
            refusals: Vec::new(),
            made: None,
            declared: ModelFacts::new(Subject::Folder(source.clone())),
            license: None,
            revision: None,
            inputs: Vec::new(),
            source,
        }
    }
}

/// Whether the operator names a key or a certificate: then the store need not know it.
pub(super) fn trusted_by_option(args: &VerifyArgs) -> bool {
    args.signed.key.is_some() || !args.signed.ca.is_empty()
}

pub(super) fn run(args: &VerifyArgs, ctx: &Ctx, recorder: &mut Recorder) -> Result<Exit, CliError> {
    let kind = kind_of(&args.target, "target")?;
    let pins = match &args.pins {
        Some(pins) => {
            let (manifest, model) = split_pins(pins)?;
            let file = ManifestFile::load(manifest, ctx.out)?;
            let model = pick(&file, model)?;
            Some((file, model))
        }
        None => None,
    };
    let setup = Setup::new(args, policy_of(args, pins.as_ref().map(|(file, _)| file), ctx)?, ctx)?;
    let writer = vsa::Writer::new(&args.summary, &setup, ctx)?;
    if let Some(writer) = &writer {
        writer.check(&[None])?;
    }
    if let Some(out) = &args.passport.out {
        outputs::check(out, Kind::Passport)?;
    }
    let base = args.base.as_deref().map(|path| base::templates(path, &setup.options)).transpose()?;
    let mut found = match (&pins, &args.signed.signature, &args.passport.against) {
        (Some((file, model)), _, _) => compare(args, file, model, &setup)?,
        (None, Some(signature), _) => signed::run(args, signature, &setup)?,
        (None, None, Some(passport)) => against::run(args, passport, &setup)?,
        (None, None, None) => plain::run(args, &setup)?,
    };
    let files = found.files.take();
    let (made, subject) = (found.made.take(), found.digest.unwrap_or(found.subject));
    let inputs = std::mem::take(&mut found.inputs);
    let (checked, facts) = check(args, found, base.as_deref(), &setup)?;
    let judgement = setup.judge.decide(&facts);
    let exit = match checked.exit() {
        Exit::Done if judgement.is_refused() => Exit::Refused,
        exit => exit,
    };
    if let (Some(out), Some(made), Exit::Done) = (&args.passport.out, &made, exit) {
        outputs::write(out, Kind::Passport, &made.to_json())?;
    }
    let mut summaries = Vec::new();
    if let Some(writer) = &writer {
        let passed = exit == Exit::Done;
        match writer.write(&checked, 1, passed, subject, inputs) {
            Ok(written) => summaries.push(written),
            Err(error) if passed => return Err(error),
            // What was found matters more than that it could not be written down.
            Err(error) => ctx.out.warn(&safe_line(error.message())),
        }
    }
    let mut findings = checked.findings();
    findings.extend(policy::data(&judgement));
    if let Some(store) = setup.store.as_ref().filter(|_| checked.against != Against::Nothing) {
        recorder.begin(store);
        if let Some((file, _)) = &pins {
            recorder.manifest(file);
        }
        recorder.policy(setup.judge.policy.as_ref());
        recorder.run.about(super::report::base_name(&checked.source), &subject);
        checked.record(recorder);
        recorder.found(&findings);
    }
    let Setup { judge, reporter, .. } = setup;
    drop(reporter);
    let policy = judge.policy.as_ref();
    let mut text = text(args, &checked, files.as_deref(), exit, policy.map(|file| (file, &judgement)), ctx);
    let mut told = String::new();
    if args.scan && compared(&checked) {
        told.push_str(&scan_text(&checked));
    }
    if let (Some(out), Some(_), Exit::Done) = (&args.passport.out, &made, exit) {
        told.push_str(&outputs::told(out));
    }
    told.extend(summaries.iter().map(Written::told));
    if checked.against == Against::Nothing {
        // Standard output has the digests alone.
        told.lines().for_each(|line| ctx.out.say(line));
    } else {
        text.push_str(&told);
    }
    let bytes = files
        .as_deref()
        .map_or_else(|| checked.report.as_ref().map_or(0, |report| report.bytes), FilePin::total);
    let body = Body {
        target: args.target.display().to_string(),
        target_kind: kind,
        trust: checked.trust(),
        model: checked.name.as_ref(),
        files: files.as_deref(),
        bytes,
        signatures: Signatures::of([&checked]),
        models: [checked.body()],
        policy: policy.map(|file| PolicyBody::new(file, &judgement)),
        summaries,
    };
    ctx.finish(Outcome { exit, findings, body, text })
}

/// The policy that was named; with a manifest's pins, also the one that it names. The built-in one judges stacks alone.
fn policy_of(
    args: &VerifyArgs,
    manifest: Option<&ManifestFile>,
    ctx: &Ctx,
) -> Result<Option<PolicyFile>, CliError> {
    let file = PolicyFile::of(manifest, args.policy.as_deref(), ctx.out)?;
    Ok(file.path.is_some().then_some(file))
}

/// Looks at what the files are, and judges trust.
fn check(
    args: &VerifyArgs,
    found: Found,
    base: Option<&[sovai_formats::Template]>,
    setup: &Setup,
) -> Result<(Checked, Facts), CliError> {
    // Files of which nothing is believed are not looked at either.
    let compared = found.report.is_some() || found.against == Against::Nothing;
    let examine = || found.pinned.examine(&args.target, false, &setup.options);
    let examination = compared.then(examine).transpose()?;
    let matches = found.report.as_ref().is_some_and(|report| report.findings.is_empty());
    let git_blobs = setup.judge.git_blobs(&args.target, &found.pins, &setup.options, &*setup.reporter)?;
    let mut judgement = setup.judge.model(
        found.declared,
        &ModelInput {
            basis: match found.against {
                Against::Nothing => Basis::Nothing,
                Against::Pins => Basis::Pins,
                Against::Signature => Basis::Signature,
                Against::Passport => Basis::Passport,
            },
            matches,
            pins: &found.pins,
            pinned: &found.pinned,
            digest: found.digest,
            folder: &args.target,
            examination: examination.as_ref(),
            unsigned: &found.unsigned,
            signatures: &found.signatures,
            revision: found.revision.as_deref(),
            resolved_at_hub: false,
            git_blobs: &git_blobs,
        },
    );
    if found.unsigned_passport {
        judgement.unknown("the passport itself is not signed: nobody vouches for what it says");
    }
    let differences = match (&examination, base) {
        (Some(examination), Some(base)) => base::differences(&examination.templates, base),
        _ => Vec::new(),
    };
    let scan = if args.scan && compared { setup.scan(&args.target)? } else { Vec::new() };
    let facts = Facts { models: vec![judgement.facts.clone()], images: Vec::new() };
    let has_policy = setup.judge.policy.is_some();
    let checked = Checked {
        name: found.name,
        source: found.source,
        against: found.against,
        report: found.report,
        listed: found.listed,
        license: found.license,
        judgement: Some(judgement),
        signatures: found.signatures,
        named: found.named,
        examination,
        tell_formats: !has_policy,
        passport: found.passport,
        // A policy has a rule of its own for them.
        unsigned: if has_policy { Vec::new() } else { found.unsigned },
        compat: args.signed.compat,
        refusals: found.refusals,
        differences,
        scan,
    };
    Ok((checked, facts))
}

/// A folder against the pins of a manifest's model, with its signatures.
fn compare(args: &VerifyArgs, file: &ManifestFile, model: &Name, setup: &Setup) -> Result<Found, CliError> {
    let lock = file.lock()?;
    let resolved = resolve(&file.manifest, lock.as_ref());
    let Some(pinned) = resolved.models.get(model) else {
        let why = resolved.unpinned.iter().find(|unpinned| unpinned.name == model.as_str());
        let why = why.map_or_else(|| format!("model `{model}` is not pinned"), ToString::to_string);
        return Err(CliError::new(Exit::Refused, why)
            .hint(format!("sovai lock {}", safe_line(&file.path.display().to_string()))));
    };
    let mut found = Found::new(args, Against::Pins);
    found.signatures = setup.judge.signatures(file, model, pinned, setup.compat);
    let (passport, options) = setup.passport(args)?;
    let store = setup.store.as_ref();
    found.report = Some(sovai_verifier::verify(&args.target, pinned, &options, store, &*setup.reporter)?);
    found.made = passport;
    let locked = lock.as_ref().and_then(|lock| lock.models.get(model));
    if let Some(declared) = file.manifest.models.get(model) {
        found.declared = facts::declared(model, declared, locked);
        found.license = declared.license.as_deref().map(License::new);
        found.revision.clone_from(&declared.revision);
    }
    found.revision = found.revision.or_else(|| locked.and_then(|locked| locked.revision.clone()));
    found.digest = Some(model_manifest(pinned).1);
    found.inputs = vsa::lock_input(file, lock.is_some())?;
    found.files = Some(pinned.clone());
    found.pinned = Pinned::of(pinned);
    found.pins.clone_from(pinned);
    found.name = Some(model.clone());
    Ok(found)
}

fn text(
    args: &VerifyArgs,
    checked: &Checked,
    files: Option<&[FilePin]>,
    exit: Exit,
    policy: Option<(&PolicyFile, &sovai_policy::Judgement)>,
    ctx: &Ctx,
) -> String {
    if checked.against == Against::Nothing {
        return list_text(checked, files.unwrap_or_default(), exit, policy, ctx);
    }
    let what = match &checked.name {
        Some(name) => format!("model {name}"),
        None => safe_line(&args.target.display().to_string()),
    };
    let refused_by = policy.filter(|(_, judgement)| judgement.is_refused()).map(|(file, _)| file);
    let mut text = checked.text(&what, refused_by, ctx.settings.talk);
    if let Some((file, judgement)) = policy {
        text.push_str(&policy_text(file, judgement, ctx));
    }
    text.push('\n');
    let bad = checked.report.as_ref().map_or(0, |report| report.findings.len());
    let signatures = Signatures::of([checked]);
    let _ = match (exit, &checked.report) {
        (Exit::Done, Some(report)) => {
            writeln!(text, "verified: {}; {}", effort(&[report]), signatures.shown())
        }
        (Exit::Mismatch, _) => writeln!(text, "failed: {}", count(bad, "finding")),
        (_, None) => writeln!(text, "refused: no file was compared"),
        (_, Some(_)) => {
            writeln!(
                text,
                "refused: what is said above stands against it; `sovai policy explain CODE` explains a rule"
            )
        }
    };
    text
}

/// Whether its files were looked at.
fn compared(checked: &Checked) -> bool {
    checked.report.is_some() || checked.against == Against::Nothing
}

/// What a look into the tensors came to: also nothing is worth a line, with what was looked at.
pub(super) fn scan_text(checked: &Checked) -> String {
    let of = |word: &str| {
        let files = checked.examination.iter().flat_map(|examination| &examination.files);
        files.filter(|file| file.content.word() == word).count()
    };
    let looked = of("safetensors") + of("gguf");
    let model = checked.name.as_ref().map(|name| format!("model {name}, ")).unwrap_or_default();
    format!(
        "scanned: {model}tensors of {} (safetensors and GGUF); {}\n",
        count(looked, "file"),
        count(checked.scan.len(), "warning")
    )
}

/// Digests alone on standard output, the rest on standard error.
fn list_text(
    checked: &Checked,
    files: &[FilePin],
    exit: Exit,
    policy: Option<(&PolicyFile, &sovai_policy::Judgement)>,
    ctx: &Ctx,
) -> String {
    let talk = ctx.settings.talk;
    let mut said = remarks_text(&checked.remarks(), talk);
    for difference in &checked.differences {
        said.push_str(&difference.text());
    }
    if let Some((file, judgement)) = policy {
        said.push_str(&policy_text(file, judgement, ctx));
    }
    if let Some(listed) = &checked.listed {
        said.push_str(&remainder_text(&listed.remainder, talk));
    }
    if !said.is_empty() {
        ctx.out.say(said.trim_end());
    }
    ctx.out.say(&format!(
        "{}, {}; trust level unknown: nothing says what these bytes must be{}",
        count(files.len(), "file"),
        format_bytes(FilePin::total(files)),
        if exit == Exit::Refused { "; refused" } else { "" }
    ));
    plain::list(files)
}

/// What the policy decided, if it is not a plain yes, or if more is asked for.
pub(super) fn policy_text(file: &PolicyFile, judgement: &sovai_policy::Judgement, ctx: &Ctx) -> String {
    let verbose = ctx.settings.talk >= crate::output::Talk::Verbose;
    if judgement.decisions.is_empty() && !verbose {
        return String::new();
    }
    format!("{}:\n{}", file.shown(), policy::text(judgement, file, verbose))
}

impl PolicyBody {
    pub(super) fn new(file: &PolicyFile, judgement: &sovai_policy::Judgement) -> Self {
        Self {
            name: file.policy.name.to_string(),
            file: file.path.as_ref().map(|path| path.display().to_string()),
            refused: judgement.count(Severity::Refuse),
            warnings: judgement.count(Severity::Warn),
        }
    }
}

/// The model that was named, or the only one there is.
fn pick(file: &ManifestFile, model: Option<Name>) -> Result<Name, CliError> {
    let names: Vec<&str> = file.manifest.models.keys().map(Name::as_str).collect();
    match model {
        Some(name) if file.manifest.models.contains_key(&name) => Ok(name),
        Some(name) => {
            let error = CliError::new(Exit::Usage, format!("--pins: the manifest has no model `{name}`"));
            Err(match sovai_catalog::suggest(name.as_str(), names.iter().copied()) {
                Some(near) => error.hint(format!("did you mean `{near}`?")),
                None => error.hint(format!("its models are {}", names.join(", "))),
            })
        }
        None => match file.manifest.models.keys().next() {
            Some(only) if names.len() == 1 => Ok(only.clone()),
            _ => Err(CliError::new(Exit::Usage, "--pins: say which model's pins are meant")
                .hint(format!("write --pins MANIFEST#MODEL with one of {}", names.join(", ")))),
        },
    }
}
