//! `sovai deploy`: verify, plan, launch, wait until ready, ask one real question.

use super::record::Recorder;
use crate::args::DeployArgs;
use crate::ctx::Ctx;
use crate::error::{CliError, as_data};
use crate::exit::Exit;
use crate::findings;
use crate::judge::stack::{ModelTrust, judge_admitted, levels, refuse_early};
use crate::judge::{Judge, Judged};
use crate::manifest::is_there;
use crate::output::{Outcome, safe_line};
use crate::policy::PolicyFile;
use crate::signals::interrupted;
use crate::stack::{Host, Pinned, plan};
use serde::Serialize;
use sovai_core::{FilePin, Name, Reporter};
use sovai_deployer::docker::Docker;
use sovai_deployer::{Executor, Outcome as Deployed, Question};
use sovai_manifest::Auth;
use sovai_store::Store;
use sovai_verifier::{Finding, Options, Receipt, VerifyError};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    stack: &'a Name,
    #[serde(flatten)]
    deployed: &'a Deployed,
    gateway: Option<String>,
    /// How strongly the origin of each model is proven.
    models: Vec<ModelTrust<'a>>,
    unchanged: &'a [String],
}

/// Runs the command.
pub(crate) fn run(args: &DeployArgs, ctx: &Ctx) -> Result<Exit, CliError> {
    let mut recorder = Recorder::new("deploy");
    let result = work(args, ctx, &mut recorder);
    recorder.finish(&result, ctx);
    result
}

fn work(args: &DeployArgs, ctx: &Ctx, recorder: &mut Recorder) -> Result<Exit, CliError> {
    let pinned = Pinned::load(&args.manifest, ctx)?;
    let store = ctx.open_store()?;
    recorder.begin(&store);
    recorder.pinned(&pinned);
    let folder = store.stack(pinned.name());
    let _lock = folder.lock("sovai deploy")?;
    // Nothing is pruned until the root says what this deploy needs.
    let hold = store.hold("sovai deploy")?;
    let options = args.reading.options(ctx)?;
    let policy = PolicyFile::of(Some(&pinned.file), None, ctx.out)?;
    recorder.policy(Some(&policy));
    let judge = Judge::new(Some(&store), Some(policy))?;
    let interrupt = ctx.interrupt()?.clone();
    let cancel = interrupt.cancel();
    let question = Question {
        prompt: args.question.clone().unwrap_or_else(|| Question::default().prompt),
        ..Question::default()
    };
    let reporter = ctx.reporter();
    let work = async {
        let engine = Docker::connect(Some(&ctx.settings.host)).await?;
        let host = Host::look(&engine).await?;
        let blueprint = pinned.blueprint(&engine, &host, store.root(), args.timeout).await?;
        recorder.images(pinned.manifest(), &blueprint);
        // What can be known now is said now, not after an hour of hashing.
        refuse_early(&judge, &pinned, Some(store.root()))?;
        stored(&pinned, &store)?;
        plan(&engine, &blueprint, Some(&folder)).await?;
        store.record_root(&hold, &pinned.root()?)?;
        drop(hold);
        let receipts = match admit(&pinned, &store, &options, &*reporter)? {
            Ok(receipts) => receipts,
            Err(found) => return Ok(Err(found)),
        };
        let (judged, findings) = judge_admitted(&judge, &pinned, &receipts, &options, &*reporter, ctx.out)?;
        recorder.judged(&judged);
        recorder.found(&findings);
        let (plan, _) = plan(&engine, &blueprint, Some(&folder)).await?;
        let admitted = plan.admit(&receipts)?;
        let executor = Executor {
            engine: &engine,
            store: &store,
            gateway_archive: &|| host.archive(),
            cancel: &cancel,
            question: &question,
        };
        let deployed = Box::pin(executor.run(&admitted, &*reporter)).await?;
        Ok::<_, CliError>(Ok((deployed, admitted.plan().unchanged.clone(), judged)))
    };
    let result = ctx.block_on(work)?;
    drop(reporter);
    match result? {
        Ok((deployed, unchanged, judged)) => {
            recorder.serves(pinned.manifest());
            (recorder.run.generation, recorder.run.changed) =
                (Some(deployed.generation), Some(deployed.changed));
            finish(&pinned, &deployed, &unchanged, &judged, ctx)
        }
        Err(_) if interrupt.is_set() => Err(interrupted()),
        Err(found) => {
            for name in found.keys() {
                recorder.model(name).matches = Some(false);
            }
            Err(mismatch(&pinned, &found, "nothing was started"))
        }
    }
}

/// What was found wrong with models.
pub(crate) type Found = BTreeMap<Name, Vec<Finding>>;

/// Refuses models whose source is not on this host and whose bytes are not all in the store: deploy never downloads.
pub(crate) fn stored(pinned: &Pinned, store: &Store) -> Result<(), CliError> {
    stored_in(pinned, Some(store))
}

/// The same where there may be no store yet.
pub(crate) fn stored_in(pinned: &Pinned, store: Option<&Store>) -> Result<(), CliError> {
    let has = |pin: &FilePin| store.is_some_and(|store| store.has_blob(&pin.sha256));
    let lacking = |(name, pins): &(&Name, &Vec<FilePin>)| pinned.is_remote(name) && !pins.iter().all(has);
    match pinned.resolved.models.iter().find(lacking) {
        Some((name, _)) => Err(pinned.file.not_pulled(name)),
        None => Ok(()),
    }
}

/// Verifies every model and brings it into the store: a receipt for each, or what was found.
pub(crate) fn admit(
    pinned: &Pinned,
    store: &Store,
    options: &Options,
    reporter: &dyn Reporter,
) -> Result<Result<BTreeMap<Name, Receipt>, Found>, CliError> {
    let (mut receipts, mut found) = (BTreeMap::new(), Found::new());
    for (name, pins) in &pinned.resolved.models {
        // A bundle brings the bytes of a `file:` source, and not the source. One that is there is looked at.
        let is_here = || pinned.file.local_source(name).is_ok_and(|source| is_there(&source));
        if pinned.is_remote(name) || (!is_here() && pins.iter().all(|pin| store.has_blob(&pin.sha256))) {
            let admission = sovai_verifier::admit_stored(name, pins, store, options, reporter)?;
            match admission.receipt {
                Some(receipt) => drop(receipts.insert(name.clone(), receipt)),
                None => drop(found.insert(name.clone(), admission.report.findings)),
            }
            continue;
        }
        let source = pinned.file.local_source(name)?;
        let admission = sovai_verifier::admit(name, &source, pins, store, options, reporter);
        let admission = match (admission, findings::missing_single(&source, pins)) {
            (Err(VerifyError::Unfit { findings, .. }), _) => {
                found.insert(name.clone(), findings);
                continue;
            }
            (Err(VerifyError::SourceMissing { .. }), Some(missing)) => {
                found.insert(name.clone(), vec![missing]);
                continue;
            }
            (admission, _) => admission?,
        };
        match admission.receipt {
            Some(receipt) => {
                receipts.insert(name.clone(), receipt);
            }
            None => {
                found.insert(name.clone(), admission.report.findings);
            }
        }
    }
    Ok(if found.is_empty() { Ok(receipts) } else { Err(found) })
}

/// The error of models that are not what was pinned; `outcome` says what was not done.
pub(crate) fn mismatch(pinned: &Pinned, found: &Found, outcome: &str) -> CliError {
    let mut details = String::new();
    let mut data = Vec::new();
    for (model, list) in found {
        let _ = writeln!(details, "model {model}:");
        details.push_str(&findings::text(list));
        data.extend(findings::of_model(model, as_data(list)));
    }
    let models: Vec<_> = found.keys().map(ToString::to_string).collect();
    CliError::new(Exit::Mismatch, format!("model {} is not what was pinned; {outcome}", models.join(", ")))
        .with_details(details)
        .with_findings(data)
        .hint(format!(
            "bring the pinned bytes again, then: sovai verify {}",
            safe_line(&pinned.file.path.display().to_string())
        ))
}

fn finish(
    pinned: &Pinned,
    deployed: &Deployed,
    unchanged: &[String],
    judged: &BTreeMap<Name, Judged>,
    ctx: &Ctx,
) -> Result<Exit, CliError> {
    let gateway = pinned.manifest().gateway.as_ref();
    let url = gateway.map(|gateway| base_url(gateway.listen, gateway.tls.is_some()));
    let mut text = String::new();
    if deployed.changed {
        let _ = writeln!(text, "stack {} serves, generation {}", pinned.name(), deployed.generation);
    } else {
        let _ = writeln!(
            text,
            "stack {} is as the manifest says, nothing to change (generation {})",
            pinned.name(),
            deployed.generation
        );
    }
    for answer in &deployed.answers {
        let _ = writeln!(text, "  {} answered: {}", safe_line(&answer.model), safe_line(answer.text.trim()));
    }
    for model in levels(judged) {
        let why = model.why.first().map_or_else(String::new, |why| format!(": {}", safe_line(why)));
        let _ = writeln!(text, "  model     {}, trust level {}{why}", model.model, model.trust);
    }
    if let (Some(url), Some(gateway)) = (&url, gateway) {
        let _ = writeln!(text, "  endpoint  {url}");
        match &deployed.key_file {
            Some(path) if gateway.auth == Auth::Keys => {
                let _ = writeln!(text, "  key       in {}", safe_line(&path.display().to_string()));
            }
            _ => text.push_str("  key       none is asked for (`auth: none`)\n"),
        }
    }
    for left in &deployed.leftovers {
        ctx.out.warn(&format!("{}: could not be done; the next deploy tries again", safe_line(left)));
    }
    ctx.finish(Outcome {
        exit: Exit::Done,
        findings: Vec::new(),
        body: Body { stack: pinned.name(), deployed, gateway: url, models: levels(judged), unchanged },
        text,
    })
}

/// Where clients go. An address that stands for all of the host's is shown as the loopback one.
fn base_url(listen: SocketAddr, tls: bool) -> String {
    let scheme = if tls { "https" } else { "http" };
    let mut shown = listen;
    if listen.ip().is_unspecified() {
        shown.set_ip(if listen.is_ipv4() {
            std::net::Ipv4Addr::LOCALHOST.into()
        } else {
            std::net::Ipv6Addr::LOCALHOST.into()
        });
    }
    format!("{scheme}://{shown}/v1")
}
