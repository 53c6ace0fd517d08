//! A small model hub for tests, with faults on demand.
//!
//! One [`Hub`] is a server on a free loopback port with a second one on another loopback address, its "CDN": files in
//! LFS are redirected there, as the real hubs do. It speaks the interfaces of Hugging Face and `ModelScope` (their field
//! names are those that the hubs' own clients read; a test lets the real `huggingface_hub` download from it) and serves
//! plain files under `/files/`. What goes wrong is said in one line:
//!
//! ```
//! use sovai_test_hub::{Content, Fault, Hub, Repo};
//!
//! let hub = Hub::start();
//! let weights = Content::pattern(1, 1 << 20);
//! hub.add(Repo::new("acme/tiny", "a".repeat(40)).file("config.json", "{}").lfs("model.safetensors", weights));
//! hub.fault("model.safetensors", Fault::CloseAfter(1000)).times(3);
//! hub.fault("acme/tiny/config.json", Fault::too_many(1)).times(1);
//! hub.fault("**", Fault::Throttle(10 << 20));
//! hub.clear_faults();
//! assert!(hub.requests().is_empty());
//! ```
//!
//! The glob of a fault is tried on the path of a file in its repository, on `ORG/NAME/PATH`, and on the path of the URL
//! without its first slash; for a plain file also on its last part. `*` also matches slashes.
//!
//! Beside it is [`Registry`]: Debian's `docker-registry`, for whatever needs a real one.
#![expect(clippy::expect_used, reason = "a server of tests: what cannot work is told by a panic at once")]

mod answer;
mod content;
mod fault;
mod hugging_face;
mod modelscope;
mod plain;
mod registry;
mod repo;
mod server;
mod state;

pub use content::Content;
pub use fault::Fault;
pub use registry::{Registry, Setup};
pub use repo::{Repo, RepoFile};

use fault::Rule;
use server::Server;
use state::State;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Which of the two servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The hub itself: listings, redirects, small files, plain files.
    Hub,
    /// The other host, to which files in LFS are redirected.
    Cdn,
}

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Which server it came to.
    pub place: Place,
    /// `GET`, `HEAD`.
    pub method: String,
    /// Path of the URL, as sent.
    pub path: String,
    /// Query of the URL without the question mark, as sent; empty without one.
    pub query: String,
    /// `Range`.
    pub range: Option<String>,
    /// `Authorization`.
    pub authorization: Option<String>,
    /// `Host`.
    pub host: Option<String>,
    /// `User-Agent`.
    pub user_agent: Option<String>,
}

/// The server; it ends when this is dropped.
#[derive(Debug)]
pub struct Hub {
    state: Arc<State>,
    server: Server,
}

impl Hub {
    /// Start on free loopback ports.
    ///
    /// # Panics
    /// When no port can be opened or no thread be started.
    pub fn start() -> Self {
        Self::start_on("127.0.0.1:0")
    }

    /// Start on this loopback address; the CDN takes a free port.
    ///
    /// # Panics
    /// When the port cannot be opened or no thread be started.
    pub fn start_on(address: &str) -> Self {
        let state = Arc::new(State::default());
        let server = Server::start(&state, address).expect("the ports of a test hub");
        Self { state, server }
    }

    /// `http://127.0.0.1:PORT`, without a slash at its end.
    pub fn url(&self) -> String {
        self.server.url(Place::Hub)
    }

    /// `http://127.0.0.2:PORT`: the other host.
    pub fn cdn_url(&self) -> String {
        self.server.url(Place::Cdn)
    }

    /// Add a commit of a repository; its branches and tags move to it.
    pub fn add(&self, repo: Repo) {
        self.state.lock().add(repo);
    }

    /// A branch or tag moves to this commit, which must have been added.
    pub fn set_ref(&self, id: &str, name: &str, commit: &str) {
        self.state.lock().set_ref(id, name, commit);
    }

    /// Serve a plain file under `/files/PATH`.
    pub fn add_plain(&self, path: impl Into<String>, content: impl Into<Content>) {
        self.state.lock().plain.insert(path.into(), content.into());
    }

    /// How many entries a page of the tree listing has; 1000 at the start.
    pub fn set_page_size(&self, entries: usize) {
        self.state.lock().page_size = entries.max(1);
    }

    /// Whether small files are redirected to a relative address of the same host (status 307), as Hugging Face does;
    /// yes at the start.
    pub fn set_relative_redirects(&self, on: bool) {
        self.state.lock().relative_redirects = on;
    }

    /// Whether files in LFS are redirected to the other host; yes at the start.
    pub fn set_cdn(&self, on: bool) {
        self.state.lock().use_cdn = on;
    }

    /// Whether `ModelScope`'s files in LFS are redirected to the other host, too; no at the start.
    pub fn set_modelscope_cdn(&self, on: bool) {
        self.state.lock().modelscope_cdn = on;
    }

    /// From now on this goes wrong at every path that the glob matches; see [`FaultHandle`] for how often and where.
    ///
    /// # Panics
    /// When the glob is none.
    pub fn fault(&self, glob: &str, fault: Fault) -> FaultHandle<'_> {
        let id = self.state.next_rule.fetch_add(1, Ordering::Relaxed);
        let rule = Rule::new(id, glob, fault).expect("the glob of a fault");
        self.state.lock().rules.push(rule);
        FaultHandle { state: &self.state, id }
    }

    /// Nothing goes wrong any more.
    pub fn clear_faults(&self) {
        self.state.lock().rules.clear();
    }

    /// All requests so far, in the order in which they came.
    pub fn requests(&self) -> Vec<Seen> {
        self.state.lock().requests.clone()
    }

    /// Forget the requests, bytes and connections so far.
    pub fn forget(&self) {
        self.state.lock().requests.clear();
        self.state.bytes_sent.store(0, Ordering::Relaxed);
        self.state.connections.store(0, Ordering::Relaxed);
    }

    /// Bytes of files that were handed to connections, of both servers. What a connection that breaks still held is
    /// counted, too.
    pub fn bytes_sent(&self) -> u64 {
        self.state.bytes_sent.load(Ordering::Relaxed)
    }

    /// Connections accepted, of both servers.
    pub fn connections(&self) -> u64 {
        self.state.connections.load(Ordering::Relaxed)
    }

    /// Whether a request with an `Authorization` header reached the other host.
    pub fn cdn_saw_authorization(&self) -> bool {
        self.requests().iter().any(|seen| seen.place == Place::Cdn && seen.authorization.is_some())
    }
}

/// A fault that was just added; dropping this changes nothing.
#[derive(Debug)]
pub struct FaultHandle<'a> {
    state: &'a State,
    id: u64,
}

impl FaultHandle<'_> {
    /// It happens so many times, then no more.
    #[expect(clippy::return_self_not_must_use, reason = "the change is made; the value may be dropped")]
    pub fn times(self, times: u64) -> Self {
        self.change(|rule| rule.left = Some(times))
    }

    /// So many matching answers pass first.
    #[expect(clippy::return_self_not_must_use, reason = "the change is made; the value may be dropped")]
    pub fn after(self, answers: u64) -> Self {
        self.change(|rule| rule.skip = answers)
    }

    /// Only at this server.
    #[expect(clippy::return_self_not_must_use, reason = "the change is made; the value may be dropped")]
    pub fn only_at(self, place: Place) -> Self {
        self.change(|rule| rule.place = Some(place))
    }

    /// How often it happened; 0 when the faults were cleared.
    pub fn hits(&self) -> u64 {
        self.state.lock().rules.iter().find(|rule| rule.id == self.id).map_or(0, |rule| rule.hits)
    }

    fn change(self, change: impl FnOnce(&mut Rule)) -> Self {
        if let Some(rule) = self.state.lock().rules.iter_mut().find(|rule| rule.id == self.id) {
            change(rule);
        }
        self
    }
}
