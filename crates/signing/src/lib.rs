//! Keys, DSSE envelopes, in-toto statements, and OpenSSF Model Signing v1.0 bundles: bytes in, bytes out.
//!
//! This crate touches no file and reads no clock.

pub mod dsse;
pub mod json;
mod keys;
pub mod oms;
pub mod passport;
pub mod pem;
pub mod statement;
mod text;

pub use keys::{Algorithm, KeyError, KeyId, PrivateKey, PublicKey, SignatureError};
