//! What a deploy writes into the stack's folder: the digests of its keys, what is under way, what serves.

use super::run::Run;
use crate::engine::ContainerEngine;
use crate::error::DeployError;
use crate::spec::{KEY_DIGESTS, KEYS_FOLDER};
use crate::state::{CURRENT, Current, PENDING, Pending};
use sha2::{Digest as _, Sha256 as Hasher};
use sovai_core::Sha256;
use sovai_store::atomic;
use std::path::PathBuf;

/// The stack's default key.
pub(super) struct DefaultKey {
    /// Its file.
    pub(super) file: PathBuf,
    /// The key itself.
    pub(super) secret: String,
    /// Whether it was made now.
    pub(super) made: bool,
}

impl<E: ContainerEngine> Run<'_, E> {
    /// Notes which generation is being made, before anything of it is made.
    pub(super) fn begin(&self) -> Result<(), DeployError> {
        if self.plan.is_empty() {
            return Ok(());
        }
        Ok(self.stack.write(PENDING, &Pending { generation: self.plan.generation })?)
    }

    /// The digests of the stack's keys lie where the gateway reads them.
    pub(super) fn keys(&self) -> Result<Option<DefaultKey>, DeployError> {
        let wants_keys = self.plan.result.images.contains_key(crate::labels::GATEWAY);
        if !wants_keys {
            return Ok(None);
        }
        let (file, secret, made) = self.stack.default_key()?;
        let digest = Sha256::from_bytes(Hasher::digest(secret.as_bytes()).into());
        let folder = self.stack.path().join(KEYS_FOLDER);
        fs_err::create_dir_all(&folder).map_err(|source| file_error("the folder of key digests", source))?;
        let digests = folder.join(KEY_DIGESTS);
        let before = fs_err::read_to_string(&digests).unwrap_or_default();
        let after = with_default_key(&before, &digest);
        if before != after {
            atomic::write(&digests, after.as_bytes(), 0o444)?;
            open_folder(&folder)?;
        }
        Ok(Some(DefaultKey { file, secret, made }))
    }

    /// Writes down what serves now; nothing is written when nothing changed.
    pub(super) fn record(&self) -> Result<(), DeployError> {
        let current = self.stack.read::<Current>(CURRENT)?;
        if current.as_ref() != Some(&self.plan.result) {
            self.stack.write(CURRENT, &self.plan.result)?;
        }
        if self.stack.read::<Pending>(PENDING)?.is_some() {
            self.stack.remove(PENDING)?;
        }
        if !self.plan.is_empty() {
            self.sweep_folders()?;
        }
        Ok(())
    }

    /// Folders of configuration and secrets that no container of this stack mounts any more.
    fn sweep_folders(&self) -> Result<(), DeployError> {
        for name in self.stack.list("")? {
            let ours =
                ["gateway-", "secrets-"].iter().any(|kind| name.starts_with(kind)) && name != KEYS_FOLDER;
            if ours && !self.plan.folders.contains(&name) {
                self.stack.remove(&name)?;
            }
        }
        Ok(())
    }
}

/// The file of key digests with the default key's own line in it. Lines that a person added, for the keys of teams, stay.
fn with_default_key(before: &str, digest: &Sha256) -> String {
    let others = before.lines().filter(|line| line.split_whitespace().nth(1) != Some("default"));
    let mut after = format!("{} default\n", digest.hex());
    for line in others {
        after.push_str(line);
        after.push('\n');
    }
    after
}

/// The folder of key digests is mounted, so anybody inside the container may look into it; the store above it is closed.
fn open_folder(folder: &std::path::Path) -> Result<(), DeployError> {
    use std::os::unix::fs::PermissionsExt as _;
    fs_err::set_permissions(folder, std::fs::Permissions::from_mode(0o755))
        .map_err(|source| file_error("the folder of key digests", source))
}

pub(super) fn file_error(what: &str, source: std::io::Error) -> DeployError {
    DeployError::File { what: what.to_owned(), source }
}
