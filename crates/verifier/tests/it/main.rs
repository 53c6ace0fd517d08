//! Tests of the verifier through its public functions, on real files.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "functions that tests share")]

mod admission;
mod arrival;
mod common;
mod crash;
mod examine;
mod findings;
mod folders;
mod hub;
mod others;
mod passport;
mod passport_format;
mod property;
mod receipts;
mod remainder;
mod signed;
mod space;
mod stored;
mod swapped;
