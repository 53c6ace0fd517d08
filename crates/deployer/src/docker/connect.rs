//! The one way to an engine.

use super::error::{Purpose, late, translate};
use super::{Deadlines, Docker};
use crate::engine::EngineError;
use bollard::API_DEFAULT_VERSION;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where Docker listens when nobody says otherwise.
pub const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";

/// Lowest API version: Docker 20.10 of 2020, podman 4; the oldest that is tested.
pub const MIN_API: &str = "1.41";

/// The client library's own limit on the head of an answer, in seconds. It is one for all calls, so that it is put
/// out of the way; each call has its own deadline here.
const NEVER: u64 = 86_400;

/// Why an engine's address is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// Neither `unix://` nor `tcp://`.
    #[error(
        "addresses are unix:///PATH, or tcp://127.0.0.1:PORT; for an engine elsewhere run sovai on its host: weights are mounted from there"
    )]
    Scheme,
    /// A Unix socket is named by an absolute path.
    #[error("a Unix socket is named by an absolute path, unix:///PATH")]
    Path,
    /// Plain TCP is not protected, so that it stays on this host.
    #[error(
        "plain tcp is used on the loopback addresses of this host only, with a port: tcp://127.0.0.1:PORT"
    )]
    Loopback,
}

/// An address that is understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    Unix(PathBuf),
    Tcp(String),
}

/// Reads an engine's address.
pub(super) fn address(host: &str) -> Result<Address, HostError> {
    if let Some(path) = host.strip_prefix("unix://") {
        return if path.starts_with('/') { Ok(Address::Unix(path.into())) } else { Err(HostError::Path) };
    }
    let rest = host.strip_prefix("tcp://").ok_or(HostError::Scheme)?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (name, port) = rest.rsplit_once(':').ok_or(HostError::Loopback)?;
    let bare = name.strip_prefix('[').and_then(|n| n.strip_suffix(']')).unwrap_or(name);
    let loopback = name == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if loopback && port.parse::<u16>().is_ok_and(|port| port != 0) {
        Ok(Address::Tcp(rest.to_owned()))
    } else {
        Err(HostError::Loopback)
    }
}

impl Docker {
    /// Connects to the engine at `host` ([`DEFAULT_HOST`] when none is given) and checks that it speaks [`MIN_API`].
    pub async fn connect(host: Option<&str>) -> Result<Self, EngineError> {
        Self::connect_with(host, Deadlines::default()).await
    }

    /// As [`Docker::connect`], with deadlines of the caller's.
    pub async fn connect_with(host: Option<&str>, deadlines: Deadlines) -> Result<Self, EngineError> {
        let host = host.unwrap_or(DEFAULT_HOST).to_owned();
        let unreachable = |source: Box<dyn std::error::Error + Send + Sync>| EngineError::Unreachable {
            host: host.clone(),
            source,
        };
        let (client, socket) = match address(&host).map_err(|e| unreachable(e.into()))? {
            Address::Unix(path) => {
                // The client library only says that it is not there, also when a folder above cannot be entered.
                // The message names the socket already; `fs_err` would say it twice.
                std::fs::metadata(&path).map_err(|e| unreachable(e.into()))?;
                let client =
                    bollard::Docker::connect_with_unix(&path.to_string_lossy(), NEVER, API_DEFAULT_VERSION);
                (client, Some(path))
            }
            Address::Tcp(at) => (bollard::Docker::connect_with_http(&at, NEVER, API_DEFAULT_VERSION), None),
        };
        let what = "ask for the version";
        let place = |error| translate(&host, what, Purpose::Plain, error);
        let client = client.map_err(place)?;
        // Without negotiation a client library that puts the version into its paths would ask for its own newest.
        let talk = async {
            let client = client.negotiate_version().await?;
            let version = client.version().await?;
            Ok::<_, bollard::errors::Error>((client, version))
        };
        let deadline: Duration = deadlines.read;
        let (client, version) =
            tokio::time::timeout(deadline, talk).await.map_err(|_| late(what, deadline))?.map_err(place)?;
        let found = version.api_version.unwrap_or_default();
        if number(&found) < number(MIN_API) {
            return Err(EngineError::TooOld { found: super::lines::escape(&found), needed: MIN_API });
        }
        Ok(Self { client, host, socket: socket.map(|path| real(&path)), deadlines })
    }
}

/// The socket with its links followed: `/var/run` is a link on today's systems.
fn real(path: &Path) -> PathBuf {
    fs_err::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// `1.41` as numbers; `None`, which is less than any, when it is none.
fn number(version: &str) -> Option<(u32, u32)> {
    let (major, minor) = version.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_and_loopback_are_understood() {
        assert_eq!(address(DEFAULT_HOST), Ok(Address::Unix("/var/run/docker.sock".into())));
        assert_eq!(address("tcp://127.0.0.1:2375"), Ok(Address::Tcp("127.0.0.1:2375".into())));
        assert_eq!(address("tcp://[::1]:2375/"), Ok(Address::Tcp("[::1]:2375".into())));
        assert_eq!(address("tcp://localhost:2375"), Ok(Address::Tcp("localhost:2375".into())));
    }

    #[test]
    fn the_rest_is_refused() {
        for host in
            ["ssh://h", "https://127.0.0.1:2376", "http://127.0.0.1:1", "npipe:////./pipe/x", "/x.sock", ""]
        {
            assert_eq!(address(host), Err(HostError::Scheme), "{host}");
        }
        assert_eq!(address("unix://x.sock"), Err(HostError::Path));
        for host in [
            "tcp://10.0.0.1:2375",
            "tcp://127.0.0.1",
            "tcp://127.0.0.1:0",
            "tcp://127.0.0.1.example:1",
            "tcp://127.0.0.1:1/x",
        ] {
            assert_eq!(address(host), Err(HostError::Loopback), "{host}");
        }
    }

    #[test]
    fn versions_compare_as_numbers() {
        assert!(number("1.41") < number("1.100"));
        assert!(number("1.9") < number(MIN_API));
        assert!(number("newest") < number(MIN_API));
        assert!(number("2.0") > number(MIN_API));
    }
}
