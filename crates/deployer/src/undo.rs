//! Takes back what a failed deploy did, so that what served before serves again.

use crate::engine::{ContainerEngine, ContainerStatus, EngineError};
use crate::error::{DeployError, Restored};
use crate::execute::Executor;
use crate::labels::{GATEWAY, Labelled as _};
use crate::plan::Before;
use crate::state::PENDING;
use crate::wait::{self, Watched};
use sovai_core::{Event, EventKind, Name, Reporter, Step};
use sovai_store::StackDir;
use sovai_verifier::Cancel;
use std::fmt::Write as _;

/// What a deploy has done so far.
#[derive(Debug, Default)]
pub(crate) struct Done {
    /// Images loaded, by tag.
    pub images: Vec<String>,
    /// Folders published in the stack's folder.
    pub folders: Vec<String>,
    /// Networks created, by ID.
    pub networks: Vec<String>,
    /// Containers created, by name.
    pub containers: Vec<String>,
    /// Containers stopped, by name.
    pub stopped: Vec<String>,
    /// Containers started, by name.
    pub started: Vec<String>,
}

impl Done {
    /// Removes what was made, newest first, and starts again what served. Goes on after an error, so that as much as
    /// can be is undone.
    pub(crate) async fn undo<E: ContainerEngine>(
        &self,
        executor: &Executor<'_, E>,
        plan_stack: &Name,
        stack: &StackDir,
        before: &Before,
        reporter: &dyn Reporter,
    ) -> Restored {
        let engine = executor.engine;
        let mut left = Vec::new();
        let mut note = |what: String, result: Result<(), EngineError>| {
            let kind = if result.is_ok() { EventKind::Done } else { EventKind::Failed };
            reporter.report(Event::new(kind, Step::Undo, what.as_str()));
            if let Err(error) = result {
                left.push(format!("{what}: {}", chain(&error)));
            }
        };
        for name in self.containers.iter().rev().chain(&before.leftovers) {
            // A name is noted before its container is made. Should somebody else have been quicker, it is not ours.
            match engine.container(name).await {
                Ok(Some(found)) if found.stack() == Some(plan_stack.as_str()) => {
                    note(format!("remove container {name}"), engine.remove_container(&found.id).await);
                }
                Ok(_) => {}
                Err(error) => note(format!("remove container {name}"), Err(error)),
            }
        }
        for name in self.networks.iter().rev().chain(&before.leftover_networks) {
            note(format!("remove network {name}"), engine.remove_network(name).await);
        }
        let mut woken = Vec::new();
        for name in before.serving.keys() {
            if !is_running(engine, name).await {
                let started = engine.start_container(name).await;
                if started.is_ok() {
                    woken.push(name);
                }
                note(format!("start container {name}"), started);
            }
        }
        for tag in &self.images {
            note(format!("remove image {tag}"), engine.remove_image(tag).await.map(drop));
        }
        // Whoever interrupted the deploy did not interrupt this.
        let cancel = Cancel::default();
        let executor = Executor { cancel: &cancel, ..*executor };
        for name in woken {
            if let Err(error) = serves_again(&executor, before, name, reporter).await {
                left.push(format!("container {name} was started again: {}", chain(&error)));
            }
        }
        for folder in &self.folders {
            if let Err(error) = stack.remove(folder) {
                left.push(format!("remove {folder}: {}", chain(&error)));
            }
        }
        // While anything is left, the next deploy must know that it belongs to no admitted generation.
        if left.is_empty()
            && let Err(error) = stack.remove(PENDING)
        {
            left.push(format!("remove {PENDING}: {}", chain(&error)));
        }
        if !left.is_empty() {
            Restored::Incomplete(left)
        } else if before.serving.is_empty() {
            Restored::Nothing
        } else {
            Restored::Previous(before.serving.keys().cloned().collect())
        }
    }
}

/// Waits until a container that served is ready again; where that is not known, until it has run for a moment.
async fn serves_again<E: ContainerEngine>(
    executor: &Executor<'_, E>,
    before: &Before,
    name: &str,
    reporter: &dyn Reporter,
) -> Result<(), DeployError> {
    let Some((service, ready)) = before.serving.get(name) else { return Ok(()) };
    let gateway =
        before.serving.iter().find(|(_, (service, _))| service == GATEWAY).map(|(name, _)| name.as_str());
    let (prober, ready) = match gateway {
        Some(prober) => (prober, ready.as_ref()),
        None => (name, None),
    };
    let watched = Watched { service, container: name, prober, fresh: false };
    wait::ready(executor, &watched, ready, reporter).await
}

async fn is_running<E: ContainerEngine>(engine: &E, name: &str) -> bool {
    matches!(engine.container(name).await, Ok(Some(c)) if c.status == ContainerStatus::Running)
}

/// An error and all its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let _ = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}
