//! The calls, each of them: recorded, perhaps struck by a fault, then done.

use super::world::{Fate, World, answer, is_called};
use super::{Call, FakeEngine};
use crate::archive;
use crate::engine::{
    ArchiveStream, ContainerEngine, ContainerSpec, ContainerState, ContainerStatus, EngineError, EngineInfo,
    ExecResult, ImageInfo, LogLine, NetworkSpec, NetworkState, whole_archive,
};
use futures_util::StreamExt as _;
use std::time::Duration;

impl FakeEngine {
    fn call<T>(
        &self,
        call: Call,
        subject: &str,
        work: impl FnOnce(&mut World) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        let mut world = self.world();
        let result = match world.enter(call, subject) {
            Fate::Works => work(&mut world),
            Fate::Fails(error) => Err(error),
            Fate::Lost(error) => work(&mut world).and(Err(error)),
        };
        drop(world);
        if call.writes() {
            self.changed.notify_waiters();
        }
        result
    }
}

fn of_stack(labels: &std::collections::BTreeMap<String, String>, stack: Option<&str>) -> bool {
    labels.get("sovai.stack").is_some_and(|found| stack.is_none_or(|wanted| found == wanted))
}

impl ContainerEngine for FakeEngine {
    async fn info(&self) -> Result<EngineInfo, EngineError> {
        self.call(Call::Info, "", |world| Ok(world.info.clone()))
    }

    async fn image(&self, reference: &str) -> Result<Option<ImageInfo>, EngineError> {
        self.call(Call::Image, reference, |world| {
            Ok(world.images.iter().find(|image| is_called(image, reference)).cloned())
        })
    }

    async fn load_image(&self, mut archive: ArchiveStream) -> Result<Vec<String>, EngineError> {
        let mut bytes = Vec::new();
        let broken = |error: std::io::Error| answer("load an image", 500, error.to_string());
        let mut read = Ok(());
        while let Some(chunk) = archive.next().await {
            match chunk {
                Ok(chunk) => bytes.extend_from_slice(&chunk),
                Err(error) => read = Err(broken(error)),
            }
        }
        self.call(Call::LoadImage, "", |world| {
            read?;
            let mut image = archive::read_image(&bytes).map_err(broken)?;
            image.id = world.misread.unwrap_or(image.id);
            for other in &mut world.images {
                other.tags.retain(|tag| !image.tags.contains(tag));
            }
            if let Some(known) = world.images.iter().find(|other| other.id == image.id) {
                image.tags.extend(known.tags.iter().cloned());
            }
            world.images.retain(|other| other.id != image.id);
            let loaded = if image.tags.is_empty() { vec![image.id.to_string()] } else { image.tags.clone() };
            world.archives.insert(image.id, bytes);
            world.images.push(image);
            Ok(loaded)
        })
    }

    async fn export_image(&self, reference: &str) -> Result<ArchiveStream, EngineError> {
        self.call(Call::ExportImage, reference, |world| {
            let image = world.images.iter().find(|image| is_called(image, reference));
            let bytes = image.and_then(|image| world.archives.get(&image.id).cloned());
            bytes.map(whole_archive).ok_or_else(|| answer("export an image", 404, "No such image".to_owned()))
        })
    }

    async fn remove_image(&self, reference: &str) -> Result<bool, EngineError> {
        self.call(Call::RemoveImage, reference, |world| Ok(world.remove_image(reference)))
    }

    async fn containers(&self, stack: Option<&str>) -> Result<Vec<ContainerState>, EngineError> {
        self.call(Call::Containers, stack.unwrap_or_default(), |world| {
            let all = world.snapshot().containers;
            Ok(all.into_iter().filter(|container| of_stack(&container.labels, stack)).collect())
        })
    }

    async fn container(&self, name: &str) -> Result<Option<ContainerState>, EngineError> {
        self.call(Call::Container, name, |world| Ok(world.find(name).map(|found| found.state.clone())))
    }

    async fn create_container(&self, spec: &ContainerSpec) -> Result<String, EngineError> {
        self.call(Call::CreateContainer, &spec.name, |world| world.create(spec))
    }

    async fn start_container(&self, name: &str) -> Result<(), EngineError> {
        self.call(Call::StartContainer, name, |world| world.start(name))
    }

    async fn stop_container(&self, name: &str, _grace: Duration) -> Result<(), EngineError> {
        self.call(Call::StopContainer, name, |world| world.stop(name))
    }

    async fn remove_container(&self, name: &str) -> Result<(), EngineError> {
        self.call(Call::RemoveContainer, name, |world| {
            world.containers.retain(|container| container.state.name != name && container.state.id != name);
            Ok(())
        })
    }

    async fn wait_container(&self, name: &str) -> Result<i64, EngineError> {
        self.call(Call::WaitContainer, name, |_| Ok(()))?;
        loop {
            // Made before the look, so that no change in between is missed.
            let change = self.changed.notified();
            {
                let world = self.world();
                let state = &world.existing(&format!("wait for container {name}"), name)?.state;
                if state.status != ContainerStatus::Running {
                    return Ok(state.exit_code.unwrap_or(0));
                }
            }
            change.await;
        }
    }

    async fn logs(&self, name: &str, tail: Option<usize>) -> Result<Vec<LogLine>, EngineError> {
        self.call(Call::Logs, name, |world| {
            let log = &world.existing(&format!("read the log of container {name}"), name)?.log;
            let from = tail.map_or(0, |tail| log.len().saturating_sub(tail));
            Ok(log[from..].to_vec())
        })
    }

    async fn follow_logs(
        &self,
        name: &str,
        tail: Option<usize>,
        sink: &mut (dyn FnMut(LogLine) -> bool + Send),
    ) -> Result<(), EngineError> {
        let what = format!("read the log of container {name}");
        let mut next = self.call(Call::FollowLogs, name, |world| {
            let lines = world.existing(&what, name)?.log.len();
            Ok(tail.map_or(0, |tail| lines.saturating_sub(tail)))
        })?;
        loop {
            let change = self.changed.notified();
            let (lines, ended) = {
                let world = self.world();
                let Some(container) = world.find(name) else { return Ok(()) };
                let running = container.state.status == ContainerStatus::Running;
                (container.log.get(next..).unwrap_or_default().to_vec(), !running)
            };
            next += lines.len();
            for line in lines {
                if !sink(line) {
                    return Ok(());
                }
            }
            if ended {
                return Ok(());
            }
            change.await;
        }
    }

    async fn exec(
        &self,
        name: &str,
        command: &[String],
        stdin: Vec<u8>,
        on_line: &mut (dyn FnMut(&str) + Send),
    ) -> Result<ExecResult, EngineError> {
        let subject = format!("{name} {}", command.join(" "));
        let answer = self.call(Call::Exec, &subject, |world| world.exec(name, command, &stdin))?;
        for line in &answer.lines {
            on_line(line);
        }
        Ok(ExecResult { code: answer.code, stderr: answer.stderr })
    }

    async fn networks(&self, stack: Option<&str>) -> Result<Vec<NetworkState>, EngineError> {
        self.call(Call::Networks, stack.unwrap_or_default(), |world| {
            let all = world.snapshot().networks;
            Ok(all.into_iter().filter(|network| of_stack(&network.labels, stack)).collect())
        })
    }

    async fn networks_named(&self, name: &str) -> Result<Vec<NetworkState>, EngineError> {
        self.call(Call::NetworksNamed, name, |world| {
            let all = world.snapshot().networks;
            Ok(all.into_iter().filter(|network| network.name == name).collect())
        })
    }

    async fn create_network(&self, spec: &NetworkSpec) -> Result<String, EngineError> {
        self.call(Call::CreateNetwork, &spec.name, |world| world.create_network(spec))
    }

    async fn connect(&self, network: &str, container: &str, _aliases: &[String]) -> Result<(), EngineError> {
        self.call(Call::Connect, &format!("{network} {container}"), |world| world.connect(network, container))
    }

    async fn remove_network(&self, name: &str) -> Result<(), EngineError> {
        self.call(Call::RemoveNetwork, name, |world| world.remove_network(name))
    }
}
