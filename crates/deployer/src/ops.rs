//! `status` and `down`: from labels alone, also when manifest and store are gone.

use crate::engine::{ContainerEngine, ContainerState, ContainerStatus, EngineError};
use crate::labels::{Labelled as _, STACK};
use crate::state::{CURRENT, Current, PENDING};
use serde::Serialize;
use sovai_core::{Event, EventKind, ImageId, Reporter, Step};
use sovai_store::{StackDir, StoreError};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

/// A stack as its containers show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StackStatus {
    /// Its name.
    pub stack: String,
    /// Whether each of its containers runs.
    pub running: bool,
    /// Its containers, by service.
    pub services: Vec<ServiceStatus>,
    /// Containers that were admitted and are not there any more, by name; known only where the stack's store is at hand.
    pub missing: Vec<String>,
}

impl StackStatus {
    /// Compares it with what the stack's folder in the store remembers as admitted.
    pub fn compare(&mut self, folder: &StackDir) -> Result<(), StoreError> {
        let Some(current) = folder.read::<Current>(CURRENT)? else { return Ok(()) };
        let there = |name: &String| self.services.iter().any(|service| service.container == *name);
        self.missing = current.containers.into_iter().filter(|name| !there(name)).collect();
        self.running &= self.missing.is_empty();
        Ok(())
    }
}

/// One container of a stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceStatus {
    /// The service, `gateway` for the gateway.
    pub service: String,
    /// The generation that made the container.
    pub generation: u32,
    /// Its name.
    pub container: String,
    /// `running`, `exited`, `restarting`, `created` or `other`.
    pub state: &'static str,
    /// Exit code of its last end, when it does not run.
    pub exit_code: Option<i64>,
    /// Killed for memory at its last end.
    pub oom_killed: bool,
    /// How often its restart policy started it again.
    pub restarts: u64,
    /// When it was last started (RFC 3339).
    pub started_at: Option<String>,
    /// Its image.
    pub image: ImageId,
    /// Addresses on the host.
    pub published: Vec<SocketAddr>,
}

/// Looks at one stack, or at all of them; sorted by name.
pub async fn status<E: ContainerEngine>(
    engine: &E,
    stack: Option<&str>,
) -> Result<Vec<StackStatus>, EngineError> {
    let mut stacks: BTreeMap<String, Vec<ServiceStatus>> = BTreeMap::new();
    for container in engine.containers(stack).await? {
        let name = container.stack().unwrap_or_default().to_owned();
        stacks.entry(name).or_default().push(service(container));
    }
    Ok(stacks
        .into_iter()
        .map(|(stack, mut services)| {
            services.sort_by(|a, b| (&a.service, a.generation).cmp(&(&b.service, b.generation)));
            StackStatus {
                stack,
                running: services.iter().all(|service| service.state == "running"),
                services,
                missing: Vec::new(),
            }
        })
        .collect())
}

fn service(container: ContainerState) -> ServiceStatus {
    let running = container.status == ContainerStatus::Running;
    ServiceStatus {
        service: container.service().to_owned(),
        generation: container.generation(),
        state: match container.status {
            ContainerStatus::Running => "running",
            ContainerStatus::Created => "created",
            ContainerStatus::Restarting => "restarting",
            ContainerStatus::Exited => "exited",
            ContainerStatus::Other => "other",
        },
        exit_code: container.exit_code.filter(|_| !running),
        oom_killed: container.oom_killed,
        restarts: container.restarts,
        started_at: container.started_at,
        image: container.image,
        published: container.published.into_values().flatten().collect(),
        container: container.name,
    }
}

/// What `down` took away.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Down {
    /// Containers, by name.
    pub containers: Vec<String>,
    /// Networks, by name.
    pub networks: Vec<String>,
    /// Images that sovai had made, by tag or ID.
    pub images: Vec<String>,
}

/// Takes a stack away: its containers, its networks, and the images that sovai made for it and that no container uses
/// any more. Gateways stop first, so that nobody is sent to an engine that is about to end.
pub async fn down<E: ContainerEngine>(
    engine: &E,
    stack: &str,
    grace: Duration,
    reporter: &dyn Reporter,
) -> Result<Down, EngineError> {
    let mut containers = engine.containers(Some(stack)).await?;
    containers
        .sort_by_key(|container| (container.service() != crate::labels::GATEWAY, container.name.clone()));
    let mut down = Down::default();
    let mut own_images = BTreeSet::new();
    for container in &containers {
        report(reporter, EventKind::Started, Step::RemoveContainer, &container.name);
        if container.status != ContainerStatus::Created {
            engine.stop_container(&container.id, grace).await?;
        }
        engine.remove_container(&container.id).await?;
        report(reporter, EventKind::Done, Step::RemoveContainer, &container.name);
        down.containers.push(container.name.clone());
        own_images.insert(container.image);
    }
    for network in engine.networks(Some(stack)).await? {
        debug_assert!(network.labels.contains_key(STACK));
        report(reporter, EventKind::Started, Step::RemoveNetwork, &network.name);
        engine.remove_network(&network.id).await?;
        report(reporter, EventKind::Done, Step::RemoveNetwork, &network.name);
        down.networks.push(network.name);
    }
    for id in own_images {
        let Some(image) = engine.image(&id.to_string()).await? else { continue };
        if image.labels.contains_key(crate::archive::IMAGE_LABEL)
            && engine.remove_image(&id.to_string()).await?
        {
            let name = image.tags.first().cloned().unwrap_or_else(|| id.to_string());
            report(reporter, EventKind::Done, Step::RemoveImage, &name);
            down.images.push(name);
        }
    }
    Ok(down)
}

/// Forgets which generation of a stack serves: nothing does any more. Its keys stay.
pub fn forget(folder: &StackDir) -> Result<(), StoreError> {
    folder.remove(CURRENT)?;
    folder.remove(PENDING)
}

fn report(reporter: &dyn Reporter, kind: EventKind, step: Step, subject: &str) {
    reporter.report(Event::new(kind, step, subject));
}
