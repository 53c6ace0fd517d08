//! Bringing artifacts into a registry: blobs first, then manifests by digest, then tags.

mod memory;
mod progress;
mod upload;

use crate::auth::Scope;
use crate::document::{Content, sha256};
use crate::{Registry, RegistryError};
use futures_util::{StreamExt as _, TryStreamExt as _};
use progress::{Pace, Progress};
use sovai_core::{Event, EventKind, Reference, Reporter, Sha256, Step};
use sovai_http::{Method, Request, header};
use sovai_store::{Descriptor, Store};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use upload::{Blob, Upload};

/// What is to be pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushPlan {
    /// The repository; its tag and digest do not count.
    pub target: Reference,
    /// What goes there, in this order.
    pub artifacts: Vec<Artifact>,
}

/// One artifact: a model, or an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// Its name for people.
    pub subject: String,
    /// The tag that leads to it.
    pub tag: String,
    /// Config and layers whose bytes are in the store.
    pub blobs: Vec<Descriptor>,
    /// Small blobs whose bytes are here, for example a config that the store does not keep.
    pub contents: Vec<Content>,
    /// Its manifests, what is referred to before what refers. The last one gets the tag. An index belongs here only when all
    /// that it names is here or in the repository: registries refuse others.
    pub manifests: Vec<Content>,
}

/// How to push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushOptions {
    /// Blobs that are sent at a time, at least 1.
    pub jobs: usize,
    /// Bytes a second over all of them; no limit when left out.
    pub rate: Option<u64>,
    /// Bytes a request. A registry may ask for more, a proxy before it for less; both are heeded.
    pub chunk: u64,
    /// Repositories of the same registry that may have the blobs already, as their paths; the first three are asked.
    pub mount_from: Vec<String>,
}

impl Default for PushOptions {
    fn default() -> Self {
        Self { jobs: 8, rate: None, chunk: 32 << 20, mount_from: Vec::new() }
    }
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pushed {
    /// Each tag with the digest that it leads to now, as the registry says.
    pub tags: Vec<(String, Sha256)>,
    /// Blobs that were sent.
    pub sent: usize,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Blobs that were there already.
    pub present: usize,
    /// Blobs that the registry took from another of its repositories.
    pub mounted: usize,
}

/// How a blob came there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Arrival {
    Present,
    Mounted,
    Sent,
}

/// Pushes artifacts from the store. What is there already is not sent again; what was cut off goes on where the registry
/// still has its beginning, also after this process was killed.
///
/// Progress is told as [`Step::Push`], in bytes of all blobs. Dropping the future stops it.
pub async fn push(
    registry: &Registry,
    store: &Store,
    plan: &PushPlan,
    options: &PushOptions,
    reporter: &dyn Reporter,
) -> Result<Pushed, RegistryError> {
    let target = &plan.target;
    let blobs = blobs(plan);
    memory::forget_old(store);
    let total = blobs.iter().map(|blob| blob.size).fold(0, u64::saturating_add);
    let subject = format!("{}/{}", registry.host(), target.path());
    reporter
        .report(Event { total: Some(total), ..Event::new(EventKind::Started, Step::Push, subject.clone()) });
    let progress = Progress::new(reporter, &subject, total, blobs.len());
    let pace = options.rate.map(|rate| Arc::new(Pace::new(rate)));
    let uploads = futures_util::stream::iter(blobs.iter().enumerate())
        .map(|(number, blob)| {
            let (sent, pace) = (progress.of(number), pace.clone());
            let progress = &progress;
            let upload = Upload { registry, store, target, blob, options, progress, sent, pace };
            async move { upload.run().await.map(|arrival| (arrival, blob.size)) }
        })
        .buffer_unordered(options.jobs.max(1))
        .try_collect();
    let arrivals: Vec<(Arrival, u64)> = tokio::select! {
        arrivals = uploads => arrivals?,
        never = progress.tell() => match never {},
    };
    let mut pushed = Pushed::default();
    for (arrival, size) in arrivals {
        match arrival {
            Arrival::Present => pushed.present += 1,
            Arrival::Mounted => pushed.mounted += 1,
            Arrival::Sent => {
                pushed.sent += 1;
                pushed.sent_bytes = pushed.sent_bytes.saturating_add(size);
            }
        }
    }
    for artifact in &plan.artifacts {
        let Some(last) = artifact.manifests.last() else { continue };
        let at = target.at_tag(&artifact.tag);
        let at = at.map_err(|source| RegistryError::Reference { text: artifact.tag.clone(), source })?;
        let kind = if registry.tagged(&at, last).await? == Some(last.descriptor.digest) {
            EventKind::Skipped
        } else {
            for manifest in &artifact.manifests {
                registry.put_manifest(&target.at_digest(manifest.descriptor.digest), manifest).await?;
            }
            registry.put_manifest(&at, last).await?;
            let found = registry.tagged(&at, last).await?;
            if found != Some(last.descriptor.digest) {
                return Err(RegistryError::Mismatch {
                    what: at.to_string(),
                    expected: last.descriptor.digest.to_string(),
                    found: found.map_or_else(|| "nothing".to_owned(), |found| found.to_string()),
                });
            }
            EventKind::Done
        };
        let message = format!("{at} is {}", last.descriptor.digest);
        reporter.report(Event::new(kind, Step::Push, artifact.subject.clone()).message(message));
        pushed.tags.push((artifact.tag.clone(), last.descriptor.digest));
    }
    reporter.report(Event {
        done: Some(total),
        total: Some(total),
        ..Event::new(EventKind::Done, Step::Push, subject)
    });
    Ok(pushed)
}

/// Each blob once, the largest first: so that the last ones are short.
fn blobs(plan: &PushPlan) -> Vec<Blob> {
    let mut found: BTreeMap<Sha256, Blob> = BTreeMap::new();
    for artifact in &plan.artifacts {
        for content in &artifact.contents {
            let Descriptor { digest, size, .. } = content.descriptor;
            found.insert(digest, Blob { digest, size, bytes: Some(content.bytes.clone()) });
        }
        for blob in &artifact.blobs {
            let Descriptor { digest, size, .. } = *blob;
            found.entry(digest).or_insert(Blob { digest, size, bytes: None });
        }
    }
    // The manifests of an image with an index stand among its blobs where they are taken from a list of all.
    let manifests: BTreeSet<Sha256> =
        plan.artifacts.iter().flat_map(|a| &a.manifests).map(|content| content.descriptor.digest).collect();
    let mut blobs: Vec<Blob> = found.into_values().filter(|blob| !manifests.contains(&blob.digest)).collect();
    blobs.sort_by_key(|blob| std::cmp::Reverse(blob.size));
    blobs
}

impl Registry {
    /// Puts a manifest under the reference's tag or digest.
    async fn put_manifest(&self, at: &Reference, content: &Content) -> Result<(), RegistryError> {
        let what = at.to_string();
        let name = at.digest().map_or_else(|| at.tag().unwrap_or_default().to_owned(), ToString::to_string);
        let scope = Scope::push(at.path(), None);
        let stated = self
            .retrying(|| async {
                let url = self.url(at, &format!("manifests/{name}")).await?;
                let make = || {
                    Request::new(Method::PUT, url.clone())
                        .header(header::CONTENT_TYPE, &content.descriptor.media_type)
                        .body(content.bytes.clone())
                };
                let response = self.call(&what, &scope, make).await?;
                Ok(response.header("docker-content-digest").map(ToOwned::to_owned))
            })
            .await?;
        match stated.and_then(|stated| stated.parse::<Sha256>().ok()) {
            Some(found) if found != content.descriptor.digest => Err(RegistryError::Mismatch {
                what,
                expected: content.descriptor.digest.to_string(),
                found: found.to_string(),
            }),
            _ => Ok(()),
        }
    }

    /// What a tag leads to, by the registry's word; nothing when there is no such tag.
    async fn tagged(&self, at: &Reference, content: &Content) -> Result<Option<Sha256>, RegistryError> {
        let what = at.to_string();
        let scope = Scope::push(at.path(), None);
        let accept = &content.descriptor.media_type;
        let tag = at.tag().unwrap_or_default();
        let url = self.url(at, &format!("manifests/{tag}")).await?;
        let head = self.retrying(|| self.head(&what, &scope, &url, accept)).await?;
        let Some(head) = head else { return Ok(None) };
        if let Some(digest) = head.header("docker-content-digest").and_then(|text| text.parse().ok()) {
            return Ok(Some(digest));
        }
        let bytes = self
            .retrying(|| async {
                let make = || Request::get(url.clone()).header(header::ACCEPT, accept);
                let response = self.call(&what, &scope, make).await?;
                let bytes = response.bytes(crate::MANIFEST_LIMIT).await;
                bytes.map_err(|source| RegistryError::http(&what, source))
            })
            .await?;
        Ok(Some(sha256(&bytes)))
    }
}
