//! Where models come from, and how their bytes arrive in the store.
//!
//! A [`Source`] is one place with a model's files: a hub, a server, a bucket, a registry. Its adapter lists files and opens
//! bytes, no more. What is listed becomes pins (`lock`), and what is pinned is fetched (`pull`); a server is believed by
//! digest alone, so that any of them may be untrusted.
//!
//! Invariants: no byte becomes a blob whose digest was not computed here; no secret leaves for a host it was not given for.
//! This crate never prints.

pub mod adapters;
mod error;
mod fetch;
mod remote;
mod resolve;
mod select;
mod source;

pub use adapters::oci_blobs;
pub use error::SourceError;
pub use fetch::{FetchOptions, Fetched, FetchedFile, Job, fetch};
pub use resolve::{
    Basis, Change, Changed, Drift, Moved, Now, ResolveOptions, ResolvedFile, ResolvedModel, Verdict, drift,
    is_license_file, resolve,
};
pub use select::Selection;
pub use source::{Body, BoxFuture, ByteRange, ListedFile, Listing, Source, Wanted};
