//! A client of OCI registries: resolve, read, push.
//!
//! Main types: [`Registry`] (one host), [`Credentials`], [`Content`] (a manifest as its bytes), [`ImageManifests`] (what
//! an image consists of), [`push`]. References are [`sovai_core::Reference`]s. The protocol is the OCI distribution specification
//! 1.1; tokens are those of github.com/distribution/distribution (`docs/content/spec/auth`).
//!
//! Invariants: manifests and configs are believed by digest, are bounded, and are kept as the bytes that came; a password
//! or token goes to the registry it was given for, and to the token service that this registry named, over https or
//! loopback only; nothing is cached on disk but the address of an unfinished upload. This crate never prints.

mod auth;
mod client;
mod credentials;
mod document;
mod error;
mod image;
mod index;
mod push;

pub use client::{BlobBody, Registry};
pub use credentials::Credentials;
pub use document::{Content, MANIFEST_LIMIT, Manifest};
pub use error::RegistryError;
pub use image::ImageManifests;
pub use index::{INDEX_ARTIFACT, index_artifact, index_tag};
pub use push::{Artifact, PushOptions, PushPlan, Pushed, push};
