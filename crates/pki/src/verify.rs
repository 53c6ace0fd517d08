//! The judgement: time, chain, revocation, purpose, identity.

use crate::cert::{Certificate, Purpose};
use crate::crl::{self, Lists};
use crate::path::{self, Rules};
use crate::request::{MAX_ANCHORS, MAX_CHAIN, MAX_STAMPS};
use crate::stamp::{self, Stamp, StampRules};
use crate::time::Moment;
use crate::{Judged, PkiError, Request, StampError, TimeFrom};

/// Judges the certificate of a signature.
///
/// The chain is judged at the time of signing: that of a time stamp which holds, else the one that the operator states,
/// else now. A time stamp that is there, and for which anchors were given, must hold: of several at least one.
///
/// What it does not do: verify the model's signature. That is for [`Judged::spki_der`].
///
/// # Errors
///
/// Each way in which the certificate is not to be believed is a [`PkiError`]. Time and memory are bounded by the limits
/// of [`Request`] and by webpki's own (100 signatures, six intermediates).
pub fn verify(request: &Request<'_>) -> Result<Judged, PkiError> {
    request.pin.check()?;
    if request.anchors.is_empty() {
        return Err(PkiError::NoAnchors);
    }
    bound("certificates in the signature", request.chain.len(), MAX_CHAIN)?;
    let mut chain = read_all(request.chain, "of the signature", MAX_CHAIN)?.into_iter();
    let leaf = chain.next().ok_or(PkiError::EmptyChain)?;
    let anchors = read_all(request.anchors, "of the trust anchors", MAX_ANCHORS)?;
    let mut pool: Vec<Certificate<'_>> = chain.collect();
    pool.extend(read_all(request.intermediates, "of the intermediates", MAX_ANCHORS)?);
    let decoded = crl::decode(request.crls)?;
    let lists = Lists::read(&decoded, request.now)?;
    let lists = (!decoded.is_empty()).then_some(&lists);

    let mut notes = Vec::new();
    let (time, time_from) = signing_time(request, lists, &mut notes)?;
    leaf.signs_models()?;
    let purpose = if request.waive_code_signing { Purpose::Any } else { Purpose::CodeSigning };
    let path = path::find(&leaf, &pool, &anchors, Rules { purpose, time, lists, all_covered: true })?;
    request.pin.compare(&leaf)?;

    if leaf.valid_at(request.now).is_err() {
        notes.push(format!(
            "the certificate is valid from {} to {}: not now, but at {}, when it was used",
            Moment(leaf.not_before()),
            Moment(leaf.not_after()),
            Moment(time)
        ));
    }
    if lists.is_none() {
        notes.push("no revocation list was given: whether a certificate was revoked is not known".to_owned());
    }
    Ok(Judged {
        spki_der: leaf.spki_der()?,
        subject: leaf.subject(),
        sans: leaf.sans()?.iter().map(ToString::to_string).collect(),
        issuers: path.issuers,
        not_before: leaf.not_before(),
        not_after: leaf.not_after(),
        time,
        time_from,
        revocation: path.revocation,
        notes,
    })
}

/// The time at which the chain is judged, and where it comes from.
fn signing_time(
    request: &Request<'_>,
    lists: Option<&Lists<'_>>,
    notes: &mut Vec<String>,
) -> Result<(u64, TimeFrom), PkiError> {
    bound("time stamps", request.timestamps.len(), MAX_STAMPS)?;
    if let Some(stated) = request.signed_at
        && stated > request.now
    {
        return Err(PkiError::StatedInFuture { stated, now: request.now });
    }
    if request.tsa_anchors.is_empty() {
        if !request.timestamps.is_empty() {
            notes.push(
                "the signature has a time stamp; without anchors for it, it counts for nothing".to_owned(),
            );
        }
    } else if let Some(stamp) = earliest(request, lists, notes)? {
        if let Some(stated) = request.signed_at {
            notes.push(format!("the time stamp counts, not the stated time {}", Moment(stated)));
        }
        return Ok((stamp.time, TimeFrom::Timestamp { authority: stamp.authority }));
    } else {
        notes.push("anchors for time stamps were given, and the signature has none".to_owned());
    }
    Ok(match request.signed_at {
        Some(stated) => (stated, TimeFrom::Stated),
        None => (request.now, TimeFrom::Now),
    })
}

/// The earliest time stamp that holds: the signature was there by then. `None` when there is none at all.
fn earliest(
    request: &Request<'_>,
    lists: Option<&Lists<'_>>,
    notes: &mut Vec<String>,
) -> Result<Option<Stamp>, PkiError> {
    let anchors = read_all(request.tsa_anchors, "of the time stamps' anchors", MAX_ANCHORS)?;
    let rules = StampRules { signature: request.signature, anchors: &anchors, lists, now: request.now };
    let mut best: Option<Stamp> = None;
    let mut worst: Option<StampError> = None;
    for token in request.timestamps {
        match stamp::verify(token, rules) {
            Ok(stamp) if best.as_ref().is_none_or(|best| stamp.time < best.time) => best = Some(stamp),
            Ok(_) => {}
            Err(error) => {
                notes.push(format!("a time stamp does not hold: {error}"));
                worst.get_or_insert(error);
            }
        }
    }
    match (best, worst) {
        (None, Some(error)) => Err(error.into()),
        (best, _) => Ok(best),
    }
}

fn read_all<'a>(ders: &'a [Vec<u8>], whose: &str, limit: usize) -> Result<Vec<Certificate<'a>>, PkiError> {
    bound("certificates", ders.len(), limit)?;
    ders.iter()
        .enumerate()
        .map(|(index, der)| Certificate::read(der, format!("certificate {} {whose}", index + 1)))
        .collect()
}

fn bound(what: &'static str, found: usize, limit: usize) -> Result<(), PkiError> {
    if found > limit { Err(PkiError::TooMany { what, limit, found }) } else { Ok(()) }
}
