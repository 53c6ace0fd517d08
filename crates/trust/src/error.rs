//! What can go wrong with trust.

use crate::revocation::RevocationError;
use crate::role::Role;
use sovai_signing::KeyId;

/// Why a change to a store's trust was refused, or could not be made.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The store could not do it; also when another process holds it.
    #[error(transparent)]
    Store(#[from] sovai_store::StoreError),
    /// The evidence log could not be read or written.
    #[error(transparent)]
    Evidence(#[from] sovai_evidence::EvidenceError),
    /// There is no store whose trust could change.
    #[error("there is no store")]
    NoStore,
    /// A key that was revoked never comes back.
    #[error("key {id} was revoked{}: it cannot be trusted again", bracketed(.reason.as_deref()))]
    Revoked {
        /// The key.
        id: KeyId,
        /// Why it was revoked.
        reason: Option<String>,
    },
    /// No such key.
    #[error("`{}` is no key that this store trusts", .0.escape_debug())]
    Unknown(String),
    /// The beginning of several key ids.
    #[error("`{}` begins the ids of {count} keys; give more digits", .text.escape_debug())]
    Ambiguous {
        /// What was given.
        text: String,
        /// How many keys.
        count: usize,
    },
    /// Something that only one role has was given for another.
    #[error("a publisher is named for the role `publisher` only, not for `{role}`")]
    PublisherOfOther {
        /// The role.
        role: Role,
    },
    /// A name that is empty, too long, or has characters that hide or reorder text.
    #[error("{what} has 1 to {most} bytes of plain text, found `{}`", .found.escape_debug())]
    Text {
        /// What it is.
        what: &'static str,
        /// Most bytes.
        most: usize,
        /// Its beginning.
        found: String,
    },
    /// The key has already expired.
    #[error("the last day {day} has passed")]
    Expired {
        /// The day.
        day: crate::Day,
    },
    /// Too many keys.
    #[error("a store trusts at most {0} keys")]
    TooMany(usize),
    /// A threshold out of range.
    #[error("a threshold is 1 to {most}, found {found}")]
    Threshold {
        /// The most.
        most: u32,
        /// What was asked for.
        found: u32,
    },
    /// The list of revocations is malformed.
    #[error("the list of revocations is refused")]
    List(#[from] RevocationError),
    /// The list is not signed by enough keys.
    #[error(
        "the list of revocations is signed by {found} of the {needed} keys with the role `revocation` that must sign it"
    )]
    Unsigned {
        /// How many must.
        needed: u32,
        /// How many did.
        found: u32,
    },
    /// An older list than the one that is known.
    #[error(
        "the list of revocations has number {found}, and number {known} is known: an older list is refused"
    )]
    Older {
        /// Number of the newest list.
        known: u64,
        /// Number of the one that was given.
        found: u64,
    },
    /// Another list with the number of the one that is known.
    #[error("another list of revocations with number {number} is known: two lists never share a number")]
    SameNumber {
        /// The number.
        number: u64,
    },
}

fn bracketed(reason: Option<&str>) -> String {
    reason.map(|reason| format!(" ({})", reason.escape_debug())).unwrap_or_default()
}
