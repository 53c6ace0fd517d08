//! RFC 3161 time stamps: proof that a signature was there at a time.

use crate::StampError;
use crate::algorithms::{ALL, Hash};
use crate::asn1::{Element, Parts, Reason, hex};
use crate::cert::{Certificate, Purpose};
use crate::crl::Lists;
use crate::path::{self, Rules};
use crate::request::{MAX_CHAIN, MAX_STAMP};
use crate::time::generalized;
use der::Tag;
use der::asn1::ObjectIdentifier;
use rustls_pki_types::SignatureVerificationAlgorithm;
use webpki::{EndEntityCert, Error};

const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const TST_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const SIGNING_CERTIFICATE_V2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.47");
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// Attributes of a signer, and hash functions that it names, at most.
const MAX_PARTS: usize = 32;
/// Seconds by which an authority's clock may be ahead of the verifier's.
const SKEW: u64 = 300;

/// What a time stamp is judged by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StampRules<'r> {
    pub(crate) signature: &'r [u8],
    pub(crate) anchors: &'r [Certificate<'r>],
    pub(crate) lists: Option<&'r Lists<'r>>,
    pub(crate) now: u64,
}

/// A time stamp that holds.
#[derive(Debug)]
pub(crate) struct Stamp {
    /// Seconds since 1970.
    pub(crate) time: u64,
    /// The authority's subject.
    pub(crate) authority: String,
}

/// Verifies a `TimeStampResp`, or its token alone.
pub(crate) fn verify(token: &[u8], rules: StampRules<'_>) -> Result<Stamp, StampError> {
    if token.len() > MAX_STAMP {
        return Err(StampError::Malformed(format!("{} bytes, at most {MAX_STAMP} are read", token.len())));
    }
    let token = Token::read(content_info(token)?).map_err(StampError::Malformed)?;
    let info = Info::read(token.content).map_err(StampError::Malformed)?;
    let hash = hash(&info.imprint_algorithm)?;
    if hash.digest(rules.signature) != info.imprint {
        return Err(StampError::Imprint { algorithm: hash.name(), found: hex(info.imprint) });
    }
    let time =
        generalized(info.time).ok_or_else(|| StampError::Malformed("genTime is no time".to_owned()))?;
    if time > rules.now.saturating_add(SKEW) {
        return Err(StampError::Future { time, now: rules.now });
    }
    let (signer, others) = token.certificates()?;
    token.check_attributes(&signer)?;
    token.check_signature(&signer)?;
    let path = Rules { purpose: Purpose::TimeStamping, time, lists: rules.lists, all_covered: false };
    path::find(&signer, &others, rules.anchors, path)
        .map_err(|error| StampError::Authority(Box::new(error)))?;
    Ok(Stamp { time, authority: signer.subject() })
}

/// The `ContentInfo`: inside a response with its status, or by itself.
fn content_info(bytes: &[u8]) -> Result<Element<'_>, StampError> {
    let read = || -> Result<(Option<u8>, Option<Element<'_>>), Reason> {
        let whole = Element::whole(bytes)?;
        let mut parts = whole.sequence("response")?;
        let first = parts.next("status")?;
        if first.tag == Tag::ObjectIdentifier {
            return Ok((None, Some(whole)));
        }
        let status = first.sequence("status")?.next("status")?.small("status")?;
        let token = parts.next_if(|_| true, "token")?;
        parts.end()?;
        Ok((Some(status), token))
    };
    match read().map_err(StampError::Malformed)? {
        // granted, grantedWithMods
        (None | Some(0 | 1), Some(token)) => Ok(token),
        (None | Some(0 | 1), None) => Err(StampError::Malformed("no token is in it".to_owned())),
        (Some(status), _) => Err(StampError::Refused(status)),
    }
}

/// The parts of a CMS `SignedData` (RFC 5652, 5.1) with one signer, as RFC 3161, 2.4.2 demands.
#[derive(Debug)]
struct Token<'a> {
    /// The `TSTInfo`, DER.
    content: &'a [u8],
    certificates: Vec<Element<'a>>,
    signer: Element<'a>,
    digest_algorithm: Element<'a>,
    /// `SET OF Attribute`, tagged `[0]`.
    attributes: Element<'a>,
    signature_algorithm: Element<'a>,
    signature: &'a [u8],
}

impl<'a> Token<'a> {
    fn read(info: Element<'a>) -> Result<Self, Reason> {
        let mut info = info.sequence("token")?;
        if info.next("content type")?.oid("content type")? != SIGNED_DATA {
            return Err("it is not signed data".to_owned());
        }
        let explicit = info.next("signed data")?;
        if !explicit.is_context(0) {
            return Err("signed data: expected [0]".to_owned());
        }
        info.end()?;
        let mut data = only(explicit)?.sequence("signed data")?;
        data.next("version")?.small("version")?;
        data.next("digest algorithms")?.expect(Tag::Set, "digest algorithms")?;
        let mut content = data.next("content")?.sequence("content")?;
        if content.next("content type")?.oid("content type")? != TST_INFO {
            return Err("it holds no time-stamp info".to_owned());
        }
        let wrapped = content.next("content")?;
        content.end()?;
        if !wrapped.is_context(0) {
            return Err("content: expected [0]".to_owned());
        }
        let content = only(wrapped)?.octets("content")?;
        let certificates = match data.next_if(|element| element.is_context(0), "certificates")? {
            Some(set) => set.inside()?.rest(MAX_CHAIN, "certificates")?,
            None => Vec::new(),
        };
        data.next_if(|element| element.is_context(1), "revocation lists")?;
        let signers = data.next("signers")?.set(2, "signers")?;
        data.end()?;
        let [signer] = signers.as_slice() else { return Err("expected one signer".to_owned()) };

        let mut parts = signer.sequence("signer")?;
        parts.next("version")?.small("version")?;
        let signer = parts.next("signer's name")?;
        let digest_algorithm = parts.next("digest algorithm")?;
        let attributes = parts.next("signed attributes")?;
        if !attributes.is_context(0) {
            return Err("the signer signed no attributes".to_owned());
        }
        let signature_algorithm = parts.next("signature algorithm")?;
        let signature = parts.next("signature")?.octets("signature")?;
        parts.next_if(|element| element.is_context(1), "unsigned attributes")?;
        parts.end()?;
        Ok(Self {
            content,
            certificates,
            signer,
            digest_algorithm,
            attributes,
            signature_algorithm,
            signature,
        })
    }

    /// The signer's certificate, and the others that come along.
    fn certificates(&self) -> Result<(Certificate<'a>, Vec<Certificate<'a>>), StampError> {
        let mut signer = None;
        let mut others = Vec::new();
        for (index, element) in self.certificates.iter().enumerate() {
            let what = format!("certificate {} of the time stamp", index + 1);
            let certificate = Certificate::read(element.raw, what)
                .map_err(|error| StampError::Authority(Box::new(error)))?;
            if signer.is_none() && self.names(&certificate).map_err(StampError::Malformed)? {
                signer = Some(certificate);
            } else {
                others.push(certificate);
            }
        }
        let signer = signer.ok_or(StampError::Signer("does not come with it"))?;
        Ok((signer, others))
    }

    /// Is this the certificate that the signer names?
    fn names(&self, certificate: &Certificate<'_>) -> Result<bool, Reason> {
        if self.signer.is_context(0) {
            return Ok(certificate.key_identifier().is_some_and(|id| id == self.signer.content));
        }
        let mut parts = self.signer.sequence("signer's name")?;
        let (issuer, serial) = (parts.next("issuer")?, parts.next("serial number")?);
        parts.end()?;
        let known = certificate.issuer_and_serial();
        Ok(known.is_some_and(|known| known.0 == issuer.raw && known.1 == serial.raw))
    }

    /// The content's type and digest, and the signer's certificate, as they were signed over (RFC 5652, 11; RFC 5816).
    fn check_attributes(&self, signer: &Certificate<'_>) -> Result<(), StampError> {
        let malformed = StampError::Malformed;
        let read = |oid, what| attribute(&self.attributes, oid, what).map_err(malformed);
        let content_type = read(CONTENT_TYPE, "content type")?.oid("content type").map_err(malformed)?;
        if content_type != TST_INFO {
            return Err(StampError::Malformed("the signed content type is another".to_owned()));
        }
        let digest = read(MESSAGE_DIGEST, "message digest")?.octets("message digest").map_err(malformed)?;
        if hash(&self.digest_algorithm)?.digest(self.content) != digest {
            return Err(StampError::Signature { authority: signer.subject() });
        }
        let bound = read(SIGNING_CERTIFICATE_V2, "signing certificate")?;
        let (algorithm, digest) = ess_certificate(bound).map_err(malformed)?;
        let hash = algorithm.map_or(Ok(Hash::Sha256), |algorithm| hash(&algorithm))?;
        if hash.digest(&signer.der) != digest {
            return Err(StampError::Signer("is another than the one that it was signed for"));
        }
        Ok(())
    }

    fn check_signature(&self, signer: &Certificate<'_>) -> Result<(), StampError> {
        // What is signed is a SET OF with its own tag, not the [0] of the message (RFC 5652, 5.4).
        let mut message = self.attributes.raw.to_vec();
        if let Some(tag) = message.first_mut() {
            *tag = 0x31;
        }
        let wrong = || StampError::Signature { authority: signer.subject() };
        let end = EndEntityCert::try_from(&signer.der).map_err(|_| wrong())?;
        let mut known = false;
        for algorithm in self.algorithms()? {
            match end.verify_signature(algorithm, &message, self.signature) {
                Ok(()) => return Ok(()),
                Err(Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_)) => {}
                Err(_) => known = true,
            }
        }
        if known {
            return Err(wrong());
        }
        Err(StampError::Algorithm("a signature algorithm that does not fit the key".to_owned()))
    }

    /// What the signature may have been made with; the key decides.
    fn algorithms(&self) -> Result<Vec<&'static dyn SignatureVerificationAlgorithm>, StampError> {
        let oid = algorithm_oid(&self.signature_algorithm).map_err(StampError::Malformed)?;
        // Many signers name the key's kind alone, and the hash function beside it.
        if oid == RSA_ENCRYPTION {
            return Ok(vec![hash(&self.digest_algorithm)?.rsa()]);
        }
        let same = ALL.iter().copied();
        let fitting: Vec<_> = same
            .filter(|known| known.signature_alg_id().as_ref() == self.signature_algorithm.content)
            .collect();
        if fitting.is_empty() {
            return Err(StampError::Algorithm(format!("the signature algorithm {oid}")));
        }
        Ok(fitting)
    }
}

/// The parts of a `TSTInfo` (RFC 3161, 2.4.2) that matter here.
#[derive(Debug)]
struct Info<'a> {
    imprint_algorithm: Element<'a>,
    imprint: &'a [u8],
    time: &'a [u8],
}

impl<'a> Info<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, Reason> {
        let mut parts = Element::whole(bytes)?.sequence("time-stamp info")?;
        let version = parts.next("version")?.small("version")?;
        if version != 1 {
            return Err(format!("version: expected 1, found {version}"));
        }
        parts.next("policy")?.oid("policy")?;
        let mut imprint = parts.next("imprint")?.sequence("imprint")?;
        let (imprint_algorithm, digest) =
            (imprint.next("imprint")?, imprint.next("imprint")?.octets("imprint")?);
        imprint.end()?;
        parts.next("serial number")?.expect(Tag::Integer, "serial number")?;
        let time = parts.next("genTime")?;
        time.expect(Tag::GeneralizedTime, "genTime")?;
        // accuracy, ordering, nonce, the authority's name, extensions: read, so that the rest is well formed.
        parts.rest(5, "time-stamp info")?;
        Ok(Self { imprint_algorithm, imprint: digest, time: time.content })
    }
}

/// The one element inside.
fn only(outer: Element<'_>) -> Result<Element<'_>, Reason> {
    let mut parts = outer.inside()?;
    let inner = parts.next("content")?;
    parts.end()?;
    Ok(inner)
}

/// The one value of a signed attribute, which must be there once.
fn attribute<'a>(set: &Element<'a>, wanted: ObjectIdentifier, what: &str) -> Result<Element<'a>, Reason> {
    let mut found = None;
    for attribute in set.inside()?.rest(MAX_PARTS, "signed attributes")? {
        let mut parts = attribute.sequence(what)?;
        if parts.next(what)?.oid(what)? != wanted {
            continue;
        }
        let values = parts.next(what)?.set(1, what)?;
        parts.end()?;
        if found.is_some() {
            return Err(format!("the signed attribute {what} is there twice"));
        }
        found = values.first().copied();
    }
    found.ok_or_else(|| format!("the signed attribute {what} is missing"))
}

/// Hash function, when it is named, and digest of the first `ESSCertIDv2` (RFC 5035, 4).
fn ess_certificate(value: Element<'_>) -> Result<(Option<Element<'_>>, &[u8]), Reason> {
    let what = "signing certificate";
    let first = value.sequence(what)?.next(what)?.sequence(what)?.next(what)?;
    let mut parts: Parts<'_> = first.sequence(what)?;
    let algorithm = parts.next_if(|element| element.tag == Tag::Sequence, what)?;
    let digest = parts.next(what)?.octets(what)?;
    Ok((algorithm, digest))
}

fn algorithm_oid(algorithm: &Element<'_>) -> Result<ObjectIdentifier, Reason> {
    algorithm.sequence("algorithm")?.next("algorithm")?.oid("algorithm")
}

fn hash(algorithm: &Element<'_>) -> Result<Hash, StampError> {
    let oid = algorithm_oid(algorithm).map_err(StampError::Malformed)?;
    match oid.to_string().as_str() {
        "2.16.840.1.101.3.4.2.1" => Ok(Hash::Sha256),
        "2.16.840.1.101.3.4.2.2" => Ok(Hash::Sha384),
        "2.16.840.1.101.3.4.2.3" => Ok(Hash::Sha512),
        "1.3.14.3.2.26" => Err(StampError::Algorithm("SHA-1".to_owned())),
        "1.2.840.113549.2.5" => Err(StampError::Algorithm("MD5".to_owned())),
        other => Err(StampError::Algorithm(format!("the hash function {other}"))),
    }
}
