//! The release binary on a real container engine. What the tests need from outside is told in `src/lib.rs`.
//!
//! Every test has a stack of its own name, store and port, and removes what it made also when it fails. Most run side by
//! side; those that compare all that the engine holds before and after run alone ([`setup::alone`]).
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "all of this is test code; the lints know only functions that are marked as tests"
)]

mod alone;
mod bytes;
mod concurrent;
mod docker;
mod events;
mod failing;
mod foreign;
mod gateway;
mod http;
mod images;
mod isolation;
mod journey;
mod judged;
mod kill;
mod namespaces;
mod operate;
mod own_engine;
mod process;
mod pull;
mod real;
mod redeploy;
mod refused;
mod secrets;
mod setup;
mod stack;
mod store;
mod tiny;
