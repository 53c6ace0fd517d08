//! A client of one connection, and the reading of streams.

use super::upstream::now;
use crate::error::BenchError;
use crate::stats::Delays;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long one exchange may take.
const LIMIT: Duration = Duration::from_mins(1);

/// Whom to ask, and how.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// The key to present.
    pub(crate) key: String,
}

impl Target {
    /// A request with this JSON body.
    fn request(&self, body: Bytes) -> Result<Request<Full<Bytes>>, BenchError> {
        let header = |text: String| HeaderValue::try_from(text).map_err(|error| self.failed(error));
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::from_static("/v1/chat/completions");
        request.headers_mut().insert(HOST, header(self.address.to_string())?);
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        request.headers_mut().insert(AUTHORIZATION, header(format!("Bearer {}", self.key))?);
        Ok(request)
    }

    pub(crate) fn failed(&self, found: impl fmt::Display) -> BenchError {
        BenchError::Answer { what: format!("a question to {}", self.address), found: found.to_string() }
    }
}

/// One connection.
pub(crate) struct Client {
    target: Target,
    sender: SendRequest<Full<Bytes>>,
}

impl Client {
    /// Connects. The connection is driven by a task of its own and closed with this value.
    pub(crate) async fn connect(target: &Target) -> Result<Self, BenchError> {
        let stream = TcpStream::connect(target.address).await.map_err(|error| target.failed(error))?;
        stream.set_nodelay(true).map_err(|error| target.failed(error))?;
        let (sender, connection) =
            handshake(TokioIo::new(stream)).await.map_err(|error| target.failed(error))?;
        // What goes wrong there is told by the answer.
        tokio::spawn(async move { drop(connection.await) });
        Ok(Self { target: target.clone(), sender })
    }

    /// An error about this connection's server.
    pub(crate) fn failed(&self, found: impl fmt::Display) -> BenchError {
        self.target.failed(found)
    }

    async fn send(&mut self, body: &Bytes) -> Result<Incoming, BenchError> {
        self.sender.ready().await.map_err(|error| self.target.failed(error))?;
        let request = self.target.request(body.clone())?;
        let response = self.sender.send_request(request).await.map_err(|error| self.target.failed(error))?;
        if response.status() != 200 {
            return Err(self.target.failed(response.status()));
        }
        Ok(response.into_body())
    }

    /// Asks and reads the whole answer.
    pub(crate) async fn ask(&mut self, body: &Bytes) -> Result<Bytes, BenchError> {
        let whole = async {
            let answer = self.send(body).await?;
            Ok(answer.collect().await.map_err(|error| self.target.failed(error))?.to_bytes())
        };
        timeout(LIMIT, whole).await.unwrap_or_else(|_| Err(self.target.failed("no answer in time")))
    }

    /// Asks for a stream and reads it; gives each chunk's way from the server to here.
    pub(crate) async fn stream(&mut self, body: &Bytes) -> Result<Delays, BenchError> {
        let whole = async {
            let mut answer = self.send(body).await?;
            let (mut events, mut delays) = (Events::default(), Delays::default());
            while let Some(frame) = answer.frame().await {
                let frame = frame.map_err(|error| self.target.failed(error))?;
                let Ok(data) = frame.into_data() else { continue };
                let now = now();
                events.feed(&data, |sent| delays.push(now.saturating_sub(sent)));
            }
            Ok(delays)
        };
        timeout(LIMIT, whole)
            .await
            .unwrap_or_else(|_| Err(self.target.failed("no end of the stream in time")))
    }
}

/// Finds the chunks of a stream, however it is cut into pieces.
#[derive(Debug, Default)]
struct Events {
    rest: Vec<u8>,
}

impl Events {
    /// Takes a piece; tells the time in each chunk that is whole now.
    fn feed(&mut self, piece: &[u8], mut on_chunk: impl FnMut(u64)) {
        self.rest.extend_from_slice(piece);
        let mut start = 0;
        while let Some(end) = self.rest[start..].windows(2).position(|pair| pair == b"\n\n") {
            sent(&self.rest[start..start + end]).into_iter().for_each(&mut on_chunk);
            start += end + 2;
        }
        self.rest.drain(..start);
    }
}

/// The time that a chunk carries, in nanoseconds.
fn sent(event: &[u8]) -> Option<u64> {
    let text = event.strip_suffix(b"}")?;
    let digits = text.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&text[text.len() - digits..]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &[u8] =
        b"data: {\"a\":1,\"sent\":17}\n\ndata: {\"a\":1,\"sent\":18}\n\ndata: {\"sent\":19}\n\n";

    #[test]
    fn chunks_are_found_however_the_stream_is_cut() {
        for first in 0..=STREAM.len() {
            for second in first..=STREAM.len() {
                let (mut events, mut seen) = (Events::default(), Vec::new());
                for piece in [&STREAM[..first], &STREAM[first..second], &STREAM[second..]] {
                    events.feed(piece, |sent| seen.push(sent));
                }
                assert_eq!(seen, [17, 18, 19], "{first} {second}");
            }
        }
    }

    #[test]
    fn what_carries_no_time_is_no_chunk() {
        assert_eq!(sent(b"data: [DONE]"), None);
        assert_eq!(sent(b"data: {}"), None);
        assert_eq!(sent(b""), None);
    }
}
