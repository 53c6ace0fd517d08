//! One request's book-keeping: counted and written down exactly once, however it ends.

use crate::handler::Shared;
use crate::metrics::{RequestLabels, RouteLabels};
use crate::record::{AccessRecord, Outcome, Record};
use http::Method;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

/// What is known of a request so far. Dropping it writes the record, so a client that goes away is written down too.
pub(crate) struct Track {
    shared: Arc<Shared>,
    started: Instant,
    first_byte: Option<f64>,
    pub(crate) id: String,
    method: &'static str,
    pub(crate) route: &'static str,
    pub(crate) model: Option<Arc<str>>,
    pub(crate) client: Option<Arc<str>>,
    pub(crate) status: Option<u16>,
    pub(crate) outcome: Outcome,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
}

impl fmt::Debug for Track {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Track").field("id", &self.id).field("route", &self.route).finish_non_exhaustive()
    }
}

impl Track {
    pub(crate) fn new(shared: Arc<Shared>, method: &Method) -> Self {
        shared.metrics.in_flight.inc();
        let id = shared.next_id();
        Self {
            shared,
            started: Instant::now(),
            first_byte: None,
            id,
            method: method_name(method),
            route: "unknown",
            model: None,
            client: None,
            status: None,
            outcome: Outcome::ClientGone,
            bytes_in: 0,
            bytes_out: 0,
        }
    }

    /// Counts a piece of the answer.
    pub(crate) fn sent(&mut self, bytes: usize) {
        if self.first_byte.is_none() {
            self.first_byte = Some(self.started.elapsed().as_secs_f64());
        }
        self.bytes_out += bytes as u64;
    }

    /// Tells that this request's engine broke the exchange off.
    pub(crate) fn upstream_failed(&self, kind: &'static str, problem: String) {
        let Some(model) = &self.model else { return };
        let labels = crate::metrics::UpstreamLabels { model: Arc::clone(model), kind };
        self.shared.metrics.upstream_errors.get_or_create(&labels).inc();
        self.shared.log(&Record::Upstream { model: Arc::clone(model), request_id: self.id.clone(), problem });
    }
}

impl Drop for Track {
    fn drop(&mut self) {
        let elapsed = self.started.elapsed().as_secs_f64();
        let metrics = &self.shared.metrics;
        metrics.in_flight.dec();
        if self.outcome == Outcome::ClientGone {
            metrics.client_gone.inc();
        }
        let status = self.status.unwrap_or(499);
        let model = self.model.clone().unwrap_or_else(|| Arc::clone(&self.shared.no_model));
        let labels = RouteLabels { route: self.route, model: Arc::clone(&model) };
        metrics
            .requests
            .get_or_create(&RequestLabels { route: self.route, model, status: class(status) })
            .inc();
        metrics.duration.get_or_create(&labels).observe(elapsed);
        if let Some(seconds) = self.first_byte {
            metrics.first_byte.get_or_create(&labels).observe(seconds);
        }
        metrics.bytes_in.get_or_create(&labels).inc_by(self.bytes_in);
        metrics.bytes_out.get_or_create(&labels).inc_by(self.bytes_out);
        self.shared.log(&Record::Access(AccessRecord {
            request_id: std::mem::take(&mut self.id),
            method: self.method,
            route: self.route,
            status,
            model: self.model.take(),
            client: self.client.take(),
            outcome: self.outcome,
            duration_ms: milliseconds(elapsed),
            first_byte_ms: self.first_byte.map(milliseconds),
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
        }));
    }
}

/// Rounded to microseconds, which is as exact as it is worth reading.
fn milliseconds(seconds: f64) -> f64 {
    (seconds * 1e6).round() / 1e3
}

fn class(status: u16) -> &'static str {
    match status / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    }
}

/// A method that a client made up does not get into the log.
fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        Method::CONNECT => "CONNECT",
        Method::PATCH => "PATCH",
        Method::TRACE => "TRACE",
        _ => "OTHER",
    }
}
