//! The server: the same paths, statuses and shapes as llama-server.

use crate::behaviour::{Behaviour, Mode};
use crate::options::Options;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_TYPE, SERVER};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tokio::net::TcpListener;

type Body = BoxBody<Bytes, Infallible>;

/// Longest request body that is read, in bytes.
const MAX_BODY: usize = 64 << 20;

struct State {
    options: Options,
    behaviour: Behaviour,
    model_size: u64,
    started: Instant,
    requests: AtomicU64,
}

/// Serves until the process ends.
pub(crate) async fn serve(options: Options, behaviour: Behaviour, model_size: u64) -> ExitCode {
    let address = (options.host, options.port);
    let listener = match TcpListener::bind(address).await {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("stub: couldn't bind {}:{}: {error}", address.0, address.1);
            return ExitCode::from(1);
        }
    };
    let port = listener.local_addr().map_or(options.port, |a| a.port());
    eprintln!("stub: listening on {}:{port}", options.host);
    let started = Instant::now();
    let state = Arc::new(State { options, behaviour, model_size, started, requests: AtomicU64::new(0) });
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _unset = stream.set_nodelay(true);
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let state = Arc::clone(&state);
                async move { Ok::<_, Infallible>(answer(state, request).await) }
            });
            let http = hyper::server::conn::http1::Builder::new();
            drop(http.serve_connection(TokioIo::new(stream), service).await);
        });
    }
}

async fn answer(state: Arc<State>, request: Request<Incoming>) -> Response<Body> {
    let mut response = route(state, request).await;
    // What llama-server sends too, and what must not get past a gateway.
    response.headers_mut().insert(SERVER, HeaderValue::from_static("stub-engine"));
    response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}

async fn route(state: Arc<State>, request: Request<Incoming>) -> Response<Body> {
    let loading = state.behaviour.mode == Mode::NeverReady || state.started.elapsed() < state.behaviour.delay;
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    if loading {
        // llama.cpp, tools/server: every endpoint says so while the model is loaded.
        let error =
            json!({ "error": { "code": 503, "message": "Loading model", "type": "unavailable_error" } });
        return whole(StatusCode::SERVICE_UNAVAILABLE, &error);
    }
    state.requests.fetch_add(1, Ordering::Relaxed);
    match (method, path.as_str()) {
        (Method::GET, "/health" | "/v1/health") => whole(StatusCode::OK, &json!({ "status": "ok" })),
        (Method::GET, "/metrics") if state.options.metrics => {
            let text = format!(
                "# TYPE llamacpp:requests_processing gauge\nllamacpp:requests_processing 0\n\
                 # TYPE stub_requests_total counter\nstub_requests_total {}\n",
                state.requests.load(Ordering::Relaxed)
            );
            with_type(StatusCode::OK, "text/plain; version=0.0.4", Full::new(Bytes::from(text)).boxed())
        }
        (Method::GET, "/slots") => {
            let slots: Vec<Value> = (0..state.options.parallel)
                .map(|id| json!({ "id": id, "prompt": "secret of another" }))
                .collect();
            whole(StatusCode::OK, &Value::from(slots))
        }
        (Method::GET, "/props") => {
            let settings = json!({ "n_ctx": state.options.context });
            let props = json!({ "model_path": state.options.model, "default_generation_settings": settings });
            whole(StatusCode::OK, &props)
        }
        (Method::GET, "/v1/models") => {
            let model = json!({ "id": state.options.alias, "object": "model", "owned_by": "stub" });
            whole(StatusCode::OK, &json!({ "object": "list", "data": [model] }))
        }
        (Method::POST, "/v1/chat/completions") => complete(&state, request, Kind::Chat).await,
        (Method::POST, "/v1/completions") => complete(&state, request, Kind::Text).await,
        (Method::POST, "/v1/embeddings") => {
            let item = json!({ "object": "embedding", "index": 0, "embedding": [0.25, -0.5] });
            whole(StatusCode::OK, &json!({ "object": "list", "model": state.options.alias, "data": [item] }))
        }
        _ => {
            let error = json!({ "code": 404, "message": "File Not Found", "type": "not_found_error" });
            whole(StatusCode::NOT_FOUND, &json!({ "error": error }))
        }
    }
}

/// Which of the two APIs a completion is asked through.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Chat,
    Text,
}

impl Kind {
    /// One choice that carries `text`.
    fn choice(self, text: &str, piece: bool, finish: Option<&str>) -> Value {
        match (self, piece) {
            (Self::Text, _) => json!({ "index": 0, "text": text, "finish_reason": finish }),
            (Self::Chat, true) => {
                json!({ "index": 0, "delta": { "content": text }, "finish_reason": finish })
            }
            (Self::Chat, false) => {
                let message = json!({ "role": "assistant", "content": text });
                json!({ "index": 0, "message": message, "finish_reason": finish })
            }
        }
    }
}

async fn complete(state: &Arc<State>, request: Request<Incoming>, kind: Kind) -> Response<Body> {
    if state.behaviour.mode == Mode::NoAnswer {
        let error = json!({ "code": 500, "message": "stub: cannot answer", "type": "server_error" });
        return whole(StatusCode::INTERNAL_SERVER_ERROR, &json!({ "error": error }));
    }
    let refuse = |message: &str| {
        let error = json!({ "code": 400, "message": message, "type": "invalid_request_error" });
        whole(StatusCode::BAD_REQUEST, &json!({ "error": error }))
    };
    let Ok(body) = Limited::new(request.into_body(), MAX_BODY).collect().await else {
        return refuse("the body cannot be read");
    };
    let Ok(asked) = serde_json::from_slice::<Value>(&body.to_bytes()) else {
        return refuse("the body is not JSON");
    };
    let text = state
        .behaviour
        .answer
        .clone()
        .unwrap_or_else(|| format!("stub: {} {}", state.options.alias, state.model_size));
    if asked.get("stream").and_then(Value::as_bool) == Some(true) {
        let body = StreamBody::new(pieces(Arc::clone(state), kind, text));
        return with_type(StatusCode::OK, "text/event-stream", BoxBody::new(body));
    }
    whole(
        StatusCode::OK,
        &json!({
            "id": "chatcmpl-stub", "created": 0, "model": state.options.alias,
            "object": if kind == Kind::Chat { "chat.completion" } else { "text_completion" },
            "choices": [kind.choice(&text, false, Some("stop"))],
            "usage": { "prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2 },
        }),
    )
}

/// The events of a streamed answer: the text, filler for the other pieces, and the end mark.
fn pieces(
    state: Arc<State>,
    kind: Kind,
    text: String,
) -> impl Stream<Item = Result<Frame<Bytes>, Infallible>> + Send + Sync + 'static {
    let last = state.behaviour.chunks.max(1);
    stream::iter(0..=last).then(move |at| {
        let state = Arc::clone(&state);
        let event = if at == last {
            "data: [DONE]\n\n".to_owned()
        } else {
            let filler = "x".repeat(state.behaviour.chunk_bytes);
            let text = if at == 0 { format!("{text}{filler}") } else { format!(" {at}{filler}") };
            let finish = (at + 1 == last).then_some("stop");
            let piece = json!({
                "id": "chatcmpl-stub", "created": 0, "model": state.options.alias,
                "object": "chat.completion.chunk", "choices": [kind.choice(&text, true, finish)],
            });
            format!("data: {piece}\n\n")
        };
        async move {
            if !state.behaviour.chunk_delay.is_zero() {
                tokio::time::sleep(state.behaviour.chunk_delay).await;
            }
            Ok(Frame::data(Bytes::from(event)))
        }
    })
}

fn whole(status: StatusCode, value: &Value) -> Response<Body> {
    with_type(status, "application/json; charset=utf-8", Full::new(Bytes::from(value.to_string())).boxed())
}

fn with_type(status: StatusCode, kind: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
