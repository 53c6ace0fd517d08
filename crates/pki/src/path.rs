//! From a leaf to an anchor: webpki builds and checks the path, what it leaves out is checked here.
//!
//! webpki checks signatures, validity of leaf and intermediates, basic constraints, path lengths and name constraints of
//! intermediates, purposes, revocation, and it bounds its work. It takes an anchor as a name and a key only, and looks at
//! no key usage; those, anchors' validity and path lengths, and the strength of keys are checked here.

use crate::PkiError;
use crate::algorithms::ALL;
use crate::cert::{Certificate, Purpose};
use crate::crl::Lists;
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use std::time::Duration;
use webpki::{
    EndEntityCert, Error, ExpirationPolicy, ExtendedKeyUsageValidator, KeyPurposeIdIter,
    RevocationOptionsBuilder, UnknownStatusPolicy, VerifiedPath,
};

/// What a path is judged by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules<'r> {
    pub(crate) purpose: Purpose,
    pub(crate) time: u64,
    pub(crate) lists: Option<&'r Lists<'r>>,
    /// Must each certificate below the anchor be covered by a list, once there are lists?
    pub(crate) all_covered: bool,
}

/// A path that holds.
#[derive(Debug)]
pub(crate) struct Path {
    /// Subjects from the leaf's issuer to the anchor.
    pub(crate) issuers: Vec<String>,
    /// The oldest `thisUpdate` of the lists that were used.
    pub(crate) revocation: Option<u64>,
}

/// Finds a path from `leaf` over `pool` to one of `anchors`. Leaves and order of the pool do not matter.
pub(crate) fn find(
    leaf: &Certificate<'_>,
    pool: &[Certificate<'_>],
    anchors: &[Certificate<'_>],
    rules: Rules<'_>,
) -> Result<Path, PkiError> {
    leaf.valid_at(rules.time)?;
    leaf.may_sign(rules.purpose)?;
    // The first reason why an issuer was put aside explains a path that is not found.
    let mut aside = None;
    let mut put_aside = |certificate: &Certificate<'_>, error| {
        let subject = certificate.subject();
        if leaf.issuer() == subject || pool.iter().any(|other| other.issuer() == subject) {
            aside.get_or_insert(error);
        }
    };
    let mut roots = Vec::new();
    for anchor in anchors {
        if !anchor.is_self_issued() {
            return Err(PkiError::NotRoot { subject: anchor.subject(), issuer: anchor.issuer() });
        }
        match anchor.may_issue(rules.purpose, rules.time) {
            Ok(()) => roots.push(anchor),
            Err(error) => put_aside(anchor, error),
        }
    }
    let mut usable: Vec<CertificateDer<'_>> = Vec::new();
    for certificate in pool.iter().filter(|other| other.der != leaf.der) {
        let judged =
            certificate.may_issue(rules.purpose, rules.time).and_then(|()| certificate.strong_signature());
        match judged {
            Ok(()) => usable.push(certificate.der.clone()),
            // A copy of the root, which is trusted through the anchors or not at all.
            Err(_) if certificate.is_self_issued() => {}
            Err(error) => put_aside(certificate, error),
        }
    }
    let trusted = trust_anchors(&roots)?;
    let reason = |error: Error| match (error, aside.clone()) {
        (Error::UnknownIssuer, Some(aside)) => aside,
        (error, _) => explain(&error, leaf, pool, rules),
    };
    let end = EndEntityCert::try_from(&leaf.der).map_err(reason)?;
    let crls = rules.lists.map(Lists::all).unwrap_or_default();
    let revocation = RevocationOptionsBuilder::new(&crls).ok().map(|options| {
        let unknown = if rules.all_covered { UnknownStatusPolicy::Deny } else { UnknownStatusPolicy::Allow };
        options.with_status_policy(unknown).with_expiration_policy(ExpirationPolicy::Enforce).build()
    });
    let short_enough = |path: &VerifiedPath<'_>| {
        let between = path.intermediate_certificates().count();
        let limit = anchor_of(path, &roots, &trusted).and_then(Certificate::path_length);
        if limit.is_some_and(|limit| between > usize::from(limit)) {
            return Err(Error::PathLenConstraintViolated);
        }
        Ok(())
    };
    let path = end
        .verify_for_usage(
            ALL,
            &trusted,
            &usable,
            UnixTime::since_unix_epoch(Duration::from_secs(rules.time)),
            Authorised,
            revocation,
            Some(&short_enough),
        )
        .map_err(reason)?;

    let mut issuers = Vec::new();
    for issuer in path.intermediate_certificates() {
        let der = issuer.der();
        issuers.extend(pool.iter().find(|known| known.der == der).map(Certificate::subject));
    }
    issuers.extend(anchor_of(&path, &roots, &trusted).map(Certificate::subject));
    let revocation = rules.lists.and_then(|lists| {
        let below =
            std::iter::once(end.issuer()).chain(path.intermediate_certificates().map(webpki::Cert::issuer));
        below.filter_map(|issuer| lists.newest(issuer)).min()
    });
    Ok(Path { issuers, revocation })
}

fn trust_anchors<'a>(roots: &[&'a Certificate<'_>]) -> Result<Vec<TrustAnchor<'a>>, PkiError> {
    roots
        .iter()
        .map(|root| {
            webpki::anchor_from_trusted_cert(&root.der).map_err(|error| PkiError::Malformed {
                what: format!("the trust anchor `{}`", root.subject()),
                reason: error.to_string(),
            })
        })
        .collect()
}

/// The certificate behind a path's anchor.
fn anchor_of<'c, 'd>(
    path: &VerifiedPath<'_>,
    roots: &[&'c Certificate<'d>],
    trusted: &[TrustAnchor<'_>],
) -> Option<&'c Certificate<'d>> {
    let at = trusted.iter().position(|anchor| anchor == path.anchor())?;
    roots.get(at).copied()
}

/// Purposes of the leaf were checked before; here webpki asks for each certificate, without saying which.
struct Authorised;

impl ExtendedKeyUsageValidator for Authorised {
    fn validate(&self, purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), Error> {
        // An authority that may not issue for the purpose is not in the pool, and the leaf was looked at. What is left is
        // that the extension can be read.
        purposes.into_iter().try_for_each(|purpose| purpose.map(|_| ()))
    }
}

/// webpki's reason in our words.
fn explain(error: &Error, leaf: &Certificate<'_>, pool: &[Certificate<'_>], rules: Rules<'_>) -> PkiError {
    let subject = leaf.subject();
    match error {
        Error::UnknownIssuer => PkiError::UnknownIssuer { subject, issuer: leaf.issuer() },
        Error::InvalidSignatureForPublicKey => PkiError::BadSignature { subject },
        Error::PathLenConstraintViolated | Error::MaximumPathDepthExceeded => {
            PkiError::PathLength { subject }
        }
        Error::NameConstraintViolation => PkiError::NameConstraints { subject },
        Error::CaUsedAsEndEntity => PkiError::LeafIsAuthority { subject },
        Error::EndEntityUsedAsCa => PkiError::NotAuthority { subject: leaf.issuer() },
        Error::UnknownRevocationStatus => PkiError::RevocationUnknown { subject },
        Error::CertRevoked => revoked(leaf, pool, rules)
            .unwrap_or(PkiError::Path { subject, reason: "a certificate of it was revoked".to_owned() }),
        Error::CrlExpired { next_update, .. } => PkiError::CrlExpired {
            issuer: leaf.issuer(),
            next_update: next_update.as_secs(),
            time: rules.time,
        },
        Error::InvalidCrlSignatureForPublicKey => {
            PkiError::Crl { reason: "it was not signed by the issuer that it names".to_owned() }
        }
        Error::IssuerNotCrlSigner => {
            PkiError::Crl { reason: "its issuer may not sign revocation lists".to_owned() }
        }
        other => PkiError::Path { subject, reason: other.to_string() },
    }
}

/// Which certificate was revoked, and when.
fn revoked(leaf: &Certificate<'_>, pool: &[Certificate<'_>], rules: Rules<'_>) -> Option<PkiError> {
    let lists = rules.lists?;
    std::iter::once(leaf).chain(pool).find_map(|certificate| {
        let end = EndEntityCert::try_from(&certificate.der).ok()?;
        let at = lists.revoked(end.issuer(), end.serial())?;
        let serial = crate::asn1::hex(end.serial());
        Some(PkiError::Revoked { subject: certificate.subject(), serial, at })
    })
}
