//! `sovai trust`: whom a store trusts.

mod list;
pub(super) mod qr;
mod witness;

use crate::args::{RoleArg, TrustArgs, TrustCommand};
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;
use crate::input::read_bounded;
use crate::manifest::count;
use crate::output::{Outcome, safe_line};
use serde::Serialize;
use sovai_evidence::rfc3339;
use sovai_signing::{KeyId, PublicKey};
use sovai_store::atomic;
use sovai_trust::{Added, Day, DayError, Details, Fingerprint, MAX_LIST, Role, TrustStore};
use std::fmt::Write as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Most bytes of a public key file.
const MAX_KEY: usize = 64 << 10;

/// Runs the command.
pub(crate) fn run(args: &TrustArgs, ctx: &Ctx) -> Result<Exit, CliError> {
    match &args.command {
        TrustCommand::Add { file, role, name, publisher, expires } => {
            let expires = expires.as_deref().map(str::parse).transpose().map_err(|error: DayError| {
                CliError::new(Exit::Usage, "--expires is no day").source(&error).hint("--expires 2027-12-31")
            })?;
            let details = Details { name: name.clone(), publisher: publisher.clone(), expires };
            add(file, role_of(*role), &details, ctx)
        }
        TrustCommand::List => list::run(ctx),
        TrustCommand::Revoke { key: Some(key), reason, .. } => revoke(key, reason.as_deref(), ctx),
        TrustCommand::Revoke { list: Some(list), .. } => apply(list, ctx),
        TrustCommand::Revoke { .. } => Err(CliError::new(Exit::Usage, "name a key, or a list with --list")),
        TrustCommand::Threshold { role, keys } => threshold(role_of(*role), *keys, ctx),
        TrustCommand::Witness { seen, at, reading } => witness::run(seen, at, reading, ctx),
        TrustCommand::Fingerprint { file, svg } => fingerprint(file, svg.as_deref(), ctx),
    }
}

/// Seconds since 1970, as the system's clock says.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

/// The name of this host, as the kernel has it.
pub(crate) fn place() -> String {
    let name = fs_err::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "unknown".to_owned() } else { name.to_owned() }
}

const fn role_of(role: RoleArg) -> Role {
    match role {
        RoleArg::Publisher => Role::Publisher,
        RoleArg::Countersigner => Role::Countersigner,
        RoleArg::Bundle => Role::Bundle,
        RoleArg::Border => Role::Border,
        RoleArg::Site => Role::Site,
        RoleArg::Revocation => Role::Revocation,
    }
}

/// Reads a public key; one that is malformed is refused, as a malformed signature is.
fn public_key(path: &Path) -> Result<PublicKey, CliError> {
    let text = read_bounded(path, MAX_KEY, "public key")?;
    PublicKey::from_pem(&text).map_err(|error| {
        let shown = safe_line(&path.display().to_string());
        CliError::new(Exit::Refused, format!("public key {shown} cannot be used")).source(&error).hint(
            "a public key is a PEM file with one block `PUBLIC KEY`, as `sovai keys generate` writes it",
        )
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AddBody {
    action: &'static str,
    key: KeyId,
    code: String,
    role: Role,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    publisher: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<Day>,
    /// `new`, `changed`, `unchanged`.
    state: &'static str,
}

fn add(file: &Path, role: Role, details: &Details, ctx: &Ctx) -> Result<Exit, CliError> {
    let key = public_key(file)?;
    let mut trust = TrustStore::open(&ctx.open_store()?)?;
    let (state, words) = match trust.add(&key, role, details, now())? {
        Added::New => ("new", "trusted"),
        Added::Changed => ("changed", "changed"),
        Added::Unchanged => ("unchanged", "unchanged"),
    };
    let print = Fingerprint::of(&key);
    let mut text = format!("{words}: {} with the role {role}\n", print.id);
    let _ = writeln!(text, "  code      {}", print.code);
    let mut line = |what: &str, value: Option<String>| {
        if let Some(value) = value {
            let _ = writeln!(text, "  {what:<9} {}", safe_line(&value));
        }
    };
    line("name", details.name.clone());
    line("publisher", details.publisher.clone());
    line("expires", details.expires.map(|day| format!("{day}, its last day")));
    if role == Role::Publisher && details.publisher.is_none() {
        ctx.out.warn("this key counts as the publisher of whatever it signs; name one with --publisher");
    }
    let body = AddBody {
        action: "add",
        key: print.id,
        code: print.code,
        role,
        name: details.name.clone(),
        publisher: details.publisher.clone(),
        expires: details.expires,
        state,
    };
    ctx.finish(Outcome { exit: Exit::Done, findings: Vec::new(), body, text })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RevokeBody {
    action: &'static str,
    key: KeyId,
    /// `new`, `unchanged`.
    state: &'static str,
}

fn revoke(key: &str, reason: Option<&str>, ctx: &Ctx) -> Result<Exit, CliError> {
    let digits = key.strip_prefix("sha256:").unwrap_or(key);
    let is_id = digits.len() >= 8 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let mut trust = TrustStore::open(&ctx.open_store()?)?;
    let id = if is_id {
        trust.find(key)?
    } else if Path::new(key).exists() || key.contains(['/', '.']) {
        // A key that was never trusted can be revoked too: then it never will be.
        public_key(Path::new(key))?.id()
    } else {
        trust.find(key)?
    };
    let new = trust.revoke(id, reason, now())?;
    let (state, words) = if new { ("new", "revoked for good") } else { ("unchanged", "was revoked before") };
    let text = format!("{words}: {id}\n");
    let body = RevokeBody { action: "revoke", key: id, state };
    ctx.finish(Outcome { exit: Exit::Done, findings: Vec::new(), body, text })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ApplyBody {
    action: &'static str,
    number: u64,
    before: Option<u64>,
    issued: String,
    keys: usize,
    models: usize,
    /// Keys of this store that count no longer.
    lost: Vec<KeyId>,
    /// `new`, `unchanged`.
    state: &'static str,
}

fn apply(path: &Path, ctx: &Ctx) -> Result<Exit, CliError> {
    let bytes = read_bounded(path, MAX_LIST, "list of revocations")?;
    let mut trust = TrustStore::open(&ctx.open_store()?)?;
    let system = now();
    let applied = trust.apply_list(&bytes, system)?;
    let list = &applied.list;
    let same = applied.before == Some(list.number);
    let body = ApplyBody {
        action: "revocations",
        number: list.number,
        before: applied.before,
        issued: rfc3339(list.issued),
        keys: list.keys.len(),
        models: list.models.len(),
        lost: applied.lost,
        state: if same { "unchanged" } else { "new" },
    };
    let mut text = format!(
        "{}: list {} of {}, {} and {} revoked\n",
        if same { "known already" } else { "taken in" },
        body.number,
        body.issued,
        count(body.keys, "key"),
        count(body.models, "model")
    );
    for key in &body.lost {
        let _ = writeln!(text, "  {key} counts no longer");
    }
    clock_warnings(&trust, system, ctx);
    ctx.finish(Outcome { exit: Exit::Done, findings: Vec::new(), body, text })
}

/// Says when the system's clock cannot be right.
fn clock_warnings(trust: &TrustStore, system: u64, ctx: &Ctx) {
    let now = trust.now(system);
    if now.behind > 0 {
        let (clock, signed) = (rfc3339(now.system), rfc3339(now.effective));
        ctx.out.warn(&format!("this host's clock says {clock}, but {signed} has been signed already; expiry is judged by the later time"));
    }
    if let Some(doubt) = now.doubt {
        ctx.out.warn(&format!(
            "{} carries the time {}, more than a day ahead of this host's clock: one of the two is wrong; expiry is not judged by it",
            safe_line(&doubt.from),
            rfc3339(doubt.time)
        ));
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ThresholdBody {
    action: &'static str,
    role: Role,
    threshold: u32,
    /// Distinct keys that count for the role now.
    keys: usize,
}

fn threshold(role: Role, keys: u32, ctx: &Ctx) -> Result<Exit, CliError> {
    let mut trust = TrustStore::open(&ctx.open_store()?)?;
    trust.set_threshold(role, keys)?;
    let has = trust.keys(role, now()).len();
    if has < usize::try_from(keys).unwrap_or(usize::MAX) {
        ctx.out.warn(&format!(
            "only {has} of {keys} keys with the role {role} are trusted: nothing can reach the threshold yet"
        ));
    }
    let text = format!(
        "role {role}: {} must sign\n",
        if keys == 1 { "1 key".to_owned() } else { format!("{keys} distinct keys") }
    );
    let body = ThresholdBody { action: "threshold", role, threshold: keys, keys: has };
    ctx.finish(Outcome { exit: Exit::Done, findings: Vec::new(), body, text })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FingerprintBody {
    action: &'static str,
    algorithm: String,
    #[serde(flatten)]
    print: Fingerprint,
}

fn fingerprint(file: &Path, svg: Option<&Path>, ctx: &Ctx) -> Result<Exit, CliError> {
    let key = public_key(file)?;
    let print = Fingerprint::of(&key);
    let qr = qr::Qr::new(&print.id.to_string())?;
    if let Some(svg) = svg {
        atomic::write(svg, qr.svg().as_bytes(), 0o644)?;
    }
    let mut text =
        format!("key id    {}\nOMS hint  {}\ncode      {}\n", print.id, print.oms_hint, print.code);
    // Four lines of four words: nobody loses the place while reading aloud.
    for (number, line) in print.words.split(' ').collect::<Vec<_>>().chunks(4).enumerate() {
        let _ = writeln!(text, "{:<9} {}", if number == 0 { "words" } else { "" }, line.join(" "));
    }
    let _ = write!(text, "\n{}", qr.terminal());
    let body = FingerprintBody { action: "fingerprint", algorithm: key.algorithm().to_string(), print };
    ctx.finish(Outcome { exit: Exit::Done, findings: Vec::new(), body, text })
}
