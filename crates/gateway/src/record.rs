//! What a gateway has to say, as data.

use serde::Serialize;
use std::net::SocketAddr;
use std::sync::Arc;

/// One line of the gateway's log. It carries no time: who writes it down adds one.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum Record {
    /// Every port is bound.
    Started {
        /// The public port.
        listen: SocketAddr,
        /// Whether the public port speaks TLS.
        tls: bool,
        /// The port for the stack's own questions.
        inner: Option<SocketAddr>,
        /// The port of `/metrics`.
        metrics: Option<SocketAddr>,
        /// Keys in force; `null` when no key is asked for.
        keys: Option<usize>,
        /// The public model names.
        models: Vec<String>,
    },
    /// One request is over.
    Access(AccessRecord),
    /// The keys file changed and was read again.
    KeysLoaded {
        /// Keys in force.
        keys: usize,
    },
    /// The keys file changed and cannot be used: nobody is let in until it can.
    KeysRefused {
        /// Why; never a key.
        problem: String,
    },
    /// A model's engine cannot be reached, or broke an exchange off.
    Upstream {
        /// The public model name.
        model: Arc<str>,
        /// The request that met it.
        request_id: String,
        /// What happened: a chain of causes without any content.
        problem: String,
    },
    /// No new connection is taken; answers under way are finished.
    Draining {
        /// Connections still open.
        connections: usize,
    },
    /// Everything is closed.
    Stopped {
        /// Connections that were cut because the time to drain was over.
        cut: usize,
    },
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The whole answer was handed over.
    Complete,
    /// The client went away first, or was too slow to read.
    ClientGone,
    /// The engine broke off, or fell silent, in the middle of its answer; the client sees an aborted transfer.
    UpstreamCut,
}

/// One request, without anything that a person wrote.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessRecord {
    /// Also in the answer's `x-request-id`.
    pub request_id: String,
    /// A method of HTTP, or `OTHER`.
    pub method: &'static str,
    /// The route as a template, or `unknown`: a path that is on no list is never written down.
    pub route: &'static str,
    /// Status of the answer; 499 when the client went away before there was one.
    pub status: u16,
    /// Public model name, when it is one of the configured ones.
    pub model: Option<Arc<str>>,
    /// The name that stands after the key's digest in the keys file.
    pub client: Option<Arc<str>>,
    /// How it ended.
    pub outcome: Outcome,
    /// From the end of the request's head to the end of the answer, in milliseconds.
    pub duration_ms: f64,
    /// Until the first byte of the answer's body, in milliseconds.
    pub first_byte_ms: Option<f64>,
    /// Bytes of the request's body that were read.
    pub bytes_in: u64,
    /// Bytes of the answer's body that were handed over.
    pub bytes_out: u64,
}
