//! The local store: content-addressed blobs, trees of models, receipts, and the state of stacks.
//!
//! A store is an OCI image layout (`oci-layout`, `index.json`, `blobs/sha256/`) with sovai's own folders beside it.
//! Main types: [`Store`], [`Stage`] (bytes on their way in), [`StoreLock`], [`StackDir`], [`ModelArtifact`],
//! [`StoredImage`].
//!
//! Invariants: every write is temporary file, `fsync`, rename, `fsync` of the folder; nothing half-written ever has its
//! real name; a blob file is read-only and named by the digest of its bytes. This crate never hashes a model's files
//! (the verifier does), never prints, and never waits for a lock.

pub mod atomic;
mod error;
pub mod image;
mod layout;
mod lock;
mod model;
mod named;
mod partial;
mod prune;
mod root;
mod stack;
mod stage;
mod temp;
mod tree;

pub use error::StoreError;
pub use image::{NewImage, StoredImage};
pub use layout::{Store, read_bounded};
pub use lock::{StoreAlone, StoreHold, StoreLock};
pub use model::{
    Descriptor, FILE_PATH, MODEL_ARTIFACT_TYPE, MODEL_CONFIG_TYPE, ModelArtifact, layer_media_type,
    model_manifest,
};
pub use named::{Artifact, Content, Marked, Wanted, model_files};
pub use partial::{Download, Partial, PartialFile, Ranges};
pub use prune::Removed;
pub use root::{KeptRoot, Root, RootImage, RootKind};
pub use stack::StackDir;
pub use stage::Stage;
pub use tree::tree_path;
