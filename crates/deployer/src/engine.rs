//! The calls that sovai needs of a container engine, and the types they speak. No type of the client library leaks out.
//!
//! Implemented by [`crate::docker::Docker`] over the engine's API and by [`crate::fake::FakeEngine`] in memory, with
//! faults on demand.

use bytes::Bytes;
use futures_util::Stream;
use sovai_core::ImageId;
use sovai_store::StoredImage;
use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

pub(crate) mod check;
pub use check::RuleError;

/// The container engine. No call ever pulls an image.
///
/// Every call has a deadline inside, save for those that last as long as what they watch: `wait_container`,
/// `follow_logs` and the run of an `exec`. Their caller bounds them by dropping the future.
pub trait ContainerEngine: Send + Sync {
    /// Version, API version, architecture, memory: what `doctor` shows and preflight checks.
    fn info(&self) -> impl Future<Output = Result<EngineInfo, EngineError>> + Send;
    /// Looks up an image by ID or reference; `None` when it is not there.
    fn image(&self, reference: &str) -> impl Future<Output = Result<Option<ImageInfo>, EngineError>> + Send;
    /// Loads a docker archive (the format of `docker save`) as it comes; gives what was loaded, as the engine calls it: a
    /// tag, or the ID where the image has none. When the archive ends with an error, nothing is loaded.
    fn load_image(
        &self,
        archive: ArchiveStream,
    ) -> impl Future<Output = Result<Vec<String>, EngineError>> + Send;
    /// Gives one image, by ID or reference, as a docker archive.
    fn export_image(
        &self,
        reference: &str,
    ) -> impl Future<Output = Result<ArchiveStream, EngineError>> + Send;
    /// Removes an image by ID or reference, never by force. `Ok(false)`: not there, or still in use.
    fn remove_image(&self, reference: &str) -> impl Future<Output = Result<bool, EngineError>> + Send;
    /// All containers, also stopped ones, that carry label `sovai.stack` (with this value, when given).
    fn containers(
        &self,
        stack: Option<&str>,
    ) -> impl Future<Output = Result<Vec<ContainerState>, EngineError>> + Send;
    /// One container by name or ID, whoever owns it; `None` when it is not there.
    fn container(
        &self,
        name: &str,
    ) -> impl Future<Output = Result<Option<ContainerState>, EngineError>> + Send;
    /// Creates a container; gives its ID.
    fn create_container(
        &self,
        spec: &ContainerSpec,
    ) -> impl Future<Output = Result<String, EngineError>> + Send;
    /// Starts a container; starting a running one is no error.
    fn start_container(&self, name: &str) -> impl Future<Output = Result<(), EngineError>> + Send;
    /// Stops a container: its stop signal (SIGTERM, unless the image says otherwise), then SIGKILL after `grace`. Stopping a stopped one is no error.
    fn stop_container(
        &self,
        name: &str,
        grace: Duration,
    ) -> impl Future<Output = Result<(), EngineError>> + Send;
    /// Removes a container by force, with its anonymous volumes. A missing one is no error.
    fn remove_container(&self, name: &str) -> impl Future<Output = Result<(), EngineError>> + Send;
    /// Waits until a container has ended; gives its exit code. No deadline inside.
    fn wait_container(&self, name: &str) -> impl Future<Output = Result<i64, EngineError>> + Send;
    /// The last `tail` lines that a container wrote, stdout and stderr as they came; `None`: all of them.
    fn logs(
        &self,
        name: &str,
        tail: Option<usize>,
    ) -> impl Future<Output = Result<Vec<LogLine>, EngineError>> + Send;
    /// Gives every line from the last `tail` on to `sink`, until the container ends or `sink` gives `false`. No deadline
    /// inside.
    fn follow_logs(
        &self,
        name: &str,
        tail: Option<usize>,
        sink: &mut (dyn FnMut(LogLine) -> bool + Send),
    ) -> impl Future<Output = Result<(), EngineError>> + Send;
    /// Runs a command inside a running container, `stdin` on its standard input; each stdout line goes to `on_line`
    /// as it is (not escaped). The run has no deadline inside. Dropping the future ends the connection, not the
    /// command: engines have no call for that, so a command must have a deadline of its own. A command that is not
    /// there ends with code 126 or 127, or is an [`EngineError::Answer`], as the engine has it.
    fn exec(
        &self,
        name: &str,
        command: &[String],
        stdin: Vec<u8>,
        on_line: &mut (dyn FnMut(&str) + Send),
    ) -> impl Future<Output = Result<ExecResult, EngineError>> + Send;
    /// All networks that carry label `sovai.stack` (with this value, when given).
    fn networks(
        &self,
        stack: Option<&str>,
    ) -> impl Future<Output = Result<Vec<NetworkState>, EngineError>> + Send;
    /// Networks of this name, whoever owns them (an engine allows several of one name).
    fn networks_named(
        &self,
        name: &str,
    ) -> impl Future<Output = Result<Vec<NetworkState>, EngineError>> + Send;
    /// Creates a network, refusing a second one of the same name; gives its ID.
    fn create_network(&self, spec: &NetworkSpec) -> impl Future<Output = Result<String, EngineError>> + Send;
    /// Connects a created container to a further network.
    fn connect(
        &self,
        network: &str,
        container: &str,
        aliases: &[String],
    ) -> impl Future<Output = Result<(), EngineError>> + Send;
    /// Removes a network by name or ID. A missing one is no error.
    fn remove_network(&self, name: &str) -> impl Future<Output = Result<(), EngineError>> + Send;
}

/// The bytes of an archive as they come; an error ends them.
pub type ArchiveStream = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// An archive that is in memory.
pub fn whole_archive(bytes: Vec<u8>) -> ArchiveStream {
    Box::pin(futures_util::stream::once(std::future::ready(Ok(Bytes::from(bytes)))))
}

/// What the engine says of itself and of its host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineInfo {
    /// Product version: `20.10.24+dfsg1`.
    pub version: String,
    /// Highest API version: `1.41`.
    pub api_version: String,
    /// `linux`.
    pub os: String,
    /// As image platforms name it: `amd64`, `arm64`.
    pub arch: String,
    /// Memory of the host in bytes.
    pub memory: u64,
    /// CPUs of the host.
    pub cpus: u32,
    /// Folder where the engine keeps its data.
    pub root_dir: String,
    /// Storage driver; `overlayfs` under the containerd store.
    pub storage_driver: String,
    /// Security options as the engine lists them (`name=seccomp,profile=default`, `name=rootless`).
    pub security_options: Vec<String>,
    /// Runtimes: `runc`, `nvidia`, ...
    pub runtimes: Vec<String>,
    /// Limits that this engine would silently not set (`memory`, `swap`, `pids`, `cpus`), by its own words.
    pub missing_limits: Vec<String>,
}

/// Storage driver of engines with the containerd store.
const CONTAINERD_DRIVER: &str = "overlayfs";

impl EngineInfo {
    /// Whether images go by the digest of their manifest here, and not by that of their configuration.
    pub fn has_containerd_store(&self) -> bool {
        self.storage_driver == CONTAINERD_DRIVER
    }

    /// The ID that an image of the store has, or would have, in this engine.
    pub fn id_of(&self, image: &StoredImage) -> ImageId {
        ImageId(if self.has_containerd_store() { image.manifest.digest } else { image.config.digest })
    }
}

/// An image that is in the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageInfo {
    /// Its ID.
    pub id: ImageId,
    /// `NAME:TAG` references.
    pub tags: Vec<String>,
    /// `NAME@sha256:...` references that it was pulled or pushed under.
    pub repo_digests: Vec<String>,
    /// `linux`.
    pub os: String,
    /// `amd64`, `arm64`.
    pub arch: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Paths that the image declares as volumes. The engine makes each a writable anonymous volume, also under a
    /// read-only root, unless a mount or a tmpfs covers the path.
    pub volumes: Vec<String>,
    /// Bytes of its layers, not compressed, as the engine says; 0 where it does not.
    pub size: u64,
}

/// A container as it is to be created. Hardening has no switches here: every container gets all of it (`docker.rs`).
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ContainerSpec {
    /// Name, `sovai-<stack>-g<N>-<service>`.
    pub name: String,
    /// Image by ID.
    pub image: ImageId,
    /// Host name inside.
    pub hostname: String,
    /// Replaces the image's entrypoint when given.
    pub entrypoint: Option<Vec<String>>,
    /// Arguments.
    pub args: Vec<String>,
    /// Environment, `KEY` to value.
    pub env: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// `UID:GID`, numeric, the UID never 0.
    pub user: String,
    /// Further groups, numeric.
    pub groups: Vec<String>,
    /// Read-only bind mounts.
    pub mounts: Vec<BindMount>,
    /// Writable memory file systems: path to mount options.
    pub tmpfs: BTreeMap<String, String>,
    /// Memory limit in bytes; no swap beyond it.
    pub memory: u64,
    /// CPUs in thousandths of one; `None`: no limit.
    pub millicpus: Option<u32>,
    /// Limit of processes and threads.
    pub pids: u32,
    /// Size of `/dev/shm` in bytes; `None`: the engine's default.
    pub shm: Option<u64>,
    /// What the engine does when the process ends.
    pub restart: Restart,
    /// Largest size of one log file in bytes, and how many are kept.
    pub log_rotation: (u64, u32),
    /// The network it is created in; `None`: no network at all (`--network none`).
    pub network: Option<String>,
    /// Names under which that network's DNS knows it.
    pub aliases: Vec<String>,
    /// Published TCP ports: port inside to address on the host.
    pub publish: BTreeMap<u16, SocketAddr>,
    /// NVIDIA-style device request: (driver, count or ids, capabilities); `None`: none.
    pub gpus: Option<DeviceRequest>,
    /// Seconds between SIGTERM and SIGKILL.
    pub stop_timeout: u32,
}

/// A request for accelerators through a device driver of the engine.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct DeviceRequest {
    /// `nvidia`.
    pub driver: String,
    /// Any so many; `None` when `ids` names them.
    pub count: Option<u32>,
    /// Device ids.
    pub ids: Vec<String>,
    /// Capabilities, all of which are wanted: `["gpu"]`.
    pub capabilities: Vec<String>,
}

/// A read-only bind mount; the source must exist already.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct BindMount {
    /// Absolute path on the host.
    pub source: PathBuf,
    /// Absolute path in the container.
    pub target: String,
}

/// Restart policy; always written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub enum Restart {
    /// Never.
    No,
    /// Always, unless it was stopped on purpose.
    UnlessStopped,
}

/// A network as it is to be created. Always a bridge.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct NetworkSpec {
    /// Name.
    pub name: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// No route to outside.
    pub internal: bool,
    /// Driver options (`com.docker.network.bridge.*`).
    pub options: BTreeMap<String, String>,
}

/// A network that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkState {
    /// Its ID.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// No route to outside.
    pub internal: bool,
    /// Driver options.
    pub options: BTreeMap<String, String>,
}

/// A container that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerState {
    /// Its ID.
    pub id: String,
    /// Its name, without the leading `/`.
    pub name: String,
    /// The image it runs, by ID.
    pub image: ImageId,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// What it is doing.
    pub status: ContainerStatus,
    /// Exit code of the last end; `None` while it runs, and while it never ran.
    pub exit_code: Option<i64>,
    /// The engine's words on why it could not run, when there are any.
    pub error: Option<String>,
    /// Killed for memory at its last end.
    pub oom_killed: bool,
    /// When it was last started (RFC 3339), as the engine says it.
    pub started_at: Option<String>,
    /// How often the restart policy started it again.
    pub restarts: u64,
    /// Published TCP ports: port inside to addresses on the host. As asked for while it does not run.
    pub published: BTreeMap<u16, Vec<SocketAddr>>,
    /// Names of the networks it is in.
    pub networks: Vec<String>,
}

/// What a container is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContainerStatus {
    /// Created, never started.
    Created,
    /// Running.
    Running,
    /// Between two runs, by its restart policy.
    Restarting,
    /// Ended.
    Exited,
    /// Paused, being removed, or dead: nothing that sovai brings about.
    Other,
}

/// One line of a container's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// Whether it came from standard error.
    pub stderr: bool,
    /// The line without its line break; bytes that are no UTF-8 are replaced, control characters escaped.
    pub text: String,
}

/// How a command inside a container ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecResult {
    /// Its exit code.
    pub code: i64,
    /// The last lines of its standard error, for messages.
    pub stderr: String,
}

/// Why a call to the engine failed.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The engine cannot be reached at all.
    #[error("the container engine at {host} cannot be reached")]
    Unreachable {
        /// Where it was looked for.
        host: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The engine speaks an API that is too old.
    #[error("the container engine speaks API {found}; sovai needs {needed} or newer")]
    TooOld {
        /// Its highest API version.
        found: String,
        /// The lowest that will do.
        needed: &'static str,
    },
    /// The name is taken by something that is not ours.
    #[error("{what}: the name is taken in the container engine")]
    NameTaken {
        /// What was to be made.
        what: String,
    },
    /// A published port is taken.
    #[error("{what}: port is taken: {message}")]
    PortTaken {
        /// What was to be started.
        what: String,
        /// The engine's words.
        message: String,
    },
    /// A path to mount is not there for the engine.
    #[error("{what}: the container engine cannot see a path of this host: {message}")]
    MountMissing {
        /// What was to be made.
        what: String,
        /// The engine's words.
        message: String,
    },
    /// What was to be made breaks a rule that has no switch; the engine was not asked.
    #[error("{what} is refused")]
    Refused {
        /// What was to be made.
        what: String,
        /// Which rule.
        #[source]
        source: RuleError,
    },
    /// The engine answered with any other error.
    #[error("{what}: the container engine answered {status}: {message}")]
    Answer {
        /// What was asked.
        what: String,
        /// HTTP status.
        status: u16,
        /// The engine's words.
        message: String,
    },
    /// No answer within the deadline, or the connection broke in mid-answer.
    #[error("{what}: the container engine did not answer")]
    NoAnswer {
        /// What was asked.
        what: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
