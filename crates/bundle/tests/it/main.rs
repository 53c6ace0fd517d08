//! Bundles as they lie on disks: whole, damaged, and made to deceive.

#![expect(clippy::unwrap_used, reason = "functions that tests share")]

mod common;
mod create;
mod decision;
mod import;
mod repair;
mod request;
mod set;
mod vectors;
mod verify;
