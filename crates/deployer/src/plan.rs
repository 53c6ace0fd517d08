//! The plan: what a deploy will do, in order, and why. A value: `plan` prints it, `deploy` runs it.

mod keep;
mod planner;
mod text;

pub use planner::plan;

use crate::blueprint::{Folder, GatewayImageRef, ModelRef};
use crate::engine::{ContainerSpec, ContainerState, NetworkSpec, NetworkState};
use crate::images::StoredRef;
use crate::spec::Ready;
use crate::state::Current;
use sovai_core::Name;
use std::collections::{BTreeMap, BTreeSet};

/// What is there now, seen in one look.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// Containers that carry this stack's label.
    pub containers: Vec<ContainerState>,
    /// Networks that carry this stack's label.
    pub networks: Vec<NetworkState>,
    /// Whether the image made of this binary is in the engine.
    pub gateway_image: bool,
    /// The generation that serves, as the store remembers it.
    pub current: Option<Current>,
    /// The generation that a killed deploy was making.
    pub pending: Option<u32>,
    /// Names of the stack's folders in the store that are in place already.
    pub folders: BTreeSet<String>,
    /// Inode of the tree of each model in the store; absent: there is none yet.
    pub trees: BTreeMap<Name, u64>,
}

/// What a deploy will do.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The stack.
    pub stack: Name,
    /// The generation that this makes, or the one that serves when nothing changes.
    pub generation: u32,
    /// What will be done, in order, until the new generation has answered. A failure here is undone.
    pub actions: Vec<Action>,
    /// What is cleared away after that. A failure here is told, and the next deploy tries again.
    pub cleanup: Vec<Action>,
    /// Containers that stay as they are, by name.
    pub unchanged: Vec<String>,
    /// Models that must be verified before anything is started.
    pub models: BTreeMap<Name, ModelRef>,
    /// Folders of the stack that its containers mount.
    pub(crate) folders: BTreeSet<String>,
    /// The state that is recorded at the end.
    pub(crate) result: Current,
    /// What to bring back when the deploy fails.
    pub(crate) before: Before,
    /// The image made of this binary.
    pub(crate) gateway_image: GatewayImageRef,
}

/// What served before, and what a killed deploy left.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Before {
    /// Containers that served, by name, each with its service and how that says that it is ready, as far as it is known:
    /// they serve again after a failure.
    pub serving: BTreeMap<String, (String, Option<Ready>)>,
    /// Containers and networks that belong to no admitted generation: gone after a failure.
    pub leftovers: BTreeSet<String>,
    /// Networks among them.
    pub leftover_networks: BTreeSet<String>,
}

/// One thing that a deploy does.
#[derive(Debug, Clone)]
pub struct Action {
    /// What.
    pub what: What,
    /// Why, in a few words.
    pub why: String,
}

/// What an action does.
#[derive(Debug, Clone)]
pub enum What {
    /// Load the image made of this binary.
    LoadGatewayImage(GatewayImageRef),
    /// Load an image of the store.
    LoadImage(StoredRef),
    /// Write a folder of configuration or secrets into the store.
    Publish(Folder),
    /// Remove a container that a killed deploy left.
    RemoveLeftover(String),
    /// Read a nonce from the store through the engine: the engine must see this very store.
    StoreCheck(Box<ContainerSpec>),
    /// Create a network.
    CreateNetwork(NetworkSpec),
    /// Create a container and connect it to its further networks.
    CreateContainer {
        /// The container.
        spec: Box<ContainerSpec>,
        /// Networks beside the first: name and aliases.
        connect: Vec<(String, Vec<String>)>,
    },
    /// Stop a container that is about to be replaced or is no longer wanted.
    StopContainer(String),
    /// Start a container.
    StartContainer(String),
    /// Wait until a service says that it is ready.
    WaitReady {
        /// The service's name.
        service: String,
        /// Its container.
        container: String,
        /// How it says so; `None`: it keeps running.
        ready: Option<Ready>,
        /// The container from inside which it is asked.
        prober: String,
    },
    /// Ask one real question.
    Ask {
        /// The model name that clients use.
        model: String,
        /// Base URL.
        url: String,
        /// The container from inside which it is asked.
        prober: String,
    },
    /// Remove a container.
    RemoveContainer(String),
    /// Remove a network.
    RemoveNetwork(String),
}

impl Plan {
    /// Nothing would be changed.
    pub fn is_empty(&self) -> bool {
        self.actions.is_empty() && self.cleanup.is_empty()
    }
}
