//! One exchange with an engine.

use crate::pool::{Link, Pool};
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderName};
use http::uri::Authority;
use http::{HeaderValue, Method, Request, StatusCode, Uri, response};
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::error::Error;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::time::{Sleep, sleep_until, timeout};

/// Under which the gateway's number of a request reaches the engine and the client.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// An engine.
#[derive(Debug)]
pub(crate) struct Engine {
    authority: Authority,
    host: HeaderValue,
    pub(crate) pool: Pool,
    connect_timeout: Duration,
    response_timeout: Duration,
}

/// What is passed on of a request.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) path: &'static str,
    pub(crate) accept: Option<HeaderValue>,
    pub(crate) request_id: HeaderValue,
    pub(crate) body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExchangeError {
    #[error("cannot connect")]
    Connect(#[source] io::Error),
    #[error("no connection within {} ms", .0.as_millis())]
    ConnectTimeout(Duration),
    #[error("no answer within {} ms", .0.as_millis())]
    Silent(Duration),
    #[error("the exchange broke off")]
    Broken(#[source] hyper::Error),
    #[error("status {0} is no answer")]
    Status(StatusCode),
}

impl ExchangeError {
    /// The value of the metric's label.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Connect(_) | Self::ConnectTimeout(_) => "connect",
            Self::Silent(_) => "timeout",
            Self::Broken(_) | Self::Status(_) => "broken",
        }
    }
}

/// An error and its causes, on one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

/// The answer's head and the rest of it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) head: response::Parts,
    pub(crate) body: EngineBody,
    /// Whether the question had to be asked twice.
    pub(crate) retried: bool,
}

impl Engine {
    /// An engine at `authority`, which has a port and can stand in a header.
    pub(crate) fn new(authority: Authority, connect_timeout: Duration, response_timeout: Duration) -> Self {
        let host = HeaderValue::from_str(authority.as_str()).unwrap_or(HeaderValue::from_static("engine"));
        Self { authority, host, pool: Pool::default(), connect_timeout, response_timeout }
    }

    async fn connect(&self) -> Result<Link, ExchangeError> {
        let port = self.authority.port_u16().unwrap_or(80);
        timeout(self.connect_timeout, Link::connect(self.authority.host(), port))
            .await
            .map_err(|_| ExchangeError::ConnectTimeout(self.connect_timeout))?
            .map_err(ExchangeError::Connect)
    }

    fn request(&self, question: &Question) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(question.body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::from_static(question.path);
        let headers = request.headers_mut();
        headers.insert(HOST, self.host.clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(REQUEST_ID, question.request_id.clone());
        if let Some(accept) = &question.accept {
            headers.insert(ACCEPT, accept.clone());
        }
        request
    }

    /// Asks, and waits for the head of the answer.
    ///
    /// An idle connection may be closed by the engine just when it is used. When nothing of an answer came on such a
    /// connection, the question is asked once more on a new one: a completion leaves nothing behind in an engine, so
    /// asking twice does no harm even if the first question got through.
    pub(crate) async fn ask(self: &Arc<Self>, question: &Question) -> Result<Answer, ExchangeError> {
        if let Some(mut link) = self.pool.take() {
            match self.exchange(&mut link, question).await {
                Ok(response) => return self.answer(link, response, false),
                Err(ExchangeError::Broken(_)) => {}
                Err(error) => return Err(error),
            }
            let mut link = self.connect().await?;
            let response = self.exchange(&mut link, question).await?;
            return self.answer(link, response, true);
        }
        let mut link = self.connect().await?;
        let response = self.exchange(&mut link, question).await?;
        self.answer(link, response, false)
    }

    async fn exchange(
        &self,
        link: &mut Link,
        question: &Question,
    ) -> Result<http::Response<Incoming>, ExchangeError> {
        timeout(self.response_timeout, link.exchange(self.request(question)))
            .await
            .map_err(|_| ExchangeError::Silent(self.response_timeout))?
            .map_err(ExchangeError::Broken)
    }

    fn answer(
        self: &Arc<Self>,
        link: Link,
        response: http::Response<Incoming>,
        retried: bool,
    ) -> Result<Answer, ExchangeError> {
        let (head, incoming) = response.into_parts();
        if head.status.is_informational() {
            return Err(ExchangeError::Status(head.status));
        }
        let mut body = EngineBody {
            incoming,
            link: Some(link),
            engine: Arc::clone(self),
            heard: Instant::now(),
            timer: None,
        };
        if body.incoming.is_end_stream() {
            body.finish();
        }
        Ok(Answer { head, body, retried })
    }
}

/// Why an answer stopped in the middle.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CutError {
    #[error("the answer broke off")]
    Broken(#[source] hyper::Error),
    #[error("the answer stopped for {} ms", .0.as_millis())]
    Silent(Duration),
}

/// The rest of an engine's answer, piece by piece as it comes.
#[derive(Debug)]
pub(crate) struct EngineBody {
    incoming: Incoming,
    link: Option<Link>,
    engine: Arc<Engine>,
    heard: Instant,
    /// Made when first waited for, and then left to run: it is set anew only when it fires too early.
    timer: Option<Pin<Box<Sleep>>>,
}

impl EngineBody {
    /// The answer is read to its end: the connection can serve the next question.
    fn finish(&mut self) {
        if let Some(link) = self.link.take() {
            self.engine.pool.give(link);
        }
    }

    fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(cx) {
            return Poll::Ready(frame);
        }
        if let Some(link) = &mut self.link {
            link.drive(cx);
        }
        Pin::new(&mut self.incoming).poll_frame(cx)
    }

    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<CutError> {
        let limit = self.engine.response_timeout;
        loop {
            let until = (self.heard + limit).into();
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(until)));
            ready!(timer.as_mut().poll(cx));
            if self.heard.elapsed() >= limit {
                return Poll::Ready(CutError::Silent(limit));
            }
            timer.as_mut().reset(until);
        }
    }
}

impl Body for EngineBody {
    type Data = Bytes;
    type Error = CutError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CutError>>> {
        match self.poll_incoming(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                self.heard = Instant::now();
                if self.incoming.is_end_stream() {
                    self.finish();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(CutError::Broken(error)))),
            Poll::Ready(None) => {
                self.finish();
                Poll::Ready(None)
            }
            Poll::Pending => self.poll_silence(cx).map(|error| Some(Err(error))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
