//! The download engine against a hub with faults.

#![expect(clippy::unwrap_used, reason = "functions that tests share")]

mod common;
mod faults;
mod mirrors;
mod plain;
mod stop;
