//! What is asked for: a manifest with every reference resolved to something that cannot change under it.

use crate::images::StoredRef;
use sovai_core::{FilePin, ImageId, Name, RelPath, Sha256};
use sovai_manifest::Manifest;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// A manifest with all that it names resolved. Pure data: from here on nothing is looked up.
#[derive(Debug)]
pub struct Blueprint<'a> {
    /// The manifest.
    pub manifest: &'a Manifest,
    /// Each model, by what it is pinned to.
    pub models: BTreeMap<Name, ModelRef>,
    /// The image of each service.
    pub images: BTreeMap<Name, ImageRef>,
    /// The image made of this very binary: gateway, store check and probe.
    pub gateway_image: GatewayImageRef,
    /// TLS files of the gateway, when it has any.
    pub tls: Option<TlsFiles>,
    /// Secrets of each service, by name.
    pub secrets: BTreeMap<Name, BTreeMap<Name, Hidden>>,
    /// The stack's folder in the store.
    pub stack_dir: PathBuf,
    /// Memory of the container host in bytes: no limit is set above it.
    pub host_memory: u64,
    /// CPUs of the container host.
    pub host_cpus: u32,
    /// Deadline for readiness in seconds; `None`: the engine profile's own.
    pub ready_deadline_s: Option<u32>,
}

/// A model by what it is pinned to. Says nothing of whether its bytes were verified: that takes a receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelRef {
    /// Digest of the model's manifest; follows from the pins alone.
    pub digest: Sha256,
    /// Where its tree lies, or will lie, in the store.
    pub tree: PathBuf,
    /// Its files, sorted by path.
    pub files: Vec<FilePin>,
}

/// An image that is in the engine, or can be loaded into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRef {
    /// What is to be loaded from the store before it can be used; [`None`]: the engine has it.
    pub load: Option<StoredRef>,
    /// Its ID.
    pub id: ImageId,
    /// Paths that it declares as volumes: the engine would mount a writable volume there.
    pub volumes: Vec<String>,
}

/// The image made of this binary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayImageRef {
    /// Its ID.
    pub id: ImageId,
    /// `NAME:TAG` under which it is loaded.
    pub tag: String,
}

/// TLS files as bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM chain.
    pub cert: Vec<u8>,
    /// PEM private key.
    pub key: Hidden,
    /// PEM anchors for client certificates.
    pub client_ca: Option<Vec<u8>>,
}

/// Bytes that are never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(pub Vec<u8>);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} bytes>", self.0.len())
    }
}

/// A read-only folder that is mounted into a container; named by its content, so that a change is a new folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// Its name in the stack's folder.
    pub name: String,
    /// Its files.
    pub files: Vec<(RelPath, Hidden)>,
}
