//! Answers that the gateway makes itself, in the shape that `OpenAI` clients understand.
//!
//! The error object is `{"error": {"message", "type", "param", "code"}}`, as in `OpenAI`'s API reference, "Error codes".

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Method, StatusCode};
use serde_json::json;

/// A request that is not passed on.
#[derive(Debug)]
pub(crate) struct Reject {
    pub(crate) status: StatusCode,
    pub(crate) header: Option<(HeaderName, &'static str)>,
    kind: &'static str,
    code: Option<&'static str>,
    about_model: bool,
    message: String,
}

impl Reject {
    fn new(
        status: StatusCode,
        kind: &'static str,
        code: Option<&'static str>,
        message: impl Into<String>,
    ) -> Self {
        Self { status, header: None, kind, code, about_model: false, message: message.into() }
    }

    fn request(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self::new(status, "invalid_request_error", Some(code), message)
    }

    fn server(status: StatusCode, code: &'static str, message: &str) -> Self {
        Self::new(status, "server_error", Some(code), message)
    }

    fn with(mut self, name: HeaderName, value: &'static str) -> Self {
        self.header = Some((name, value));
        self
    }

    pub(crate) fn unknown_route() -> Self {
        // The path is not repeated: it may be anything.
        Self::request(StatusCode::NOT_FOUND, "unknown_url", "There is nothing at this URL.")
    }

    pub(crate) fn wrong_method(allowed: &Method) -> Self {
        let (allow, message) = if *allowed == Method::GET {
            ("GET", "Only GET requests are accepted here.")
        } else {
            ("POST", "Only POST requests are accepted here.")
        };
        Self::request(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message).with(ALLOW, allow)
    }

    pub(crate) fn no_key() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "invalid_request_error",
            None,
            "You didn't provide an API key. Put it into the Authorization header, as in \
             `Authorization: Bearer YOUR_KEY`.",
        )
        .with(WWW_AUTHENTICATE, "Bearer")
    }

    pub(crate) fn wrong_key() -> Self {
        // OpenAI repeats a part of the key here; nothing of it is repeated by us.
        Self::request(StatusCode::UNAUTHORIZED, "invalid_api_key", "Incorrect API key provided.")
            .with(WWW_AUTHENTICATE, "Bearer error=\"invalid_token\"")
    }

    /// A body that is not passed on because of what it is.
    pub(crate) fn bad_body(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", None, message)
    }

    /// A body that is not passed on because of its `model`.
    pub(crate) fn bad_model(message: impl Into<String>) -> Self {
        Self { about_model: true, ..Self::bad_body(message) }
    }

    pub(crate) fn encoded() -> Self {
        Self::request(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_content_encoding",
            "The request body must be plain JSON, without a content encoding.",
        )
    }

    pub(crate) fn model_not_found(model: &str) -> Self {
        let shown: String = model.chars().take(128).collect();
        let reject = Self::request(
            StatusCode::NOT_FOUND,
            "model_not_found",
            format!("The model `{shown}` does not exist or you do not have access to it."),
        );
        Self { about_model: true, ..reject }
    }

    pub(crate) fn too_large(limit: u64) -> Self {
        Self::request(
            StatusCode::PAYLOAD_TOO_LARGE,
            "request_too_large",
            format!("The request body is longer than the limit of {limit} bytes."),
        )
        .with(CONNECTION, "close")
    }

    pub(crate) fn slow_body() -> Self {
        Self::request(
            StatusCode::REQUEST_TIMEOUT,
            "request_timeout",
            "The request body did not arrive in time.",
        )
        .with(CONNECTION, "close")
    }

    pub(crate) fn overloaded() -> Self {
        Self::server(
            StatusCode::SERVICE_UNAVAILABLE,
            "server_overloaded",
            "Too many large requests at once; try again later.",
        )
        .with(RETRY_AFTER, "1")
    }

    pub(crate) fn unreachable() -> Self {
        Self::server(
            StatusCode::SERVICE_UNAVAILABLE,
            "engine_unreachable",
            "The model is not available at present.",
        )
        .with(RETRY_AFTER, "5")
    }

    pub(crate) fn broken() -> Self {
        Self::server(
            StatusCode::BAD_GATEWAY,
            "engine_failed",
            "The model's engine broke off before it answered.",
        )
    }

    pub(crate) fn silent() -> Self {
        Self::server(
            StatusCode::GATEWAY_TIMEOUT,
            "engine_timeout",
            "The model's engine did not answer in time.",
        )
    }

    /// The error object as JSON.
    pub(crate) fn body(&self) -> Bytes {
        let error = json!({ "error": {
            "message": self.message, "type": self.kind, "param": self.about_model.then_some("model"), "code": self.code,
        }});
        Bytes::from(error.to_string())
    }
}
