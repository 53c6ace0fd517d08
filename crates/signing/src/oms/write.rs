//! Writing a signature: SHA-256, whole files, the specification's order, one line of JSON. The same input gives the
//! same bytes.

use super::{Bundle, Compat, MAX_RESOURCES, MEDIA_TYPE, OmsError, PREDICATE_TYPE};
use crate::dsse::pae;
use crate::keys::PrivateKey;
use crate::statement::{PAYLOAD_TYPE, STATEMENT_TYPE};
use crate::text::to_base64;
use serde_json::json;
use sha2::Digest as _;
use sovai_core::{RelPath, Sha256};
use std::collections::BTreeSet;

/// What to sign, and by whom.
#[derive(Debug)]
pub struct SignRequest<'a> {
    /// The base name of the model's folder or file; for people.
    pub model_name: String,
    /// Every file with its digest, in any order.
    pub files: &'a [(RelPath, Sha256)],
    /// What was left out, in any order: [`super::DEFAULT_IGNORES`], the signature's own file, what the signer chose.
    pub ignore_paths: Vec<RelPath>,
    /// A key of P-256, P-384 or P-521.
    pub key: &'a PrivateKey,
    /// Certificates of the key, DER, leaf first; without them the signature is by the plain key.
    pub chain: Option<Vec<Vec<u8>>>,
}

/// OMS' identity of a model: SHA-256 over the digests of its files, in the order of their names' code points.
pub fn root_digest(files: &[(RelPath, Sha256)]) -> Sha256 {
    let mut root = sha2::Sha256::new();
    for (_, digest) in ordered(files) {
        root.update(digest.as_bytes());
    }
    Sha256::from_bytes(root.finalize().into())
}

fn ordered(files: &[(RelPath, Sha256)]) -> Vec<&(RelPath, Sha256)> {
    let mut files: Vec<_> = files.iter().collect();
    // Byte order of UTF-8 is code point order.
    files.sort_unstable_by_key(|(path, _)| path);
    files
}

/// Signs. What comes out was read back and verified, so that nothing is written that would be refused.
pub fn sign(request: SignRequest<'_>) -> Result<Vec<u8>, OmsError> {
    let public = request.key.public();
    if !public.algorithm().is_oms() {
        return Err(OmsError::KeyKind(public.algorithm()));
    }
    if request.files.is_empty() {
        return Err(OmsError::NoResources);
    }
    if request.files.len() > MAX_RESOURCES {
        return Err(OmsError::TooManyResources);
    }
    let resources: Vec<_> = ordered(request.files)
        .into_iter()
        .map(|(path, digest)| json!({ "algorithm": "sha256", "digest": digest.hex(), "name": path }))
        .collect();
    let ignored: BTreeSet<&RelPath> = request.ignore_paths.iter().collect();
    let statement = json!({
        "_type": STATEMENT_TYPE,
        "subject": [{ "name": request.model_name, "digest": { "sha256": root_digest(request.files).hex() } }],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "resources": resources,
            "serialization": {
                "method": "files",
                "hash_type": "sha256",
                "allow_symlinks": false,
                "ignore_paths": ignored,
            },
        },
    });
    let payload = serde_json::to_vec(&statement).map_err(|error| OmsError::Write(error.to_string()))?;
    let signature = request.key.sign(&pae(PAYLOAD_TYPE, &payload));
    let by_certificate = request.chain.is_some();
    let material = match request.chain {
        None => json!({ "publicKey": { "hint": public.oms_hint() }, "tlogEntries": [] }),
        Some(chain) => {
            let certificates: Vec<_> =
                chain.iter().map(|der| json!({ "rawBytes": to_base64(der) })).collect();
            json!({ "x509CertificateChain": { "certificates": certificates }, "tlogEntries": [] })
        }
    };
    let bundle = json!({
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": material,
        "dsseEnvelope": {
            "payload": to_base64(&payload),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{ "sig": to_base64(&signature), "keyid": "" }],
        },
    });
    let bytes = serde_json::to_vec(&bundle).map_err(|error| OmsError::Write(error.to_string()))?;
    let read = Bundle::parse(&bytes, Compat::Strict)?;
    if by_certificate { read.verify_leaf(public) } else { read.verify_key(public) }?;
    Ok(bytes)
}
