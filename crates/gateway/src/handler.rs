//! From a request to its answer.

use crate::GatewayError;
use crate::body::{Content, ReplyBody};
use crate::config::{Config, Limits, parse_upstream};
use crate::keys::{Keys, Refusal};
use crate::metrics::{Metrics, ReasonLabels};
use crate::record::Record;
use crate::reply::Reject;
use crate::request::{BadBody, read_model};
use crate::track::Track;
use crate::upstream::{Engine, ExchangeError, Question, REQUEST_ID, chain};
use bytes::{Bytes, BytesMut};
use http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE, EXPECT, HeaderMap, HeaderName,
    RETRY_AFTER,
};
use http::{HeaderValue, Method, Request, Response, StatusCode, request};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

/// Headers of an engine's answer that reach the client. Everything else stays behind: who serves, cookies, and what belongs
/// to the one connection.
const PASSED_BACK: [HeaderName; 5] =
    [CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LANGUAGE, CACHE_CONTROL, RETRY_AFTER];

/// What is left of a refused request's body is read away up to this, so that the client gets to read why.
const LINGER_BYTES: usize = 1 << 20;
const LINGER_TIME: Duration = Duration::from_secs(1);

/// What the gateway has an answer to. The list is the whole of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Endpoint {
    Health,
    Models,
    /// Passed on to an engine, under the same path.
    Engine,
}

/// Finds a route by its exact path. No decoding and no normalising: what is not written exactly so is not there.
fn find(path: &str) -> Option<(Endpoint, &'static str, Method)> {
    Some(match path {
        "/v1/chat/completions" => (Endpoint::Engine, "/v1/chat/completions", Method::POST),
        "/v1/completions" => (Endpoint::Engine, "/v1/completions", Method::POST),
        "/v1/embeddings" => (Endpoint::Engine, "/v1/embeddings", Method::POST),
        "/v1/models" => (Endpoint::Models, "/v1/models", Method::GET),
        "/healthz" => (Endpoint::Health, "/healthz", Method::GET),
        _ => return None,
    })
}

/// What a public model name stands for.
#[derive(Debug)]
struct Route {
    public: Arc<str>,
    /// The name that the engine knows.
    model: String,
    engine: Arc<Engine>,
}

/// What every request needs.
pub(crate) struct Shared {
    pub(crate) limits: Limits,
    pub(crate) metrics: Metrics,
    pub(crate) keys: Option<Keys>,
    /// The label of requests without a known model.
    pub(crate) no_model: Arc<str>,
    routes: HashMap<String, Route>,
    engines: Vec<Arc<Engine>>,
    models: Bytes,
    /// Room for request bodies, in bytes.
    room: Semaphore,
    log: Box<dyn Fn(&Record) + Send + Sync>,
    id_start: u64,
    id_next: AtomicU64,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("routes", &self.routes).finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn new(
        config: &Config,
        keys: Option<Keys>,
        log: impl Fn(&Record) + Send + Sync + 'static,
    ) -> Result<Self, GatewayError> {
        let limits = config.limits.clone();
        let mut engines: BTreeMap<String, Arc<Engine>> = BTreeMap::new();
        let mut routes = HashMap::new();
        for (name, route) in &config.routes {
            let authority = parse_upstream(&format!("routes.{name}.upstream"), &route.upstream)?;
            let engine = engines.entry(authority.as_str().to_owned()).or_insert_with(|| {
                Arc::new(Engine::new(authority, limits.connect_timeout(), limits.response_timeout()))
            });
            routes.insert(
                name.clone(),
                Route {
                    public: Arc::from(name.as_str()),
                    model: route.model.clone(),
                    engine: Arc::clone(engine),
                },
            );
        }
        let list: Vec<_> = config
            .routes
            .keys()
            .map(|name| serde_json::json!({ "id": name, "object": "model", "created": 0, "owned_by": "sovai" }))
            .collect();
        let models = serde_json::json!({ "object": "list", "data": list }).to_string();
        let metrics = Metrics::new();
        metrics.keys.set(keys.as_ref().map_or(0, |k| i64::try_from(k.count()).unwrap_or(i64::MAX)));
        let room = usize::try_from(limits.buffered_bytes).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Ok(Self {
            limits,
            metrics,
            keys,
            no_model: Arc::from("none"),
            routes,
            engines: engines.into_values().collect(),
            models: Bytes::from(models),
            room: Semaphore::new(room),
            log: Box::new(log),
            // Only to tell the runs of a gateway apart: the standard library's seed for hash maps is random enough.
            id_start: std::hash::RandomState::new().build_hasher().finish(),
            id_next: AtomicU64::new(1),
        })
    }

    pub(crate) fn log(&self, record: &Record) {
        (self.log)(record);
    }

    pub(crate) fn next_id(&self) -> String {
        format!("{:016x}-{}", self.id_start, self.id_next.fetch_add(1, Ordering::Relaxed))
    }

    /// Lets go of idle connections that are of no more use.
    pub(crate) fn sweep(&self) {
        for engine in &self.engines {
            engine.pool.sweep();
        }
    }

    /// Reads the keys again if their file changed.
    pub(crate) fn refresh_keys(&self) {
        let Some(keys) = &self.keys else { return };
        match keys.refresh() {
            None => return,
            Some(Ok(count)) => self.log(&Record::KeysLoaded { keys: count }),
            Some(Err(error)) => self.log(&Record::KeysRefused { problem: chain(&error) }),
        }
        self.metrics.keys.set(i64::try_from(keys.count()).unwrap_or(i64::MAX));
    }

    fn admit(&self, headers: &HeaderMap) -> Result<Option<Arc<str>>, Reject> {
        let Some(keys) = &self.keys else { return Ok(None) };
        keys.admit(headers).map_err(|refusal| {
            let (reason, reject) = match refusal {
                Refusal::Missing => ("missing", Reject::no_key()),
                Refusal::Wrong => ("wrong", Reject::wrong_key()),
            };
            self.metrics.auth_rejected.get_or_create(&ReasonLabels { reason }).inc();
            reject
        })
    }
}

/// Answers one request.
pub(crate) async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Response<ReplyBody> {
    let mut track = Track::new(Arc::clone(&shared), request.method());
    let request_id = HeaderValue::try_from(&track.id).unwrap_or(HeaderValue::from_static("none"));
    let (head, mut body) = request.into_parts();
    let (mut response, content) = match respond(&shared, &head, &mut body, &mut track, &request_id).await {
        Ok(answer) => answer,
        Err(reject) => {
            if !body.is_end_stream() && !head.headers.contains_key(EXPECT) {
                tokio::spawn(linger(body));
            }
            refusal(reject)
        }
    };
    track.status = Some(response.status().as_u16());
    response.headers_mut().insert(REQUEST_ID, request_id);
    response.map(|()| ReplyBody::new(content, track))
}

fn refusal(reject: Reject) -> (Response<()>, Content) {
    let (mut response, content) = own(reject.body());
    *response.status_mut() = reject.status;
    if let Some((name, value)) = reject.header {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    (response, content)
}

fn own(json: Bytes) -> (Response<()>, Content) {
    let mut response = Response::new(());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    (response, Content::Own(Some(json)))
}

/// Reads away what a client still sends. Closing at once would reset the connection, and the reset would overtake the answer.
async fn linger(mut body: Incoming) {
    let _in_time = timeout(LINGER_TIME, async {
        let mut left = LINGER_BYTES;
        while let Some(Ok(frame)) = body.frame().await {
            match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
                Some(rest) => left = rest,
                None => break,
            }
        }
    })
    .await;
}

async fn respond(
    shared: &Arc<Shared>,
    head: &request::Parts,
    body: &mut Incoming,
    track: &mut Track,
    request_id: &HeaderValue,
) -> Result<(Response<()>, Content), Reject> {
    // The query is neither looked at nor passed on: no route takes one.
    let (endpoint, template, method) = find(head.uri.path()).ok_or_else(Reject::unknown_route)?;
    track.route = template;
    if head.method != method {
        return Err(Reject::wrong_method(&method));
    }
    if endpoint == Endpoint::Health {
        // It says that this door is open, and nothing of what is behind it: it asks for no key.
        return Ok(own(Bytes::from_static(b"{\"status\":\"ok\"}")));
    }
    track.client = shared.admit(&head.headers)?;
    if endpoint == Endpoint::Models {
        return Ok(own(shared.models.clone()));
    }
    if head.headers.get_all(CONTENT_ENCODING).iter().any(|v| !v.as_bytes().eq_ignore_ascii_case(b"identity"))
    {
        return Err(Reject::encoded());
    }
    let buffered = read_body(shared, body, track).await?;
    let asked = read_model(&buffered.bytes).map_err(|error| match error {
        BadBody::NoModel | BadBody::ModelType | BadBody::ModelTwice => Reject::bad_model(error.to_string()),
        BadBody::NotUtf8 | BadBody::TooDeep | BadBody::NotJson { .. } => Reject::bad_body(error.to_string()),
    })?;
    let route = shared.routes.get(&asked.model).ok_or_else(|| Reject::model_not_found(&asked.model))?;
    track.model = Some(Arc::clone(&route.public));
    let Buffered { bytes, room } = buffered;
    let question = Question {
        path: template,
        accept: head.headers.get(ACCEPT).cloned(),
        request_id: request_id.clone(),
        body: asked.rename(bytes, &route.model),
    };
    let outcome = route.engine.ask(&question).await;
    drop((question, room));
    let answer = outcome.map_err(|error| {
        track.upstream_failed(error.kind(), chain(&error));
        match error {
            ExchangeError::Connect(_) | ExchangeError::ConnectTimeout(_) => Reject::unreachable(),
            ExchangeError::Silent(_) => Reject::silent(),
            ExchangeError::Broken(_) | ExchangeError::Status(_) => Reject::broken(),
        }
    })?;
    if answer.retried {
        shared.metrics.upstream_retries.inc();
    }
    let mut response = Response::new(());
    *response.status_mut() = answer.head.status;
    for name in PASSED_BACK {
        if let Some(value) = answer.head.headers.get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    Ok((response, Content::Engine(Box::new(answer.body))))
}

/// A request's body in memory, and the room that it takes of what all may take together.
struct Buffered<'a> {
    bytes: Bytes,
    room: Option<SemaphorePermit<'a>>,
}

async fn read_body<'a>(
    shared: &'a Shared,
    body: &mut Incoming,
    track: &mut Track,
) -> Result<Buffered<'a>, Reject> {
    let limit = shared.limits.body_bytes;
    let announced = body.size_hint();
    if announced.lower() > limit {
        return Err(Reject::too_large(limit));
    }
    timeout(shared.limits.body_timeout(), collect(shared, body, announced.exact(), track))
        .await
        .unwrap_or_else(|_| Err(Reject::slow_body()))
}

async fn collect<'a>(
    shared: &'a Shared,
    body: &mut Incoming,
    announced: Option<u64>,
    track: &mut Track,
) -> Result<Buffered<'a>, Reject> {
    let limit = shared.limits.body_bytes;
    let mut room: Option<SemaphorePermit<'a>> = None;
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        // The transfer broke off or its framing is wrong; the server closes the connection after the answer.
        let frame = frame.map_err(|_| Reject::bad_body("the request body could not be read"))?;
        let Ok(data) = frame.into_data() else { continue };
        track.bytes_in += data.len() as u64;
        if track.bytes_in > limit {
            return Err(Reject::too_large(limit));
        }
        let permits = u32::try_from(data.len()).map_err(|_| Reject::too_large(limit))?;
        let more = shared.room.try_acquire_many(permits).map_err(|_| Reject::overloaded())?;
        match &mut room {
            Some(room) => room.merge(more),
            None => room = Some(more),
        }
        if first.is_empty() {
            first = data;
            continue;
        }
        if rest.is_empty() {
            // All at once where the length is announced: growing would copy again. What is announced is within the limit.
            rest.reserve(
                announced.and_then(|n| usize::try_from(n).ok()).unwrap_or(2 * (first.len() + data.len())),
            );
            rest.extend_from_slice(&first);
        }
        rest.extend_from_slice(&data);
    }
    Ok(Buffered { bytes: if rest.is_empty() { first } else { rest.freeze() }, room })
}

/// Answers one request on the metrics port.
pub(crate) fn answer_metrics(
    shared: &Shared,
    request: &Request<Incoming>,
) -> Response<http_body_util::Full<Bytes>> {
    let reject = match (request.uri().path(), request.method()) {
        ("/metrics", &Method::GET) => None,
        ("/metrics", _) => Some(Reject::wrong_method(&Method::GET)),
        _ => Some(Reject::unknown_route()),
    };
    let (status, kind, body) = match reject {
        None => (StatusCode::OK, crate::metrics::CONTENT_TYPE, Bytes::from(shared.metrics.text())),
        Some(reject) => (reject.status, "application/json", reject.body()),
    };
    let mut response = Response::new(http_body_util::Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_path_is_a_route() {
        assert!(find("/v1/models").is_some());
        for path in [
            "",
            "/",
            "*",
            "/v1",
            "/v1/",
            "/v1/models/",
            "//v1/models",
            "/v1//models",
            "/V1/models",
            "/v1/Models",
            "/v1/models/..",
            "/v1/./models",
            "/v1/x/../models",
            "/%761/models",
            "/v1/models%2f",
            "/v1%2Fmodels",
            "/v1/models;x",
            "/v1/models/assistant",
            "/metrics",
            "/slots",
            "/props",
            "/health",
            "/completion",
            "/tokenize",
            "/v1/rerank",
            "/v1/load_lora_adapter",
            "/docs",
            "/openapi.json",
        ] {
            assert!(find(path).is_none(), "{path}");
        }
    }
}
