//! The Sigstore bundle: what stands around the signed bytes.

use super::payload;
use super::{Compat, Leniency, MEDIA_TYPE, OmsError, Signed, legacy};
use crate::dsse::pae_head;
use crate::json::{self, Limits, Object};
use crate::keys::{Prehash, PublicKey, SignatureError};
use crate::statement::PAYLOAD_TYPE;
use crate::text::{from_base64, from_base64_url, shorten};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Most certificates of a chain.
const MAX_CERTIFICATES: usize = 32;
/// Most bytes of one certificate or timestamp, decoded.
const MAX_DER: usize = 64 << 10;
/// Most RFC 3161 timestamps.
const MAX_TIMESTAMPS: usize = 16;
/// Most signatures that `--compat` looks at.
const MAX_SIGNATURES: usize = 16;

/// A bundle, taken apart; nothing in it is believed yet.
#[derive(Debug, Clone)]
pub struct Bundle {
    material: Material,
    timestamps: Vec<Vec<u8>>,
    payload: Vec<u8>,
    /// At least one.
    signatures: Vec<Vec<u8>>,
    leniency: Leniency,
}

/// What a bundle says about its signer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Material {
    /// A key that the verifier has; the hint is OMS' fingerprint of it.
    Key {
        /// Absent only with [`Compat::Compat`].
        hint: Option<String>,
    },
    /// The PEM text of a key, as versions before 1.1.0 wrote it; only compared, never trusted.
    KeyBytes {
        /// The text.
        pem: Vec<u8>,
    },
    /// Certificates, DER, leaf first: at least one.
    Chain(Vec<Vec<u8>>),
    /// A short-lived certificate and a transparency log; recognised, not verified.
    Keyless,
}

impl Material {
    /// The method's name for messages.
    const fn method(&self) -> &'static str {
        match self {
            Self::Key { .. } | Self::KeyBytes { .. } => "key",
            Self::Chain(_) => "certificate",
            Self::Keyless => "keyless certificate",
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawBundle<'a> {
    #[serde(borrow)]
    media_type: Cow<'a, str>,
    #[serde(borrow)]
    verification_material: Object<RawMaterial<'a>>,
    #[serde(borrow)]
    dsse_envelope: Object<RawEnvelope<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawMaterial<'a> {
    #[serde(borrow)]
    public_key: Option<Object<RawKey<'a>>>,
    #[serde(borrow)]
    x509_certificate_chain: Option<Object<RawChain<'a>>>,
    certificate: Option<&'a RawValue>,
    tlog_entries: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    timestamp_verification_data: Option<Object<RawTimestamps<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawKey<'a> {
    #[serde(borrow)]
    hint: Option<Cow<'a, str>>,
    raw_bytes: Option<Cow<'a, str>>,
    key_details: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawChain<'a> {
    #[serde(borrow)]
    certificates: Vec<Object<RawCertificate<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawCertificate<'a> {
    #[serde(borrow)]
    raw_bytes: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawTimestamps<'a> {
    #[serde(borrow)]
    rfc3161_timestamps: Option<Vec<Object<RawTimestamp<'a>>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawTimestamp<'a> {
    #[serde(borrow)]
    signed_timestamp: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawEnvelope<'a> {
    #[serde(borrow)]
    payload: Cow<'a, str>,
    payload_type: Cow<'a, str>,
    #[serde(borrow)]
    signatures: Vec<Object<RawSignature<'a>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSignature<'a> {
    #[serde(borrow)]
    sig: Cow<'a, str>,
    #[serde(rename = "keyid")]
    _keyid: Option<Cow<'a, str>>,
}

impl Bundle {
    /// Takes a bundle apart: strict JSON within [`Limits::BUNDLE`], no unknown field, exactly one kind of signer.
    pub fn parse(text: &[u8], compat: Compat) -> Result<Self, OmsError> {
        let Object(raw): Object<RawBundle<'_>> =
            json::from_slice(text, Limits::BUNDLE).map_err(OmsError::json("the bundle"))?;
        if raw.media_type != MEDIA_TYPE {
            return Err(OmsError::MediaType(shorten(&raw.media_type, 80)));
        }
        if raw.dsse_envelope.payload_type != PAYLOAD_TYPE {
            return Err(OmsError::PayloadType(shorten(&raw.dsse_envelope.payload_type, 80)));
        }
        let mut leniency = Leniency::new(compat);
        let timestamps =
            timestamps(raw.verification_material.timestamp_verification_data.as_deref(), &mut leniency)?;
        let material = material(&raw.verification_material, &mut leniency)?;
        let mut signatures = Vec::new();
        match raw.dsse_envelope.signatures.len() {
            0 => return Err(OmsError::NoSignature),
            1 => {}
            more if more > MAX_SIGNATURES => {
                return Err(OmsError::malformed(
                    "signatures",
                    format!("at most {MAX_SIGNATURES}, found {more}"),
                ));
            }
            more => leniency.allow("several-signatures", || {
                format!("the envelope has {more} signatures, and each must be the signer's")
            })?,
        }
        for signature in &raw.dsse_envelope.signatures {
            signatures.push(base64(&signature.sig, "sig", &mut leniency)?);
        }
        let payload = base64(&raw.dsse_envelope.payload, "payload", &mut leniency)?;
        if payload.is_empty() {
            return Err(OmsError::malformed("payload", "it is empty"));
        }
        Ok(Self { material, timestamps, payload, signatures, leniency })
    }

    /// What the bundle says about its signer.
    pub fn material(&self) -> &Material {
        &self.material
    }

    /// DER of RFC 3161 responses or tokens over [`Bundle::signature`]; not looked at here.
    pub fn timestamps(&self) -> &[Vec<u8>] {
        &self.timestamps
    }

    /// The first signature: DER of an ECDSA `(r, s)`.
    pub fn signature(&self) -> &[u8] {
        self.signatures.first().map_or(&[], Vec::as_slice)
    }

    /// The bytes that were signed, unverified: for tools that show a bundle.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Checks that the bundle is by this key, then reads what it says. A bundle by a certificate is refused.
    pub fn verify_key(&self, key: &PublicKey) -> Result<Signed, OmsError> {
        match &self.material {
            Material::Keyless => return Err(OmsError::Keyless),
            Material::Chain(_) => {
                return Err(OmsError::WrongMethod { expected: "key", found: self.material.method() });
            }
            Material::Key { hint: None } => {}
            Material::Key { hint: Some(hint) } => {
                let expected = key.oms_hint();
                if *hint != expected {
                    return Err(OmsError::WrongHint { expected, found: shorten(hint, 80) });
                }
            }
            Material::KeyBytes { pem } => {
                // The same key may be written in several ways; what counts is that it is the same.
                if !PublicKey::from_pem(pem).is_ok_and(|carried| carried == *key) {
                    return Err(OmsError::WrongKeyBytes);
                }
            }
        }
        self.verify_with(key)
    }

    /// Checks that the bundle is by the key of its leaf certificate, which the caller has judged, then reads what it
    /// says. A bundle by a plain key is refused.
    pub fn verify_leaf(&self, key: &PublicKey) -> Result<Signed, OmsError> {
        match &self.material {
            Material::Keyless => Err(OmsError::Keyless),
            Material::Chain(_) => self.verify_with(key),
            Material::Key { .. } | Material::KeyBytes { .. } => {
                Err(OmsError::WrongMethod { expected: "certificate", found: self.material.method() })
            }
        }
    }

    fn verify_with(&self, key: &PublicKey) -> Result<Signed, OmsError> {
        if !key.algorithm().is_oms() {
            return Err(OmsError::KeyKind(key.algorithm()));
        }
        let mut leniency = self.leniency.clone();
        let head = pae_head(PAYLOAD_TYPE, self.payload.len());
        for signature in &self.signatures {
            match key.verify_parts(&[head.as_bytes(), &self.payload], signature, Prehash::Curve) {
                Ok(()) => {}
                Err(SignatureError::Invalid(_))
                    if leniency.is_compat() && legacy::verify(key, &self.payload, signature) =>
                {
                    leniency.allow("legacy-encoding", || {
                        "signed over the broken encoding of model-signing 0.2.0".to_owned()
                    })?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        payload::read(&self.payload, leniency)
    }
}

fn timestamps(raw: Option<&RawTimestamps<'_>>, leniency: &mut Leniency) -> Result<Vec<Vec<u8>>, OmsError> {
    let list = raw.and_then(|raw| raw.rfc3161_timestamps.as_deref()).unwrap_or_default();
    if list.len() > MAX_TIMESTAMPS {
        return Err(OmsError::malformed(
            "timestamps",
            format!("at most {MAX_TIMESTAMPS}, found {}", list.len()),
        ));
    }
    list.iter().map(|one| der(&one.signed_timestamp, "signedTimestamp", leniency)).collect()
}

fn material(raw: &RawMaterial<'_>, leniency: &mut Leniency) -> Result<Material, OmsError> {
    let tlog = raw.tlog_entries.as_ref().map_or(0, Vec::len);
    let found = match (&raw.public_key, &raw.x509_certificate_chain, raw.certificate) {
        (Some(key), None, None) => public_key(key, leniency)?,
        (None, Some(chain), None) => {
            if chain.certificates.is_empty() || chain.certificates.len() > MAX_CERTIFICATES {
                let what = format!("1 to {MAX_CERTIFICATES}, found {}", chain.certificates.len());
                return Err(OmsError::malformed("certificates", what));
            }
            let certificates = chain.certificates.iter();
            let chain = certificates.map(|one| der(&one.raw_bytes, "certificate", leniency));
            Material::Chain(chain.collect::<Result<_, _>>()?)
        }
        (None, None, Some(_)) => return Ok(Material::Keyless),
        (None, None, None) => {
            return Err(OmsError::malformed(
                "verificationMaterial",
                "it names neither a key nor a certificate",
            ));
        }
        _ => {
            return Err(OmsError::malformed("verificationMaterial", "it names more than one kind of signer"));
        }
    };
    if tlog > 0 {
        leniency.allow("log-entries", || {
            format!(
                "a bundle by a {} has {tlog} transparency log entries, which are not checked",
                found.method()
            )
        })?;
    }
    Ok(found)
}

fn public_key(raw: &RawKey<'_>, leniency: &mut Leniency) -> Result<Material, OmsError> {
    if raw.key_details.is_some() && raw.raw_bytes.is_none() {
        return Err(OmsError::malformed("publicKey", "it has `keyDetails` without `rawBytes`"));
    }
    if let Some(bytes) = &raw.raw_bytes {
        if raw.hint.as_deref().is_some_and(|hint| !hint.is_empty()) {
            return Err(OmsError::malformed("publicKey", "it has both `hint` and `rawBytes`"));
        }
        leniency.allow("key-bytes", || {
            "the bundle carries its public key, as versions before 1.1.0 did".to_owned()
        })?;
        return Ok(Material::KeyBytes { pem: der(bytes, "rawBytes", leniency)? });
    }
    match raw.hint.as_deref() {
        None | Some("") => {
            leniency.allow("no-hint", || "the bundle does not name its key".to_owned())?;
            Ok(Material::Key { hint: None })
        }
        Some(hint) => Ok(Material::Key { hint: Some(hint.to_owned()) }),
    }
}

/// Decodes something that is small.
fn der(text: &str, place: &'static str, leniency: &mut Leniency) -> Result<Vec<u8>, OmsError> {
    let bytes = base64(text, place, leniency)?;
    if bytes.is_empty() || bytes.len() > MAX_DER {
        return Err(OmsError::malformed(place, format!("1 to {MAX_DER} bytes, found {}", bytes.len())));
    }
    Ok(bytes)
}

fn base64(text: &str, place: &'static str, leniency: &mut Leniency) -> Result<Vec<u8>, OmsError> {
    if let Some(bytes) = from_base64(text) {
        return Ok(bytes);
    }
    let bytes = from_base64_url(text).ok_or_else(|| OmsError::malformed(place, "it is not base64"))?;
    leniency.allow("base64-alphabet", || format!("`{place}` is in the URL-safe alphabet of base64"))?;
    Ok(bytes)
}
