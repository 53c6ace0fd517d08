//! `oci:HOST[:PORT]/REPOSITORY[:TAG][@sha256:...]`: models in OCI registries, as model-spec artifacts with raw layers.
//!
//! Its revision is the digest of the manifest. Bytes are asked for by their SHA-256, whatever the manifest lists: so a
//! repository to which models and images were pushed is a mirror of all of them.

use super::Surroundings;
use crate::SourceError;
use crate::source::{Body, BoxFuture, ByteRange, ListedFile, Listing, Source, Wanted};
use futures_util::StreamExt as _;
use serde::Deserialize;
use sovai_core::{PathSet, Reference, RelPath};
use sovai_registry::{Credentials, Manifest, Registry, RegistryError};
use sovai_store::{Descriptor, FILE_PATH, MODEL_ARTIFACT_TYPE, MODEL_CONFIG_TYPE};
use std::sync::Arc;

/// Annotation of a manifest: an SPDX expression (image-spec 1.1, `annotations.md`).
const LICENSES: &str = "org.opencontainers.image.licenses";

#[derive(Debug)]
struct Oci {
    origin: String,
    reference: Reference,
    registry: Registry,
}

/// The part of a model's config (model-spec, its page on configs) that is read.
#[derive(Deserialize)]
struct Config {
    descriptor: Option<ConfigDescriptor>,
}

#[derive(Deserialize)]
struct ConfigDescriptor {
    licenses: Option<Vec<String>>,
}

/// Makes a source of a reference; `//` before it is taken too.
pub(super) fn open(
    origin: &str,
    rest: &str,
    surroundings: &Surroundings,
) -> Result<Arc<dyn Source>, SourceError> {
    let invalid = |reason: String| SourceError::Invalid { origin: origin.to_owned(), reason };
    let reference = Reference::new(rest.strip_prefix("//").unwrap_or(rest))
        .map_err(|error| invalid(format!("it is no reference: {error}")))?;
    make(origin, reference, surroundings)
}

/// The blobs of a reference's repository, by digest: the layers of an image, or whatever was pushed there.
pub fn blobs(reference: &Reference, surroundings: &Surroundings) -> Result<Arc<dyn Source>, SourceError> {
    make(&format!("oci:{reference}"), reference.clone(), surroundings)
}

fn make(
    origin: &str,
    reference: Reference,
    surroundings: &Surroundings,
) -> Result<Arc<dyn Source>, SourceError> {
    let credentials = Credentials::of_user(&surroundings.env);
    let registry = Registry::of(surroundings.http.clone(), &reference, credentials)
        .map_err(|error| SourceError::Invalid { origin: origin.to_owned(), reason: said(&error) })?;
    let registry = registry.with_retry(surroundings.retry);
    Ok(Arc::new(Oci { origin: origin.to_owned(), reference, registry }))
}

/// What an error says of itself, where the origin is named beside it.
fn said(error: &RegistryError) -> String {
    match error {
        RegistryError::NoHost { .. } => "it names no registry; write `oci:HOST/REPOSITORY:TAG`".to_owned(),
        RegistryError::Refused { reason, .. }
        | RegistryError::Malformed { reason, .. }
        | RegistryError::Unsupported { reason, .. } => reason.clone(),
        other => other.to_string(),
    }
}

impl Oci {
    fn failed(&self, error: RegistryError, path: &str) -> SourceError {
        let origin = self.origin.clone();
        match error {
            RegistryError::Http { source, .. } => SourceError::Http { origin, source },
            RegistryError::Mismatch { expected, found, .. } => {
                SourceError::Mismatch { origin, path: path.to_owned(), expected, found }
            }
            RegistryError::Store(error) => SourceError::Store(error),
            error @ (RegistryError::Refused { .. }
            | RegistryError::NotFound { .. }
            | RegistryError::Credentials { .. }) => {
                let host = self.registry.host();
                let hint = format!(
                    "check the name; credentials are those that `docker login {host}` or `podman login {host}` keep"
                );
                SourceError::Refused { origin, reason: said(&error), hint }
            }
            error => SourceError::Malformed { origin, reason: said(&error) },
        }
    }

    fn at(&self, revision: Option<&str>) -> Result<Reference, SourceError> {
        let Some(revision) = revision else { return Ok(self.reference.clone()) };
        if let Ok(digest) = revision.parse() {
            return Ok(self.reference.at_digest(digest));
        }
        self.reference.at_tag(revision).map_err(|_| SourceError::Invalid {
            origin: self.origin.clone(),
            reason: format!("`{}` is neither a digest nor a tag", revision.escape_debug()),
        })
    }

    async fn read(&self, revision: Option<&str>) -> Result<Listing, SourceError> {
        let reference = self.at(revision)?;
        let read = self.registry.artifact(&reference).await;
        let (content, manifest) = read.map_err(|error| self.failed(error, "its manifest"))?;
        let malformed = |reason: String| SourceError::Malformed { origin: self.origin.clone(), reason };
        let kind = manifest.artifact_type.as_deref().unwrap_or(&manifest.config.media_type);
        if kind != MODEL_ARTIFACT_TYPE && kind != MODEL_CONFIG_TYPE {
            let kind: String = kind.escape_debug().take(200).collect();
            return Err(malformed(format!(
                "it is `{kind}` and no model (`{MODEL_ARTIFACT_TYPE}`, of github.com/modelpack/model-spec)"
            )));
        }
        let files = files(&manifest.layers).map_err(malformed)?;
        let license = self.license(&reference, &manifest).await?;
        Ok(Listing { revision: Some(content.descriptor.digest.to_string()), license, files })
    }

    /// The annotation, else what the config names, if it is one.
    async fn license(&self, reference: &Reference, manifest: &Manifest) -> Result<Option<String>, SourceError> {
        if let Some(license) = manifest.annotations.get(LICENSES) {
            return Ok(Some(license.clone()).filter(|license| !license.trim().is_empty()));
        }
        if manifest.config.media_type != MODEL_CONFIG_TYPE {
            return Ok(None);
        }
        let content = self.registry.small_blob(reference, &manifest.config).await;
        let content = content.map_err(|error| self.failed(error, "its config"))?;
        let config: Config =
            serde_json::from_slice(&content.bytes).map_err(|error| SourceError::Malformed {
                origin: self.origin.clone(),
                reason: format!("its config is malformed: {error}"),
            })?;
        let licenses = config.descriptor.and_then(|descriptor| descriptor.licenses).unwrap_or_default();
        // Of several it does not say whether all hold or one is to be chosen.
        Ok(<[String; 1]>::try_from(licenses).ok().map(|[license]| license).filter(|l| !l.trim().is_empty()))
    }
}

/// The files that layers hold, one each.
fn files(layers: &[Descriptor]) -> Result<Vec<ListedFile>, String> {
    let mut seen = PathSet::default();
    let mut files = Vec::with_capacity(layers.len());
    for layer in layers {
        let kind = layer.media_type.as_str();
        if kind.contains("tar") || kind.ends_with("+gzip") || kind.ends_with("+zstd") {
            return Err(format!(
                "layer {} is an archive (`{}`): the digests of the files in it are not known; push the model with raw layers",
                layer.digest,
                kind.escape_debug()
            ));
        }
        let path = layer.annotations.get(FILE_PATH).ok_or_else(|| {
            format!("layer {} names no file: it has no annotation `{FILE_PATH}`", layer.digest)
        })?;
        let path = RelPath::new(path)
            .map_err(|error| format!("the path `{}` of a layer is refused: {error}", path.escape_debug()))?;
        if let Err(other) = seen.insert(&path) {
            return Err(format!("`{path}` and `{other}` are two layers for one path"));
        }
        files.push(ListedFile { path, size: Some(layer.size), sha256: Some(layer.digest), git_blob: None });
    }
    files.sort();
    Ok(files)
}

impl Source for Oci {
    fn origin(&self) -> &str {
        &self.origin
    }

    fn list<'a>(&'a self, revision: Option<&'a str>) -> BoxFuture<'a, Listing> {
        Box::pin(self.read(revision))
    }

    fn open<'a>(&'a self, file: &'a Wanted, range: Option<ByteRange>) -> BoxFuture<'a, Body> {
        Box::pin(async move {
            let Some(digest) = &file.sha256 else {
                return Err(SourceError::Invalid {
                    origin: self.origin.clone(),
                    reason: format!("a registry gives bytes by their SHA-256, and `{}` has none", file.path),
                });
            };
            let range = range.map(|range| (range.start, range.end));
            let body = self.registry.open_blob(&self.reference, digest, range).await;
            let body = body.map_err(|error| self.failed(error, file.path.as_str()))?;
            let origin = self.origin.clone();
            let stream = body.stream.map(move |piece| {
                piece.map_err(|source| SourceError::Http { origin: origin.clone(), source })
            });
            Ok(Body { start: body.start, length: body.length, total: body.total, stream: Box::pin(stream) })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sovai_core::Sha256;
    use sovai_http::{Client, Env, Options, Retry};

    fn layer(byte: u8, media_type: &str, path: Option<&str>) -> Descriptor {
        Descriptor {
            media_type: media_type.to_owned(),
            artifact_type: None,
            digest: Sha256::from_bytes([byte; 32]),
            size: byte.into(),
            annotations: path.map(|path| (FILE_PATH.to_owned(), path.to_owned())).into_iter().collect(),
        }
    }

    const RAW: &str = "application/vnd.cncf.model.weight.v1.raw";

    #[test]
    fn a_layer_is_a_file() {
        let layers = [layer(2, RAW, Some("w/model.gguf")), layer(1, RAW, Some("config.json"))];
        let listed = files(&layers).unwrap();
        let shown: Vec<_> = listed.iter().map(|file| (file.path.as_str(), file.size)).collect();
        assert_eq!(shown, [("config.json", Some(1)), ("w/model.gguf", Some(2))]);
    }

    #[test]
    fn archives_and_hostile_paths_are_refused() {
        let refused = |layers: &[Descriptor]| files(layers).unwrap_err();
        for kind in ["weight.v1.tar", "weight.v1.tar+gzip", "weight.v1.raw+zstd"] {
            let kind = format!("application/vnd.cncf.model.{kind}");
            assert!(refused(&[layer(1, &kind, Some("a"))]).contains("is an archive"), "{kind}");
        }
        assert!(refused(&[layer(1, RAW, None)]).contains("names no file"));
        for path in ["../a", "/a", "a/../../b", "", "a\u{0}b"] {
            assert!(refused(&[layer(1, RAW, Some(path))]).contains("is refused"), "{path:?}");
        }
        for (first, second) in [("a", "a"), ("A", "a"), ("a", "a/b")] {
            let layers = [layer(1, RAW, Some(first)), layer(1, RAW, Some(second))];
            assert!(refused(&layers).contains("two layers for one path"), "{first} {second}");
        }
    }

    #[test]
    fn a_source_names_a_registry() {
        let (http, env) = (Client::new(&Options::default()).unwrap(), Env::of([]));
        let surroundings = Surroundings { http, env, retry: Retry::default() };
        let open = |rest: &str| {
            open(&format!("oci:{rest}"), rest, &surroundings)
                .map(|source| source.origin().to_owned())
                .map_err(|error| error.to_string())
        };
        assert_eq!(open("registry.example/a:1").unwrap(), "oci:registry.example/a:1");
        assert_eq!(open("//registry.example/a").unwrap(), "oci://registry.example/a");
        assert!(open("models/a:1").unwrap_err().contains("names no registry"));
        assert!(open("registry.example/A").unwrap_err().contains("cannot be a part of its name"));
    }
}
