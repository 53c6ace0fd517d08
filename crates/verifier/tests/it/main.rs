//! Tests of the verifier through its public functions, on real files.

mod admission;
mod common;
mod crash;
mod findings;
mod property;
mod receipts;
mod stored;
