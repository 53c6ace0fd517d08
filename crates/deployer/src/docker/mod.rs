//! The container engine over its API: Docker 20.10 and newer, and what speaks as it does.
//!
//! Reached through a Unix socket or loopback TCP. The client library's types stay in this module.

mod connect;
mod create;
mod error;
mod lines;
mod read;
mod stream;

pub use connect::{DEFAULT_HOST, HostError, MIN_API};
pub(crate) use lines::escape;

use crate::engine::{
    ArchiveStream, ContainerEngine, ContainerSpec, ContainerState, EngineError, EngineInfo, ExecResult,
    ImageInfo, LogLine, NetworkSpec, NetworkState, check,
};
use bollard::errors::Error;
use bollard::models::{EndpointSettings, NetworkConnectRequest};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, ImportImageOptions, InspectContainerOptions, ListContainersOptionsBuilder,
    RemoveContainerOptionsBuilder, RemoveImageOptionsBuilder, StartContainerOptions,
    StopContainerOptionsBuilder, WaitContainerOptionsBuilder,
};
use error::{Purpose, late};
use futures_util::future::try_join_all;
use futures_util::{StreamExt as _, TryStreamExt as _};
use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Every object that is sovai's carries this label.
const STACK_LABEL: &str = "sovai.stack";

/// Between two looks at a container that somebody else is removing.
const REMOVAL: Duration = Duration::from_millis(100);

/// How long calls may take. Generous: a deadline is there to find an engine that hangs, not one that is slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// Looking something up. The engine answers from memory, but may be busy on a loaded disk: 30 s.
    pub read: Duration,
    /// Making or removing one thing; removing waits for the file system: 60 s. On top of the grace of a stop.
    pub write: Duration,
    /// Starting a container: mounts, networks, and the hooks of accelerators on hosts with many of them: 120 s.
    pub start: Duration,
    /// Loading an image: an engine image of tens of GiB onto a slow disk: 30 min.
    pub load: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            read: Duration::from_secs(30),
            write: Duration::from_mins(1),
            start: Duration::from_mins(2),
            load: Duration::from_mins(30),
        }
    }
}

/// A connection to a container engine. [`Docker::connect`] makes one.
#[derive(Clone)]
pub struct Docker {
    client: bollard::Docker,
    host: String,
    socket: Option<PathBuf>,
    deadlines: Deadlines,
}

impl std::fmt::Debug for Docker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Docker")
            .field("host", &self.host)
            .field("deadlines", &self.deadlines)
            .finish_non_exhaustive()
    }
}

impl Docker {
    /// The engine's address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Waits for one call, no longer than `deadline`.
    async fn call<T>(
        &self,
        what: &str,
        purpose: Purpose,
        deadline: Duration,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, EngineError> {
        match tokio::time::timeout(deadline, work).await {
            Ok(answer) => answer.map_err(|error| self.place(what, purpose, error)),
            Err(_) => Err(late(what, deadline)),
        }
    }

    async fn read<T>(
        &self,
        what: &str,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, EngineError> {
        self.call(what, Purpose::Plain, self.deadlines.read, work).await
    }

    async fn write<T>(
        &self,
        what: &str,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, EngineError> {
        self.call(what, Purpose::Plain, self.deadlines.write, work).await
    }

    /// Waits until a container that is being removed is gone.
    async fn gone(&self, what: &str, name: &str) -> Result<(), EngineError> {
        let ask = async {
            loop {
                match self.client.inspect_container(name, None::<InspectContainerOptions>).await {
                    Ok(_) => tokio::time::sleep(REMOVAL).await,
                    Err(Error::DockerResponseServerError { status_code: 404, .. }) => return Ok(()),
                    Err(error) => return Err(error),
                }
            }
        };
        self.write(what, ask).await
    }

    /// All networks that `wanted` takes. The engine's own filters match parts of names, so that they are not used.
    async fn networks_that(
        &self,
        wanted: impl Fn(&NetworkState) -> bool + Send,
    ) -> Result<Vec<NetworkState>, EngineError> {
        let all = self.read("list the networks", self.client.list_networks(None)).await?;
        let mut found: Vec<_> = all.into_iter().map(read::network).filter(wanted).collect();
        found.sort_unstable_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        Ok(found)
    }
}

/// Refuses what would mean another resource in the path of a request.
fn segment(what: &str, text: &str) -> Result<(), EngineError> {
    check::name(text).map_err(|source| EngineError::Refused { what: escape(what), source })
}

/// Whether the engine answered with this status.
fn has_status(error: &EngineError, wanted: u16) -> bool {
    matches!(error, EngineError::Answer { status, .. } if *status == wanted)
}

/// Makes "not there" a value.
fn found<T>(answer: Result<T, EngineError>) -> Result<Option<T>, EngineError> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(error) if has_status(&error, 404) => Ok(None),
        Err(error) => Err(error),
    }
}

impl ContainerEngine for Docker {
    async fn info(&self) -> Result<EngineInfo, EngineError> {
        let version = self.read("ask for the version", self.client.version()).await?;
        let info = self.read("ask for the engine's state", self.client.info()).await?;
        Ok(read::info(version, info))
    }

    async fn image(&self, reference: &str) -> Result<Option<ImageInfo>, EngineError> {
        let what = format!("look up image {reference}");
        segment(&what, reference)?;
        found(self.read(&what, self.client.inspect_image(reference)).await)?
            .map(|image| read::image(&what, image))
            .transpose()
    }

    async fn load_image(&self, archive: ArchiveStream) -> Result<Vec<String>, EngineError> {
        let what = "load an image";
        let body = bollard::body_try_stream(archive);
        // The engine says what went wrong in the stream, so that it is read to its end.
        let drain = self.client.import_image(ImportImageOptions::default(), body, None).try_fold(
            Vec::new(),
            |mut loaded, line| {
                loaded.extend(read::loaded(&line));
                std::future::ready(Ok(loaded))
            },
        );
        self.call(what, Purpose::Plain, self.deadlines.load, drain).await
    }

    async fn export_image(&self, reference: &str) -> Result<ArchiveStream, EngineError> {
        let what = format!("export image {reference}");
        segment(&what, reference)?;
        let deadline = self.deadlines.load;
        let mut chunks = Box::pin(self.client.export_image(reference));
        // The engine writes the whole archive to its own disk before it sends the first byte.
        let first = match tokio::time::timeout(deadline, chunks.next()).await {
            Ok(Some(Err(error))) => return Err(self.place(&what, Purpose::Plain, error)),
            Ok(Some(Ok(first))) => first,
            Ok(None) => return Ok(Box::pin(futures_util::stream::empty())),
            Err(_) => return Err(late(&what, deadline)),
        };
        let rest = futures_util::stream::unfold(Some(chunks), move |chunks| async move {
            let mut chunks = chunks?;
            match tokio::time::timeout(deadline, chunks.next()).await {
                Ok(None) => None,
                Ok(Some(Ok(chunk))) => Some((Ok(chunk), Some(chunks))),
                Ok(Some(Err(error))) => Some((Err(io::Error::other(error)), None)),
                Err(_) => Some((Err(io::ErrorKind::TimedOut.into()), None)),
            }
        });
        Ok(Box::pin(futures_util::stream::once(std::future::ready(Ok(first))).chain(rest)))
    }

    async fn remove_image(&self, reference: &str) -> Result<bool, EngineError> {
        let what = format!("remove image {reference}");
        segment(&what, reference)?;
        let options = RemoveImageOptionsBuilder::default().force(false).build();
        match self.write(&what, self.client.remove_image(reference, Some(options), None)).await {
            Ok(_) => Ok(true),
            Err(error) if has_status(&error, 404) || has_status(&error, 409) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn containers(&self, stack: Option<&str>) -> Result<Vec<ContainerState>, EngineError> {
        let label = stack.map_or_else(|| STACK_LABEL.to_owned(), |stack| format!("{STACK_LABEL}={stack}"));
        let filters = HashMap::from([("label", vec![label])]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let list = self.read("list the containers", self.client.list_containers(Some(options))).await?;
        // The list leaves out exit codes and restarts; what goes away in between is simply not there.
        let each = list
            .into_iter()
            .filter_map(|summary| summary.id)
            .map(|id| async move { self.container(&id).await });
        let mut states: Vec<_> = try_join_all(each).await?.into_iter().flatten().collect();
        states.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(states)
    }

    async fn container(&self, name: &str) -> Result<Option<ContainerState>, EngineError> {
        let what = format!("look up container {name}");
        segment(&what, name)?;
        let ask = self.client.inspect_container(name, None::<InspectContainerOptions>);
        found(self.read(&what, ask).await)?.map(|state| read::container(&what, state)).transpose()
    }

    async fn create_container(&self, spec: &ContainerSpec) -> Result<String, EngineError> {
        let what = format!("container {}", spec.name);
        spec.check(self.socket.as_deref())
            .map_err(|source| EngineError::Refused { what: escape(&what), source })?;
        let options = CreateContainerOptionsBuilder::default().name(&spec.name).build();
        let make = self.client.create_container(Some(options), create::container(spec));
        Ok(self.call(&what, Purpose::Create, self.deadlines.write, make).await?.id)
    }

    async fn start_container(&self, name: &str) -> Result<(), EngineError> {
        let what = format!("start container {name}");
        segment(&what, name)?;
        let start = self.client.start_container(name, None::<StartContainerOptions>);
        self.call(&what, Purpose::Start, self.deadlines.start, start).await
    }

    async fn stop_container(&self, name: &str, grace: Duration) -> Result<(), EngineError> {
        let what = format!("stop container {name}");
        segment(&what, name)?;
        // In whole seconds, rounded up.
        let seconds = grace.as_secs().saturating_add(u64::from(grace.subsec_nanos() > 0));
        let options =
            StopContainerOptionsBuilder::default().t(i32::try_from(seconds).unwrap_or(i32::MAX)).build();
        let deadline = self.deadlines.write.saturating_add(Duration::from_secs(seconds));
        self.call(&what, Purpose::Plain, deadline, self.client.stop_container(name, Some(options))).await
    }

    async fn remove_container(&self, name: &str) -> Result<(), EngineError> {
        let what = format!("remove container {name}");
        segment(&what, name)?;
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        match self.write(&what, self.client.remove_container(name, Some(options))).await {
            Err(error) if has_status(&error, 404) => Ok(()),
            // Somebody else is removing it already.
            Err(error) if has_status(&error, 409) => self.gone(&what, name).await,
            other => other,
        }
    }

    async fn wait_container(&self, name: &str) -> Result<i64, EngineError> {
        let what = format!("wait for container {name}");
        segment(&what, name)?;
        let options = WaitContainerOptionsBuilder::default().condition("not-running").build();
        let mut answers = std::pin::pin!(self.client.wait_container(name, Some(options)));
        match answers.next().await {
            Some(Ok(answer)) => Ok(answer.status_code),
            // The client library takes every code but 0 for an error.
            Some(Err(Error::DockerContainerWaitError { code, .. })) => Ok(code),
            Some(Err(error)) => Err(self.place(&what, Purpose::Plain, error)),
            None => Err(EngineError::NoAnswer {
                what,
                source: Box::new(std::io::Error::from(std::io::ErrorKind::UnexpectedEof)),
            }),
        }
    }

    async fn logs(&self, name: &str, tail: Option<usize>) -> Result<Vec<LogLine>, EngineError> {
        let mut lines = Vec::new();
        let mut keep = |line| {
            lines.push(line);
            true
        };
        let deadline = self.deadlines.write;
        match tokio::time::timeout(deadline, self.read_logs(name, tail, false, &mut keep)).await {
            Ok(read) => read.map(|()| lines),
            Err(_) => Err(late(&format!("read the log of container {name}"), deadline)),
        }
    }

    async fn follow_logs(
        &self,
        name: &str,
        tail: Option<usize>,
        sink: &mut (dyn FnMut(LogLine) -> bool + Send),
    ) -> Result<(), EngineError> {
        self.read_logs(name, tail, true, sink).await
    }

    async fn exec(
        &self,
        name: &str,
        command: &[String],
        stdin: Vec<u8>,
        on_line: &mut (dyn FnMut(&str) + Send),
    ) -> Result<ExecResult, EngineError> {
        self.run_command(name, command, stdin, on_line).await
    }

    async fn networks(&self, stack: Option<&str>) -> Result<Vec<NetworkState>, EngineError> {
        self.networks_that(|network| match (network.labels.get(STACK_LABEL), stack) {
            (Some(found), Some(wanted)) => found == wanted,
            (Some(_), None) => true,
            (None, _) => false,
        })
        .await
    }

    async fn networks_named(&self, name: &str) -> Result<Vec<NetworkState>, EngineError> {
        self.networks_that(|network| network.name == name).await
    }

    async fn create_network(&self, spec: &NetworkSpec) -> Result<String, EngineError> {
        let what = format!("network {}", spec.name);
        spec.check().map_err(|source| EngineError::Refused { what: escape(&what), source })?;
        // Engines before API 1.44 make a second network of the same name unless a field says no, and the client
        // library has dropped that field: so look before, and once more after.
        if !self.networks_named(&spec.name).await?.is_empty() {
            return Err(EngineError::NameTaken { what });
        }
        let make = self.client.create_network(create::network(spec));
        let id = self.call(&what, Purpose::Create, self.deadlines.write, make).await?.id;
        if self.networks_named(&spec.name).await?.len() > 1 {
            self.remove_network(&id).await?;
            return Err(EngineError::NameTaken { what });
        }
        Ok(id)
    }

    async fn connect(&self, network: &str, container: &str, aliases: &[String]) -> Result<(), EngineError> {
        let what = format!("connect container {container} to network {network}");
        segment(&what, network)?;
        segment(&what, container)?;
        let request = NetworkConnectRequest {
            container: container.to_owned(),
            endpoint_config: Some(EndpointSettings {
                aliases: (!aliases.is_empty()).then(|| aliases.to_vec()),
                ..EndpointSettings::default()
            }),
        };
        let join = self.client.connect_network(network, request);
        self.call(&what, Purpose::Start, self.deadlines.write, join).await
    }

    async fn remove_network(&self, name: &str) -> Result<(), EngineError> {
        let what = format!("remove network {name}");
        segment(&what, name)?;
        found(self.write(&what, self.client.remove_network(name)).await).map(|_| ())
    }
}

#[cfg(test)]
pub(crate) mod tests;
