//! `sovai evidence`: the signed log of what was done, as a folder for an auditor, and whether it is what was written.

use crate::args::{EvidenceArgs, EvidenceCommand};
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;
use crate::input::{kind_of, read_bounded};
use crate::manifest::count;
use crate::output::{Outcome, hint_line, safe_line, style};
use serde::Serialize;
use serde_json::{Value, json};
use sovai_core::{Name, Sha256, format_bytes};
use sovai_evidence::{Checked, EvidenceError, Log, check, export};
use sovai_signing::{KeyId, PublicKey};
use sovai_store::Store;
use sovai_trust::{Role, TrustStore};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Largest public key that is read, in bytes.
const MAX_KEY: usize = 16 << 10;

/// Runs the command.
pub(crate) fn run(args: &EvidenceArgs, ctx: &Ctx) -> Result<Exit, CliError> {
    match &args.command {
        EvidenceCommand::Export { out, stack } => export_to(out, stack.as_ref(), ctx),
        EvidenceCommand::Verify { folder: Some(folder), key } => verify_folder(folder, key, ctx),
        EvidenceCommand::Verify { folder: None, key } => verify_log(key, ctx),
    }
}

#[derive(Serialize)]
struct ExportBody<'a> {
    folder: String,
    stack: Option<&'a Name>,
    /// Lines of the log.
    lines: u64,
    /// Statements in the reports.
    statements: u64,
    last: Option<Sha256>,
    key: KeyId,
    files: Vec<FileBody<'a>>,
}

#[derive(Serialize)]
struct FileBody<'a> {
    path: &'a str,
    size: u64,
    sha256: Sha256,
}

fn export_to(out: &Path, stack: Option<&Name>, ctx: &Ctx) -> Result<Exit, CliError> {
    let store = store(ctx)?;
    let keys = site_keys(&store)?;
    let exported = export(&store, out, stack, &keys, VERSION)?;
    let shown = safe_line(&out.display().to_string());
    let bytes: u64 = exported.files.values().map(|(size, _)| *size).sum();
    let mut text =
        format!("written: {shown} ({}, {})\n", count(exported.files.len(), "file"), format_bytes(bytes));
    let lines = count(usize::try_from(exported.lines).unwrap_or(usize::MAX), "line");
    let _ = writeln!(text, "  log        {lines}, {} of them in the reports", exported.told);
    if let Some(last) = exported.last {
        let _ = writeln!(text, "  last line  {last}");
    }
    let _ = writeln!(text, "  key        {}", exported.key.id());
    let _ = writeln!(text, "  page       {shown}/index.html");
    if stack.is_some_and(|_| exported.told < exported.lines) {
        ctx.out
            .say("the log in the folder is whole: whoever gets it can read the lines about other stacks too");
    }
    let files =
        exported.files.iter().map(|(path, (size, sha256))| FileBody { path, size: *size, sha256: *sha256 });
    ctx.finish(Outcome {
        exit: Exit::Done,
        findings: Vec::new(),
        body: ExportBody {
            folder: out.display().to_string(),
            stack,
            lines: exported.lines,
            statements: exported.told,
            last: exported.last,
            key: exported.key.id(),
            files: files.collect(),
        },
        text,
    })
}

/// The store, which is not made just to be looked into.
fn store(ctx: &Ctx) -> Result<Store, CliError> {
    let path = ctx.store_path()?;
    Store::look(path)?.ok_or_else(|| {
        let shown = safe_line(&path.display().to_string());
        CliError::new(Exit::Usage, format!("there is no store in {shown}, so there is no evidence"))
            .hint("name the store with --store DIR or SOVAI_STORE")
    })
}

/// The keys that may have signed lines: the store's own, and those with the role `site`, also expired ones.
fn site_keys(store: &Store) -> Result<Vec<PublicKey>, CliError> {
    Ok(TrustStore::open(store)?.all_keys(Role::Site))
}

fn named_keys(paths: &[PathBuf]) -> Result<Vec<PublicKey>, CliError> {
    let read = |path: &PathBuf| {
        let text = read_bounded(path, MAX_KEY, "public key")?;
        PublicKey::from_pem(&text).map_err(|error| {
            let shown = safe_line(&path.display().to_string());
            CliError::new(Exit::Refused, format!("public key {shown} cannot be used")).source(&error)
        })
    };
    paths.iter().map(read).collect()
}

fn verify_log(key: &[PathBuf], ctx: &Ctx) -> Result<Exit, CliError> {
    let store = store(ctx)?;
    let keys = if key.is_empty() { site_keys(&store)? } else { named_keys(key)? };
    let log = Log::open(&store);
    if keys.is_empty() && !log.path().exists() {
        return Err(EvidenceError::NoLog { path: log.path() }.into());
    }
    let mut checked = Checked::of_walk(&log.verify(&keys)?);
    checked.known = true;
    checked.key = keys.first().map(PublicKey::id);
    finish(&log.path(), "log", &checked, ctx)
}

fn verify_folder(folder: &Path, key: &[PathBuf], ctx: &Ctx) -> Result<Exit, CliError> {
    if kind_of(folder, "folder")? != "folder" {
        let shown = safe_line(&folder.display().to_string());
        return Err(CliError::new(Exit::Usage, format!("{shown} is a file, not a folder"))
            .hint("name the folder that `sovai evidence export` wrote"));
    }
    let keys = if key.is_empty() {
        // Whoever checks another site's folder may have no store at all.
        let store = ctx.settings.store.as_deref().map(Store::look).transpose()?.flatten();
        store.as_ref().map(site_keys).transpose()?.unwrap_or_default()
    } else {
        named_keys(key)?
    };
    finish(folder, "folder", &check(folder, &keys, VERSION)?, ctx)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VerifyBody<'a> {
    target: String,
    target_kind: &'static str,
    stack: Option<&'a str>,
    lines: u64,
    last: Option<Sha256>,
    /// `known` or `unknown`.
    signer: &'static str,
    key: Option<KeyId>,
    /// The other version of sovai that wrote the folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    by_other: Option<&'a str>,
}

fn finish(target: &Path, kind: &'static str, checked: &Checked, ctx: &Ctx) -> Result<Exit, CliError> {
    let exit = match (checked.intact(), checked.is_changed()) {
        (true, _) => Exit::Done,
        (false, true) => Exit::Mismatch,
        (false, false) => Exit::Refused,
    };
    let shown = safe_line(&target.display().to_string());
    let signer = if checked.known { "known" } else { "unknown" };
    let mut text = String::new();
    for trouble in &checked.troubles {
        let (on, off) = (style::ERROR, style::RESET);
        let _ = writeln!(text, "{on}{}{off}: {}", safe_line(&trouble.place), safe_line(&trouble.what));
    }
    let lines = count(usize::try_from(checked.lines).unwrap_or(usize::MAX), "line");
    let _ = match exit {
        Exit::Done => writeln!(text, "intact: {shown}, {lines}, each signed and in its place"),
        Exit::Refused => writeln!(text, "refused: {shown} is not signed by a key of this site"),
        _ => writeln!(text, "failed: {shown} is not what was written"),
    };
    if exit == Exit::Done {
        if let Some(last) = checked.last {
            let _ = writeln!(text, "  last line  {last}");
        }
        if let Some(key) = checked.key {
            let _ = writeln!(text, "  signer     {signer}: {key}");
        }
    } else if exit == Exit::Refused {
        text.push_str(&hint_line("name the site's public key, got another way: --key site.pub"));
    } else {
        text.push_str(&hint_line("keep it as it is, and compare with a copy from elsewhere"));
    }
    if !checked.known {
        ctx.out.warn("no key of the site is known here: the folder agrees with itself, and no more; name one with --key");
    }
    if let Some(version) = &checked.by_other {
        let version = safe_line(version);
        ctx.out.warn(&format!(
            "sovai {version} wrote it: reports and page are vouched for by its signature alone"
        ));
    }
    let finding = |trouble: &sovai_evidence::Trouble| {
        json!({
            "type": "evidence", "severity": "refuse", "path": trouble.place, "message": trouble.what,
            "about": if trouble.signature { "signature" } else { "bytes" },
        })
    };
    let findings: Vec<Value> = checked.troubles.iter().map(finding).collect();
    ctx.finish(Outcome {
        exit,
        findings,
        body: VerifyBody {
            target: target.display().to_string(),
            target_kind: kind,
            stack: checked.stack.as_deref(),
            lines: checked.lines,
            last: checked.last,
            signer,
            key: checked.key,
            by_other: checked.by_other.as_deref(),
        },
        text,
    })
}
