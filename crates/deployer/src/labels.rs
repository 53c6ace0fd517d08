//! Labels and names: how sovai knows again what is its own.
//!
//! Only objects that carry these labels are ever touched (design invariant 7).

use crate::engine::{ContainerState, NetworkState};
use sovai_core::Name;
use std::collections::BTreeMap;

/// The stack that an object belongs to.
pub const STACK: &str = "sovai.stack";
/// The generation that made it, a whole number from 1.
pub const GENERATION: &str = "sovai.generation";
/// The service it runs, or one of [`GATEWAY`], [`STORE_CHECK`], [`PROBE`]; for networks [`INTERNAL`] or [`EDGE`].
pub const SERVICE: &str = "sovai.service";
/// Digest over everything that decides how the object was made, its generation aside.
pub const SPEC: &str = "sovai.spec";

/// Service label of the gateway's container; no service of a manifest may be called so.
pub const GATEWAY: &str = "gateway";
/// Service label of the short-lived container that reads a nonce from the store.
pub const STORE_CHECK: &str = "store-check";
/// Service label of the short-lived container that probes a stack without a gateway.
pub const PROBE: &str = "probe";
/// Service label of the network on which a stack's containers talk to each other.
pub const INTERNAL: &str = "internal";
/// Service label of the network through which the gateway is published.
pub const EDGE: &str = "edge";

/// Labels of one object.
pub(crate) fn labels(stack: &Name, generation: u32, service: &str, spec: &str) -> BTreeMap<String, String> {
    BTreeMap::from([
        (STACK.to_owned(), stack.to_string()),
        (GENERATION.to_owned(), generation.to_string()),
        (SERVICE.to_owned(), service.to_owned()),
        (SPEC.to_owned(), spec.to_owned()),
    ])
}

/// `sovai-<stack>-g<N>-<service>`.
pub fn container_name(stack: &Name, generation: u32, service: &str) -> String {
    format!("sovai-{stack}-g{generation}-{service}")
}

/// `sovai-<stack>-g<N>`: the internal network.
pub(crate) fn internal_network_name(stack: &Name, generation: u32) -> String {
    format!("sovai-{stack}-g{generation}")
}

/// `sovai-<stack>-edge`: it outlives generations.
pub(crate) fn edge_network_name(stack: &Name) -> String {
    format!("sovai-{stack}-edge")
}

/// What the labels of an object say.
pub trait Labelled {
    /// The raw labels.
    fn raw(&self) -> &BTreeMap<String, String>;

    /// The stack it belongs to.
    fn stack(&self) -> Option<&str> {
        self.raw().get(STACK).map(String::as_str)
    }

    /// The generation that made it; 0 where the label is missing or no number.
    fn generation(&self) -> u32 {
        self.raw().get(GENERATION).and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// The service it runs.
    fn service(&self) -> &str {
        self.raw().get(SERVICE).map_or("", String::as_str)
    }

    /// The digest of its spec.
    fn spec(&self) -> &str {
        self.raw().get(SPEC).map_or("", String::as_str)
    }
}

impl Labelled for ContainerState {
    fn raw(&self) -> &BTreeMap<String, String> {
        &self.labels
    }
}

impl Labelled for NetworkState {
    fn raw(&self) -> &BTreeMap<String, String> {
        &self.labels
    }
}
