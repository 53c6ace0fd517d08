//! Where this program comes from: a statement of SLSA provenance v1 about the running file, from what `scripts/build.sh`
//! told the compiler.

use crate::error::CliError;
use serde_json::{Value, json};
use sha2::Digest as _;
use sovai_core::Sha256;
use sovai_signing::statement::{Statement, Subject};
use std::collections::BTreeMap;
use std::io::Read as _;

/// Its meaning: <https://slsa.dev/spec/v1.0/provenance>.
const PREDICATE: &str = "https://slsa.dev/provenance/v1";
/// What the build consists of: documented in docs/first-trust.md.
const BUILD_TYPE: &str = "https://sovai.dev/build/v1";

/// Where the running program is read: not by its path, where an upgrade may already have put another one.
pub(crate) const OWN_PROGRAM: &str = "/proc/self/exe";

/// What the build script told the compiler; nothing of it is known of a program that was built otherwise.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Build {
    /// The commit of the sources; none where they were changed since.
    pub(crate) commit: Option<&'static str>,
    rustc: Option<&'static str>,
    cargo: Option<&'static str>,
    lock: Option<&'static str>,
    target: Option<&'static str>,
    flags: Option<&'static str>,
}

/// How this program was built.
pub(crate) const BUILD: Build = Build {
    commit: some(option_env!("SOVAI_BUILD_COMMIT")),
    rustc: some(option_env!("SOVAI_BUILD_RUSTC")),
    cargo: some(option_env!("SOVAI_BUILD_CARGO")),
    lock: some(option_env!("SOVAI_BUILD_LOCK")),
    target: some(option_env!("SOVAI_BUILD_TARGET")),
    flags: some(option_env!("SOVAI_BUILD_FLAGS")),
};

/// An empty variable is one that is not set.
const fn some(text: Option<&'static str>) -> Option<&'static str> {
    match text {
        Some(text) if !text.is_empty() => Some(text),
        _ => None,
    }
}

impl Build {
    /// Whether `scripts/build.sh` made it.
    pub(crate) const fn is_known(&self) -> bool {
        self.rustc.is_some() && self.lock.is_some()
    }

    /// The statement, about a program file of that digest.
    pub(crate) fn statement(&self, program: Sha256) -> Statement {
        let subject = Subject {
            name: "sovai".to_owned(),
            digest: BTreeMap::from([("sha256".to_owned(), program.hex())]),
        };
        let mut resolved = Vec::new();
        if let Some(commit) = self.commit {
            resolved.push(json!({ "name": "source", "digest": { "gitCommit": commit } }));
        }
        if let Some(lock) = self.lock {
            resolved.push(json!({ "name": "Cargo.lock", "digest": { "sha256": lock } }));
        }
        if let Some(rustc) = self.rustc {
            resolved.push(json!({ "name": "rustc", "annotations": { "version": rustc } }));
        }
        if let Some(cargo) = self.cargo {
            resolved.push(json!({ "name": "cargo", "annotations": { "version": cargo } }));
        }
        let or_unknown = |value: Option<&str>| Value::from(value.unwrap_or("unknown"));
        let predicate = json!({
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": { "target": or_unknown(self.target), "package": "sovai", "profile": "release" },
                "internalParameters": { "version": env!("CARGO_PKG_VERSION"), "rustflags": or_unknown(self.flags) },
                "resolvedDependencies": resolved,
            },
            // Nobody vouches for the machine; who builds again and gets the same bytes needs nobody to.
            "runDetails": { "builder": { "id": if self.is_known() {
                "https://sovai.dev/build/v1#scripts/build.sh"
            } else {
                "https://sovai.dev/build/v1#unknown"
            } } },
        });
        Statement { subject: vec![subject], predicate_type: PREDICATE.to_owned(), predicate }
    }

    /// The statement as bytes: the same program gives the same.
    pub(crate) fn bytes(&self, program: Sha256) -> Result<Vec<u8>, CliError> {
        let statement = self.statement(program).to_json();
        let value: Value = serde_json::from_str(&statement).map_err(CliError::internal)?;
        Ok(format!("{value:#}\n").into_bytes())
    }
}

/// SHA-256 of the running program.
pub(crate) fn program() -> Result<Sha256, CliError> {
    let mut file = fs_err::File::open(OWN_PROGRAM).map_err(CliError::internal)?;
    let mut hash = sha2::Sha256::new();
    let mut buffer = vec![0; 128 << 10];
    loop {
        let read = file.read(&mut buffer).map_err(CliError::internal)?;
        if read == 0 {
            return Ok(Sha256::from_bytes(hash.finalize().into()));
        }
        hash.update(buffer.get(..read).unwrap_or_default());
    }
}
