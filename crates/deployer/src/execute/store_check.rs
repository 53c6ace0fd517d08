//! Does the engine see this very store?

use super::records::file_error;
use super::run::Run;
use crate::engine::{BindMount, ContainerEngine, ContainerSpec, EngineError};
use crate::error::DeployError;
use sha2::{Digest as _, Sha256 as Hasher};
use sovai_core::Sha256;
use sovai_store::atomic;

/// File in the stack's folder that the store check reads.
const NONCE: &str = "nonce";

impl<E: ContainerEngine> Run<'_, E> {
    /// A container reads a nonce from the store. Where the engine lives elsewhere (another host, a private mount
    /// namespace) it would otherwise be given an empty model.
    pub(super) async fn store_check(&self, spec: &ContainerSpec) -> Result<(), DeployError> {
        let engine = self.executor.engine;
        let mut random = [0u8; 16];
        getrandom::fill(&mut random)
            .map_err(|error| file_error("a random number", std::io::Error::other(error.to_string())))?;
        let nonce = Sha256::from_bytes(Hasher::digest(random).into()).hex();
        let file = self.stack.path().join(NONCE);
        atomic::write(&file, nonce.as_bytes(), 0o444)?;
        let unseen = |detail: String| DeployError::StoreUnseen {
            store: self.executor.store.root().to_owned(),
            detail,
        };
        let spec = ContainerSpec {
            mounts: vec![BindMount { source: file, target: "/nonce".to_owned() }],
            ..spec.clone()
        };
        self.done(|done| done.containers.push(spec.name.clone()));
        let read = async {
            self.create_container(&spec).await?;
            engine.start_container(&spec.name).await?;
            engine.wait_container(&spec.name).await?;
            let lines = engine.logs(&spec.name, Some(1)).await?;
            engine.remove_container(&spec.name).await?;
            Ok(lines.into_iter().next().map(|line| line.text))
        };
        let seen = read.await;
        self.stack.remove(NONCE)?;
        match seen {
            Ok(Some(text)) if text == nonce => Ok(()),
            Ok(text) => Err(unseen(format!(
                "a container read {:?} where a nonce was written",
                text.unwrap_or_default()
            ))),
            Err(EngineError::MountMissing { message, .. }) => Err(unseen(message)),
            Err(error) => Err(error.into()),
        }
    }
}
