//! Calls of the engine that need more than one try.

use super::run::Run;
use crate::blueprint::GatewayImageRef;
use crate::engine::{ContainerEngine, ContainerSpec, EngineError, NetworkSpec, whole_archive};
use crate::error::DeployError;
use crate::labels::Labelled as _;
use std::time::{Duration, Instant};

/// How long an engine may take over a call of a deploy that was killed.
const LATE: Duration = Duration::from_secs(10);

impl<E: ContainerEngine> Run<'_, E> {
    /// Loads the image made of this binary, and looks for it under its ID.
    pub(super) async fn load(&self, image: &GatewayImageRef) -> Result<(), EngineError> {
        let engine = self.executor.engine;
        // Noted before the call: should its answer get lost, the image is looked for all the same.
        self.done(|done| done.images.push(image.tag.clone()));
        engine.load_image(whole_archive((self.executor.gateway_archive)())).await?;
        match engine.image(&image.id.to_string()).await? {
            Some(_) => Ok(()),
            None => Err(EngineError::Answer {
                what: format!("load image {}", image.tag),
                status: 200,
                message: format!("it was loaded, but not under its ID {}", image.id),
            }),
        }
    }

    /// Creates a container. All stacks of a host share the image made of the binary: when another stack is taken away
    /// after this plan was made, the image may go with it, and is loaded again.
    pub(super) async fn create_container(&self, spec: &ContainerSpec) -> Result<String, EngineError> {
        let engine = self.executor.engine;
        let own = &self.plan.gateway_image;
        match engine.create_container(spec).await {
            Err(_) if spec.image == own.id && engine.image(&own.id.to_string()).await?.is_none() => {
                self.load(own).await?;
                engine.create_container(spec).await
            }
            Err(EngineError::NameTaken { .. }) if self.clear_late(&spec.name).await? => {
                engine.create_container(spec).await
            }
            result => result,
        }
    }

    /// A call of a killed deploy may be carried out after this one has looked: the engine goes on with what it was
    /// asked. Removes the container that came so late, if it is this stack's; says whether the name may be free now.
    async fn clear_late(&self, name: &str) -> Result<bool, EngineError> {
        let engine = self.executor.engine;
        let until = Instant::now() + LATE;
        // The engine reserves the name some time before it shows the container.
        while Instant::now() < until {
            if let Some(found) = engine.container(name).await? {
                let own = found.stack() == Some(self.plan.stack.as_str());
                if own {
                    engine.remove_container(&found.id).await?;
                }
                return Ok(own);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(true)
    }

    /// The same for networks, which an engine shows as soon as they are there.
    pub(super) async fn create_network(&self, spec: &NetworkSpec) -> Result<String, EngineError> {
        let engine = self.executor.engine;
        match engine.create_network(spec).await {
            Err(EngineError::NameTaken { what }) => {
                let late = engine.networks_named(&spec.name).await?;
                if late.iter().any(|network| network.stack() != Some(self.plan.stack.as_str())) {
                    return Err(EngineError::NameTaken { what });
                }
                for network in late {
                    engine.remove_network(&network.id).await?;
                }
                engine.create_network(spec).await
            }
            result => result,
        }
    }

    /// Creates a container, connects it to its further networks, and looks at what it runs.
    pub(super) async fn create(
        &self,
        spec: &ContainerSpec,
        connect: &[(String, Vec<String>)],
    ) -> Result<(), DeployError> {
        let engine = self.executor.engine;
        // Noted before the call: should its answer get lost, the name is looked for all the same.
        self.done(|done| done.containers.push(spec.name.clone()));
        let id = self.create_container(spec).await?;
        for (network, aliases) in connect {
            engine.connect(network, &id, aliases).await?;
        }
        match engine.container(&id).await? {
            Some(container) if container.image != spec.image => Err(DeployError::ImageChanged {
                container: spec.name.clone(),
                expected: spec.image,
                found: container.image,
            }),
            _ => Ok(()),
        }
    }
}
