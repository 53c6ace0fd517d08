//! What an error of trust and evidence means to the person who typed the command.

use super::CliError;
use crate::exit::Exit;
use sovai_evidence::EvidenceError;
use sovai_store::StoreError;
use sovai_trust::{ListingError, SourceError, TrustError};

impl From<TrustError> for CliError {
    fn from(error: TrustError) -> Self {
        let exit = match error {
            // To move one of these away, as is said of other files of a store, would bring back what was revoked.
            TrustError::Store(error @ StoreError::Corrupt { .. }) => {
                return Self::wrap(Exit::Mismatch, &error)
                    .hint("bring the store's `trust` folder back from a copy")
                    .hint(
                        "without one: move the folder away, add your keys anew, take in the newest list of revocations, and \
                         revoke again what was revoked by hand",
                    );
            }
            TrustError::Store(error) => return error.into(),
            TrustError::Evidence(error) => return error.into(),
            TrustError::NoStore
            | TrustError::Unknown(_)
            | TrustError::Ambiguous { .. }
            | TrustError::PublisherOfOther { .. }
            | TrustError::Text { .. }
            | TrustError::Expired { .. }
            | TrustError::Threshold { .. } => Exit::Usage,
            TrustError::TooMany(_) => Exit::Resources,
            TrustError::Revoked { .. }
            | TrustError::List(_)
            | TrustError::Unsigned { .. }
            | TrustError::Older { .. }
            | TrustError::SameNumber { .. } => Exit::Refused,
        };
        let new = Self::wrap(exit, &error);
        match &error {
            TrustError::Unknown(_) | TrustError::Ambiguous { .. } => new.hint("sovai trust list"),
            TrustError::Revoked { .. } => new.hint("a revocation is for good: ask its owner for a new key"),
            TrustError::Unsigned { .. } => {
                new.hint("sovai trust add FILE.pub --role revocation").hint("sovai trust list")
            }
            TrustError::Older { .. } => new.hint("ask for the newest list"),
            TrustError::SameNumber { .. } => new.hint(
                "ask whoever signs the lists which of the two is right; a new list needs a higher number",
            ),
            TrustError::PublisherOfOther { .. } => new.hint("leave --publisher out, or add --role publisher"),
            _ => new,
        }
    }
}

impl From<EvidenceError> for CliError {
    fn from(error: EvidenceError) -> Self {
        let exit = match error {
            EvidenceError::Store(error) => return error.into(),
            EvidenceError::Damaged { .. } => Exit::Mismatch,
            EvidenceError::SiteKey { .. } => Exit::Refused,
            EvidenceError::Statement { .. } => Exit::Internal,
            EvidenceError::Occupied { .. } | EvidenceError::NoLog { .. } => Exit::Usage,
            EvidenceError::Folder { .. } => Exit::Resources,
        };
        let new = Self::wrap(exit, &error);
        match &error {
            EvidenceError::Damaged { .. } => new.hint(
                "keep the folder as it is for whoever looks into it; a new log begins when `evidence` is moved away",
            ),
            EvidenceError::SiteKey { .. } => {
                new.hint("bring the key back, or move the file away: a new one is made, and trusted by nobody yet")
            }
            EvidenceError::Occupied { .. } => new.hint("name a folder that is not there, or is empty"),
            EvidenceError::NoLog { .. } => {
                new.hint("it begins with the first run that is recorded, for example `sovai verify MANIFEST`")
            }
            _ => new,
        }
    }
}

impl From<SourceError> for CliError {
    fn from(error: SourceError) -> Self {
        Self::wrap(Exit::Usage, &error).hint("--at hf:ORG/NAME@COMMIT")
    }
}

impl From<ListingError> for CliError {
    fn from(error: ListingError) -> Self {
        let new = Self::wrap(Exit::Refused, &error);
        match &error {
            ListingError::Form => new.hint("docs/trust.md says which lists are read"),
            _ => new,
        }
    }
}
