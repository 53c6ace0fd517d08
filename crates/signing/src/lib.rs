//! Keys, DSSE envelopes, in-toto statements, and OpenSSF Model Signing v1.0 bundles: bytes in, bytes out.
//!
//! This crate touches no file and reads no clock.
