//! Two listeners on one thread.

use crate::answer::{self, Body};
use crate::state::State;
use crate::{Place, Seen, hugging_face, modelscope, plain};
use http::header::{AUTHORIZATION, HOST, RANGE, USER_AGENT};
use http::{HeaderName, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use tokio::sync::oneshot;

#[derive(Debug)]
pub(crate) struct Server {
    hub: SocketAddr,
    cdn: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(state: &Arc<State>, address: &str) -> io::Result<Self> {
        let hub = TcpListener::bind(address)?;
        // Another loopback address, so that a client sees another host and not just another port.
        let cdn = TcpListener::bind("127.0.0.2:0")?;
        let (hub_at, cdn_at) = (hub.local_addr()?, cdn.local_addr()?);
        state.lock().cdn_url = format!("http://{cdn_at}");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let state = Arc::clone(state);
        let thread = std::thread::Builder::new().name("test-hub".to_owned()).spawn(move || {
            runtime.block_on(async move {
                tokio::select! {
                    _ = stopped => {}
                    _ = accept(hub, Place::Hub, &state) => {}
                    _ = accept(cdn, Place::Cdn, &state) => {}
                }
            });
            // Connections that are silent on purpose must not keep the thread.
            runtime.shutdown_background();
        })?;
        Ok(Self { hub: hub_at, cdn: cdn_at, stop: Some(stop), thread: Some(thread) })
    }

    pub(crate) fn url(&self, place: Place) -> String {
        match place {
            Place::Hub => format!("http://{}", self.hub),
            Place::Cdn => format!("http://{}", self.cdn),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Either may be gone when the thread has ended.
        self.stop.take().map(|stop| stop.send(()));
        self.thread.take().map(JoinHandle::join);
    }
}

async fn accept(listener: TcpListener, place: Place, state: &Arc<State>) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        // A client that is gone before it was accepted is no reason to end.
        let Ok((stream, _)) = listener.accept().await else { continue };
        drop(stream.set_nodelay(true));
        state.connections.fetch_add(1, Ordering::Relaxed);
        let state = Arc::clone(state);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let state = Arc::clone(&state);
                async move { Ok::<_, Infallible>(answer_one(&state, place, request).await) }
            });
            // A connection that breaks is what many tests want.
            drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
        });
    }
}

/// What handlers need of a request.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) place: Place,
    pub(crate) head: bool,
    /// Segments of the path, percent-decoded, without empty ones.
    pub(crate) segments: Vec<String>,
    /// The path as sent, without its first slash.
    pub(crate) raw_path: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) range: Option<String>,
    pub(crate) if_range: Option<String>,
    /// The token of `Authorization: Bearer`.
    pub(crate) token: Option<String>,
    pub(crate) host: String,
}

impl Asked {
    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn segments(&self) -> Vec<&str> {
        self.segments.iter().map(String::as_str).collect()
    }
}

fn decode(text: &str) -> String {
    // `url` decodes pairs of a query, where a plus is a space: in a path it is a plus.
    let pair = text.replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
    url::form_urlencoded::parse(pair.as_bytes()).map(|(key, _)| key.into_owned()).collect()
}

async fn answer_one(state: &Arc<State>, place: Place, request: Request<Incoming>) -> Response<Body> {
    let text = |name: HeaderName| {
        request.headers().get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let uri = request.uri();
    let query = uri.query().unwrap_or_default().to_owned();
    let authorization = text(AUTHORIZATION);
    let seen = Seen {
        place,
        method: request.method().to_string(),
        path: uri.path().to_owned(),
        query: query.clone(),
        range: text(RANGE),
        authorization: authorization.clone(),
        host: text(HOST),
        user_agent: text(USER_AGENT),
    };
    let asked = Asked {
        place,
        head: request.method() == http::Method::HEAD,
        segments: uri.path().split('/').filter(|part| !part.is_empty()).map(decode).collect(),
        raw_path: uri.path().trim_start_matches('/').to_owned(),
        query: url::form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
        range: seen.range.clone(),
        if_range: text(http::header::IF_RANGE),
        token: authorization.as_deref().and_then(|value| value.strip_prefix("Bearer ")).map(str::to_owned),
        host: seen.host.clone().unwrap_or_default(),
    };
    state.lock().requests.push(seen);
    if request.method() != http::Method::GET && !asked.head {
        return answer::text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD");
    }
    let segments = asked.segments();
    match (place, segments.as_slice()) {
        (Place::Cdn, ["lfs", sha256, org, name, path @ ..]) => {
            hugging_face::cdn(state, &asked, sha256, &format!("{org}/{name}"), &path.join("/")).await
        }
        (Place::Hub, ["files", path @ ..]) => plain::answer(state, &asked, &path.join("/")).await,
        (Place::Hub, ["api", "v1", "models", org, name, rest @ ..]) => {
            modelscope::answer(state, &asked, &format!("{org}/{name}"), rest).await
        }
        (Place::Hub, ["api", "resolve-cache", "models", org, name, commit, path @ ..]) => {
            hugging_face::cached(state, &asked, &format!("{org}/{name}"), commit, &path.join("/"))
        }
        (Place::Hub, ["api", "models", org, name, rest @ ..]) => {
            hugging_face::api(state, &asked, &format!("{org}/{name}"), rest).await
        }
        (Place::Hub, [org, name, "resolve", revision, path @ ..]) => {
            hugging_face::resolve(state, &asked, &format!("{org}/{name}"), revision, &path.join("/")).await
        }
        _ => answer::text(StatusCode::NOT_FOUND, "no such path"),
    }
}
