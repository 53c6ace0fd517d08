//! What an error of another crate means to the person who typed the command: exit code and hints.

use super::CliError;
use crate::exit::Exit;
use serde_json::Value;
use sovai_deployer::engine::EngineError;
use sovai_gateway::GatewayError;
use sovai_images::ImageError;
use sovai_pki::PkiError;
use sovai_signing::oms::OmsError;
use sovai_store::StoreError;
use sovai_verifier::{Finding, VerifyError};

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> Self {
        let exit = match &error {
            StoreError::NotAFolder { .. } | StoreError::Foreign { .. } | StoreError::Owner { .. } => {
                Exit::Usage
            }
            StoreError::NotWritable { .. } | StoreError::NoSpace { .. } => Exit::Resources,
            StoreError::Busy { .. } => Exit::Busy,
            StoreError::Corrupt { .. } | StoreError::Digest { .. } | StoreError::NoBlob { .. } => {
                Exit::Mismatch
            }
            StoreError::Image { .. } => Exit::Invalid,
            StoreError::BadName { .. } | StoreError::Io { .. } => Exit::Internal,
        };
        let new = Self::wrap(exit, &error);
        match &error {
            StoreError::Foreign { .. } => new.hint("name a folder that is empty, not there yet, or a store"),
            StoreError::NotAFolder { .. } => new.hint("name another folder with --store DIR"),
            StoreError::Owner { .. } => new.hint("run as that user, or name another folder with --store DIR"),
            StoreError::NotWritable { .. } => {
                new.hint("run as the user who owns it, or name another folder with --store DIR")
            }
            StoreError::NoSpace { .. } => {
                new.hint("free some space, or name a folder on another disk with --store DIR")
            }
            StoreError::Busy { .. } => new.hint("wait until it has ended, then run the same command again"),
            StoreError::Corrupt { .. } => {
                new.hint("check the disk; then move the damaged file away and run the same command again")
            }
            StoreError::Digest { .. } => {
                new.hint("the bytes changed on their way: run the same command again")
            }
            StoreError::NoBlob { .. } => new.hint("bring it again: sovai pull MANIFEST"),
            StoreError::Image { .. } | StoreError::BadName { .. } | StoreError::Io { .. } => new,
        }
    }
}

/// The code of an error of an image that is no error of the store.
pub(super) fn image_exit(error: &ImageError) -> Exit {
    match error {
        ImageError::Several { .. } => Exit::Usage,
        ImageError::Read { .. } | ImageError::NotALayout { .. } | ImageError::NoImage { .. } => {
            Exit::Unreachable
        }
        ImageError::Write(_) => Exit::Internal,
        ImageError::Zstd { .. } => Exit::Resources,
        // A damaged or hostile archive: not what anybody made.
        _ => Exit::Mismatch,
    }
}

impl From<ImageError> for CliError {
    fn from(error: ImageError) -> Self {
        let exit = match error {
            ImageError::Store(error) => return error.into(),
            _ => image_exit(&error),
        };
        let new = Self::wrap(exit, &error);
        match &error {
            ImageError::Several { .. } => new.hint("name one: `@NAME` behind the path in `source`"),
            ImageError::NoImage { .. } => {
                new.hint("look at the name behind `@` in `source`, and at `platform`")
            }
            ImageError::NotALayout { .. } => new.hint("name the folder that has the file `oci-layout`"),
            ImageError::Zstd { .. } => {
                new.hint("take the image with layers that are compressed with gzip, or load it into the engine by another way")
            }
            ImageError::Digest { .. } | ImageError::Size { .. } | ImageError::Missing { .. } => {
                new.hint("bring it again from where it came")
            }
            _ => new,
        }
    }
}

impl From<VerifyError> for CliError {
    fn from(error: VerifyError) -> Self {
        let exit = match error {
            VerifyError::Store(error) => return error.into(),
            VerifyError::Cancelled => return crate::signals::interrupted(),
            VerifyError::SourceMissing { .. }
            | VerifyError::Source { .. }
            | VerifyError::Snapshot { .. }
            | VerifyError::NotStored { .. } => Exit::Unreachable,
            VerifyError::Unfit { .. } => Exit::Mismatch,
            VerifyError::Pins { .. } | VerifyError::Passport(_) => Exit::Invalid,
            VerifyError::NoSpace { .. } => Exit::Resources,
        };
        let new = Self::wrap(exit, &error);
        match &error {
            VerifyError::SourceMissing { .. } => {
                new.hint("bring the files there, or change `source` in the manifest; a relative path starts at the manifest's folder")
            }
            VerifyError::Source { .. } => new.hint("check the permissions of the source"),
            VerifyError::Snapshot { .. } => new.hint("name the folder of one: `snapshots/COMMIT` in the model's folder"),
            VerifyError::NotStored { .. } => new.hint("bring them into the store with `sovai pull`"),
            VerifyError::Unfit { findings, .. } => new.with_findings(as_data(findings)),
            VerifyError::Pins { .. } => new.hint("mend `files` in the manifest, or make the lock again with `sovai lock`"),
            VerifyError::NoSpace { .. } => {
                new.hint("free some space, or name a folder on another disk with --store DIR")
            }
            _ => new,
        }
    }
}

/// Findings of the verifier as they stand in JSON results.
pub(crate) fn as_data(findings: &[Finding]) -> Vec<Value> {
    // Strings and numbers alone: that cannot fail.
    findings.iter().filter_map(|finding| serde_json::to_value(finding).ok()).collect()
}

impl From<OmsError> for CliError {
    fn from(error: OmsError) -> Self {
        let new = Self::wrap(Exit::Refused, &error);
        match &error {
            OmsError::WrongMethod { expected: "key", .. } => {
                new.hint("name the trust anchors of its certificates instead of a key")
            }
            OmsError::WrongMethod { .. } => new.hint("name the signer's public key instead of trust anchors"),
            OmsError::WrongHint { .. } | OmsError::WrongKeyBytes => {
                new.hint("check that the public key is the signer's")
            }
            OmsError::Keyless => new.hint("ask the signer for a signature by a key or a certificate"),
            _ => new,
        }
    }
}

impl From<PkiError> for CliError {
    fn from(error: PkiError) -> Self {
        Self::wrap(Exit::Refused, &error)
    }
}

impl From<EngineError> for CliError {
    fn from(error: EngineError) -> Self {
        let exit = match &error {
            EngineError::NameTaken { .. } | EngineError::PortTaken { .. } => Exit::Resources,
            _ => Exit::Unreachable,
        };
        let new = Self::wrap(exit, &error);
        match &error {
            EngineError::Unreachable { .. } => new
                .hint("start the container engine, or name another one with --host or DOCKER_HOST")
                .hint("sovai doctor"),
            EngineError::TooOld { .. } => new.hint("upgrade the container engine"),
            EngineError::NameTaken { .. } => new.hint(
                "something that sovai did not make has this name: rename or remove it, or rename the stack",
            ),
            EngineError::PortTaken { .. } => {
                new.hint("free the port, or change `gateway.listen` in the manifest")
            }
            EngineError::MountMissing { .. } => {
                new.hint("the engine must run on this host and see the store: check --host and --store")
            }
            _ => new.hint("sovai doctor"),
        }
    }
}

impl From<GatewayError> for CliError {
    fn from(error: GatewayError) -> Self {
        let exit = match &error {
            GatewayError::Listen { .. } => Exit::Resources,
            GatewayError::Read { .. } => Exit::Usage,
            _ => Exit::Invalid,
        };
        let new = Self::wrap(exit, &error);
        match &error {
            GatewayError::Listen { .. } => {
                new.hint("free the port, or change the address in the configuration")
            }
            _ => new,
        }
    }
}
