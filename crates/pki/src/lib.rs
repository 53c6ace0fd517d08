//! Certificate chains, revocation lists and RFC 3161 time stamps for signatures over models: verified offline, at a stated
//! time, against explicit anchors.
//!
//! This crate touches no file and reads no clock.

mod algorithms;
mod asn1;
mod cert;
mod crl;
mod error;
mod path;
mod request;
mod stamp;
mod time;
mod verify;

pub use cert::{Parted, public_key, read_certificates, split_roots};
pub use error::{PkiError, StampError};
pub use request::{
    Judged, MAX_ANCHORS, MAX_CERTIFICATE, MAX_CHAIN, MAX_CRL, MAX_CRLS, MAX_STAMP, MAX_STAMPS, Pin, Request,
    TimeFrom,
};
pub use verify::verify;
