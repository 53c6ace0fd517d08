//! Why a gateway cannot start.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why a gateway cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GatewayError {
    /// A file that is needed at the start cannot be read, or is longer than its limit.
    #[error("cannot read the {what} {}", .path.display())]
    Read {
        /// What the file is: `gateway configuration`, `keys file`, `certificate`...
        what: &'static str,
        /// Where it was looked for.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The configuration is not the JSON that is expected.
    #[error("the gateway configuration{} is not valid", .path.as_ref().map(|p| format!(" {}", p.display())).unwrap_or_default())]
    Syntax {
        /// The file, where there is one.
        path: Option<PathBuf>,
        /// Line, column and reason.
        #[source]
        source: serde_json::Error,
    },
    /// A field of the configuration has a value that cannot work.
    #[error("gateway configuration: `{field}`: {problem}")]
    Field {
        /// The field, as a path of keys: `routes.assistant.upstream`.
        field: String,
        /// What is wrong with it, with what was expected and found.
        problem: String,
    },
    /// A line of the keys file is not a digest.
    #[error("keys file {}, line {line}: {problem}", .path.display())]
    Key {
        /// The keys file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What was expected; never the text of the line, which may be a key written there by mistake.
        problem: String,
    },
    /// A keys file without a key would lock everybody out.
    #[error("keys file {} has no key; one lower-case SHA-256 digest a line is expected", .path.display())]
    NoKeys {
        /// The keys file.
        path: PathBuf,
    },
    /// A certificate or a private key cannot be used.
    #[error("cannot use the {what} {}", .path.display())]
    Tls {
        /// What the file is.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A port cannot be bound.
    #[error("cannot listen on {address} (`{field}`)")]
    Listen {
        /// `listen`, `inner` or `metrics`.
        field: &'static str,
        /// The address as configured.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}
