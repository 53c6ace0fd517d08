//! Revocation lists.
//!
//! Strict: once a list is given, each certificate of the chain below the anchor must be covered by one; a list that was to
//! be renewed before the time of judgement, or that is not yet in force, is refused; and what is revoked is refused
//! whenever and why ever it was revoked.

use crate::PkiError;
use crate::asn1::{Element, Parts, Reason};
use crate::request::{MAX_CRL, MAX_CRLS};
use crate::time::{Moment, generalized};
use der::Decode;
use der::asn1::{ObjectIdentifier, UtcTime};
use rustls_pki_types::CertificateRevocationListDer;
use rustls_pki_types::pem::PemObject;
use std::borrow::Cow;
use webpki::{BorrowedCertRevocationList, CertRevocationList};

/// cRLNumber, `id-ce 20`.
const CRL_NUMBER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.20");
/// Longest number, in bytes (RFC 5280, 5.2.3).
const MAX_NUMBER: usize = 20;
/// Most extensions of a list.
const MAX_EXTENSIONS: usize = 64;

/// A list's bytes, which [`Lists`] borrows: PEM is decoded, DER taken as it is.
pub(crate) fn decode(crls: &[Vec<u8>]) -> Result<Vec<Cow<'_, [u8]>>, PkiError> {
    if crls.len() > MAX_CRLS {
        return Err(PkiError::TooMany { what: "revocation lists", limit: MAX_CRLS, found: crls.len() });
    }
    let mut all = Vec::new();
    for bytes in crls {
        // PEM is a third larger.
        if bytes.len() > MAX_CRL + MAX_CRL / 2 {
            let what = "a revocation list".to_owned();
            return Err(PkiError::TooLarge { what, limit: MAX_CRL, found: bytes.len() });
        }
        if bytes.first() == Some(&0x30) {
            all.push(Cow::Borrowed(bytes.as_slice()));
            continue;
        }
        let before = all.len();
        for list in CertificateRevocationListDer::pem_slice_iter(bytes) {
            let list = list.map_err(|error| PkiError::Crl { reason: error.to_string() })?;
            all.push(Cow::Owned(list.as_ref().to_vec()));
        }
        if all.len() == before {
            return Err(PkiError::Crl { reason: "PEM or DER is expected".to_owned() });
        }
        if all.len() > MAX_CRLS {
            return Err(PkiError::TooMany { what: "revocation lists", limit: MAX_CRLS, found: all.len() });
        }
    }
    Ok(all)
}

/// The lists, the newest first, because webpki takes the first that covers a certificate.
#[derive(Debug)]
pub(crate) struct Lists<'a> {
    lists: Vec<List<'a>>,
}

#[derive(Debug)]
struct List<'a> {
    crl: CertRevocationList<'a>,
    this_update: u64,
    /// Its number (RFC 5280, 5.2.3), which rises from list to list of an issuer; nothing where it has none.
    number: Option<Number>,
    der: &'a [u8],
}

/// A number of up to 20 bytes: its length without leading zeros, then its bytes, so that the order is that of numbers.
type Number = (usize, Vec<u8>);

impl<'a> Lists<'a> {
    /// Reads the heads; entries are read when a serial number is looked for.
    pub(crate) fn read(crls: &'a [Cow<'a, [u8]>], now: u64) -> Result<Self, PkiError> {
        let mut lists = Vec::new();
        for der in crls {
            let crl = BorrowedCertRevocationList::from_der(der)
                .map_err(|error| PkiError::Crl { reason: format!("it cannot be read ({error})") })?;
            let (this_update, number) = age(der).map_err(|reason| PkiError::Crl { reason })?;
            if this_update > now {
                let reason =
                    format!("it is in force from {}, which is after {}", Moment(this_update), Moment(now));
                return Err(PkiError::Crl { reason });
            }
            lists.push(List { crl: crl.into(), this_update, number, der });
        }
        lists.sort_by(|a, b| (b.this_update, &b.number).cmp(&(a.this_update, &a.number)));
        let lists = Self { lists };
        lists.agree()?;
        Ok(lists)
    }

    /// Of two lists of one issuer it must be plain which is the newer one: who could choose the order could hide a
    /// revocation.
    fn agree(&self) -> Result<(), PkiError> {
        for (at, newer) in self.lists.iter().enumerate() {
            let rest = self.lists.iter().skip(at + 1);
            for older in rest.filter(|list| list.crl.issuer() == newer.crl.issuer() && list.der != newer.der)
            {
                let clear = match (&newer.number, &older.number) {
                    (Some(newer), Some(older)) => newer > older,
                    _ => newer.this_update > older.this_update,
                };
                if !clear {
                    let reason = format!(
                        "two different lists of one issuer, of {} and of {}, do not say which is the newer one: expected a \
                         number that rises with the time",
                        Moment(newer.this_update),
                        Moment(older.this_update)
                    );
                    return Err(PkiError::Crl { reason });
                }
            }
        }
        Ok(())
    }

    pub(crate) fn all(&self) -> Vec<&CertRevocationList<'a>> {
        self.lists.iter().map(|list| &list.crl).collect()
    }

    /// When one of the certificates, given as (issuer, serial) the way webpki has them, was revoked.
    pub(crate) fn revoked(&self, issuer: &[u8], serial: &[u8]) -> Option<u64> {
        self.lists.iter().filter(|list| list.crl.issuer() == issuer).find_map(|list| {
            list.crl.find_serial(serial).ok().flatten().map(|entry| entry.revocation_date.as_secs())
        })
    }

    /// `thisUpdate` of the newest list by this issuer.
    pub(crate) fn newest(&self, issuer: &[u8]) -> Option<u64> {
        self.lists.iter().find(|list| list.crl.issuer() == issuer).map(|list| list.this_update)
    }
}

/// `thisUpdate` and the number (RFC 5280, 5.1 and 5.2.3), which webpki does not show.
fn age(der: &[u8]) -> Result<(u64, Option<Number>), Reason> {
    let mut list = Element::whole(der)?.sequence("list")?;
    let mut tbs: Parts<'_> = list.next("tbsCertList")?.sequence("tbsCertList")?;
    tbs.next_if(|element| element.tag == der::Tag::Integer, "version")?;
    tbs.next("signature")?;
    tbs.next("issuer")?;
    let this_update = seconds(&tbs.next("thisUpdate")?)?;
    let is_time =
        |element: &Element<'_>| matches!(element.tag, der::Tag::UtcTime | der::Tag::GeneralizedTime);
    tbs.next_if(is_time, "nextUpdate")?;
    tbs.next_if(|element| element.tag == der::Tag::Sequence, "revokedCertificates")?;
    let Some(extensions) = tbs.next_if(|element| element.is_context(0), "crlExtensions")? else {
        return Ok((this_update, None));
    };
    let all = extensions.inside()?.next("crlExtensions")?.sequence("crlExtensions")?;
    for extension in all.rest(MAX_EXTENSIONS, "crlExtensions")? {
        let mut parts = extension.sequence("extension")?;
        if parts.next("extnID")?.oid("extnID")? != CRL_NUMBER {
            continue;
        }
        parts.next_if(|element| element.tag == der::Tag::Boolean, "critical")?;
        let number = Element::whole(parts.next("extnValue")?.octets("extnValue")?)?;
        number.expect(der::Tag::Integer, "cRLNumber")?;
        let zeros = number.content.iter().take_while(|byte| **byte == 0).count();
        let digits = number.content.get(zeros..).unwrap_or_default().to_vec();
        if number.content.first().is_some_and(|byte| byte & 0x80 != 0) || digits.len() > MAX_NUMBER {
            return Err(format!("cRLNumber: expected 0 or more in at most {MAX_NUMBER} bytes"));
        }
        return Ok((this_update, Some((digits.len(), digits))));
    }
    Ok((this_update, None))
}

fn seconds(time: &Element<'_>) -> Result<u64, Reason> {
    match time.tag {
        der::Tag::UtcTime => UtcTime::from_der(time.raw)
            .map(|time| time.to_unix_duration().as_secs())
            .map_err(|error| format!("thisUpdate: {error}")),
        der::Tag::GeneralizedTime => {
            generalized(time.content).ok_or_else(|| "thisUpdate is no time".to_owned())
        }
        other => Err(format!("thisUpdate: expected a time, found {other}")),
    }
}
