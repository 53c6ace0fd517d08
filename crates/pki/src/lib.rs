//! Certificate chains, revocation lists and RFC 3161 time stamps for signatures over models: verified offline, at a stated
//! time, against explicit anchors.
//!
//! This crate touches no file and reads no clock.
