//! `sovai pull`: models and images into the store, verified.

mod images;
mod models;
mod space;

use super::record::Recorder;
use crate::args::PullArgs;
use crate::commands::verify::write_passport;
use crate::ctx::Ctx;
use crate::error::{CliError, as_data};
use crate::exit::Exit;
use crate::findings;
use crate::manifest::count;
use crate::net::Net;
use crate::output::{Outcome, hint_line, safe_line, style};
use crate::stack::Pinned;
use serde::Serialize;
use sovai_core::{FilePin, Name, Reference, Sha256, format_bytes};
use sovai_sources::FetchedFile;
use sovai_store::{Store, model_manifest};
use sovai_verifier::{Finding, Options, Receipt};
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fmt::Write as _;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    manifest: String,
    stack: &'a Name,
    store: String,
    models: Vec<ModelBody>,
    images: &'a [images::ImageBody],
    /// Bytes that came over the network.
    fetched: u64,
    passports: Vec<String>,
}

#[derive(Serialize)]
struct ModelBody {
    name: Name,
    source: String,
    /// The model digest.
    digest: Sha256,
    bytes: u64,
    files: Vec<FileBody>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FileBody {
    path: String,
    size: u64,
    sha256: Sha256,
    /// The sources that gave bytes; empty when the store had them all.
    from: Vec<String>,
    /// Bytes that came over the network.
    fetched: u64,
    /// Bytes that the store had, or an earlier run had got.
    there: u64,
}

/// What the parts of a pull share.
struct Pull<'a> {
    pinned: &'a Pinned,
    args: &'a PullArgs,
    ctx: &'a Ctx,
    store: &'a Store,
    options: &'a Options,
    /// The repository that all comes from.
    from: Option<Reference>,
    /// Made when it is first needed: what is on this host needs no network.
    net: OnceCell<Net>,
}

impl Pull<'_> {
    /// The network; `what` says what it is needed for.
    fn net(&self, what: &str) -> Result<&Net, CliError> {
        if let Some(net) = self.net.get() {
            return Ok(net);
        }
        let new = Net::new(&self.args.net, what, self.ctx)?;
        Ok(self.net.get_or_init(|| new))
    }
}

/// A repository as `pull --from` and `push` name it: `oci://HOST/REPOSITORY`, without tag or digest.
pub(super) fn repository(text: &str) -> Result<Reference, CliError> {
    let wrong = |why: &str| {
        CliError::new(Exit::Usage, format!("`{}` is no repository: {why}", safe_line(text)))
            .hint("as in oci://registry.example/ai/stack")
    };
    let rest = text.strip_prefix("oci://").or_else(|| text.strip_prefix("oci:"));
    let reference = crate::net::parse(rest.ok_or_else(|| wrong("it does not begin with `oci://`"))?)?;
    if reference.host().is_none() {
        return Err(wrong("it names no registry"));
    }
    if reference.tag().is_some() || reference.digest().is_some() {
        return Err(wrong("tags and digests follow from the stack"));
    }
    Ok(reference)
}

/// The error of what is not in the repository of `--from`. A registry that wants credentials may say the same of what is there.
fn not_in(pull: &Pull<'_>, what: &str, from: &Reference, why: &str) -> CliError {
    let manifest = safe_line(&pull.pinned.file.path.display().to_string());
    CliError::new(Exit::Unreachable, format!("{what} is not in oci://{from}, or may not be read there"))
        .cause(safe_line(why))
        .hint(format!("push it first, from where it is in a store: sovai push {manifest} oci://{from}"))
        .hint("check the name; credentials are those that `docker login` or `podman login` keep")
}

/// Runs the command.
pub(crate) fn run(args: &PullArgs, ctx: &Ctx) -> Result<Exit, CliError> {
    let mut recorder = Recorder::new("pull");
    let result = work(args, ctx, &mut recorder);
    recorder.finish(&result, ctx);
    result
}

fn work(args: &PullArgs, ctx: &Ctx, recorder: &mut Recorder) -> Result<Exit, CliError> {
    let pinned = Pinned::load(&args.manifest, ctx)?;
    if let Some(unknown) = args.model.iter().find(|name| !pinned.resolved.models.contains_key(*name)) {
        let known: Vec<&str> = pinned.resolved.models.keys().map(Name::as_str).collect();
        return Err(CliError::new(Exit::Usage, format!("the manifest has no model {unknown}"))
            .hint(format!("its models: {}", known.join(", "))));
    }
    let from = args.from.as_deref().map(repository).transpose()?;
    let store = ctx.open_store()?;
    recorder.begin(&store);
    recorder.pinned(&pinned);
    recorder
        .run
        .models
        .retain(|name, _| args.model.is_empty() || args.model.iter().any(|of| of.as_str() == name));
    let interrupt = ctx.interrupt()?;
    let options = Options { cancel: interrupt.cancel(), ..Options::new(ctx.threads(args.threads)) };
    let pull =
        Pull { pinned: &pinned, args, ctx, store: &store, options: &options, from, net: OnceCell::new() };
    // Nothing of it is pruned from now on.
    let hold = store.hold("sovai pull")?;
    let from = pull.from.as_ref().map(|from| format!("oci://{from}"));
    store.record_root(&hold, &sovai_store::Root { from, ..pinned.root()? })?;
    let reporter = ctx.reporter();
    let planned = if args.model.is_empty() { images::plan(&pull)? } else { Vec::new() };
    space::check(&pull, &planned)?;
    let models = models::pull(&pull, &*reporter)?;
    let images = if models.found.is_empty() { images::pull(&pull, planned, &*reporter)? } else { Vec::new() };
    let passports = passports(&pull, &models.receipts, &*reporter)?;
    drop((reporter, hold));
    finish(&pull, &models, &images, passports, recorder)
}

/// What came of the models.
#[derive(Debug, Default)]
struct Models {
    receipts: BTreeMap<Name, Receipt>,
    found: BTreeMap<Name, Vec<Finding>>,
    /// What was fetched for files of remote models.
    fetched: BTreeMap<Name, Vec<FetchedFile>>,
}

/// A passport of each model, made of its files in the store.
fn passports(
    pull: &Pull<'_>,
    receipts: &BTreeMap<Name, Receipt>,
    reporter: &dyn sovai_core::Reporter,
) -> Result<Vec<String>, CliError> {
    let Some(folder) = &pull.args.passport else { return Ok(Vec::new()) };
    let mut written = Vec::new();
    for (name, receipt) in receipts {
        let made = sovai_verifier::make_passport(receipt.tree(), pull.options, Some(pull.store), reporter)?;
        let path = folder.join(format!("{name}.passport.json"));
        write_passport(&path, &made)?;
        written.push(path.display().to_string());
    }
    Ok(written)
}

fn finish(
    pull: &Pull<'_>,
    models: &Models,
    images: &[images::ImageBody],
    passports: Vec<String>,
    recorder: &mut Recorder,
) -> Result<Exit, CliError> {
    let mut text = String::new();
    let mut data = Vec::new();
    let mut bodies = Vec::new();
    for (name, pins) in &pull.pinned.resolved.models {
        if let Some(found) = models.found.get(name) {
            recorder.model(name).matches = Some(false);
            let _ = writeln!(text, "model {name}: {}FAILED{}", style::ERROR, style::RESET);
            text.push_str(&findings::text(found));
            data.extend(findings::of_model(name, as_data(found)));
            continue;
        }
        if !models.receipts.contains_key(name) {
            continue;
        }
        let body = model_body(pull, name, pins, models.fetched.get(name));
        let came: u64 = body.files.iter().map(|file| file.fetched).sum();
        let what =
            if came == 0 { "in the store".to_owned() } else { format!("{} fetched", format_bytes(came)) };
        let model = recorder.model(name);
        (model.matches, model.fetched) = (Some(true), Some(came));
        let files = count(pins.len(), "file");
        let _ = writeln!(text, "model {name}: {files}, {}, verified, {what}", format_bytes(body.bytes));
        bodies.push(body);
    }
    for image in images {
        let record = recorder.image(&image.name);
        record.id = Some(image.id.to_string());
        (record.origin, record.fetched) = (Some(image.origin.clone()), Some(image.fetched));
        let name = safe_line(&image.name);
        let _ = writeln!(text, "image {name}: {}, {}", image.id, safe_line(&image.origin));
        if let Some(warning) = &image.warning {
            let _ = writeln!(
                text,
                "{}warning:{} image {name}: {}",
                style::WARNING,
                style::RESET,
                safe_line(warning)
            );
        }
    }
    for path in &passports {
        let _ = writeln!(text, "passport: {}", safe_line(path));
    }
    recorder.found(&data);
    let fetched: u64 = bodies.iter().flat_map(|body| &body.files).map(|file| file.fetched).sum();
    let fetched = images.iter().fold(fetched, |sum, image| sum.saturating_add(image.fetched));
    let exit = if models.found.is_empty() { Exit::Done } else { Exit::Mismatch };
    if exit == Exit::Mismatch {
        text.push_str("\nfailed: the source is not what was pinned\n");
        text.push_str(&hint_line("bring the pinned files again, or make the lock again with `sovai lock`"));
    }
    let body = Body {
        manifest: pull.pinned.file.path.display().to_string(),
        stack: pull.pinned.name(),
        store: pull.store.root().display().to_string(),
        models: bodies,
        images,
        fetched,
        passports,
    };
    pull.ctx.finish(Outcome { exit, findings: data, body, text })
}

fn model_body(
    pull: &Pull<'_>,
    name: &Name,
    pins: &[FilePin],
    fetched: Option<&Vec<FetchedFile>>,
) -> ModelBody {
    let source = pull.pinned.manifest().models.get(name).map(|model| model.source.to_string());
    let file = |(at, pin): (usize, &FilePin)| {
        let came = fetched.and_then(|files| files.get(at));
        FileBody {
            path: pin.path.to_string(),
            size: pin.size,
            sha256: pin.sha256,
            from: came.map(|came| came.from.clone()).unwrap_or_default(),
            fetched: came.map_or(0, |came| came.fetched),
            there: came.map_or(pin.size, |came| came.there),
        }
    };
    ModelBody {
        name: name.clone(),
        source: source.unwrap_or_default(),
        digest: model_manifest(pins).1,
        bytes: FilePin::total(pins),
        files: pins.iter().enumerate().map(file).collect(),
    }
}
