//! Bundles: one stack, whole and signed, on volumes that cross a gap.
//!
//! A bundle is a row of volumes. Each is one folder, `STACK-SEQUENCE.v001/`, with one payload, a tar archive of whole blobs or
//! pieces of blobs, and beside it what tells a stranger how to read it: see docs/bundle-format.md, which says all of the format.
//!
//! Main types: [`Index`] says what the bundle holds and where, and is what is signed; [`ChunkTable`] has the BLAKE3 of each
//! chunk of each payload, so that damage has a place.
//!
//! Invariants: what is read from a volume is hostile until it was parsed here; nothing is believed of an index but by the
//! digest that a signature speaks of; memory does not grow with the size of a bundle.

mod chunk;
mod contents;
pub mod create;
mod decision;
pub mod delta;
pub mod import;
mod index;
mod media;
pub mod parity;
pub mod plan;
mod progress;
mod readme;
pub mod repair;
pub mod request;
mod set;
mod signed;
mod sums;
pub mod tar;
mod threads;
mod verify;
mod volume;

pub use chunk::{ChunkTable, TableError, chunk_size};
pub use contents::ModelFile;
pub use decision::{
    DECISION_PREDICATE, Decision, Inspected, MAX_REASON, Ruling, Signed, Standing, decision_name,
};
pub use index::{
    Base, BaseBlob, Image, Index, IndexError, Item, MAX_INDEX, Model, Parity, Part, Payload, Role, Tool,
    Volume, VolumeFile,
};
pub use media::{VolumeSize, VolumeSizeError};
pub use set::{
    FolderError, Found, MAX_ENVELOPE, MAX_SMALL, SetError, SetFinding, VolumeDir, VolumeSet, Weight,
    check_table,
};
pub use signed::{
    BUNDLE_PREDICATE, ENVELOPE_SUFFIX, Unfit, bundle_statement, check_statement, envelope_name, is_signed_by,
    sign_bundle,
};
pub use sums::text as sums_text;
pub use verify::{
    BadChunks, BundleReport, Repair, Stopped, VerifyOptions, VolumeReport, VolumeState, repairable,
    verify_bundle,
};
pub use volume::{VolumeId, VolumeIdError, names};
