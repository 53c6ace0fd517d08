//! The command line as a person meets it: the real program, in a place of its own, without a container engine.
//!
//! Every exit code that can occur without an engine is here.

#![expect(clippy::unwrap_used, reason = "what a test cannot do is a failed test")]

mod bundle_base;
mod bundle_create;
mod bundle_import;
mod bundle_read;
mod bundle_repair;
mod catalog;
mod covered;
mod doctor;
mod engine;
mod env;
mod evidence;
mod export;
mod faults;
mod faults_disk;
mod first_trust;
mod gateway;
mod hints;
mod init;
mod inspect;
mod lock;
mod lock_remote;
mod operate;
mod output;
mod policy;
mod pull;
mod pull_options;
mod push;
mod registry;
mod sbom;
mod settings;
mod sign;
mod store;
mod store_processes;
mod trust;
mod validate;
mod verify;
mod verify_certificate;
mod verify_passport;
mod verify_schema;
mod verify_signed;
mod verify_trust;
