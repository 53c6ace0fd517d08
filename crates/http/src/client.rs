//! One client over reqwest: what may be reached, with which certificates, and what follows a redirect.

use crate::drip::{Slowest, Watched};
use crate::error::{HttpError, StatusError, safe_url};
use crate::retry::Retry;
use crate::waits::{Waits, chain};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use reqwest::redirect::Policy;
use reqwest::{Body, Method, StatusCode, Version};
use std::net::IpAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};
use std::{fmt, io};
use url::{Host, Url};

/// Redirects that are followed in a row.
const MAX_REDIRECTS: usize = 10;
/// Bytes of an error's body that are looked at.
const ERROR_BODY: usize = 16 << 10;
/// How long they may take.
const ERROR_PATIENCE: Duration = Duration::from_secs(5);

/// How to reach outside.
#[derive(Debug, Clone)]
pub struct Options {
    /// PEM files of further certificate authorities, beside the system's.
    pub ca_certs: Vec<PathBuf>,
    /// Longest time until a connection stands.
    pub connect: Duration,
    /// Longest silence: until the head of an answer, and between two pieces of a body.
    pub silence: Duration,
    /// The slowest that a body may come: a server that drips is no better than one that is silent.
    pub slowest: Slowest,
    /// Who hears of waits between two tries.
    pub waits: Waits,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            ca_certs: Vec::new(),
            connect: Duration::from_secs(20),
            silence: Duration::from_mins(1),
            slowest: Slowest::default(),
            waits: Waits::default(),
        }
    }
}

/// The client; clones share its connections.
#[derive(Debug, Clone)]
pub struct Client {
    inner: reqwest::Client,
    /// For requests whose redirects stay with their server.
    staying: reqwest::Client,
    options: Options,
}

/// A request. A secret in it is never shown, and never follows a redirect to another host.
pub struct Request {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Option<Body>,
    /// Pieces of a streamed body that went out.
    taken: Option<Arc<AtomicU64>>,
    /// How long its answer's head may take, where that is more than usual.
    patience: Option<Duration>,
    /// It follows no redirect to another server.
    stays: bool,
}

/// A successful answer whose body has not been read.
#[derive(Debug)]
pub struct Response {
    inner: reqwest::Response,
    url: String,
    slowest: Slowest,
}

impl Request {
    /// A request without headers.
    pub fn new(method: Method, url: Url) -> Self {
        Self { method, url, headers: HeaderMap::new(), body: None, taken: None, patience: None, stays: false }
    }

    /// A GET.
    pub fn get(url: Url) -> Self {
        Self::new(Method::GET, url)
    }

    /// Adds a header. A value with characters that no header may have is left out.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    /// Adds `Authorization`; `value` with its scheme, as in `Bearer TOKEN`.
    #[must_use]
    pub fn authorization(mut self, value: &str) -> Self {
        if let Ok(mut value) = HeaderValue::from_str(value) {
            value.set_sensitive(true);
            self.headers.insert(reqwest::header::AUTHORIZATION, value);
        }
        self
    }

    /// Follows no redirect to another server: for a secret that stands in the body, the query or a header of its own, which no
    /// redirect is known to drop.
    #[must_use]
    pub const fn staying(mut self) -> Self {
        self.stays = true;
        self
    }

    /// Asks for bytes `start` to `end`, `end` not included.
    #[must_use]
    pub fn range(self, start: u64, end: u64) -> Self {
        self.header(reqwest::header::RANGE, &format!("bytes={start}-{}", end.saturating_sub(1)))
    }

    /// Adds a body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Body>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Adds a body that comes in pieces, `length` bytes in all. Such a request can be sent only once. While pieces are
    /// taken the other side is not silent, however long the whole takes.
    #[must_use]
    pub fn stream(
        mut self,
        length: u64,
        pieces: impl Stream<Item = Result<Bytes, io::Error>> + Send + 'static,
    ) -> Self {
        let taken = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&taken);
        let pieces = pieces.inspect(move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
        });
        self.taken = Some(taken);
        // Without it the body would go out in chunks of unknown number, which registries and buckets refuse.
        self.header(reqwest::header::CONTENT_LENGTH, &length.to_string()).body(Body::wrap_stream(pieces))
    }

    /// Waits so long for the head of the answer, where the other side has to do something first.
    #[must_use]
    pub const fn patience(mut self, patience: Duration) -> Self {
        self.patience = Some(patience);
        self
    }

    /// Where it goes.
    pub const fn url(&self) -> &Url {
        &self.url
    }

    /// The same again; `None` when its body can be sent only once.
    pub fn try_clone(&self) -> Option<Self> {
        let body = match &self.body {
            None => None,
            Some(body) => Some(Body::from(body.as_bytes()?.to_vec())),
        };
        Some(Self {
            method: self.method.clone(),
            url: self.url.clone(),
            headers: self.headers.clone(),
            body,
            taken: None,
            patience: self.patience,
            stays: self.stays,
        })
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("url", &safe_url(&self.url))
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Makes a client. The proxies' variables are read now.
    pub fn new(options: &Options) -> Result<Self, HttpError> {
        // Another crate may have installed it before; then that one stays.
        drop(rustls::crypto::ring::default_provider().install_default());
        let build = |stays| build(options, stays);
        Ok(Self { inner: build(false)?, staying: build(true)?, options: options.clone() })
    }

    /// The client below, for libraries that take one. Redirects and certificates are ours there too.
    pub const fn inner(&self) -> &reqwest::Client {
        &self.inner
    }

    /// What it was made with.
    pub const fn options(&self) -> &Options {
        &self.options
    }

    /// Sends once; an answer that is no success (2xx) is an error.
    pub async fn send(&self, request: Request) -> Result<Response, HttpError> {
        let response = self.send_any(request).await?;
        if response.inner.status().is_success() { Ok(response) } else { Err(response.into_error().await) }
    }

    /// Sends once; any status is an answer.
    pub async fn send_any(&self, request: Request) -> Result<Response, HttpError> {
        let url = safe_url(&request.url);
        if !may_reach(&request.url) {
            return Err(HttpError::Plain { url });
        }
        let mut sent = reqwest::Request::new(request.method, request.url);
        *sent.version_mut() = Version::HTTP_11;
        *sent.headers_mut() = request.headers;
        *sent.body_mut() = request.body;
        // `read_timeout` starts when the head is there.
        let limit = self.options.silence.max(request.patience.unwrap_or_default()) + self.options.connect;
        let client = if request.stays { &self.staying } else { &self.inner };
        let mut answer = pin!(client.execute(sent));
        let mut seen = 0;
        let head = loop {
            let head = tokio::time::timeout(limit, &mut answer).await;
            let taken = request.taken.as_ref().map_or(0, |taken| taken.load(Ordering::Relaxed));
            if head.is_ok() || taken == seen {
                break head;
            }
            seen = taken;
        };
        let after = limit;
        match head {
            Err(_) => Err(HttpError::Timeout { url, after }),
            Ok(Err(error)) if error.is_timeout() && !error.is_connect() => {
                Err(HttpError::Timeout { url, after })
            }
            Ok(Err(error)) => Err(HttpError::Connect { url, source: error.without_url() }),
            Ok(Ok(inner)) => Ok(Response { inner, url, slowest: self.options.slowest }),
        }
    }

    /// Sends until it succeeds, as often as `retry` says; what will not help is not tried again. `noted` hears of each
    /// failure that is followed by another try, and of the wait before it.
    pub async fn send_retrying(
        &self,
        request: Request,
        retry: Retry,
        noted: &(dyn Fn(&HttpError, Duration) + Sync),
    ) -> Result<Response, HttpError> {
        let mut next = Some(request);
        let mut failures = 0;
        loop {
            let Some(request) = next.take() else {
                return Err(HttpError::Body {
                    url: String::new(),
                    reason: "the body was sent already".to_owned(),
                });
            };
            next = request.try_clone();
            let error = match self.send(request).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            failures += 1;
            let wait = if error.is_transient() && next.is_some() {
                retry.wait(failures, error.retry_after())
            } else {
                None
            };
            let Some(wait) = wait else { return Err(error) };
            noted(&error, wait);
            tokio::time::sleep(wait).await;
        }
    }
}

impl Response {
    /// The status.
    pub fn status(&self) -> StatusCode {
        self.inner.status()
    }

    /// The headers of the answer, after redirects.
    pub fn headers(&self) -> &HeaderMap {
        self.inner.headers()
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.inner.headers().get(name)?.to_str().ok()
    }

    /// Where it came from in the end.
    pub fn url(&self) -> &Url {
        self.inner.url()
    }

    /// Length of the body, where the server says so.
    pub fn length(&self) -> Option<u64> {
        self.inner.content_length()
    }

    /// Of a 206: where the body begins in the file, and the file's length where it is said. RFC 9110, section 14.4.
    pub fn content_range(&self) -> Option<(u64, u64, Option<u64>)> {
        let value = self.header("content-range")?.strip_prefix("bytes ")?;
        let (range, total) = value.split_once('/')?;
        let (start, last) = range.split_once('-')?;
        let (start, last): (u64, u64) = (start.trim().parse().ok()?, last.trim().parse().ok()?);
        (start <= last).then_some((start, last.checked_add(1)?, total.trim().parse().ok()))
    }

    /// The body in pieces, as they come. An error ends it, and so does a server that is slower than [`Options::slowest`].
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, HttpError>> + Send + 'static {
        let Self { inner, url, slowest } = self;
        let of = url.clone();
        let pieces = inner.bytes_stream().map(move |piece| {
            piece.map_err(|error| HttpError::Body { url: of.clone(), reason: chain(&error.without_url()) })
        });
        Watched::new(pieces, url, slowest)
    }

    /// The whole body, at most `limit` bytes.
    pub async fn bytes(self, limit: usize) -> Result<Vec<u8>, HttpError> {
        let url = self.url.clone();
        let mut stream = Box::pin(self.into_stream());
        let mut bytes = Vec::new();
        while let Some(piece) = stream.next().await {
            let piece = piece?;
            if bytes.len() + piece.len() > limit {
                let reason = format!("the answer has more than {limit} bytes");
                return Err(HttpError::Body { url, reason });
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }

    /// What an answer that is no success says.
    pub async fn into_error(self) -> HttpError {
        let text = |name: HeaderName| {
            self.inner
                .headers()
                .get_all(name)
                .iter()
                .filter_map(|value| value.to_str().ok())
                .map(ToOwned::to_owned)
                .collect()
        };
        let challenges: Vec<String> = text(WWW_AUTHENTICATE);
        let retry_after = self.header(RETRY_AFTER.as_str()).and_then(retry_after);
        let code = self.header("x-error-code").map(line);
        let said = self.header("x-error-message").map(line);
        let (url, status) = (self.url.clone(), self.status());
        // What is said is worth some seconds, and no more: a server may drip.
        let body = tokio::time::timeout(ERROR_PATIENCE, self.bytes(ERROR_BODY)).await;
        let body = body.ok().and_then(Result::ok).unwrap_or_default();
        let code = code.or_else(|| member(&body, "Code"));
        let message = said.or_else(|| member(&body, "Message")).or_else(|| message(&body));
        HttpError::Status(Box::new(StatusError { url, status, retry_after, challenges, code, message }))
    }
}

/// A client; with `stays` no redirect leads to another server.
fn build(options: &Options, stays: bool) -> Result<reqwest::Client, HttpError> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("sovai/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(options.connect)
        .read_timeout(options.silence)
        .redirect(Policy::custom(move |attempt| {
            let first = attempt.previous().first();
            if attempt.previous().len() > MAX_REDIRECTS {
                attempt.error("too many redirects")
            } else if let Err(reason) = may_follow(first, attempt.url()) {
                attempt.error(reason)
            } else if stays && first.is_none_or(|first| first.origin() != attempt.url().origin()) {
                attempt.error("it redirects to another server, which has no business with what was sent")
            } else {
                attempt.follow()
            }
        }))
        .referer(false);
    for path in &options.ca_certs {
        let reason = |reason: String| HttpError::CaFile { path: path.clone(), reason };
        let pem = fs_err::read(path).map_err(|error| reason(error.to_string()))?;
        let certificates = reqwest::Certificate::from_pem_bundle(&pem)
            .map_err(|_| reason("it holds no PEM certificate".to_owned()))?;
        if certificates.is_empty() {
            return Err(reason("it holds no PEM certificate".to_owned()));
        }
        for certificate in certificates {
            builder = builder.add_root_certificate(certificate);
        }
    }
    builder.build().map_err(HttpError::Setup)
}

/// https, or plain http to this host.
fn may_reach(url: &Url) -> bool {
    match url.scheme() {
        "https" => true,
        "http" => is_loopback(url),
        _ => false,
    }
}

/// Whether a redirect from the address that was asked first may be followed.
fn may_follow(first: Option<&Url>, next: &Url) -> Result<(), &'static str> {
    if !may_reach(next) {
        return Err("it redirects to an address that is neither https nor loopback");
    }
    // What listens on this host is nobody else's to ask.
    if is_loopback(next) && !first.is_some_and(is_loopback) {
        return Err("it redirects from elsewhere to this host");
    }
    Ok(())
}

/// Whether an address is on this host: 127.0.0.0/8, `[::1]`, `localhost`.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => IpAddr::V4(ip).is_loopback(),
        Some(Host::Ipv6(ip)) => IpAddr::V6(ip).is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// Seconds, or a date (RFC 9110, section 10.2.3).
fn retry_after(value: &str) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = httpdate::parse_http_date(value.trim()).ok()?;
    Some(at.duration_since(SystemTime::now()).unwrap_or(Duration::ZERO))
}

/// A member of the XML that stores which speak the interface of S3 send as an error (`<Error><Code>...`).
fn member(body: &[u8], name: &str) -> Option<String> {
    let (_, error) = std::str::from_utf8(body).ok()?.split_once("<Error>")?;
    let (_, text) = error.split_once(&format!("<{name}>"))?;
    let (text, _) = text.split_once(&format!("</{name}>"))?;
    Some(line(text)).filter(|text| !text.is_empty())
}

/// The first line of an error's body that says something; of JSON the usual fields.
fn message(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    if text.trim_start().starts_with('<') {
        return None;
    }
    let first = text.lines().map(str::trim).find(|text| !text.is_empty())?;
    Some(line(first))
}

/// At most 300 characters, none of them a control character.
fn line(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_errors_of_stores_are_read() {
        let body = b"<?xml version=\"1.0\"?>\n<Error><Code>NoSuchKey</Code><Message>It is\nnot there.</Message></Error>";
        assert_eq!(member(body, "Code").as_deref(), Some("NoSuchKey"));
        assert_eq!(member(body, "Message").as_deref(), Some("It isnot there."));
        assert_eq!(member(b"<html><Code>x</Code>", "Code"), None);
        assert_eq!(member(b"<Error><Code>", "Code"), None);
    }

    #[test]
    fn a_redirect_never_leads_from_elsewhere_to_this_host() -> Result<(), url::ParseError> {
        let follow = |first: &str, next: &str| -> Result<bool, url::ParseError> {
            Ok(may_follow(Some(&Url::parse(first)?), &Url::parse(next)?).is_ok())
        };
        assert!(follow("https://hub.example/x", "https://files.example/x")?);
        assert!(follow("http://127.0.0.1:1/x", "http://127.0.0.1:2/x")?);
        assert!(follow("http://[::1]:1/x", "https://files.example/x")?);
        for next in ["http://127.0.0.1/x", "https://localhost/x", "https://127.8.9.1/x", "https://[::1]/x"] {
            assert!(!follow("https://hub.example/x", next)?, "{next}");
        }
        assert!(!follow("https://hub.example/x", "http://files.example/x")?);
        Ok(())
    }
}
