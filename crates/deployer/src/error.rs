//! Why a deploy did not happen, and what was left afterwards.

use crate::engine::{EngineError, LogLine};
use crate::spec::SpecError;
use sovai_core::{ImageId, Name, Sha256};
use sovai_images::ImageError;
use sovai_store::StoreError;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Why a deploy, or one of its steps, failed.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// The container engine.
    #[error("a call to the container engine failed")]
    Engine(#[source] EngineError),
    /// The store.
    #[error("the store cannot be used")]
    Store(#[source] StoreError),
    /// The manifest cannot be turned into containers.
    #[error("the manifest cannot be turned into containers")]
    Spec(#[source] SpecError),
    /// A pinned image is not in the container engine.
    #[error("service `{service}`: image {name} ({pin}) is neither in the container engine nor in the store")]
    ImageMissing {
        /// The service.
        service: Name,
        /// The image's name.
        name: String,
        /// What it is pinned to.
        pin: String,
        /// The ID that the name stands for there, when it stands for another image.
        found: Option<ImageId>,
    },
    /// An image is for another architecture.
    #[error("service `{service}`: image {name} is for {found}, the container host is {host}")]
    WrongPlatform {
        /// The service.
        service: Name,
        /// The image's name.
        name: String,
        /// Platform of the image.
        found: String,
        /// Platform of the host.
        host: String,
    },
    /// The gateway's address is taken.
    #[error("the gateway's address {listen} is taken by another program")]
    PortTaken {
        /// The address.
        listen: SocketAddr,
    },
    /// A container of somebody else has a name that sovai needs.
    #[error("a container called {name} is there already and is not sovai's ({id})")]
    ForeignContainer {
        /// Its name.
        name: String,
        /// Its ID, shortened.
        id: String,
    },
    /// A network of somebody else has a name that sovai needs.
    #[error("a network called {name} is there already and is not sovai's ({id})")]
    ForeignNetwork {
        /// Its name.
        name: String,
        /// Its ID, shortened.
        id: String,
    },
    /// The engine does not see the store.
    #[error("the container engine does not see the store at {}: {detail}", .store.display())]
    StoreUnseen {
        /// The store.
        store: PathBuf,
        /// What was seen instead.
        detail: String,
    },
    /// A model has no receipt.
    #[error("model `{model}` was not verified: there is no receipt for it")]
    NotVerified {
        /// The model.
        model: Name,
    },
    /// A file that the manifest names cannot be read.
    #[error("{what} cannot be read")]
    File {
        /// What it is for.
        what: String,
        /// Why; names the path.
        #[source]
        source: std::io::Error,
    },
    /// What was created runs another image than the pin.
    #[error("container {container} runs image {found}, pinned is {expected}")]
    ImageChanged {
        /// The container.
        container: String,
        /// The pin.
        expected: ImageId,
        /// What runs.
        found: ImageId,
    },
    /// A container ended while it was waited for.
    #[error("{service} ended{}{}{}", Code(*.code), if *.oom { " (out of memory)" } else { "" }, Log(.log))]
    Ended {
        /// The service.
        service: String,
        /// Exit code; `None`: the container is gone, or runs again already.
        code: Option<i64>,
        /// Killed for memory.
        oom: bool,
        /// Its last lines.
        log: Vec<LogLine>,
    },
    /// A service did not become ready in time.
    #[error("{service} was not ready within {} s; last seen: {last}{}", .waited.as_secs(), Log(.log))]
    NotReady {
        /// The service.
        service: String,
        /// How long was waited.
        waited: Duration,
        /// What it answered last.
        last: String,
        /// Its last lines.
        log: Vec<LogLine>,
    },
    /// The one real question got no answer.
    #[error("model `{model}` did not answer the deploy question: {message}{}", Log(.log))]
    NoAnswer {
        /// The model name that was asked.
        model: String,
        /// What came instead.
        message: String,
        /// The last lines of the container that was asked.
        log: Vec<LogLine>,
    },
    /// An image of the store is damaged, or cannot be read or written.
    #[error("an image cannot be used")]
    Image(#[source] ImageError),
    /// An image that was in the store when the plan was made.
    #[error("image {name} ({digest}) is not in the store any more")]
    NotStored {
        /// Its name.
        name: String,
        /// Digest of its manifest.
        digest: Sha256,
    },
    /// An image that came through the engine is another one.
    #[error("image {name} came as {}, pinned is {expected}", Id(.found))]
    OtherImage {
        /// Its name.
        name: String,
        /// The pin.
        expected: ImageId,
        /// What came; [`None`] where the engine does not say.
        found: Option<ImageId>,
    },
    /// Somebody stopped it.
    #[error("interrupted")]
    Interrupted,
}

impl From<EngineError> for DeployError {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

impl From<StoreError> for DeployError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<SpecError> for DeployError {
    fn from(error: SpecError) -> Self {
        Self::Spec(error)
    }
}

/// An ID that may not be known.
struct Id<'a>(&'a Option<ImageId>);

impl fmt::Display for Id<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(id) => write!(f, "{id}"),
            None => f.write_str("another one"),
        }
    }
}

/// How a container ended.
struct Code(Option<i64>);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(code) => write!(f, " with exit code {code}"),
            None => f.write_str(" (its exit code is not known any more)"),
        }
    }
}

/// The last lines of a log, each on a line of its own.
struct Log<'a>(&'a [LogLine]);

impl fmt::Display for Log<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("; it wrote no log");
        }
        f.write_str("; the end of its log:")?;
        self.0.iter().try_for_each(|line| write!(f, "\n    | {}", line.text))
    }
}

/// A deploy that failed after it had begun to change things.
#[derive(Debug, thiserror::Error)]
#[error("deploy of stack `{stack}` failed at: {step}")]
pub struct Failure {
    /// The stack.
    pub stack: Name,
    /// The action that failed, in words.
    pub step: String,
    /// Why.
    #[source]
    pub cause: Box<DeployError>,
    /// What is left.
    pub restored: Restored,
}

/// What is left after a failed deploy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Restored {
    /// Nothing served before; everything that this deploy made is gone again.
    Nothing,
    /// What served before serves again: the names of its containers.
    Previous(Vec<String>),
    /// Not all could be undone: what is left, and why.
    Incomplete(Vec<String>),
}
