//! What is asked, and how much of it is read at most.

use crate::PkiError;
use crate::cert::Certificate;
use sovai_core::Sha256;

/// Certificates of one kind (a signature's chain, anchors, intermediates), at most.
pub const MAX_CHAIN: usize = 16;
/// Trust anchors, and intermediates that the verifier adds, at most.
pub const MAX_ANCHORS: usize = 64;
/// Bytes of one certificate, at most.
pub const MAX_CERTIFICATE: usize = 64 * 1024;
/// Revocation lists, at most.
pub const MAX_CRLS: usize = 64;
/// Bytes of one revocation list, at most.
pub const MAX_CRL: usize = 16 * 1024 * 1024;
/// Time stamps of one signature, at most.
pub const MAX_STAMPS: usize = 8;
/// Bytes of one time stamp, at most.
pub const MAX_STAMP: usize = 64 * 1024;

/// Everything that a judgement rests on. Nothing else is looked at: no clock, no system's trust store.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The signature's certificates in DER, the leaf first; at most [`MAX_CHAIN`].
    pub chain: &'a [Vec<u8>],
    /// Trust anchors in DER: self-signed CA certificates, at most [`MAX_ANCHORS`]. There is no default.
    pub anchors: &'a [Vec<u8>],
    /// Further intermediates in DER, for a signature that carries its leaf alone; at most [`MAX_ANCHORS`].
    pub intermediates: &'a [Vec<u8>],
    /// Whose certificate it must be.
    pub pin: &'a Pin,
    /// Revocation lists, DER or PEM; at most [`MAX_CRLS`].
    pub crls: &'a [Vec<u8>],
    /// RFC 3161 responses or tokens over `signature`, DER; at most [`MAX_STAMPS`].
    pub timestamps: &'a [Vec<u8>],
    /// Trust anchors of time-stamping authorities, DER.
    pub tsa_anchors: &'a [Vec<u8>],
    /// The signature's bytes, which a time stamp covers.
    pub signature: &'a [u8],
    /// When it was signed, in seconds since 1970, if the operator knows it from elsewhere.
    pub signed_at: Option<u64>,
    /// Now, in seconds since 1970.
    pub now: u64,
    /// Take a leaf without the extended key usage `codeSigning`; its key usage must then have `digitalSignature`.
    pub waive_code_signing: bool,
}

/// Whose certificate it must be. A chain to an anchor alone says that the anchor vouches for somebody; not for whom.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pin {
    /// The subject, as RFC 4514 writes it: `CN=Model release,O=Ministry`. Compared as text.
    pub subject: Option<String>,
    /// An alternative name: a URI (it has a `:`), a mail address (it has an `@`), an IP address or a DNS name. Compared
    /// exactly, DNS names without regard to case; a wildcard stands for itself.
    pub san: Option<String>,
    /// SHA-256 of the public key's SPKI DER.
    pub spki: Option<Sha256>,
    waived: bool,
}

impl Pin {
    /// Anybody whom an anchor vouches for: to be used where a policy says so, never by default.
    #[must_use]
    pub fn waived() -> Self {
        Self { waived: true, ..Self::default() }
    }

    /// A pin of what is given.
    #[must_use]
    pub fn new(subject: Option<String>, san: Option<String>, spki: Option<Sha256>) -> Self {
        Self { subject, san, spki, waived: false }
    }

    /// Is there something to compare with, or was that waived?
    pub(crate) fn check(&self) -> Result<(), PkiError> {
        let some = self.subject.is_some() || self.san.is_some() || self.spki.is_some();
        if some || self.waived { Ok(()) } else { Err(PkiError::NoPin) }
    }

    /// Compares all that is pinned with the leaf.
    pub(crate) fn compare(&self, leaf: &Certificate<'_>) -> Result<(), PkiError> {
        let differs = |what, expected: &str, found: String| {
            Err(PkiError::Pin { what, expected: expected.to_owned(), found })
        };
        if let Some(expected) = &self.subject
            && *expected != leaf.subject()
        {
            return differs("subject", expected, leaf.subject());
        }
        if let Some(expected) = &self.san {
            let sans = leaf.sans()?;
            if !sans.iter().any(|san| san.is(expected)) {
                let found: Vec<String> = sans.iter().map(ToString::to_string).collect();
                let found = if found.is_empty() { "none".to_owned() } else { found.join(", ") };
                return differs("alternative name", expected, found);
            }
        }
        if let Some(expected) = &self.spki {
            let found = leaf.spki_digest();
            if found != *expected {
                return differs("key", &expected.to_string(), found.to_string());
            }
        }
        Ok(())
    }
}

/// What a chain and its leaf turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// The leaf's public key, SPKI DER: what the signature is to be verified with.
    pub spki_der: Vec<u8>,
    /// The leaf's subject, as RFC 4514 writes it.
    pub subject: String,
    /// The leaf's alternative names: `dns:`, `email:`, `uri:`, `ip:` and the name.
    pub sans: Vec<String>,
    /// The subjects from the leaf's issuer up to the anchor.
    pub issuers: Vec<String>,
    /// The leaf is valid from here, in seconds since 1970.
    pub not_before: u64,
    /// The leaf is valid until here, in seconds since 1970.
    pub not_after: u64,
    /// The time at which the chain was judged, in seconds since 1970.
    pub time: u64,
    /// Where that time comes from.
    pub time_from: TimeFrom,
    /// How old the knowledge about revocations is: the oldest `thisUpdate` of the lists that were used, in seconds since
    /// 1970. `None`: no list was given, nothing is known about revocations.
    pub revocation: Option<u64>,
    /// What a report should say besides.
    pub notes: Vec<String>,
}

/// Where the time of signing comes from, the strongest proof first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TimeFrom {
    /// An RFC 3161 time stamp over the signature.
    Timestamp {
        /// The authority's subject.
        authority: String,
    },
    /// The operator said so.
    Stated,
    /// Nothing is known; the time of verification.
    Now,
}
