//! One certificate, and what webpki does not say about it.

use crate::PkiError;
use crate::request::MAX_CERTIFICATE;
use der::asn1::ObjectIdentifier;
use der::oid::AssociatedOid;
use der::{Decode, Encode};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::{PemObject, SectionKind};
use sha2::Digest;
use sovai_core::Sha256;
use std::fmt;
use std::net::IpAddr;
use x509_cert::certificate::Version;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{
    BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAltName, SubjectKeyIdentifier,
};

const CODE_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.3");
const TIME_STAMPING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.8");
const ANY_PURPOSE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// What a certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    CodeSigning,
    /// Waived: whatever it says.
    Any,
    TimeStamping,
}

impl Purpose {
    /// May an authority with these purposes issue for this one? None at all means: no limit.
    fn allows(self, purposes: &[ObjectIdentifier]) -> bool {
        let wanted = match self {
            Self::Any => return true,
            Self::CodeSigning => CODE_SIGNING,
            Self::TimeStamping => TIME_STAMPING,
        };
        purposes.is_empty() || purposes.contains(&wanted) || purposes.contains(&ANY_PURPOSE)
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::CodeSigning => "code signing",
            Self::TimeStamping => "time stamping",
            Self::Any => "any purpose",
        }
    }
}

/// A certificate that was read.
#[derive(Debug, Clone)]
pub(crate) struct Certificate<'a> {
    pub(crate) der: CertificateDer<'a>,
    parsed: x509_cert::Certificate,
    /// What it is, for messages.
    what: String,
    key_usage: Option<KeyUsage>,
    /// Extended key usages, and whether the extension is critical.
    purposes: Option<(bool, Vec<ObjectIdentifier>)>,
    basic: Option<BasicConstraints>,
}

impl<'a> Certificate<'a> {
    /// Reads DER. `what` is for messages: `certificate 2 of the signature`.
    pub(crate) fn read(der: &'a [u8], what: String) -> Result<Self, PkiError> {
        if der.len() > MAX_CERTIFICATE {
            return Err(PkiError::TooLarge { what, limit: MAX_CERTIFICATE, found: der.len() });
        }
        let malformed = |reason: String| PkiError::Malformed { what: what.clone(), reason };
        let parsed = x509_cert::Certificate::from_der(der).map_err(|error| malformed(error.to_string()))?;
        if parsed.tbs_certificate().version() != Version::V3 {
            return Err(malformed("it is not of version 3".to_owned()));
        }
        let key_usage = extension::<KeyUsage>(&parsed).map_err(malformed)?.map(|(_, usage)| usage);
        let purposes = extension::<ExtendedKeyUsage>(&parsed)
            .map_err(malformed)?
            .map(|(critical, eku)| (critical, eku.0));
        let basic = extension::<BasicConstraints>(&parsed).map_err(malformed)?.map(|(_, basic)| basic);
        Ok(Self { der: CertificateDer::from(der), parsed, what, key_usage, purposes, basic })
    }

    /// As RFC 4514 writes it.
    pub(crate) fn subject(&self) -> String {
        self.parsed.tbs_certificate().subject().to_string()
    }

    pub(crate) fn issuer(&self) -> String {
        self.parsed.tbs_certificate().issuer().to_string()
    }

    pub(crate) fn is_self_issued(&self) -> bool {
        self.parsed.tbs_certificate().subject() == self.parsed.tbs_certificate().issuer()
    }

    pub(crate) fn not_before(&self) -> u64 {
        self.parsed.tbs_certificate().validity().not_before.to_unix_duration().as_secs()
    }

    pub(crate) fn not_after(&self) -> u64 {
        self.parsed.tbs_certificate().validity().not_after.to_unix_duration().as_secs()
    }

    /// Is it valid at `time`?
    pub(crate) fn valid_at(&self, time: u64) -> Result<(), PkiError> {
        let (subject, not_before, not_after) = (self.subject(), self.not_before(), self.not_after());
        if time < not_before {
            return Err(PkiError::NotYetValid { subject, not_before, time });
        }
        if time > not_after {
            return Err(PkiError::Expired { subject, not_after, time });
        }
        Ok(())
    }

    pub(crate) fn spki_der(&self) -> Result<Vec<u8>, PkiError> {
        self.parsed
            .tbs_certificate()
            .subject_public_key_info()
            .to_der()
            .map_err(|error| PkiError::Malformed { what: self.what.clone(), reason: error.to_string() })
    }

    pub(crate) fn spki_digest(&self) -> Sha256 {
        let der = self.spki_der().unwrap_or_default();
        Sha256::from_bytes(sha2::Sha256::digest(der).into())
    }

    /// The issuer's name and the serial number, in DER.
    pub(crate) fn issuer_and_serial(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        let tbs = self.parsed.tbs_certificate();
        Some((tbs.issuer().to_der().ok()?, tbs.serial_number().to_der().ok()?))
    }

    pub(crate) fn key_identifier(&self) -> Option<Vec<u8>> {
        let (_, id) = extension::<SubjectKeyIdentifier>(&self.parsed).ok()??;
        Some(id.0.into_bytes().into())
    }

    pub(crate) fn sans(&self) -> Result<Vec<San>, PkiError> {
        let found = extension::<SubjectAltName>(&self.parsed)
            .map_err(|reason| PkiError::Malformed { what: self.what.clone(), reason })?;
        let Some((_, names)) = found else { return Ok(Vec::new()) };
        Ok(names.0.iter().filter_map(San::new).collect())
    }

    /// May this one issue certificates for `purpose` at `time`?
    pub(crate) fn may_issue(&self, purpose: Purpose, time: u64) -> Result<(), PkiError> {
        self.valid_at(time)?;
        let subject = self.subject();
        if !self.is_authority() {
            return Err(PkiError::NotAuthority { subject });
        }
        if let Some(usage) = &self.key_usage
            && !usage.key_cert_sign()
        {
            return Err(PkiError::KeyUsage { subject, expected: "keyCertSign", found: usages(*usage) });
        }
        let (_, purposes) = self.purposes.as_ref().map_or((false, [].as_slice()), |(c, all)| (*c, all));
        if !purpose.allows(purposes) {
            let found = self.purpose_names();
            return Err(PkiError::Purpose { subject, expected: purpose.name(), found });
        }
        self.strong_key()
    }

    pub(crate) fn is_authority(&self) -> bool {
        self.basic.as_ref().is_some_and(|basic| basic.ca)
    }

    /// How many authorities may stand between this one and the leaf.
    pub(crate) fn path_length(&self) -> Option<u8> {
        self.basic.as_ref().and_then(|basic| basic.path_len_constraint)
    }

    /// May this leaf sign for `purpose`?
    pub(crate) fn may_sign(&self, purpose: Purpose) -> Result<(), PkiError> {
        let subject = self.subject();
        if self.is_authority() {
            return Err(PkiError::LeafIsAuthority { subject });
        }
        // Without any purpose asked for, the key usage is all that is left, so it must be there.
        let signs = self.key_usage.as_ref().map_or(purpose != Purpose::Any, KeyUsage::digital_signature);
        if !signs {
            let found = self.key_usage.as_ref().map_or_else(|| "none".to_owned(), |usage| usages(*usage));
            return Err(PkiError::KeyUsage { subject, expected: "digitalSignature", found });
        }
        let (critical, purposes) =
            self.purposes.as_ref().map_or((false, [].as_slice()), |(c, all)| (*c, all));
        let fits = match purpose {
            Purpose::Any => true,
            Purpose::CodeSigning => purposes.contains(&CODE_SIGNING),
            // RFC 3161, 2.3: the only one, and critical.
            Purpose::TimeStamping => critical && purposes == [TIME_STAMPING],
        };
        if !fits {
            let found = self.purpose_names();
            return Err(PkiError::Purpose { subject, expected: purpose.name(), found });
        }
        self.strong_key()?;
        self.strong_signature()
    }

    /// Models are signed with one of three curves.
    pub(crate) fn signs_models(&self) -> Result<(), PkiError> {
        match self.key() {
            Key::Curve("P-256" | "P-384" | "P-521") => Ok(()),
            other => Err(PkiError::LeafKey { subject: self.subject(), found: other.to_string() }),
        }
    }

    fn key(&self) -> Key {
        let spki = self.parsed.tbs_certificate().subject_public_key_info();
        match spki.algorithm.oid {
            EC => {
                let curve = spki.algorithm.parameters.as_ref().and_then(|any| any.decode_as().ok());
                match curve.map(|oid: ObjectIdentifier| oid.to_string()).as_deref() {
                    Some("1.2.840.10045.3.1.7") => Key::Curve("P-256"),
                    Some("1.3.132.0.34") => Key::Curve("P-384"),
                    Some("1.3.132.0.35") => Key::Curve("P-521"),
                    Some(other) => Key::Other(format!("a key on the curve {other}")),
                    None => Key::Other("a key on an unnamed curve".to_owned()),
                }
            }
            RSA => Key::Rsa(modulus_bits(spki.subject_public_key.raw_bytes()).unwrap_or(0)),
            oid if oid.to_string() == "1.3.101.112" => Key::Curve("Ed25519"),
            other => Key::Other(format!("a key of kind {other}")),
        }
    }

    fn strong_key(&self) -> Result<(), PkiError> {
        match self.key() {
            Key::Curve(_) => Ok(()),
            Key::Rsa(bits) if bits >= 2048 => Ok(()),
            weak => Err(PkiError::Weak { subject: self.subject(), found: weak.to_string() }),
        }
    }

    /// Was it signed with something that still holds? Of a root this does not matter: it is trusted as it is.
    pub(crate) fn strong_signature(&self) -> Result<(), PkiError> {
        let oid = self.parsed.signature_algorithm().oid.to_string();
        let found = match oid.as_str() {
            // ECDSA with SHA-256, -384, -512; RSA with the same; RSASSA-PSS; Ed25519.
            "1.2.840.10045.4.3.2"
            | "1.2.840.10045.4.3.3"
            | "1.2.840.10045.4.3.4"
            | "1.2.840.113549.1.1.11"
            | "1.2.840.113549.1.1.12"
            | "1.2.840.113549.1.1.13"
            | "1.2.840.113549.1.1.10"
            | "1.3.101.112" => {
                return Ok(());
            }
            "1.2.840.10045.4.1" => "ECDSA with SHA-1".to_owned(),
            "1.2.840.113549.1.1.5" => "RSA with SHA-1".to_owned(),
            "1.2.840.113549.1.1.4" => "RSA with MD5".to_owned(),
            other => format!("the signature algorithm {other}"),
        };
        Err(PkiError::Weak { subject: self.subject(), found })
    }

    fn purpose_names(&self) -> String {
        let Some((critical, all)) = &self.purposes else { return "none".to_owned() };
        let mut names: Vec<String> = all.iter().map(purpose_name).collect();
        if !critical {
            names.push("not critical".to_owned());
        }
        names.join(", ")
    }
}

#[derive(Debug)]
enum Key {
    Curve(&'static str),
    Rsa(usize),
    Other(String),
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Curve(name) => write!(f, "a key of kind {name}"),
            Self::Rsa(bits) => write!(f, "an RSA key of {bits} bits"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

/// An alternative name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum San {
    Dns(String),
    Email(String),
    Uri(String),
    Ip(IpAddr),
}

impl San {
    fn new(name: &GeneralName) -> Option<Self> {
        match name {
            GeneralName::DnsName(name) => Some(Self::Dns(name.to_string())),
            GeneralName::Rfc822Name(name) => Some(Self::Email(name.to_string())),
            GeneralName::UniformResourceIdentifier(name) => Some(Self::Uri(name.to_string())),
            GeneralName::IpAddress(bytes) => {
                let bytes = bytes.as_bytes();
                let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
                v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok().map(Self::Ip)
            }
            _ => None,
        }
    }

    /// Is it the pinned one? The pin's form says of which kind it is, so that no kind stands in for another.
    pub(crate) fn is(&self, pin: &str) -> bool {
        if let Ok(address) = pin.parse::<IpAddr>() {
            return *self == Self::Ip(address);
        }
        match self {
            Self::Uri(name) => pin.contains(':') && name == pin,
            Self::Email(name) => !pin.contains(':') && pin.contains('@') && name == pin,
            Self::Dns(name) => !pin.contains([':', '@']) && name.eq_ignore_ascii_case(pin),
            Self::Ip(_) => false,
        }
    }
}

impl fmt::Display for San {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => write!(f, "dns:{name}"),
            Self::Email(name) => write!(f, "email:{name}"),
            Self::Uri(name) => write!(f, "uri:{name}"),
            Self::Ip(address) => write!(f, "ip:{address}"),
        }
    }
}

/// The public key of a certificate in DER: SPKI DER. Nothing is judged.
pub fn public_key(der: &[u8]) -> Result<Vec<u8>, PkiError> {
    Certificate::read(der, "the certificate".to_owned())?.spki_der()
}

/// Certificates from a file: DER, or PEM with one or more of them.
///
/// Gives DER, in the file's order. `what` names the file in messages. At most 80 certificates of 64 KiB are read, and
/// other sections of a PEM file (a private key) are refused, because they show that it is the wrong file.
pub fn read_certificates(bytes: &[u8], what: &str) -> Result<Vec<Vec<u8>>, PkiError> {
    const LIMIT: usize = crate::MAX_ANCHORS + crate::MAX_CHAIN;
    let malformed = |reason: String| PkiError::Malformed { what: what.to_owned(), reason };
    if bytes.len() > LIMIT * 2 * MAX_CERTIFICATE {
        return Err(PkiError::TooLarge {
            what: what.to_owned(),
            limit: LIMIT * 2 * MAX_CERTIFICATE,
            found: bytes.len(),
        });
    }
    if bytes.first() == Some(&0x30) {
        return Ok(vec![bytes.to_vec()]);
    }
    let mut all = Vec::new();
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(bytes) {
        let (kind, der) = section.map_err(|error| malformed(error.to_string()))?;
        if kind != SectionKind::Certificate {
            return Err(malformed("it holds something else than certificates".to_owned()));
        }
        if all.len() == LIMIT {
            return Err(PkiError::TooMany { what: "certificates", limit: LIMIT, found: LIMIT + 1 });
        }
        all.push(der);
    }
    if all.is_empty() {
        return Err(malformed("no certificate was found in it; PEM or DER is expected".to_owned()));
    }
    Ok(all)
}

/// Certificates by what they can be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parted {
    /// Self-issued ones: anchors, if somebody trusts them.
    pub roots: Vec<Vec<u8>>,
    /// The others.
    pub intermediates: Vec<Vec<u8>>,
}

/// Parts certificates, which other tools take in one list, into roots and intermediates; DER, in their order.
pub fn split_roots(certificates: Vec<Vec<u8>>) -> Result<Parted, PkiError> {
    let mut parted = Parted::default();
    for (index, der) in certificates.into_iter().enumerate() {
        let certificate = Certificate::read(&der, format!("certificate {}", index + 1))?;
        let is_root = certificate.is_self_issued();
        if is_root { parted.roots.push(der) } else { parted.intermediates.push(der) }
    }
    Ok(parted)
}

/// An extension, if it is there once.
fn extension<T: for<'d> Decode<'d> + AssociatedOid>(
    certificate: &x509_cert::Certificate,
) -> Result<Option<(bool, T)>, String> {
    let mut found = None;
    for extension in certificate.tbs_certificate().extensions().into_iter().flatten() {
        if extension.extn_id == T::OID {
            if found.is_some() {
                return Err(format!("the extension {} is there twice", T::OID));
            }
            let value = T::from_der(extension.extn_value.as_bytes());
            found = Some((
                extension.critical,
                value.map_err(|_| format!("its extension {} is malformed", T::OID))?,
            ));
        }
    }
    Ok(found)
}

fn usages(usage: KeyUsage) -> String {
    let all = [
        (usage.digital_signature(), "digitalSignature"),
        (usage.non_repudiation(), "nonRepudiation"),
        (usage.key_encipherment(), "keyEncipherment"),
        (usage.data_encipherment(), "dataEncipherment"),
        (usage.key_agreement(), "keyAgreement"),
        (usage.key_cert_sign(), "keyCertSign"),
        (usage.crl_sign(), "cRLSign"),
    ];
    let names: Vec<&str> = all.into_iter().filter_map(|(set, name)| set.then_some(name)).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn purpose_name(oid: &ObjectIdentifier) -> String {
    match oid.to_string().as_str() {
        "1.3.6.1.5.5.7.3.1" => "serverAuth".to_owned(),
        "1.3.6.1.5.5.7.3.2" => "clientAuth".to_owned(),
        "1.3.6.1.5.5.7.3.3" => "codeSigning".to_owned(),
        "1.3.6.1.5.5.7.3.4" => "emailProtection".to_owned(),
        "1.3.6.1.5.5.7.3.8" => "timeStamping".to_owned(),
        "1.3.6.1.5.5.7.3.9" => "OCSPSigning".to_owned(),
        "2.5.29.37.0" => "any".to_owned(),
        other => other.to_owned(),
    }
}

/// Bits of an RSA key: `RSAPublicKey` of RFC 8017, A.1.1.
fn modulus_bits(key: &[u8]) -> Option<usize> {
    let modulus = crate::asn1::Element::whole(key).ok()?.sequence("key").ok()?.next("modulus").ok()?;
    let digits = modulus.content.strip_prefix(&[0]).unwrap_or(modulus.content);
    let first = digits.first()?;
    Some(digits.len() * 8 - usize::try_from(first.leading_zeros()).ok()?)
}
