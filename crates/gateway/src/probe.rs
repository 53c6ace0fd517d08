//! Questions to what is behind the gateway: is an engine ready, and does the stack answer.
//!
//! Both speak plain HTTP and run inside the stack, where no other way leads to an engine.

mod ask;
mod ready;

pub use ask::{Answer, Question, ask};
pub use ready::{State, Target, wait_ready};

use crate::pool::Link;
use bytes::{Bytes, BytesMut};
use http::header::HOST;
use http::uri::Scheme;
use http::{HeaderValue, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use std::io;

/// How much of an unexpected answer is shown, in characters.
const SHOWN: usize = 200;

/// Why a question got no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// Not an address that can be asked.
    #[error("expected `http://HOST:PORT/PATH`, found `{0}`")]
    Url(String),
    /// The time is over and the server is not ready.
    #[error("not ready after {after_ms} ms: {last}")]
    NotReady {
        /// How long it was waited for, in milliseconds.
        after_ms: u64,
        /// What it said last.
        last: State,
    },
    /// There is no connection, or it broke off.
    #[error("cannot ask {url}")]
    Connect {
        /// What was asked.
        url: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// No whole answer in time.
    #[error("no answer within {0} ms")]
    Deadline(u64),
    /// An answer with another status than 200.
    #[error("expected status 200, found {status}: {body}")]
    Status {
        /// What came.
        status: u16,
        /// Its first characters, on one line.
        body: String,
    },
    /// An answer that is no completion.
    #[error("the answer is not a completion ({problem}): {body}")]
    Shape {
        /// What is missing.
        problem: &'static str,
        /// Its first characters, on one line.
        body: String,
    },
}

/// A URL that can be asked.
#[derive(Debug, Clone)]
struct Place {
    host: String,
    port: u16,
    header: HeaderValue,
    path: Uri,
}

impl Place {
    fn parse(url: &str) -> Result<Self, ProbeError> {
        let wrong = || ProbeError::Url(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let authority = uri.authority().ok_or_else(wrong)?;
        if uri.scheme() != Some(&Scheme::HTTP) || authority.as_str().contains('@') {
            return Err(wrong());
        }
        let path = uri.path_and_query().map_or("/", |p| p.as_str());
        Ok(Self {
            host: authority.host().to_owned(),
            port: authority.port_u16().unwrap_or(80),
            header: HeaderValue::from_str(authority.as_str()).map_err(|_| wrong())?,
            path: path.parse().map_err(|_| wrong())?,
        })
    }

    /// One exchange on a connection of its own, of whose answer at most `limit` bytes are read.
    async fn exchange(
        &self,
        mut request: Request<Full<Bytes>>,
        limit: usize,
    ) -> io::Result<(StatusCode, Bytes)> {
        *request.uri_mut() = self.path.clone();
        request.headers_mut().insert(HOST, self.header.clone());
        let mut link = Link::connect(&self.host, self.port).await?;
        let response = link.exchange(request).await.map_err(io::Error::other)?;
        let status = response.status();
        let mut body = response.into_body();
        let mut bytes = BytesMut::new();
        while let Some(frame) = link.during(body.frame()).await {
            let frame = frame.map_err(io::Error::other)?;
            let Some(data) = frame.data_ref() else { continue };
            let room = limit - bytes.len();
            bytes.extend_from_slice(&data[..data.len().min(room)]);
            if data.len() >= room {
                break;
            }
        }
        Ok((status, bytes.freeze()))
    }
}

/// The first characters of a body, on one line and without control characters.
fn shown(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(4 * SHOWN)]);
    let mut line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.retain(|c| !c.is_control());
    match line.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}...", &line[..at]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_http_urls_are_asked() {
        let place = Place::parse("http://engine:8080/health?x=1").unwrap();
        assert_eq!(
            (place.host.as_str(), place.port, place.path.to_string().as_str()),
            ("engine", 8080, "/health?x=1")
        );
        assert_eq!(Place::parse("http://engine").unwrap().path, "/");
        for url in ["", "engine", "/health", "https://engine/", "http://a@engine/", "http:///x", "unix:/x"] {
            assert!(Place::parse(url).is_err(), "{url}");
        }
    }

    #[test]
    fn what_is_shown_is_one_short_line() {
        assert_eq!(shown(b"a\r\n  b\x1b[31m\0c"), "a b[31mc");
        let long = shown("é".repeat(5000).as_bytes());
        assert_eq!(long.chars().count(), SHOWN + 3);
        assert!(shown(&[0xff; 10]).starts_with('\u{fffd}'));
    }
}
