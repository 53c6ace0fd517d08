//! `--vsa`: a signed SLSA verification summary, also of what was refused; and a line of the evidence log.

use super::outputs::{self, Kind};
use super::report::{Checked, base_name};
use super::setup::Setup;
use crate::args::SummaryArgs;
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;
use crate::input::read_bounded;
use crate::keys;
use crate::manifest::ManifestFile;
use crate::output::safe_line;
use crate::policy::PolicyFile;
use serde::Serialize;
use sovai_core::{Name, Sha256};
use sovai_evidence::vsa::{Named, Outcome, Summary};
use sovai_evidence::{EvidenceError, Log, site_key};
use sovai_manifest::MAX_LOCK_BYTES;
use sovai_signing::dsse::Envelope;
use sovai_signing::statement::PAYLOAD_TYPE;
use sovai_signing::{KeyId, PrivateKey};
use std::path::{Path, PathBuf};

/// Signs summaries of one run.
pub(super) struct Writer<'a> {
    out: &'a Path,
    key: PrivateKey,
    /// The store's own key, for its log.
    own: PrivateKey,
    log: Log,
    policy: Named,
    system: u64,
}

/// A summary that was written.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Written {
    file: String,
    result: &'static str,
    key_id: KeyId,
    /// Its line in the evidence log.
    sequence: u64,
}

impl Written {
    /// The line that says what was written, and whose key verifies it.
    pub(super) fn told(&self) -> String {
        format!(
            "written: {} (summary: {}, by key {}, line {} of the evidence log)\n",
            safe_line(&self.file),
            self.result,
            self.key_id,
            self.sequence
        )
    }
}

impl<'a> Writer<'a> {
    /// `None` when no summary is asked for. Made before anything is read: a key that cannot be used is said at once.
    pub(super) fn new(args: &'a SummaryArgs, setup: &Setup, ctx: &Ctx) -> Result<Option<Self>, CliError> {
        let Some(out) = &args.vsa else { return Ok(None) };
        // The log is in the store, so here the store is needed.
        let store = ctx.open_store()?;
        let own = site_key(&store).map_err(evidence)?;
        let key = match &args.site_key {
            Some(path) => keys::private(path, args.site_passphrase_file.as_deref())?,
            None => site_key(&store).map_err(evidence)?,
        };
        Ok(Some(Self {
            out,
            key,
            own,
            log: Log::open(&store),
            policy: named(setup.judge.policy.as_ref()),
            system: setup.judge.system,
        }))
    }

    /// Refuses to write over something else, before anything is read.
    pub(super) fn check(&self, models: &[Option<&Name>]) -> Result<(), CliError> {
        models.iter().try_for_each(|model| {
            outputs::check(&outputs::place(self.out, Kind::Summary, *model, models.len()), Kind::Summary)
        })
    }

    /// Writes the summary of one model; `subject` is what it is about where there is no model digest.
    pub(super) fn write(
        &self,
        checked: &Checked,
        models: usize,
        passed: bool,
        subject: Sha256,
        mut inputs: Vec<Named>,
    ) -> Result<Written, CliError> {
        for verdict in &checked.signatures {
            if let Some(digest) = verdict.sha256 {
                inputs.push(Named { uri: uri(Path::new(&verdict.file)), digest });
            }
        }
        if let Some(passport) = &checked.passport {
            inputs.push(Named { uri: uri(Path::new(&passport.file)), digest: passport.sha256 });
        }
        let result = if passed { Outcome::Passed } else { Outcome::Failed };
        let statement = Summary {
            name: checked.name.as_ref().map_or_else(|| base_name(&checked.source), ToString::to_string),
            digest: subject,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            time_verified: self.system,
            resource_uri: checked.source.clone(),
            policy: self.policy.clone(),
            input_attestations: inputs,
            result,
            trust: checked.trust(),
        }
        .statement();
        let envelope = Envelope::sign(PAYLOAD_TYPE, statement.to_json().into_bytes(), &[&self.key]);
        let path = outputs::place(self.out, Kind::Summary, checked.name.as_ref(), models);
        outputs::write(&path, Kind::Summary, format!("{}\n", envelope.to_json()).as_bytes())?;
        let appended = self.log.append(&statement, &self.own).map_err(evidence)?;
        Ok(Written {
            file: path.display().to_string(),
            result: if passed { "PASSED" } else { "FAILED" },
            key_id: self.key.public().id(),
            sequence: appended.seq,
        })
    }
}

/// The policy by address and digest.
fn named(policy: Option<&PolicyFile>) -> Named {
    let digest = crate::judge::digest;
    match policy {
        None => Named { uri: "sovai:policy/none".to_owned(), digest: digest(b"") },
        Some(PolicyFile { path: None, sha256, .. }) => {
            Named { uri: "sovai:policy/built-in".to_owned(), digest: *sha256 }
        }
        Some(PolicyFile { path: Some(path), sha256, .. }) => Named { uri: uri(path), digest: *sha256 },
    }
}

/// The lock that pins were taken from, as an input.
pub(super) fn lock_input(file: &ManifestFile, is_there: bool) -> Result<Vec<Named>, CliError> {
    if !is_there {
        return Ok(Vec::new());
    }
    let path = file.lock_path()?;
    let bytes = read_bounded(&path, MAX_LOCK_BYTES, "lock")?;
    Ok(vec![Named { uri: uri(&path), digest: crate::judge::digest(&bytes) }])
}

/// `file:` and the whole path.
pub(super) fn uri(path: &Path) -> String {
    let whole: PathBuf = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    format!("file:{}", whole.display())
}

fn evidence(error: EvidenceError) -> CliError {
    match error {
        EvidenceError::Store(error) => error.into(),
        error => CliError::wrap(Exit::Mismatch, &error),
    }
}
