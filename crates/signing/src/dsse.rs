//! DSSE envelopes v1 (secure-systems-lab/dsse, `envelope.md` and `protocol.md`).

use crate::json::{self, JsonError, Limits, Object};
use crate::keys::{KeyId, PrivateKey, PublicKey};
use crate::text::{from_base64, shorten, to_base64};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// Most signatures of one envelope. Each is tried with each key that is asked for.
pub const MAX_SIGNATURES: usize = 64;

/// The pre-authentication encoding: what is signed. Lengths count bytes.
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut encoded = pae_head(payload_type, payload.len()).into_bytes();
    encoded.extend_from_slice(payload);
    encoded
}

/// All of the pre-authentication encoding but the payload at its end.
pub(crate) fn pae_head(payload_type: &str, payload_len: usize) -> String {
    format!("DSSEv1 {} {payload_type} {payload_len} ", payload_type.len())
}

/// One signature of an envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// What the signer calls its key; proves nothing, and is never used to choose a key.
    pub keyid: Option<String>,
    /// The signature's bytes.
    pub sig: Vec<u8>,
}

/// A payload with its signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Media type of the payload; it is signed too.
    pub payload_type: String,
    /// The signed bytes, exactly as they were signed.
    pub payload: Vec<u8>,
    /// At least one.
    pub signatures: Vec<Signature>,
}

/// Why a text is not an envelope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Not strict JSON of the right shape.
    #[error("malformed DSSE envelope: {0}")]
    Json(#[from] JsonError),
    /// A field that is not standard base64.
    #[error("malformed DSSE envelope: `{0}` is not standard base64")]
    Base64(&'static str),
    /// No signature.
    #[error("the DSSE envelope has no signature")]
    NoSignature,
    /// More than [`MAX_SIGNATURES`].
    #[error("a DSSE envelope has at most {MAX_SIGNATURES} signatures, found {0}")]
    TooMany(usize),
    /// Another payload type than the reader expects.
    #[error("expected a DSSE payload of type `{expected}`, found `{}`", .found.escape_debug())]
    PayloadType {
        /// What the reader expects.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawEnvelope<'a> {
    #[serde(borrow)]
    payload: Cow<'a, str>,
    #[serde(borrow)]
    payload_type: Cow<'a, str>,
    #[serde(borrow)]
    signatures: Vec<Object<RawSignature<'a>>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSignature<'a> {
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    keyid: Option<Cow<'a, str>>,
    #[serde(borrow)]
    sig: Cow<'a, str>,
}

impl Envelope {
    /// Reads an envelope: strict JSON within [`Limits::BUNDLE`], standard base64, no unknown field.
    pub fn parse(text: &[u8]) -> Result<Self, EnvelopeError> {
        let Object(raw): Object<RawEnvelope<'_>> = json::from_slice(text, Limits::BUNDLE)?;
        match raw.signatures.len() {
            0 => return Err(EnvelopeError::NoSignature),
            1..=MAX_SIGNATURES => {}
            more => return Err(EnvelopeError::TooMany(more)),
        }
        let payload = from_base64(&raw.payload).ok_or(EnvelopeError::Base64("payload"))?;
        let signatures = raw.signatures.iter().map(|Object(raw)| {
            let sig = from_base64(&raw.sig).ok_or(EnvelopeError::Base64("sig"))?;
            Ok(Signature { keyid: raw.keyid.as_deref().map(str::to_owned), sig })
        });
        let signatures = signatures.collect::<Result<_, EnvelopeError>>()?;
        Ok(Self { payload_type: raw.payload_type.into_owned(), payload, signatures })
    }

    /// Signs a payload with each key. `keyid` is the key's id.
    pub fn sign(payload_type: &str, payload: Vec<u8>, keys: &[&PrivateKey]) -> Self {
        let message = pae(payload_type, &payload);
        let signatures = keys
            .iter()
            .map(|key| Signature { keyid: Some(key.public().id().to_string()), sig: key.sign(&message) })
            .collect();
        Self { payload_type: payload_type.to_owned(), payload, signatures }
    }

    /// The envelope as JSON on one line, without a newline at its end.
    pub fn to_json(&self) -> String {
        let raw = RawEnvelope {
            payload: to_base64(&self.payload).into(),
            payload_type: self.payload_type.as_str().into(),
            signatures: self
                .signatures
                .iter()
                .map(|signature| {
                    Object(RawSignature {
                        keyid: signature.keyid.as_deref().map(Cow::Borrowed),
                        sig: to_base64(&signature.sig).into(),
                    })
                })
                .collect(),
        };
        // Strings and lists of strings can always be written.
        serde_json::to_string(&raw).unwrap_or_default()
    }

    /// Which of `keys` signed. Distinct key material counts once, however often its key or its signature is repeated.
    pub fn verified_by(&self, keys: &[PublicKey]) -> BTreeSet<KeyId> {
        let distinct: BTreeMap<KeyId, &PublicKey> = keys.iter().map(|key| (key.id(), key)).collect();
        let message = pae(&self.payload_type, &self.payload);
        distinct
            .into_iter()
            .filter(|(_, key)| {
                self.signatures.iter().any(|signature| key.verify(&message, &signature.sig).is_ok())
            })
            .map(|(id, _)| id)
            .collect()
    }

    /// The payload, if the envelope declares it to be of this type.
    pub fn payload_of(&self, payload_type: &'static str) -> Result<&[u8], EnvelopeError> {
        if self.payload_type == payload_type {
            return Ok(&self.payload);
        }
        Err(EnvelopeError::PayloadType { expected: payload_type, found: shorten(&self.payload_type, 80) })
    }
}
