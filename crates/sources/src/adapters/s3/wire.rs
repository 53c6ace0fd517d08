//! `object_store`'s requests, through our client and within bounds.

use futures_util::future::BoxFuture;
use http::{Response, Uri};
use http_body_util::BodyExt as _;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError as StoreError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};
use sovai_http::header::AUTHORIZATION;
use sovai_http::{Client, HttpError, Request, Url};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Most answers of one list; a page has 1,000 objects.
const MAX_PAGES: usize = 2_000;
/// Longest page, in bytes: 1,000 keys of 1,024 bytes, each character escaped, and what stands beside them.
const MAX_PAGE: usize = 8 << 20;

/// What went wrong, as we know it: the crate tells it as a text only.
#[derive(Debug)]
pub(super) enum Failure {
    /// The request.
    Http(HttpError),
    /// A bound that the answer breaks.
    Bound(String),
}

/// Carries requests; clones count as one.
#[derive(Debug, Clone)]
pub(super) struct Wire {
    http: Client,
    answers: Arc<AtomicUsize>,
    failure: Arc<Mutex<Option<Failure>>>,
}

impl Wire {
    pub(super) fn new(http: &Client) -> Self {
        Self { http: http.clone(), answers: Arc::default(), failure: Arc::default() }
    }

    /// What went wrong last; it is told once.
    pub(super) fn failure(&self) -> Option<Failure> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn failed(&self, failure: Failure) -> StoreError {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
        StoreError::new(HttpErrorKind::Unknown, std::io::Error::other("the request failed"))
    }

    async fn carry(&self, request: HttpRequest) -> Result<HttpResponse, StoreError> {
        if self.answers.fetch_add(1, Ordering::Relaxed) >= MAX_PAGES {
            return Err(self.failed(Failure::Bound(format!("its list has more than {MAX_PAGES} pages"))));
        }
        let (parts, body) = request.into_parts();
        let url = address(&parts.uri).map_err(|error| self.failed(Failure::Http(error)))?;
        // A signature holds for one server, and the token of a session is nobody else's.
        let mut sent = Request::new(parts.method, url).staying();
        for (name, value) in &parts.headers {
            let Ok(value) = value.to_str() else { continue };
            sent = if name == AUTHORIZATION { sent.authorization(value) } else { sent.header(name.clone(), value) };
        }
        // Lists have none; what is not sent cannot be signed for.
        let body = body.collect().await?.to_bytes();
        if !body.is_empty() {
            sent = sent.body(body);
        }
        let answer =
            self.http.send_any(sent).await.map_err(|error| self.failed(Failure::Http(error)))?;
        let status = answer.status();
        let mut made = Response::new(Vec::new().into());
        *made.status_mut() = status;
        if !status.is_success() {
            // The crate makes its error of the status; ours has more in it.
            drop(self.failed(Failure::Http(answer.into_error().await)));
            return Ok(made);
        }
        *made.headers_mut() = answer.headers().clone();
        let bytes = answer.bytes(MAX_PAGE).await.map_err(|error| self.failed(Failure::Http(error)))?;
        *made.body_mut() = bytes.into();
        Ok(made)
    }
}

fn address(uri: &Uri) -> Result<Url, HttpError> {
    let text = uri.to_string();
    Url::parse(&text).map_err(|source| HttpError::Url { text: text.split('?').next().unwrap_or_default().to_owned(), source })
}

impl HttpService for Wire {
    // Written as the attribute `async_trait`, which the trait is made with, would write it.
    fn call<'life, 'asynchronous>(
        &'life self,
        request: HttpRequest,
    ) -> BoxFuture<'asynchronous, Result<HttpResponse, StoreError>>
    where
        'life: 'asynchronous,
        Self: 'asynchronous,
    {
        Box::pin(self.carry(request))
    }
}

impl HttpConnector for Wire {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}
