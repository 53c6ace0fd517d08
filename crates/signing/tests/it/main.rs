//! Tests from outside: what other tools wrote, what must be refused, what is written.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::format_collect,
    reason = "what a test cannot do is a failed test"
)]

mod corpus;
mod envelopes;
mod keys;
mod mutations;
mod refusals;
mod support;
mod vectors;
mod written;
