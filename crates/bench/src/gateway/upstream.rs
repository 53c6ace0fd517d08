//! The server behind the gateways: answers at once, or in a stream of chunks that carry the time at which each was made.
//!
//! It runs as a process of its own, as an inference engine does.

use crate::error::{BenchError, io};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::time::{Interval, MissedTickBehavior, interval_at};

/// What an engine of this size says to a short question.
const COMPLETION: &str = r#"{"id":"chatcmpl-4f1a9c2be07d","object":"chat.completion","created":1764000000,"model":"assistant","choices":[{"index":0,"message":{"role":"assistant","content":"The capital of Malaysia is Kuala Lumpur. It is also the country's largest city, and the seat of its parliament."},"finish_reason":"stop"}],"usage":{"prompt_tokens":14,"completion_tokens":24,"total_tokens":38}}"#;
const CHUNK: &str = r#"data: {"id":"chatcmpl-4f1a9c2be07d","object":"chat.completion.chunk","created":1764000000,"model":"assistant","choices":[{"index":0,"delta":{"content":" Kuala"},"finish_reason":null}],"sent":"#;

/// A request; both gateways pass its body on as it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Ask {
    /// The name that the gateway knows.
    pub(crate) model: String,
    /// What a client would send; looked at by nobody here.
    pub(crate) messages: Vec<Message>,
    /// Whether chunks are wanted.
    pub(crate) stream: bool,
    /// How many.
    pub(crate) chunks: u32,
    /// Time between two of them in microseconds; 0 sends each as soon as the one before is on its way.
    pub(crate) period_us: u64,
    /// Time before the first, in microseconds.
    pub(crate) offset_us: u64,
}

/// A message of a chat.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Message {
    /// Who says it.
    pub(crate) role: String,
    /// What.
    pub(crate) content: String,
}

/// Nanoseconds of a clock that all processes of this machine share and that nobody sets.
pub(crate) fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or_default()
}

/// A stream of chunks. After each it lets the server write: an engine makes one token at a time.
struct Chunks {
    left: u32,
    ticks: Option<Interval>,
    rest: bool,
}

impl Chunks {
    fn new(ask: &Ask) -> Self {
        let ticks = (ask.period_us > 0).then(|| {
            let first = tokio::time::Instant::now() + Duration::from_micros(ask.offset_us);
            let mut ticks = interval_at(first, Duration::from_micros(ask.period_us));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
            ticks
        });
        Self { left: ask.chunks, ticks, rest: false }
    }
}

impl Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        if let Some(ticks) = &mut self.ticks {
            ready!(ticks.poll_tick(cx));
        } else if std::mem::replace(&mut self.rest, false) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.rest = true;
        self.left -= 1;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(format!("{CHUNK}{}}}\n\n", now()))))))
    }
}

/// Serves until the process is ended.
pub(crate) fn serve(listen: SocketAddr) -> Result<(), BenchError> {
    let runtime = super::runtime()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(listen).await.map_err(io(format!("listening on {listen}")))?;
        loop {
            let (stream, _) = listener.accept().await.map_err(io("taking a connection"))?;
            stream.set_nodelay(true).map_err(io("a connection"))?;
            tokio::spawn(async move {
                let connection =
                    http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer));
                // A client that goes away is no matter of this server.
                drop(connection.await);
            });
        }
    })
}

async fn answer(request: Request<Incoming>) -> Result<Response<Either<Full<Bytes>, Chunks>>, hyper::Error> {
    let body = request.into_body().collect().await?.to_bytes();
    let ask = serde_json::from_slice::<Ask>(&body).ok().filter(|ask| ask.stream);
    let (kind, body) = match ask {
        Some(ask) => ("text/event-stream", Either::Right(Chunks::new(&ask))),
        None => ("application/json", Either::Left(Full::from(COMPLETION))),
    };
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    Ok(response)
}
