//! What failures of hubs, servers and registries mean to the person who typed the command.

use super::CliError;
use crate::exit::Exit;
use sovai_http::{HttpError, StatusCode};
use sovai_registry::RegistryError;
use sovai_sources::SourceError;

/// Of downloads, which alone are given up so; nothing that `lock` reads is kept.
const KEPT: &str = "run the same command again: what arrived is kept";

impl From<HttpError> for CliError {
    fn from(error: HttpError) -> Self {
        let exit = match &error {
            HttpError::Url { .. } | HttpError::Plain { .. } | HttpError::CaFile { .. } => Exit::Usage,
            HttpError::Setup(_) => Exit::Internal,
            _ => Exit::Unreachable,
        };
        hinted(Self::wrap(exit, &error), &error)
    }
}

/// Adds what may help against a failed request.
fn hinted(new: CliError, error: &HttpError) -> CliError {
    let status = error.status();
    match error {
        HttpError::Plain { .. } => new.hint("write `https:`; only a server on this host is reached without it"),
        HttpError::CaFile { .. } => new.hint("--ca-cert names a PEM file with the certificates of authorities"),
        HttpError::Connect { .. } | HttpError::Timeout { .. } => new
            .hint("check the network and HTTPS_PROXY; where the server's certificate is from an authority of your own, name it with --ca-cert FILE")
            .hint("try again"),
        HttpError::Body { .. } | HttpError::Slow { .. } => new.hint("try again"),
        _ if status == Some(StatusCode::TOO_MANY_REQUESTS) => {
            new.hint("the server asks for patience: try again later, with fewer requests at once (-j)")
        }
        _ if matches!(status, Some(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)) => {
            new.hint("the server wants credentials, or does not know these")
        }
        _ if status == Some(StatusCode::NOT_FOUND) => new.hint("check the name and the revision"),
        _ => new,
    }
}

impl From<SourceError> for CliError {
    fn from(error: SourceError) -> Self {
        let exit = match &error {
            SourceError::Store(_) | SourceError::Verify(_) => {
                return match error {
                    SourceError::Store(error) => error.into(),
                    SourceError::Verify(error) => error.into(),
                    _ => Self::new(Exit::Internal, "an error changed its kind"),
                };
            }
            SourceError::Cancelled => return crate::signals::interrupted(),
            SourceError::Invalid { .. } | SourceError::Glob { .. } => Exit::Invalid,
            SourceError::Mismatch { .. } => Exit::Mismatch,
            SourceError::GivenUp { last, .. } if matches!(**last, SourceError::Mismatch { .. }) => {
                Exit::Mismatch
            }
            SourceError::NoSpace { .. } => Exit::Resources,
            _ => Exit::Unreachable,
        };
        let new = Self::wrap(exit, &error).with_findings(mismatch(&error).into_iter().collect());
        match &error {
            SourceError::Refused { hint, .. } | SourceError::NoRevision { hint, .. } => new.hint(hint.clone()),
            SourceError::Http { source, .. } => hinted(new, source),
            SourceError::GivenUp { last, .. } => match &**last {
                SourceError::Http { source, .. } => hinted(new, source).hint(KEPT),
                SourceError::Mismatch { .. } => new.hint(
                    "the source has other bytes than the lock pins: name a mirror that has them, or look with `sovai lock --check` what moved",
                ),
                _ => new.hint(KEPT),
            },
            SourceError::Mismatch { .. } => new.hint(
                "the source has other bytes than the lock pins: name a mirror that has them, or look with `sovai lock --check` what moved",
            ),
            SourceError::NoSpace { .. } => {
                new.hint("free some space, or name a folder on another disk with --store DIR")
            }
            _ => new,
        }
    }
}

/// Bytes that were not what was pinned, as a finding.
fn mismatch(error: &SourceError) -> Option<serde_json::Value> {
    match error {
        SourceError::Mismatch { origin, path, expected, found } => Some(serde_json::json!({
            "type": "source-mismatch", "source": origin, "path": path, "expected": expected, "found": found,
        })),
        SourceError::GivenUp { last, .. } => mismatch(last),
        _ => None,
    }
}

impl From<RegistryError> for CliError {
    fn from(error: RegistryError) -> Self {
        let exit = match &error {
            RegistryError::Store(_) => {
                return match error {
                    RegistryError::Store(error) => error.into(),
                    _ => Self::new(Exit::Internal, "an error changed its kind"),
                };
            }
            RegistryError::Reference { .. } => Exit::Usage,
            RegistryError::Mismatch { .. } => Exit::Mismatch,
            RegistryError::Platform { .. } => Exit::Resources,
            _ => Exit::Unreachable,
        };
        let new = Self::wrap(exit, &error);
        match &error {
            RegistryError::NoHost { .. } => new.hint("write the registry in front of the name, or name it with --registry HOST"),
            RegistryError::Refused { .. } | RegistryError::NotFound { .. } => new.hint(
                "log in with `docker login` or `podman login`: their files of credentials are read; check the name and the tag",
            ),
            RegistryError::Http { source, .. } => hinted(new, source),
            RegistryError::Mismatch { .. } => new.hint("the registry serves other bytes than those that are pinned: use another one"),
            RegistryError::Platform { .. } => {
                new.hint("set `platform` of the image in the manifest to one of these, or use another image")
            }
            RegistryError::Credentials { .. } => new.hint("mend that file, or log in again"),
            _ => new,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_of_downloads_it_is_said_that_what_arrived_is_kept() {
        let cut = || HttpError::Body { url: "https://hub.example/x".into(), reason: "cut".into() };
        let lock = CliError::from(SourceError::Http { origin: "hf:a/b".into(), source: cut() });
        assert_eq!(lock.hints(), ["try again"]);
        assert_eq!(CliError::from(cut()).hints(), ["try again"]);
        let last = Box::new(SourceError::Http { origin: "hf:a/b".into(), source: cut() });
        let sha256 = sovai_core::Sha256::from_bytes([0; 32]);
        let pull = CliError::from(SourceError::GivenUp { path: "x".into(), sha256, tries: 10, last });
        assert_eq!(pull.hints().last().map(String::as_str), Some(KEPT));
    }
}
