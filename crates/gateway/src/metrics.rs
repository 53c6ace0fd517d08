//! Counters, in the text format of `OpenMetrics` 1.0.
//!
//! Labels have few values: a route's template, a configured model name, a class of status. Nothing of a request gets in.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::sync::Arc;

/// Seconds: from what a loopback answer takes to the longest answer that is waited for.
const BUCKETS: [f64; 16] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 180.0, 600.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RequestLabels {
    pub(crate) route: &'static str,
    pub(crate) model: Arc<str>,
    pub(crate) status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RouteLabels {
    pub(crate) route: &'static str,
    pub(crate) model: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct UpstreamLabels {
    pub(crate) model: Arc<str>,
    pub(crate) kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ReasonLabels {
    pub(crate) reason: &'static str,
}

/// Everything that is counted.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    pub(crate) requests: Family<RequestLabels, Counter>,
    pub(crate) duration: Family<RouteLabels, Histogram>,
    pub(crate) first_byte: Family<RouteLabels, Histogram>,
    pub(crate) bytes_in: Family<RouteLabels, Counter>,
    pub(crate) bytes_out: Family<RouteLabels, Counter>,
    pub(crate) upstream_errors: Family<UpstreamLabels, Counter>,
    pub(crate) upstream_retries: Counter,
    pub(crate) auth_rejected: Family<ReasonLabels, Counter>,
    pub(crate) client_gone: Counter,
    pub(crate) handshakes_failed: Counter,
    pub(crate) in_flight: Gauge,
    pub(crate) connections: Gauge,
    pub(crate) keys: Gauge,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        fn histogram() -> Histogram {
            Histogram::new(BUCKETS)
        }
        let mut metrics = Self {
            registry: Registry::with_prefix("sovai_gateway"),
            requests: Family::default(),
            duration: Family::new_with_constructor(histogram as fn() -> Histogram),
            first_byte: Family::new_with_constructor(histogram as fn() -> Histogram),
            bytes_in: Family::default(),
            bytes_out: Family::default(),
            upstream_errors: Family::default(),
            upstream_retries: Counter::default(),
            auth_rejected: Family::default(),
            client_gone: Counter::default(),
            handshakes_failed: Counter::default(),
            in_flight: Gauge::default(),
            connections: Gauge::default(),
            keys: Gauge::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let r = &mut self.registry;
        r.register("requests", "Requests by route, model and class of status", self.requests.clone());
        r.register_with_unit("request_duration", "Whole request", Unit::Seconds, self.duration.clone());
        r.register_with_unit(
            "first_byte",
            "Until the answer's first byte",
            Unit::Seconds,
            self.first_byte.clone(),
        );
        r.register_with_unit("request_body", "Request bodies read", Unit::Bytes, self.bytes_in.clone());
        r.register_with_unit("response_body", "Answers handed over", Unit::Bytes, self.bytes_out.clone());
        r.register(
            "upstream_errors",
            "Engines unreachable, silent or broken off",
            self.upstream_errors.clone(),
        );
        r.register(
            "upstream_retries",
            "Requests asked again on a new connection",
            self.upstream_retries.clone(),
        );
        r.register("auth_rejected", "Requests without a key in force", self.auth_rejected.clone());
        r.register("client_gone", "Answers that the client did not wait for", self.client_gone.clone());
        r.register("tls_handshakes_failed", "TLS handshakes that failed", self.handshakes_failed.clone());
        r.register("requests_in_flight", "Requests under way", self.in_flight.clone());
        r.register("connections", "Open connections of clients", self.connections.clone());
        r.register("keys", "Keys in force", self.keys.clone());
    }

    /// All of it as text.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a `String` cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

/// The content type of [`Metrics::text`].
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
