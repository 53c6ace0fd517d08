//! A registry of the tests: keeps what arrived of a cut request, as the specification asks, and has faults on demand.

use crate::world::sha256;
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A request whose body has not been read.
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) headers: BTreeMap<String, String>,
    reader: BufReader<TcpStream>,
}

impl Request {
    fn read(mut reader: BufReader<TcpStream>) -> Option<Self> {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let mut words = line.split(' ');
        let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let url = sovai_http::Url::parse(&format!("http://x{target}")).ok()?;
        let query = url.query_pairs().into_owned().collect();
        Some(Self { method, path: url.path().to_owned(), query, headers, reader })
    }

    pub(crate) fn length(&self) -> usize {
        self.headers.get("content-length").map_or(0, |length| length.parse().unwrap())
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// At most `limit` bytes of the body, or what comes of them.
    pub(crate) fn body(&mut self, limit: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        let wanted = self.length().min(limit) as u64;
        // An error is an end.
        drop((&mut self.reader).take(wanted).read_to_end(&mut bytes));
        bytes
    }
}

/// Status, headers, body; nothing: the connection is cut without a word.
pub(crate) type Answer = Option<(u16, Vec<(&'static str, String)>, Vec<u8>)>;

/// Serves on a free port for as long as the tests run; gives `127.0.0.1:PORT`.
pub(crate) fn serve(answer: impl Fn(&mut Request) -> Answer + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let answer = Arc::clone(&answer);
            std::thread::spawn(move || {
                let Some(mut request) = Request::read(BufReader::new(stream.try_clone().unwrap())) else {
                    return;
                };
                let Some((status, headers, body)) = answer(&mut request) else { return };
                // What is left of the body: closing with unread bytes would reset the connection before the answer is read.
                let head = request.method == "HEAD";
                let mut text = format!("HTTP/1.1 {status} x\r\nConnection: close\r\n");
                for (name, value) in headers {
                    write!(text, "{name}: {value}\r\n").unwrap();
                }
                if !text.contains("Content-Length") {
                    write!(text, "Content-Length: {}\r\n", body.len()).unwrap();
                }
                let mut stream = stream;
                drop(stream.write_all(format!("{text}\r\n").as_bytes()));
                if !head {
                    drop(stream.write_all(&body));
                }
                drop(stream.shutdown(std::net::Shutdown::Write));
                drop(std::io::copy(&mut request.reader, &mut std::io::sink()));
            });
        }
    });
    host
}

/// A fault of the next PATCH or PUT that brings bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// The connection is cut after so many bytes of the body; they are kept.
    Cut(usize),
    /// All bytes are kept, and the answer is lost.
    NoAnswer,
    /// The upload is forgotten.
    Forget,
    /// This status.
    Status(u16),
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) blobs: BTreeMap<String, Vec<u8>>,
    pub(crate) manifests: BTreeMap<String, Vec<u8>>,
    pub(crate) uploads: BTreeMap<String, Vec<u8>>,
    pub(crate) faults: VecDeque<Fault>,
    /// Bytes of blobs that arrived.
    pub(crate) received: usize,
    /// Method and path of each request.
    pub(crate) log: Vec<String>,
    /// The largest body that is taken.
    pub(crate) limit: Option<usize>,
    /// What it asks of chunks.
    pub(crate) least: Option<usize>,
    /// Lengths of the chunks that came.
    pub(crate) chunks: Vec<usize>,
    /// Where uploads are to go, instead of here.
    pub(crate) elsewhere: Option<String>,
    /// Keeps other bytes under a tag than it was given.
    pub(crate) lies: bool,
    pub(crate) next: usize,
}

/// The registry's part in one request.
pub(crate) fn registry(state: &Mutex<State>, request: &mut Request) -> Answer {
    let mut state = state.lock().unwrap();
    state.log.push(format!("{} {}", request.method, request.path));
    let parts: Vec<String> = request.path.trim_start_matches("/v2/").split('/').map(str::to_owned).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let empty = |status, headers| Some((status, headers, Vec::new()));
    match (request.method.as_str(), parts.as_slice()) {
        ("GET" | "HEAD", [.., "blobs", digest]) => match state.blobs.get(*digest) {
            Some(bytes) => Some((200, vec![("Content-Length", bytes.len().to_string())], bytes.clone())),
            None => empty(404, vec![]),
        },
        ("POST", [.., "blobs", "uploads", ""]) => {
            state.next += 1;
            let id = state.next.to_string();
            let least = state.least.map(|least| ("OCI-Chunk-Min-Length", least.to_string()));
            let host = state.elsewhere.clone().map(|host| format!("http://{host}")).unwrap_or_default();
            state.uploads.insert(id.clone(), Vec::new());
            let location = format!("{host}/v2/a/blobs/uploads/{id}?state=0");
            empty(
                202,
                [("Location", location), ("Range", "0-0".to_owned())].into_iter().chain(least).collect(),
            )
        }
        ("GET", [.., "blobs", "uploads", id]) => match state.uploads.get(*id) {
            Some(bytes) => empty(204, place(id, bytes.len())),
            None => empty(404, vec![]),
        },
        ("PATCH", [.., "blobs", "uploads", id]) => {
            if state.limit.is_some_and(|limit| request.length() > limit) {
                return empty(413, vec![]);
            }
            let Some(have) = state.uploads.get(*id).map(Vec::len) else { return empty(404, vec![]) };
            let end = have + request.length();
            if request.header("content-range") != format!("{have}-{}", end - 1) {
                return empty(416, vec![]);
            }
            let fault = state.faults.pop_front();
            match fault {
                Some(Fault::Status(status)) => return empty(status, vec![]),
                Some(Fault::Forget) => {
                    state.uploads.remove(*id);
                    return None;
                }
                _ => {}
            }
            let bytes = request.body(if let Some(Fault::Cut(after)) = fault { after } else { usize::MAX });
            state.received += bytes.len();
            state.chunks.push(bytes.len());
            let upload = state.uploads.get_mut(*id).unwrap();
            upload.extend_from_slice(&bytes);
            let length = upload.len();
            if fault.is_some() { None } else { empty(202, place(id, length)) }
        }
        ("PUT", [.., "blobs", "uploads", id]) => {
            if state.limit.is_some_and(|limit| request.length() > limit) {
                return empty(413, vec![]);
            }
            let Some(mut bytes) = state.uploads.get(*id).cloned() else { return empty(404, vec![]) };
            let fault = state.faults.pop_front();
            if let Some(Fault::Status(status)) = fault {
                return empty(status, vec![]);
            }
            let body = request.body(if let Some(Fault::Cut(after)) = fault { after } else { usize::MAX });
            state.received += body.len();
            bytes.extend_from_slice(&body);
            let digest = request.query.get("digest").cloned().unwrap_or_default();
            if matches!(fault, Some(Fault::Cut(_) | Fault::Forget)) {
                state.uploads.insert((*id).to_owned(), bytes);
                return None;
            }
            if sha256(&bytes).to_string() != digest {
                let said = br#"{"errors":[{"code":"DIGEST_INVALID"}]}"#.to_vec();
                return Some((400, vec![], said));
            }
            state.uploads.remove(*id);
            state.blobs.insert(digest.clone(), bytes);
            if fault.is_some() { None } else { empty(201, vec![("Docker-Content-Digest", digest)]) }
        }
        ("PUT", [.., "manifests", name]) => {
            let bytes = request.body(usize::MAX);
            let digest = sha256(&bytes).to_string();
            let kept = if state.lies && !name.contains(':') { b"other".to_vec() } else { bytes };
            state.manifests.insert((*name).to_owned(), kept);
            empty(201, vec![("Docker-Content-Digest", digest)])
        }
        ("GET" | "HEAD", [.., "manifests", name]) => match state.manifests.get(*name) {
            Some(bytes) => {
                let digest = sha256(bytes).to_string();
                let headers = vec![
                    ("Content-Type", "application/vnd.oci.image.manifest.v1+json".to_owned()),
                    ("Docker-Content-Digest", digest),
                    ("Content-Length", bytes.len().to_string()),
                ];
                Some((200, headers, bytes.clone()))
            }
            None => empty(404, vec![]),
        },
        _ => empty(404, vec![]),
    }
}

fn place(id: &str, length: usize) -> Vec<(&'static str, String)> {
    let range = format!("0-{}", length.saturating_sub(1));
    vec![("Location", format!("/v2/a/blobs/uploads/{id}?state={length}")), ("Range", range)]
}

/// A registry in plain text, and its state.
pub(crate) fn start() -> (String, Arc<Mutex<State>>) {
    let state = Arc::new(Mutex::new(State::default()));
    let shared = Arc::clone(&state);
    (serve(move |request| registry(&shared, request)), state)
}
