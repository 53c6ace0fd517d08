//! The typed manifest: what is left when a text has passed every rule.
//!
//! Values here are already checked; only [`crate::parse`] makes them.

use serde::Serialize;
use sovai_core::{ByteSize, FilePin, ImageId, Name, Sha256};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

/// A whole manifest: one stack.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Manifest {
    /// `metadata.name`: the stack's name.
    pub name: Name,
    /// `spec.models`.
    pub models: BTreeMap<Name, Model>,
    /// `spec.services`.
    pub services: BTreeMap<Name, Service>,
    /// `spec.gateway`.
    pub gateway: Option<Gateway>,
    /// `spec.policy`: the policy file, relative to the manifest.
    pub policy: Option<PathBuf>,
}

/// A named set of files with digests.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Model {
    /// Where the bytes come from.
    pub source: Source,
    /// Further places with the same bytes, tried in order; believed only by digest.
    pub mirrors: Vec<Source>,
    /// Commit, tag or branch at a hub.
    pub revision: Option<String>,
    /// Patterns of the files that are wanted; empty: all.
    pub include: Vec<String>,
    /// Patterns of the files that are not wanted.
    pub exclude: Vec<String>,
    /// SPDX licence expression or a catalogue's licence id, as written.
    pub license: Option<String>,
    /// Who published the model.
    pub publisher: Option<String>,
    /// Files with signatures over the model, relative to the manifest.
    pub signatures: Vec<PathBuf>,
    /// Base model, quantised by, distilled from.
    pub lineage: Option<Lineage>,
    /// Limits of use, from the model card.
    pub usage: Vec<String>,
    /// The pinned files, sorted by path. Empty where the manifest leaves the pins to the lock.
    pub files: Vec<FilePin>,
}

impl Model {
    /// The revision that the manifest asks for: under `revision`, or after the source's `@`.
    pub fn wanted_revision(&self) -> Option<&str> {
        self.revision.as_deref().or_else(|| self.source.revision())
    }
}

/// Where bytes come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// `file:PATH`: a file or a folder, relative to the manifest unless absolute.
    File(PathBuf),
    /// `hf:ORG/NAME@REV`, `modelscope:`, `https:`, `s3:`, `oci:`: kept as written, scheme first.
    Remote {
        /// The scheme without its colon.
        scheme: String,
        /// All that follows the colon.
        rest: String,
    },
}

impl Source {
    /// Whether the bytes come from a model hub, where a revision says which version.
    pub fn is_hub(&self) -> bool {
        matches!(self, Self::Remote { scheme, .. } if HUBS.contains(&scheme.as_str()))
    }

    /// The revision after the `@` of a source at a hub.
    pub fn revision(&self) -> Option<&str> {
        match self {
            Self::Remote { rest, .. } if self.is_hub() => rest.split_once('@').map(|(_, revision)| revision),
            _ => None,
        }
    }
}

/// Schemes of sources that have revisions.
pub(crate) const HUBS: [&str; 2] = ["hf", "modelscope"];

/// As the manifest writes it: `file:./weights`, `hf:ORG/NAME`.
impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Remote { scheme, rest } => write!(f, "{scheme}:{rest}"),
        }
    }
}

/// Where a model descends from, each link declared or proven.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct Lineage {
    /// The base model.
    pub base: Option<LineageLink>,
    /// Who quantised it.
    pub quantised_by: Option<LineageLink>,
    /// What it was distilled from.
    pub distilled_from: Option<LineageLink>,
}

/// One link of a lineage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LineageLink {
    /// The model or person named.
    pub name: String,
    /// How strongly the link is known.
    pub claim: Claim,
    /// Neutral notes, each with its date (`YYYY-MM-DD`).
    pub notes: Vec<LineageNote>,
}

/// How strongly a link of a lineage is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Claim {
    /// Somebody says so.
    Declared,
    /// Shown by digests or signatures.
    Proven,
}

/// A neutral, dated note on a lineage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LineageNote {
    /// `YYYY-MM-DD`.
    pub date: String,
    /// What was said or found.
    pub text: String,
}

/// One container role.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Service {
    /// Name of the engine profile; without one the service is a plain container.
    pub engine: Option<String>,
    /// The image.
    pub image: Image,
    /// The model that is mounted; always there where `engine` is.
    pub model: Option<Name>,
    /// Arguments after those of the profile.
    pub args: Vec<String>,
    /// Environment; never secrets.
    pub env: BTreeMap<String, String>,
    /// Secrets, given as files under `/run/secrets/`.
    pub secrets: Vec<Secret>,
    /// Services that must be ready first.
    pub depends: Vec<Name>,
    /// Limits.
    pub resources: Resources,
    /// Accelerators wanted.
    pub accelerators: Option<Accelerators>,
    /// Context window in tokens.
    pub context: Option<u32>,
    /// How the engine splits its work.
    pub parallelism: Parallelism,
}

/// An image as the manifest names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Image {
    /// Reference without digest: `sovai/engine-llama-cpp:local`.
    pub name: String,
    /// Pinned here, or else in the lock.
    pub pin: Option<ImagePin>,
    /// `linux/amd64`, `linux/arm64`; the host's own when absent.
    pub platform: Option<String>,
    /// Where it comes from; absent: the engine if it has it, else the registry that its name begins with.
    pub source: Option<ImageSource>,
}

/// Where an image comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImageSource {
    /// `engine`: the container engine.
    Engine,
    /// `registry`: the registry that its name begins with, or the one that the settings name.
    Registry,
    /// `oci-layout:PATH[@NAME]`: an OCI image layout on disk, a folder.
    OciLayout {
        /// The folder, relative to the manifest.
        path: PathBuf,
        /// The name (`org.opencontainers.image.ref.name`) among several.
        name: Option<String>,
    },
    /// `docker-archive:PATH[@NAME]`: what `docker save` writes.
    DockerArchive {
        /// The file, relative to the manifest.
        path: PathBuf,
        /// The repository tag among several.
        name: Option<String>,
    },
}

/// As the manifest writes it.
impl std::fmt::Display for ImageSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (kind, path, name) = match self {
            Self::Engine => return f.write_str("engine"),
            Self::Registry => return f.write_str("registry"),
            Self::OciLayout { path, name } => ("oci-layout", path, name),
            Self::DockerArchive { path, name } => ("docker-archive", path, name),
        };
        write!(f, "{kind}:{}", path.display())?;
        name.as_ref().map_or(Ok(()), |name| write!(f, "@{name}"))
    }
}

/// What an image is pinned to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImagePin {
    /// Digest of a manifest in a registry.
    Digest(Sha256),
    /// ID in a container engine.
    Id(ImageId),
}

/// A secret that a container reads as a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Secret {
    /// File name under `/run/secrets/`.
    pub name: Name,
    /// The file on the host, relative to the manifest.
    pub file: PathBuf,
}

/// Limits of one container. What is absent takes the engine profile's or the built-in default.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Resources {
    /// Memory in bytes.
    pub memory: Option<ByteSize>,
    /// CPUs in thousandths of one.
    pub millicpus: Option<u32>,
    /// Processes and threads.
    pub pids: Option<u32>,
    /// Size of `/dev/shm` in bytes.
    pub shm: Option<ByteSize>,
}

/// Accelerators that a service wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Accelerators {
    /// Vendor id, as in the accelerator data.
    pub vendor: String,
    /// How many, or which.
    pub wanted: Wanted,
}

/// How many accelerators, or which.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wanted {
    /// Any so many.
    Count(u32),
    /// Just these.
    Ids(Vec<String>),
}

/// How an engine splits its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Parallelism {
    /// Tensor parallel size.
    pub tensor: Option<u32>,
    /// Pipeline parallel size.
    pub pipeline: Option<u32>,
    /// Data parallel size.
    pub data: Option<u32>,
    /// Sequences served at once.
    pub sequences: Option<u32>,
}

/// The stack's one door.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gateway {
    /// Address and port on the host.
    pub listen: SocketAddr,
    /// Who may ask.
    pub auth: Auth,
    /// TLS files; `None` is plain http.
    pub tls: Option<Tls>,
    /// Public model name: the service behind it.
    pub routes: BTreeMap<String, Name>,
}

/// Who may ask the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Auth {
    /// Holders of a key (the default).
    Keys,
    /// Anybody: `auth: none` is written in the manifest.
    None,
}

/// TLS files, relative to the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tls {
    /// PEM chain.
    pub cert: PathBuf,
    /// PEM private key.
    pub key: PathBuf,
    /// PEM anchors: clients must show a certificate under one of these.
    pub client_ca: Option<PathBuf>,
}
