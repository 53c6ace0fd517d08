//! The gateway on real sockets, between raw clients and scripted engines.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod client_side;
mod engine_side;
mod keys;
mod limits;
mod privacy;
mod probes;
mod routes;
mod shutdown;
mod streams;
mod support;
mod tls;
