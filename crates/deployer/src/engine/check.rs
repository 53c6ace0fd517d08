//! Rules for every container and network that sovai makes. They have no switches, and hold for each engine alike.

use super::{BindMount, ContainerSpec, NetworkSpec};
use std::collections::BTreeSet;
use std::path::{Component, Path};

/// Lowest memory limit that engines accept, in bytes (Docker: "Minimum memory limit allowed is 6MB").
const MIN_MEMORY: u64 = 6 << 20;

/// Network modes that are no network of the stack's own: they share one with the host or with strangers.
const SHARED_NETWORKS: [&str; 4] = ["host", "bridge", "default", "ns"];

/// Host paths that give power over the host: neither they nor what lies in them is mounted, nor a folder above them.
const PRECIOUS: [&str; 8] = [
    "/var/run/docker.sock",
    "/run/docker.sock",
    "/run/podman",
    "/run/containerd",
    "/run/crio",
    "/proc",
    "/sys",
    "/dev",
];

/// Host folders that are not mounted whole, nor a folder above them; single things in them may be (a TLS certificate).
const NOT_WHOLE: [&str; 2] = ["/etc", "/root"];

/// Why a container or network may not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// The name would change the meaning of a request, or no engine would take it.
    #[error("`{0}` is no name for a container, network or image")]
    Name(String),
    /// Not `UID:GID` in digits, or one of them is 0.
    #[error("the user is `UID:GID` in digits, the UID never 0, found `{0}`")]
    User(String),
    /// A further group that is not in digits, or 0.
    #[error("a group is a number and never 0, found `{0}`")]
    Group(String),
    /// A limit that would mean "no limit".
    #[error("the {what} limit is at least {least}, found {found}")]
    Limit {
        /// Which limit.
        what: &'static str,
        /// The least that is accepted.
        least: u64,
        /// What was asked for.
        found: u64,
    },
    /// A mount whose source gives power over the host.
    #[error("`{0}` of the host is never mounted")]
    Source(String),
    /// A path that is not absolute and plain, `/` itself, or there twice.
    #[error("a path in a container is absolute, plain and there once, found `{0}`")]
    Target(String),
    /// A tmpfs option that takes hardening away.
    #[error("tmpfs option `{0}` is not allowed")]
    Tmpfs(String),
    /// A network that is not the stack's own.
    #[error("network `{0}` is shared with the host or with strangers")]
    Network(String),
    /// A name of an environment variable that is none.
    #[error("`{0}` is no name of an environment variable")]
    Env(String),
    /// Port 0.
    #[error("port 0 cannot be published")]
    Port,
    /// A publication without a network to publish from.
    #[error("a container without a network publishes nothing")]
    NoNetwork,
}

impl ContainerSpec {
    /// Checks the rules; `socket` is the engine's own socket, when it has one on this host.
    pub(crate) fn check(&self, socket: Option<&Path>) -> Result<(), RuleError> {
        name(&self.name)?;
        user(&self.user)?;
        for group in &self.groups {
            if !nonzero(group) {
                return Err(RuleError::Group(group.clone()));
            }
        }
        limit("memory", MIN_MEMORY, self.memory)?;
        limit("process", 1, u64::from(self.pids))?;
        limit("CPU", 1, self.millicpus.map_or(1, u64::from))?;
        limit("log size", 1, self.log_rotation.0)?;
        limit("log file", 1, u64::from(self.log_rotation.1))?;
        self.check_paths(socket)?;
        if let Some(network) = &self.network {
            own_network(network)?;
        } else if !self.publish.is_empty() {
            return Err(RuleError::NoNetwork);
        }
        if self.publish.iter().any(|(inside, outside)| *inside == 0 || outside.port() == 0) {
            return Err(RuleError::Port);
        }
        match self
            .env
            .iter()
            .find(|(key, value)| key.is_empty() || key.contains(['=', '\0']) || value.contains('\0'))
        {
            Some((key, _)) => Err(RuleError::Env(key.clone())),
            None => Ok(()),
        }
    }

    fn check_paths(&self, socket: Option<&Path>) -> Result<(), RuleError> {
        let mut targets = BTreeSet::new();
        let paths = self.mounts.iter().map(|mount| &mount.target).chain(self.tmpfs.keys());
        for path in paths {
            if !plain(Path::new(path)) || path == "/" || !targets.insert(path.trim_end_matches('/')) {
                return Err(RuleError::Target(path.clone()));
            }
        }
        for option in self.tmpfs.values().flat_map(|options| options.split(',')) {
            if matches!(option, "suid" | "dev") {
                return Err(RuleError::Tmpfs(option.to_owned()));
            }
        }
        self.mounts.iter().try_for_each(|mount| source(mount, socket))
    }
}

impl NetworkSpec {
    /// Checks the rules.
    pub(crate) fn check(&self) -> Result<(), RuleError> {
        own_network(&self.name)
    }
}

/// Checks a name, an ID or an image reference that goes into the path of a request: nothing in it may change which
/// resource is meant (`?`, `#`, `%`, `..`).
pub(crate) fn name(text: &str) -> Result<(), RuleError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.:/@+".contains(&b);
    let whole = text.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
    if text.len() <= 512 && whole && text.bytes().all(plain) {
        Ok(())
    } else {
        Err(RuleError::Name(text.chars().take(80).flat_map(char::escape_debug).collect()))
    }
}

fn own_network(network: &str) -> Result<(), RuleError> {
    name(network)?;
    if SHARED_NETWORKS.contains(&network) || network == "none" || network.contains(['/', ':']) {
        return Err(RuleError::Network(network.to_owned()));
    }
    Ok(())
}

fn user(user: &str) -> Result<(), RuleError> {
    // Group 0 is no privilege without capabilities, and images that must run as any user (vLLM's) rely on it.
    match user.split_once(':') {
        Some((uid, gid)) if nonzero(uid) && (gid == "0" || nonzero(gid)) => Ok(()),
        _ => Err(RuleError::User(user.to_owned())),
    }
}

/// A decimal number other than 0, in digits only.
fn nonzero(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u32>().is_ok_and(|id| id != 0)
}

fn limit(what: &'static str, least: u64, found: u64) -> Result<(), RuleError> {
    if found < least { Err(RuleError::Limit { what, least, found }) } else { Ok(()) }
}

/// Absolute, without `.` and `..`.
fn plain(path: &Path) -> bool {
    path.is_absolute()
        && path.to_str().is_some_and(|text| !text.contains('\0'))
        && path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)))
}

/// Refuses a source that is, holds, or lies under something precious, as written and with its links followed.
fn source(mount: &BindMount, socket: Option<&Path>) -> Result<(), RuleError> {
    let refused = || RuleError::Source(mount.source.display().to_string());
    let precious = |path: &Path| {
        let within = PRECIOUS.iter().map(Path::new).any(|p| p.starts_with(path) || path.starts_with(p));
        let whole = NOT_WHOLE.iter().any(|p| Path::new(p).starts_with(path));
        within || whole || socket.is_some_and(|socket| socket.starts_with(path))
    };
    if !plain(&mount.source) || precious(&mount.source) {
        return Err(refused());
    }
    // A source that is not there is for the engine to report: it may see another file system than this process.
    if let Ok(real) = fs_err::canonicalize(&mount.source) {
        use std::os::unix::fs::FileTypeExt as _;
        let is_socket = fs_err::metadata(&real).is_ok_and(|meta| meta.file_type().is_socket());
        if precious(&real) || is_socket {
            return Err(refused());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
