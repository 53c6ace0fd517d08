//! Whom a store trusts: keys and their roles, thresholds, expiry, revocations; and how strongly a model's origin is proven.
//!
//! Main types: [`TrustStore`] (the store's `trust/` folder), [`RevocationList`], [`Listing`] and [`Record`] (what was seen
//! elsewhere), [`LevelInput`] and [`Level`].
//!
//! Invariants: thresholds count distinct key material; a revoked key counts for nothing and never comes back; times are
//! given by the caller, and expiry is judged by the later of that time and the newest signed time ever seen. Everything
//! that is read is bounded and strict: an unknown member or a duplicate key is an error.

mod clock;
mod day;
mod document;
mod error;
mod fingerprint;
mod level;
mod listing;
mod quorum;
mod revocation;
mod role;
mod source;
mod store;
mod witness;

pub use clock::{Doubt, Now};
pub use day::{Day, DayError};
pub use document::{RevokedKey, TrustedKey};
pub use error::TrustError;
pub use fingerprint::Fingerprint;
pub use level::{
    Basis, Certified, DEFAULT_SOURCES, Demand, Level, LevelInput, Refusal, RevocationKnowledge, SignedBy,
    Voucher, WitnessedAt, codes,
};
pub use listing::{Listing, ListingKind, MAX_FILES, MAX_LISTING, Seen};
pub use quorum::{Quorum, Uncounted, Why};
pub use revocation::{ListedKey, ListedModel, MAX_LIST, RevocationError, RevocationList};
pub use role::Role;
pub use source::{Source, SourceError};
pub use sovai_listing::{GitBlob, ListingError};
pub use store::{Added, Applied, Details, TrustStore};
pub use witness::{Record, RecordError, Sighting, Witnesses};
