//! Reaching outside: one HTTP client, sources of models and registries of images, by the settings of a run.
//!
//! With `--offline` nothing here is made: whoever asks for it gets the reason instead.

use crate::args::NetArgs;
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::safe_line;
use sovai_core::{Event, EventKind, Platform, Reference, Reporter, Step};
use sovai_http::{Client, Env, Options, Retry, Waits};
use sovai_manifest::Source;
use sovai_registry::{Credentials, Registry};
use sovai_sources::adapters::{self, Surroundings};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

/// What reaches outside.
#[derive(Debug)]
pub(crate) struct Net {
    surroundings: Surroundings,
    /// The registry of images whose names begin with none.
    registry: Option<String>,
    /// Requests at once.
    pub(crate) jobs: NonZeroUsize,
}

impl Net {
    /// Makes the client. `what` says what it is needed for, should this run be offline.
    pub(crate) fn new(args: &NetArgs, what: &str, ctx: &Ctx) -> Result<Self, CliError> {
        Self::with(args, what, ctx, Waits::default())
    }

    /// The same for `lock`, which says when it waits between two tries.
    pub(crate) fn telling(
        args: &NetArgs,
        what: &str,
        ctx: &Ctx,
        reporter: &Arc<dyn Reporter>,
    ) -> Result<Self, CliError> {
        let reporter = Arc::clone(reporter);
        let waits = Waits::told_to(move |subject, message| {
            reporter.report(Event::new(EventKind::Note, Step::Lock, subject).message(message));
        });
        Self::with(args, what, ctx, waits)
    }

    fn with(args: &NetArgs, what: &str, ctx: &Ctx, waits: Waits) -> Result<Self, CliError> {
        if ctx.settings.offline {
            return Err(CliError::new(Exit::Unreachable, format!("{what}: this run is offline"))
                .hint("run it without --offline (SOVAI_OFFLINE, `offline` in sovai.toml) where the source can be reached"));
        }
        let ca_certs = if args.ca_cert.is_empty() { &ctx.settings.ca_certs } else { &args.ca_cert };
        let options = Options { ca_certs: ca_certs.clone(), waits, ..Options::default() };
        let env = Env::new(|name| std::env::var(name).ok());
        let http = Client::new(&options)?;
        Ok(Self {
            surroundings: Surroundings { http, env, retry: Retry::default() },
            registry: args.registry.clone().or_else(|| ctx.settings.registry.clone()),
            jobs: args.jobs,
        })
    }

    /// What a remote source's adapter is made of.
    pub(crate) fn source(&self, source: &Source) -> Result<Arc<dyn sovai_sources::Source>, CliError> {
        match source {
            Source::Remote { scheme, rest } => Ok(adapters::open(scheme, rest, &self.surroundings)?),
            Source::File(path) => {
                Err(CliError::new(Exit::Internal, format!("{} is no remote source", path.display())))
            }
        }
    }

    /// The blobs of a repository, by digest.
    pub(crate) fn blobs(&self, reference: &Reference) -> Result<Arc<dyn sovai_sources::Source>, CliError> {
        Ok(sovai_sources::oci_blobs(reference, &self.surroundings)?)
    }

    /// A folder on this host as a mirror.
    pub(crate) fn folder(&self, path: &Path) -> Result<Arc<dyn sovai_sources::Source>, CliError> {
        let path = std::path::absolute(path).map_err(CliError::internal)?;
        let shown =
            path.to_str().ok_or_else(|| CliError::new(Exit::Usage, "a mirror's path is not UTF-8"))?;
        Ok(adapters::open("file", shown, &self.surroundings)?)
    }

    /// The registry of a reference with a host.
    pub(crate) fn registry(&self, reference: &Reference) -> Result<Registry, CliError> {
        let credentials = Credentials::of_user(&self.surroundings.env);
        Ok(Registry::of(self.surroundings.http.clone(), reference, credentials)?)
    }

    /// An image's reference with a host: its own, else that of the settings.
    pub(crate) fn reference(&self, name: &str) -> Result<Reference, CliError> {
        let reference = parse(name)?;
        if reference.host().is_some() {
            return Ok(reference);
        }
        let Some(host) = &self.registry else {
            return Err(CliError::new(
                Exit::Unreachable,
                format!("image {}: its name begins with no registry, and none is set", safe_line(name)),
            )
            .hint("name the registry with --registry HOST, SOVAI_REGISTRY or `registry` in sovai.toml, or write it in front of the name")
            .hint("or load the image into the container engine"));
        };
        let text = format!("{host}/{name}");
        reference.or_host(host).map_err(|error| {
            CliError::new(Exit::Usage, format!("`{}` is no reference", safe_line(&text))).source(&error)
        })
    }
}

/// A reference as the manifest or a person wrote it.
pub(crate) fn parse(text: &str) -> Result<Reference, CliError> {
    Reference::new(text).map_err(|error| {
        CliError::new(Exit::Usage, format!("`{}` is no reference", safe_line(text))).source(&error)
    })
}

/// The platform that is wanted of an image: the manifest's, else this host's.
pub(crate) fn platform(wanted: Option<&str>) -> Result<Platform, CliError> {
    wanted.map_or_else(
        || Ok(Platform::host()),
        |text| text.parse().map_err(|error| CliError::wrap(Exit::Invalid, &error)),
    )
}
