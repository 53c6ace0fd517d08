//! Why a chain is refused.

use crate::time::Moment;

/// Why a signature's certificate is not believed. Each one is a refusal (exit code 5).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PkiError {
    /// No trust anchor was given.
    #[error("no trust anchor was given, and there is no default")]
    NoAnchors,
    /// It was not said whose certificate it must be.
    #[error(
        "nothing says whose certificate it must be: a subject, an alternative name or a key must be pinned"
    )]
    NoPin,
    /// The signature carries no certificate.
    #[error("the signature carries no certificate")]
    EmptyChain,
    /// There are more than are read.
    #[error("{found} {what}, at most {limit} are read")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many are read.
        limit: usize,
        /// How many there are.
        found: usize,
    },
    /// Something is larger than is read.
    #[error("{what} of {found} bytes, at most {limit} are read")]
    TooLarge {
        /// What.
        what: String,
        /// Bytes that are read.
        limit: usize,
        /// Its bytes.
        found: usize,
    },
    /// Something cannot be read.
    #[error("{what} is malformed: {reason}")]
    Malformed {
        /// What.
        what: String,
        /// In what way.
        reason: String,
    },
    /// A certificate was used before its time.
    #[error("the certificate of `{subject}` is valid from {}, judged at {}", Moment(*.not_before), Moment(*.time))]
    NotYetValid {
        /// Whose.
        subject: String,
        /// Seconds since 1970.
        not_before: u64,
        /// Seconds since 1970.
        time: u64,
    },
    /// A certificate was used after its time.
    #[error("the certificate of `{subject}` expired at {}, judged at {}", Moment(*.not_after), Moment(*.time))]
    Expired {
        /// Whose.
        subject: String,
        /// Seconds since 1970.
        not_after: u64,
        /// Seconds since 1970.
        time: u64,
    },
    /// The key may not do what it did.
    #[error("the key of `{subject}` is not for this: expected the key usage {expected}, found {found}")]
    KeyUsage {
        /// Whose.
        subject: String,
        /// The usage that is needed.
        expected: &'static str,
        /// The usages that it has.
        found: String,
    },
    /// The certificate is for something else.
    #[error("the certificate of `{subject}` is not for {expected}: its extended key usages are {found}")]
    Purpose {
        /// Whose.
        subject: String,
        /// The purpose that is needed.
        expected: &'static str,
        /// The purposes that it has.
        found: String,
    },
    /// The leaf is a certificate authority, or is itself an anchor.
    #[error(
        "the signer's certificate `{subject}` is that of an authority; a signer's own certificate is expected"
    )]
    LeafIsAuthority {
        /// Whose.
        subject: String,
    },
    /// An issuer is no authority.
    #[error("`{subject}` is no certificate authority and cannot issue certificates")]
    NotAuthority {
        /// Whose.
        subject: String,
    },
    /// An anchor was issued by somebody else.
    #[error(
        "`{subject}` is no trust anchor: `{issuer}` issued it; give it as an intermediate, and its root as the anchor"
    )]
    NotRoot {
        /// Whose.
        subject: String,
        /// By whom.
        issuer: String,
    },
    /// A key or a signature that can be forged.
    #[error("the certificate of `{subject}` rests on {found}, which is too weak or not known")]
    Weak {
        /// Whose.
        subject: String,
        /// On what.
        found: String,
    },
    /// The leaf's key is not of a kind that signs models.
    #[error("the key of `{subject}` is {found}; models are signed with P-256, P-384 or P-521")]
    LeafKey {
        /// Whose.
        subject: String,
        /// What it is.
        found: String,
    },
    /// No chain leads to an anchor.
    #[error("no chain leads from `{subject}`, issued by `{issuer}`, to a trust anchor")]
    UnknownIssuer {
        /// Whose.
        subject: String,
        /// By whom.
        issuer: String,
    },
    /// A certificate of the chain has a wrong signature.
    #[error("a certificate in the chain of `{subject}` has not been signed by the issuer that it names")]
    BadSignature {
        /// The leaf's subject.
        subject: String,
    },
    /// A chain is longer than an authority allows, or than is followed.
    #[error("the chain of `{subject}` is longer than its authorities allow")]
    PathLength {
        /// The leaf's subject.
        subject: String,
    },
    /// A name is outside what an authority may vouch for.
    #[error("the chain of `{subject}` has a name that its authority may not vouch for")]
    NameConstraints {
        /// The leaf's subject.
        subject: String,
    },
    /// The path cannot be judged for another reason.
    #[error("the chain of `{subject}` is refused: {reason}")]
    Path {
        /// The leaf's subject.
        subject: String,
        /// Why.
        reason: String,
    },
    /// It is somebody else's certificate.
    #[error("the signer's {what} is not the pinned one: expected `{expected}`, found `{found}`")]
    Pin {
        /// `subject`, `alternative name` or `key`.
        what: &'static str,
        /// What was pinned.
        expected: String,
        /// What the certificate has.
        found: String,
    },
    /// A certificate of the chain was revoked.
    #[error("the certificate of `{subject}`, serial {serial}, was revoked at {}", Moment(*.at))]
    Revoked {
        /// Whose.
        subject: String,
        /// Its serial number, hex.
        serial: String,
        /// Seconds since 1970.
        at: u64,
    },
    /// Revocation lists were given, but none by the issuer of a certificate of the chain.
    #[error("revocation lists were given, but none covers every certificate in the chain of `{subject}`")]
    RevocationUnknown {
        /// The leaf's subject.
        subject: String,
    },
    /// A revocation list is out of date.
    #[error("the revocation list of `{issuer}` was to be renewed by {}, judged at {}", Moment(*.next_update), Moment(*.time))]
    CrlExpired {
        /// Whose.
        issuer: String,
        /// Seconds since 1970.
        next_update: u64,
        /// Seconds since 1970.
        time: u64,
    },
    /// A revocation list cannot be used.
    #[error("a revocation list cannot be used: {reason}")]
    Crl {
        /// Why.
        reason: String,
    },
    /// The time that was stated is still to come.
    #[error("the stated time of signing {} is after the time of verification {}", Moment(*.stated), Moment(*.now))]
    StatedInFuture {
        /// Seconds since 1970.
        stated: u64,
        /// Seconds since 1970.
        now: u64,
    },
    /// A time stamp does not hold.
    #[error("the time stamp does not hold: {0}")]
    Stamp(#[from] StampError),
}

/// Why a time stamp is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StampError {
    /// It cannot be read.
    #[error("it is malformed: {0}")]
    Malformed(String),
    /// The authority gave none.
    #[error("the authority refused, status {0}")]
    Refused(u8),
    /// It is over other bytes.
    #[error("it is over other bytes than the signature: {algorithm} {found}")]
    Imprint {
        /// Hash function.
        algorithm: &'static str,
        /// The digest that it is over, hex.
        found: String,
    },
    /// A hash or signature that can be forged, or that is not known.
    #[error("it uses {0}, which is too weak or not known")]
    Algorithm(String),
    /// The authority's signature is wrong.
    #[error("the signature of `{authority}` over it is wrong")]
    Signature {
        /// Whose.
        authority: String,
    },
    /// The authority's certificate does not come with it, or is another than the one that was signed over.
    #[error("its signer's certificate {0}")]
    Signer(&'static str),
    /// The authority's certificate is not believed.
    #[error("{0}")]
    Authority(Box<PkiError>),
    /// It is from the future.
    #[error("its time {} is after the time of verification {}", Moment(*.time), Moment(*.now))]
    Future {
        /// Seconds since 1970.
        time: u64,
        /// Seconds since 1970.
        now: u64,
    },
}
