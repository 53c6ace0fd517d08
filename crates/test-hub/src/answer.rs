//! How an answer is made, and where its faults act.

use crate::content::Content;
use crate::fault::{self, Fault, Target};
use crate::server::Asked;
use crate::state::State;
use bytes::Bytes;
use futures_util::stream;
use http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName, LOCATION, RETRY_AFTER,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Bytes of one piece of a body.
const PIECE: usize = 64 << 10;
/// What is written before a connection breaks must leave first.
const LEAVE: Duration = Duration::from_millis(10);

pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

pub(crate) fn with(status: StatusCode, content_type: &str, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(full(body));
    *response.status_mut() = status;
    set(response.headers_mut(), CONTENT_TYPE, content_type);
    response
}

pub(crate) fn text(status: StatusCode, body: &str) -> Response<Body> {
    with(status, "text/plain; charset=utf-8", body.as_bytes().to_vec())
}

pub(crate) fn json(status: StatusCode, value: &serde_json::Value) -> Response<Body> {
    with(status, "application/json; charset=utf-8", value.to_string())
}

/// The redirect that web frameworks send: the location, and a line of text.
pub(crate) fn redirect(status: StatusCode, location: &str) -> Response<Body> {
    let mut response = text(status, &format!("{}. Redirecting to {location}", reason(status)));
    set(response.headers_mut(), LOCATION, location);
    response
}

fn reason(status: StatusCode) -> &'static str {
    status.canonical_reason().unwrap_or("Found")
}

/// Set a header; a value that cannot be one is left out.
pub(crate) fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// What goes wrong before the answer is decided.
pub(crate) async fn early(state: &State, asked: &Asked, names: &[&str]) -> Option<Response<Body>> {
    let target = Target { names, place: asked.place, range: range_start(asked), body: !asked.head };
    let faults = fault::take(&mut state.lock().rules, &target, true);
    let mut answer = None;
    for fault in faults {
        match fault {
            Fault::Delay(time) => tokio::time::sleep(time).await,
            Fault::Silence => std::future::pending().await,
            Fault::Redirect(location) => answer = Some(redirect(StatusCode::FOUND, &location)),
            Fault::Answer { code, content_type, body } => {
                answer = Some(with(status(code), &content_type, body));
            }
            Fault::Status { code, retry_after } => {
                let code = status(code);
                let mut response = text(code, reason(code));
                if let Some(seconds) = retry_after {
                    set(response.headers_mut(), RETRY_AFTER, &seconds.to_string());
                }
                answer = Some(response);
            }
            _ => {}
        }
    }
    answer
}

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// A file to be sent.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) content: Content,
    /// With its quotes.
    pub(crate) etag: String,
    pub(crate) headers: Vec<(HeaderName, String)>,
}

/// What of a file is asked for: first byte and the one after the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Range {
    Whole,
    Part(u64, u64),
    Unsatisfiable,
}

/// A single range of bytes (RFC 9110, section 14); what is not understood counts as none.
fn parse_range(asked: &Asked, etag: &str, size: u64) -> Range {
    let Some(text) = asked.range.as_deref().and_then(|text| text.strip_prefix("bytes=")) else {
        return Range::Whole;
    };
    if asked.if_range.as_deref().is_some_and(|wanted| wanted != etag) {
        return Range::Whole;
    }
    let Some((first, last)) = text.split_once('-') else { return Range::Whole };
    match (first.trim().parse::<u64>(), last.trim().parse::<u64>()) {
        (Ok(first), _) if first >= size => Range::Unsatisfiable,
        (Ok(first), Ok(last)) if last >= first => Range::Part(first, size.min(last.saturating_add(1))),
        (Ok(first), Err(_)) if last.trim().is_empty() => Range::Part(first, size),
        (Err(_), Ok(0)) => Range::Unsatisfiable,
        (Err(_), Ok(count)) if first.trim().is_empty() => Range::Part(size.saturating_sub(count), size),
        _ => Range::Whole,
    }
}

fn range_start(asked: &Asked) -> Option<u64> {
    match parse_range(asked, asked.if_range.as_deref().unwrap_or_default(), u64::MAX) {
        Range::Whole => None,
        Range::Part(start, _) => Some(start),
        Range::Unsatisfiable => Some(u64::MAX),
    }
}

/// Send a file, or the part asked for, with the faults that are for it.
pub(crate) fn file(state: &Arc<State>, asked: &Asked, names: &[&str], served: Served) -> Response<Body> {
    let Served { content, etag, headers } = served;
    let size = content.size();
    let target = Target { names, place: asked.place, range: range_start(asked), body: !asked.head };
    let faults = fault::take(&mut state.lock().rules, &target, false);
    if content.is_listed() && !asked.head {
        return text(StatusCode::INTERNAL_SERVER_ERROR, "this file is only listed");
    }
    let ignored = faults.iter().any(|fault| matches!(fault, Fault::IgnoreRange));
    let refused = faults.iter().any(|fault| matches!(fault, Fault::RefuseRange));
    let range = if refused {
        Range::Unsatisfiable
    } else if ignored {
        Range::Whole
    } else {
        parse_range(asked, &etag, size)
    };
    let (code, start, end) = match range {
        Range::Unsatisfiable => {
            let mut response = text(StatusCode::RANGE_NOT_SATISFIABLE, "");
            set(response.headers_mut(), CONTENT_RANGE, &format!("bytes */{size}"));
            return response;
        }
        Range::Whole => (StatusCode::OK, 0, size),
        Range::Part(start, end) => (StatusCode::PARTIAL_CONTENT, start, end),
    };
    let mut sending = Sending::new(state, content, start, end);
    let (mut length, mut claimed, mut total) = (Some(end - start), start, size);
    let mut more = Vec::new();
    for fault in faults {
        match fault {
            Fault::ContentLength(delta) => {
                length = length.map(|length| length.saturating_add_signed(delta));
                // What follows a body is no longer of it: the client sees the end where it was told.
                sending.end = sending.end.saturating_add_signed(delta.min(0)).max(start);
                // A body that ends too early: what was written must leave before hyper breaks the connection.
                sending.close_after = (delta > 0).then_some(end - start);
            }
            Fault::NoLength => length = None,
            Fault::ContentRangeStart(delta) => claimed = claimed.saturating_add_signed(delta),
            Fault::ContentRangeTotal(delta) => total = total.saturating_add_signed(delta),
            Fault::Endless => {
                length = None;
                sending.endless = true;
            }
            Fault::Header(name, value) => {
                more.extend(name.parse::<HeaderName>().ok().map(|name| (name, value)));
            }
            other => sending.fault(&other),
        }
    }
    let mut response = Response::new(if asked.head { full(Bytes::new()) } else { sending.body() });
    *response.status_mut() = code;
    let to = response.headers_mut();
    set(to, CONTENT_TYPE, "application/octet-stream");
    set(to, ACCEPT_RANGES, if ignored { "none" } else { "bytes" });
    set(to, ETAG, &etag);
    if let Some(length) = length {
        set(to, CONTENT_LENGTH, &length.to_string());
    }
    if code == StatusCode::PARTIAL_CONTENT {
        let last = (claimed + (end - start)).saturating_sub(1);
        set(to, CONTENT_RANGE, &format!("bytes {claimed}-{last}/{total}"));
    }
    for (name, value) in headers.into_iter().chain(more) {
        set(to, name, &value);
    }
    response
}

/// A body on its way.
#[derive(Debug)]
struct Sending {
    state: Arc<State>,
    content: Content,
    at: u64,
    end: u64,
    sent: u64,
    close_after: Option<u64>,
    stall_after: Option<u64>,
    /// Bytes a second.
    rate: Option<u64>,
    corrupt: bool,
    flip: Vec<u64>,
    endless: bool,
    failed: bool,
}

impl Sending {
    fn new(state: &Arc<State>, content: Content, at: u64, end: u64) -> Self {
        Self {
            state: Arc::clone(state),
            content,
            at,
            end,
            sent: 0,
            close_after: None,
            stall_after: None,
            rate: None,
            corrupt: false,
            flip: Vec::new(),
            endless: false,
            failed: false,
        }
    }

    fn fault(&mut self, fault: &Fault) {
        match *fault {
            Fault::CloseAfter(bytes) => self.close_after = Some(least(self.close_after, bytes)),
            Fault::Stall(bytes) => self.stall_after = Some(least(self.stall_after, bytes)),
            Fault::Throttle(rate) => self.rate = Some(least(self.rate, rate.max(1))),
            Fault::Corrupt | Fault::CorruptResume => self.corrupt = true,
            Fault::Flip(offset) => self.flip.push(offset),
            _ => {}
        }
    }

    fn body(self) -> Body {
        let pieces = stream::unfold(self, |mut sending| async move {
            let piece = sending.next().await?;
            Some((piece.map(Frame::data), sending))
        });
        StreamBody::new(pieces).boxed_unsync()
    }

    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        if self.failed {
            return None;
        }
        if self.endless && self.at >= self.end {
            self.at = 0;
        }
        // What a server with a too large length does after its last byte: it closes. So does this one, by ending.
        let rest = if self.endless { u64::MAX } else { self.end - self.at };
        let mut limit = rest.min(PIECE as u64);
        for stop in [self.close_after, self.stall_after].into_iter().flatten() {
            limit = limit.min(stop.saturating_sub(self.sent));
        }
        if self.stall_after.is_some_and(|stop| self.sent >= stop) {
            std::future::pending::<()>().await;
        }
        if self.close_after.is_some_and(|stop| self.sent >= stop) {
            tokio::time::sleep(LEAVE).await;
            self.failed = true;
            return Some(Err(io::Error::new(io::ErrorKind::ConnectionReset, "closed on purpose")));
        }
        if rest == 0 {
            return None;
        }
        if let Some(rate) = self.rate {
            // Ten pieces a second at least, so that the rate is even.
            limit = limit.min((rate / 10).max(1));
            tokio::time::sleep(Duration::from_nanos(limit.saturating_mul(1_000_000_000) / rate)).await;
        }
        let piece = if self.endless && self.end == 0 {
            Bytes::from_static(&[0; 1024])
        } else {
            match self.content.read(self.at, usize::try_from(limit).unwrap_or(PIECE)) {
                Ok(piece) => piece,
                Err(error) => {
                    self.failed = true;
                    return Some(Err(error));
                }
            }
        };
        let piece = self.spoil(piece);
        self.at += piece.len() as u64;
        self.sent += piece.len() as u64;
        self.state.bytes_sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
        Some(Ok(piece))
    }

    fn spoil(&self, piece: Bytes) -> Bytes {
        let range = self.at..self.at + piece.len() as u64;
        if !self.corrupt && !self.flip.iter().any(|offset| range.contains(offset)) {
            return piece;
        }
        let mut bytes = piece.to_vec();
        if self.corrupt {
            for byte in &mut bytes {
                *byte ^= 0xa5;
            }
        }
        for offset in &self.flip {
            let index = offset.checked_sub(self.at).and_then(|index| usize::try_from(index).ok());
            if let Some(byte) = index.and_then(|index| bytes.get_mut(index)) {
                *byte ^= 1;
            }
        }
        bytes.into()
    }
}

fn least(have: Option<u64>, other: u64) -> u64 {
    have.map_or(other, |have| have.min(other))
}
