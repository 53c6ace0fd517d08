//! Evidence: in-toto statements in DSSE envelopes, in an append-only log in which each line carries a number and the digest
//! of the line before; and SLSA verification summaries.
//!
//! Main types: [`Log`], [`run::Run`], [`vsa::Summary`]; [`export`] makes a folder for an auditor, [`check`] checks one; [`site_key`] is the key with which a store signs its own evidence.
//!
//! Invariants: a line that was written is never changed; what a killed process left half-written is kept aside and said
//! in the next line. Nothing here reads a clock: times come from the caller, in seconds since 1970, UTC.

mod check;
mod error;
mod export;
pub mod html;
mod log;
mod page;
pub mod run;
mod site;
mod story;
mod time;
pub mod vsa;

pub use check::{Checked, Trouble, check};
pub use error::EvidenceError;
pub use export::{Exported, export};
pub use log::{Appended, Entry, Flaw, Log, Mended, Problem, Walked};
pub use site::{site_key, site_public, site_public_path};
pub use time::{TimeError, parse_rfc3339, rfc3339};
