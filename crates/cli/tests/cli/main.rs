//! The command line as a person meets it: the real program, in a place of its own, without a container engine.
//!
//! Every exit code that can occur without an engine is here.

mod doctor;
mod engine;
mod env;
mod gateway;
mod lock;
mod operate;
mod output;
mod settings;
mod validate;
mod verify;
