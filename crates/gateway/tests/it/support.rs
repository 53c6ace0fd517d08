//! A gateway, a scripted engine and a raw client. Every wait has a bound; nothing sleeps and hopes.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sovai_gateway::{AccessRecord, Config, Gateway, Record};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

pub(crate) const KEY: &str = "sk-sovai-test-key-0123456789";

/// Nothing in these tests takes this long unless it hangs.
pub(crate) const BOUND: Duration = Duration::from_secs(10);

pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(BOUND, future).await.unwrap_or_else(|_| panic!("{what}: took longer than {BOUND:?}"))
}

pub(crate) fn digest(key: &str) -> String {
    Sha256::digest(key.as_bytes()).iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// A host name that no resolver asks anybody about: a label has at most 63 characters.
pub(crate) fn no_such_host() -> String {
    format!("{}.invalid", "x".repeat(64))
}

// ---------------------------------------------------------------------------------------------------------------- gateway

pub(crate) struct Door {
    pub(crate) address: SocketAddr,
    pub(crate) inner: SocketAddr,
    pub(crate) metrics: SocketAddr,
    pub(crate) keys: std::path::PathBuf,
    _folder: tempfile::TempDir,
    log: Arc<Mutex<Vec<Record>>>,
    news: mpsc::UnboundedReceiver<Record>,
    stop: Option<oneshot::Sender<()>>,
    pub(crate) task: JoinHandle<()>,
}

/// A configuration for one engine, with keys.
pub(crate) fn config(engine: SocketAddr) -> Value {
    json!({
        "apiVersion": "sovai/v1", "kind": "GatewayConfig",
        "listen": "127.0.0.1:0", "inner": "127.0.0.1:0", "metrics": "127.0.0.1:0",
        "keys": "replaced by Door::open",
        "routes": { "assistant": { "upstream": format!("http://{engine}"), "model": "engine-name" } },
    })
}

impl Door {
    pub(crate) async fn to(engine: SocketAddr) -> Self {
        Self::open(config(engine)).await
    }

    pub(crate) async fn with_limits(engine: SocketAddr, limits: Value) -> Self {
        let mut config = config(engine);
        config["limits"] = limits;
        Self::open(config).await
    }

    pub(crate) async fn open(mut config: Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("keys.sha256");
        fs_err::write(&keys, format!("{} team-a\n", digest(KEY))).unwrap();
        if config["keys"].is_string() {
            config["keys"] = json!(keys);
        }
        let config = Config::parse(config.to_string().as_bytes()).unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (tell, news) = mpsc::unbounded_channel();
        let keep = Arc::clone(&log);
        let gateway = Gateway::bind(config, move |record: &Record| {
            keep.lock().unwrap().push(record.clone());
            let _unheard = tell.send(record.clone());
        })
        .await
        .unwrap();
        let address = gateway.listen_address();
        let (inner, metrics) = (gateway.inner_address().unwrap(), gateway.metrics_address().unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(gateway.run(stopped));
        Self { address, inner, metrics, keys, _folder: folder, log, news, stop: Some(stop), task }
    }

    pub(crate) fn stop(&mut self) {
        drop(self.stop.take());
    }

    /// The next record of a request.
    pub(crate) async fn access(&mut self) -> AccessRecord {
        within("an access record", async {
            loop {
                if let Record::Access(record) = self.news.recv().await.unwrap() {
                    return record;
                }
            }
        })
        .await
    }

    /// The next record that `wanted` takes.
    pub(crate) async fn hear(&mut self, wanted: impl Fn(&Record) -> bool) -> Record {
        within("a record", async {
            loop {
                let record = self.news.recv().await.unwrap();
                if wanted(&record) {
                    return record;
                }
            }
        })
        .await
    }

    /// Everything logged so far, as JSON lines.
    pub(crate) fn log(&self) -> String {
        let log = self.log.lock().unwrap();
        log.iter().map(|r| serde_json::to_string(r).unwrap() + "\n").collect()
    }

    pub(crate) async fn metrics(&self) -> String {
        let mut client = Client::connect(self.metrics).await;
        client.send("GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").await;
        client.answer().await.text()
    }

    pub(crate) async fn client(&self) -> Client<TcpStream> {
        Client::connect(self.address).await
    }

    /// One request on a connection of its own.
    pub(crate) async fn ask(&self, request: &str) -> Answer {
        let mut client = self.client().await;
        client.send(request).await;
        client.answer().await
    }
}

// ----------------------------------------------------------------------------------------------------------------- client

pub(crate) struct Client<S> {
    pub(crate) stream: S,
    buffer: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", self.text()))
    }

    /// Status and code of an OpenAI-shaped error; panics when it is none.
    pub(crate) fn error(&self) -> (u16, Option<String>) {
        let value = self.json();
        let error = value["error"].as_object().unwrap();
        assert_eq!(
            error.keys().map(String::as_str).collect::<Vec<_>>(),
            ["code", "message", "param", "type"]
        );
        assert!(error["message"].is_string() && error["type"].is_string(), "{value}");
        assert_eq!(self.headers["content-type"], "application/json");
        (self.status, error["code"].as_str().map(str::to_owned))
    }
}

/// What a JSON request looks like on the wire.
pub(crate) fn post(path: &str, key: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: door\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

pub(crate) fn chat(prompt: &str) -> String {
    let body = json!({ "model": "assistant", "messages": [{ "role": "user", "content": prompt }] });
    post("/v1/chat/completions", KEY, &body.to_string())
}

impl Client<TcpStream> {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::over(within("connecting", TcpStream::connect(address)).await.unwrap())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(crate) fn over(stream: S) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    pub(crate) async fn send(&mut self, text: impl AsRef<[u8]>) {
        within("sending", self.stream.write_all(text.as_ref())).await.unwrap();
        within("flushing", self.stream.flush()).await.unwrap();
    }

    /// More bytes; false at the end, also when it is a reset.
    async fn fill(&mut self) -> bool {
        let mut bytes = vec![0u8; 16 << 10];
        let got = within("reading", self.stream.read(&mut bytes)).await.unwrap_or(0);
        self.buffer.extend_from_slice(&bytes[..got]);
        got > 0
    }

    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(at) = self.buffer.windows(2).position(|w| w == b"\r\n") {
                let line = String::from_utf8(self.buffer.drain(..at + 2).collect()).unwrap();
                return Some(line.trim_end().to_owned());
            }
            if !self.fill().await {
                return None;
            }
        }
    }

    /// The head of an answer; `None` when the connection is closed without one.
    pub(crate) async fn head(&mut self) -> Option<Answer> {
        let line = self.line().await?;
        let status = line.split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = BTreeMap::new();
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                return Some(Answer { status, headers, body: Vec::new() });
            }
            let (name, value) = line.split_once(':').unwrap();
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
    }

    async fn exactly(&mut self, count: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < count {
            if !self.fill().await {
                return None;
            }
        }
        Some(self.buffer.drain(..count).collect())
    }

    /// One chunk of a chunked body: `Some(empty)` is a clean end, `None` a broken one.
    pub(crate) async fn chunk(&mut self) -> Option<Vec<u8>> {
        let size = usize::from_str_radix(&self.line().await?, 16).unwrap();
        let data = self.exactly(size).await?;
        self.exactly(2).await?;
        Some(data)
    }

    /// A whole answer; `None` when the connection is closed without one, or in the middle.
    pub(crate) async fn try_answer(&mut self) -> Option<Answer> {
        let mut answer = self.head().await?;
        if let Some(length) = answer.headers.get("content-length") {
            answer.body = self.exactly(length.parse().unwrap()).await?;
            return Some(answer);
        }
        if answer.headers.get("transfer-encoding").is_some_and(|v| v == "chunked") {
            loop {
                let chunk = self.chunk().await?;
                if chunk.is_empty() {
                    return Some(answer);
                }
                answer.body.extend(chunk);
            }
        }
        while self.fill().await {}
        answer.body = std::mem::take(&mut self.buffer);
        Some(answer)
    }

    pub(crate) async fn answer(&mut self) -> Answer {
        self.try_answer().await.expect("the connection was closed without a whole answer")
    }

    /// Waits until the other side closes; what it still sends is passed over.
    pub(crate) async fn closed(&mut self) {
        while self.fill().await {}
    }
}

// ----------------------------------------------------------------------------------------------------------------- engine

/// A request as an engine sees it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) line: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

/// One connection, seen from the engine.
pub(crate) struct Wire {
    client: Client<TcpStream>,
}

impl Wire {
    /// The next request; `None` when the gateway closed.
    pub(crate) async fn request(&mut self) -> Option<Seen> {
        let line = self.client.line().await?;
        let mut headers = BTreeMap::new();
        loop {
            let line = self.client.line().await?;
            let Some((name, value)) = line.split_once(':') else { break };
            let known = headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
            assert!(known.is_none(), "{name} twice");
        }
        let length = headers.get("content-length").map_or(0, |v| v.parse().unwrap());
        let body = self.client.exactly(length).await?;
        Some(Seen { line, headers, body })
    }

    pub(crate) async fn send(&mut self, text: impl AsRef<[u8]>) {
        self.client.send(text).await;
    }

    /// For a gateway that may have closed.
    pub(crate) async fn try_send(&mut self, text: &str) -> std::io::Result<()> {
        within("sending", self.client.stream.write_all(text.as_bytes())).await
    }

    pub(crate) async fn send_json(&mut self, body: &str) {
        let length = body.len();
        self.send(format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        ))
        .await;
    }

    pub(crate) async fn send_chunk(&mut self, data: &str) {
        self.send(format!("{:x}\r\n{data}\r\n", data.len())).await;
    }

    pub(crate) async fn closed(&mut self) {
        self.client.closed().await;
    }
}

pub(crate) const STREAM_HEAD: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

/// A listener that runs a script for each connection.
pub(crate) struct Engine {
    pub(crate) address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Engine {
    /// `script` gets each connection with its number, from 0.
    pub(crate) async fn start<F, R>(script: F) -> Self
    where
        F: Fn(usize, Wire) -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            for number in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                tokio::spawn(script(number, Wire { client: Client::over(stream) }));
            }
        });
        Self { address, task }
    }

    /// Answers each request with its own body, and tells what it saw.
    pub(crate) async fn echo() -> (Self, mpsc::UnboundedReceiver<Seen>) {
        let (tell, seen) = mpsc::unbounded_channel();
        let engine = Self::start(move |_, mut wire| {
            let tell = tell.clone();
            async move {
                while let Some(request) = wire.request().await {
                    let body = String::from_utf8(request.body.clone()).unwrap();
                    let _unheard = tell.send(request);
                    wire.send_json(&body).await;
                }
            }
        })
        .await;
        (engine, seen)
    }

    /// An address where nobody listens.
    pub(crate) async fn nobody() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
    }
}
