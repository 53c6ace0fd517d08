//! One blob on its way into a registry (distribution specification 1.1, "Pushing blobs").

use super::memory::Memory;
use super::progress::{Pace, Progress};
use super::{Arrival, PushOptions};
use crate::auth::Scope;
use crate::document::sha256;
use crate::{Registry, RegistryError};
use bytes::Bytes;
use futures_util::Stream;
use sha2::Digest as _;
use sovai_core::{Reference, Sha256};
use sovai_http::{HttpError, Method, Request, Response, StatusCode, Url, header};
use sovai_store::{Store, StoreError};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Bytes that are read from the file at a time.
const PIECE: u64 = 256 << 10;
/// Longest address of an upload.
const MAX_LOCATION: usize = 8 << 10;
/// Smallest chunk that is tried where a proxy refuses larger ones; nginx takes 1 MiB where nothing is set.
const LEAST_CHUNK: u64 = 512 << 10;
/// Largest chunk that a registry may ask for.
const MOST_CHUNK: u64 = 5 << 30;
/// Repositories that are asked for a mount.
const MOST_MOUNTS: usize = 3;
/// How long the last request may take: some registries read the whole blob again, or copy it to its place.
const FINISH: Duration = Duration::from_mins(5);
/// What such a registry reads in a second.
const FINISH_RATE: u64 = 50 << 20;

/// What is to be sent.
#[derive(Debug, Clone)]
pub(super) struct Blob {
    pub(super) digest: Sha256,
    pub(super) size: u64,
    /// Its bytes, where they are not in the store.
    pub(super) bytes: Option<Vec<u8>>,
}

/// An upload that the registry knows.
#[derive(Debug, Clone)]
struct Session {
    location: Url,
    /// Bytes that are there, as far as it is known.
    offset: u64,
}

/// The bytes.
#[derive(Clone)]
enum Content {
    File(Arc<File>),
    Memory(Bytes),
}

pub(super) struct Upload<'a> {
    pub(super) registry: &'a Registry,
    pub(super) store: &'a Store,
    pub(super) target: &'a Reference,
    pub(super) blob: &'a Blob,
    pub(super) options: &'a PushOptions,
    pub(super) progress: &'a Progress<'a>,
    pub(super) sent: Arc<AtomicU64>,
    pub(super) pace: Option<Arc<Pace>>,
}

impl Upload<'_> {
    /// Sends the blob, unless it is there.
    pub(super) async fn run(&self) -> Result<Arrival, RegistryError> {
        let what = format!("{} in {}/{}", self.blob.digest, self.registry.host(), self.target.path());
        if self.registry.retrying(|| self.exists(&what)).await? {
            self.sent.store(self.blob.size, Ordering::Relaxed);
            return Ok(Arrival::Present);
        }
        let content = self.content()?;
        let repository = format!("{}/{}", self.registry.host(), self.target.path());
        let memory = Memory::open(self.store, repository, self.blob);
        let mut session = match memory.recall() {
            // Whatever goes wrong with an old one, a new one is begun.
            Some(location) => match self.at(&location).await {
                Ok(location) => self.ask(&what, &location).await.ok().flatten(),
                Err(_) => None,
            },
            None => None,
        };
        let mut chunk = self.options.chunk.max(LEAST_CHUNK);
        if session.is_none() {
            memory.forget();
            let Some((begun, least)) = self.registry.retrying(|| self.begin(&what)).await? else {
                self.sent.store(self.blob.size, Ordering::Relaxed);
                return Ok(Arrival::Mounted);
            };
            chunk = chunk.max(least.min(MOST_CHUNK));
            if self.blob.size > chunk {
                memory.keep(begun.location.as_str());
            }
            session = Some(begun);
        }
        self.send(&what, &content, &memory, session, chunk).await?;
        memory.forget();
        self.sent.store(self.blob.size, Ordering::Relaxed);
        Ok(Arrival::Sent)
    }

    fn content(&self) -> Result<Content, RegistryError> {
        if let Some(bytes) = &self.blob.bytes {
            return Ok(Content::Memory(Bytes::copy_from_slice(bytes)));
        }
        let path = self.store.blob(&self.blob.digest);
        let file = match fs_err::File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(
                    StoreError::NoBlob { digest: self.blob.digest, what: "what is to be pushed" }.into()
                );
            }
            Err(error) => return Err(StoreError::io("open", path, error).into()),
        };
        let length = file.metadata().map_err(|error| StoreError::io("look at", &path, error))?.len();
        if length != self.blob.size {
            let reason = format!("it has {length} bytes and not {}", self.blob.size);
            return Err(StoreError::Corrupt { path, reason }.into());
        }
        Ok(Content::File(Arc::new(file.into_parts().0)))
    }

    /// Sends chunk after chunk, and begins again where the registry lost the upload.
    async fn send(
        &self,
        what: &str,
        content: &Content,
        memory: &Memory,
        mut session: Option<Session>,
        mut chunk: u64,
    ) -> Result<(), RegistryError> {
        let retry = self.registry.retry();
        // Failures in a row in which nothing arrived; uploads that were lost, which bytes do not make up for.
        let (mut failures, mut lost) = (0, 0);
        loop {
            let result = match &session {
                Some(session) => {
                    self.sent.store(session.offset, Ordering::Relaxed);
                    self.step(what, content, session, chunk).await
                }
                None => self.begin(what).await.map(|begun| begun.map(|(session, _)| session)),
            };
            let error = match result {
                Ok(None) => return Ok(()),
                Ok(Some(next)) => {
                    let stuck = session.as_ref().is_some_and(|session| next.offset <= session.offset);
                    memory.keep(next.location.as_str());
                    session = Some(next);
                    if !stuck {
                        failures = 0;
                        continue;
                    }
                    let reason = "the registry takes no byte of a chunk".to_owned();
                    RegistryError::Malformed { what: what.to_owned(), reason }
                }
                Err(error) => error,
            };
            if error.status() == Some(StatusCode::PAYLOAD_TOO_LARGE) && chunk > LEAST_CHUNK {
                chunk = (chunk / 4).max(LEAST_CHUNK);
                continue;
            }
            self.blame(content, &error).await?;
            if !may_help(&error) {
                return Err(error);
            }
            failures += 1;
            let asked = match &error {
                RegistryError::Http { source, .. } => source.retry_after(),
                _ => None,
            };
            let Some(wait) = retry.wait(failures, asked) else { return Err(error) };
            self.progress.note(format!("{error}; again in {:.1} s", wait.as_secs_f64()));
            tokio::time::sleep(wait).await;
            let Some(known) = &session else { continue };
            let refused = error.status() == Some(StatusCode::RANGE_NOT_SATISFIABLE);
            match self.ask(what, &known.location).await {
                // What it says of the upload and what it takes differ: `0-0` is no byte, or one.
                Ok(Some(next)) if !(refused && next.offset == known.offset) => {
                    if next.offset > known.offset {
                        failures = 0;
                    }
                    memory.keep(next.location.as_str());
                    session = Some(next);
                }
                // The answer to the last request may be all that was lost.
                Ok(None) if self.exists(what).await.unwrap_or(false) => return Ok(()),
                Ok(_) => {
                    memory.forget();
                    session = None;
                    lost += 1;
                    if lost >= retry.tries {
                        return Err(error);
                    }
                }
                // Asked again after the next failure.
                Err(error) if may_help(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether the blob is in the repository, with its length.
    async fn exists(&self, what: &str) -> Result<bool, RegistryError> {
        let url = self.registry.url(self.target, &format!("blobs/{}", self.blob.digest)).await?;
        let scope = Scope::push(self.target.path(), None);
        let Some(answer) = self.registry.head(what, &scope, &url, "*/*").await? else { return Ok(false) };
        let length = answer.header("content-length").and_then(|length| length.parse::<u64>().ok());
        Ok(length.is_none_or(|length| length == self.blob.size))
    }

    /// Asks for a mount, or begins an upload: nothing where the registry had the blob. With the upload comes the least size
    /// of its chunks.
    async fn begin(&self, what: &str) -> Result<Option<(Session, u64)>, RegistryError> {
        let others = self.options.mount_from.iter().filter(|from| from.as_str() != self.target.path());
        let candidates: Vec<&String> = others.take(MOST_MOUNTS).collect();
        for (number, from) in candidates.iter().enumerate() {
            let mut url = self.uploads().await?;
            url.query_pairs_mut()
                .append_pair("mount", &self.blob.digest.to_string())
                .append_pair("from", from);
            let scope = Scope::push(self.target.path(), Some(from));
            let make = || Request::new(Method::POST, url.clone());
            let answer = match self.registry.call(what, &scope, make).await {
                Ok(answer) => answer,
                // No such repository, or none that we may read: it has no say.
                Err(error) if error.is_transient() => return Err(error),
                Err(_) => continue,
            };
            if answer.status() == StatusCode::CREATED {
                return Ok(None);
            }
            let begun = self.begun(what, &answer).await?;
            if number + 1 == candidates.len() {
                return Ok(Some(begun));
            }
            // One that is not used is left to the registry to clean up, should this fail.
            drop(self.request(what, Method::DELETE, &begun.0.location, |request| request).await);
        }
        let url = self.uploads().await?;
        let answer = self.request(what, Method::POST, &url, |request| request).await?;
        self.begun(what, &answer).await.map(Some)
    }

    async fn uploads(&self) -> Result<Url, RegistryError> {
        self.registry.url(self.target, "blobs/uploads/").await
    }

    async fn begun(&self, what: &str, answer: &Response) -> Result<(Session, u64), RegistryError> {
        let location = self.location(what, answer).await?;
        let least = answer.header("oci-chunk-min-length").and_then(|text| text.trim().parse().ok());
        Ok((Session { location, offset: 0 }, least.unwrap_or(0)))
    }

    /// Sends the next chunk, or all of a small blob, or says that it is whole: then nothing is left to do.
    async fn step(
        &self,
        what: &str,
        content: &Content,
        session: &Session,
        chunk: u64,
    ) -> Result<Option<Session>, RegistryError> {
        let Session { location, offset } = session;
        let rest = self.blob.size.saturating_sub(*offset);
        let at_once = *offset == 0 && rest <= chunk;
        if at_once || rest == 0 {
            let mut url = location.clone();
            url.query_pairs_mut().append_pair("digest", &self.blob.digest.to_string());
            let patience = FINISH + Duration::from_secs(self.blob.size / FINISH_RATE);
            let answer = self
                .request(what, Method::PUT, &url, |request| {
                    let request = request.patience(patience);
                    if rest == 0 {
                        return request;
                    }
                    request
                        .header(header::CONTENT_TYPE, "application/octet-stream")
                        .stream(rest, self.pieces(content, *offset, rest))
                })
                .await?;
            return self.finished(what, &answer).map(|()| None);
        }
        let length = rest.min(chunk);
        let range = format!("{offset}-{}", offset + length - 1);
        let answer = self
            .request(what, Method::PATCH, location, |request| {
                request
                    .header(header::CONTENT_TYPE, "application/octet-stream")
                    .header(header::CONTENT_RANGE, &range)
                    .stream(length, self.pieces(content, *offset, length))
            })
            .await?;
        let next = self.location(what, &answer).await?;
        // Some take less than they were given; none can have more.
        let offset = match reach(&answer) {
            Some(reached) if reached <= offset + length => reached,
            _ => offset + length,
        };
        Ok(Some(Session { location: next, offset }))
    }

    fn finished(&self, what: &str, answer: &Response) -> Result<(), RegistryError> {
        match answer.header("docker-content-digest").and_then(|text| text.parse::<Sha256>().ok()) {
            Some(found) if found != self.blob.digest => Err(RegistryError::Mismatch {
                what: what.to_owned(),
                expected: self.blob.digest.to_string(),
                found: found.to_string(),
            }),
            _ => Ok(()),
        }
    }

    /// How far an upload is; nothing where the registry does not know it.
    async fn ask(&self, what: &str, location: &Url) -> Result<Option<Session>, RegistryError> {
        let answer = match self.request(what, Method::GET, location, |request| request).await {
            Ok(answer) => answer,
            Err(RegistryError::NotFound { .. }) => return Ok(None),
            Err(error) => {
                let gone = error.status().is_some_and(|status| status.is_client_error());
                return if gone && !error.is_transient() { Ok(None) } else { Err(error) };
            }
        };
        let location = match answer.header("location") {
            Some(_) => self.location(what, &answer).await?,
            None => location.clone(),
        };
        let offset = reach(&answer).unwrap_or(0);
        Ok((offset <= self.blob.size).then_some(Session { location, offset }))
    }

    /// With credentials on the registry itself, without them anywhere else.
    async fn request(
        &self,
        what: &str,
        method: Method,
        url: &Url,
        fill: impl Fn(Request) -> Request,
    ) -> Result<Response, RegistryError> {
        let make = || fill(Request::new(method.clone(), url.clone()));
        let scope = Scope::push(self.target.path(), None);
        self.registry.call_at(what, &scope, url, make).await
    }

    async fn location(&self, what: &str, answer: &Response) -> Result<Url, RegistryError> {
        let malformed =
            |reason: &str| RegistryError::Malformed { what: what.to_owned(), reason: reason.to_owned() };
        let text =
            answer.header("location").ok_or_else(|| malformed("the registry gave the upload no address"))?;
        // Relative to the address that answered.
        let url = answer.url().join(text).map_err(|_| malformed("the address of the upload is malformed"))?;
        self.at(url.as_str()).await.map_err(malformed)
    }

    /// The address of an upload, which may lie elsewhere, over https; on this host only for a registry on this host.
    async fn at(&self, text: &str) -> Result<Url, &'static str> {
        if text.len() > MAX_LOCATION {
            return Err("the address of the upload is too long");
        }
        let url = Url::parse(text).map_err(|_| "the address of the upload is malformed")?;
        let base = self.registry.base().await.map_err(|_| "the registry cannot be reached")?;
        own_location(base, url)
    }

    /// Pieces of the blob, as they are taken.
    fn pieces(
        &self,
        content: &Content,
        start: u64,
        length: u64,
    ) -> impl Stream<Item = Result<Bytes, io::Error>> + Send + 'static {
        let (content, sent, pace) = (content.clone(), Arc::clone(&self.sent), self.pace.clone());
        futures_util::stream::try_unfold(start, move |at| {
            let (content, sent, pace) = (content.clone(), Arc::clone(&sent), pace.clone());
            async move {
                let count = (start + length).saturating_sub(at).min(PIECE);
                if count == 0 {
                    return Ok(None);
                }
                if let Some(pace) = pace {
                    pace.take(count).await;
                }
                let piece = content.read(at, count).await?;
                sent.store(at + count, Ordering::Relaxed);
                Ok(Some((piece, at + count)))
            }
        })
    }

    /// After a registry found other bytes than the digest says: whether they are so in the store already.
    async fn blame(&self, content: &Content, error: &RegistryError) -> Result<(), RegistryError> {
        if !is_wrong_digest(error) {
            return Ok(());
        }
        let size = self.blob.size;
        let content = content.clone();
        let hashed = tokio::task::spawn_blocking(move || content.hash(size)).await;
        let path = self.store.blob(&self.blob.digest);
        let found = match hashed {
            Ok(found) => found.map_err(|error| StoreError::io("read", &path, error))?,
            Err(error) => return Err(StoreError::io("read", &path, io::Error::other(error)).into()),
        };
        if found == self.blob.digest {
            return Ok(());
        }
        Err(StoreError::Corrupt { path, reason: format!("its bytes hash to {found}") }.into())
    }
}

impl Content {
    async fn read(&self, at: u64, count: u64) -> io::Result<Bytes> {
        let cut = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let count = usize::try_from(count).map_err(|_| cut())?;
        match self {
            Self::Memory(bytes) => {
                let at = usize::try_from(at).map_err(|_| cut())?;
                let end = at.checked_add(count).filter(|end| *end <= bytes.len()).ok_or_else(cut)?;
                Ok(bytes.slice(at..end))
            }
            Self::File(file) => {
                let file = Arc::clone(file);
                let read = move || {
                    let mut bytes = vec![0; count];
                    file.read_exact_at(&mut bytes, at).map(|()| Bytes::from(bytes))
                };
                tokio::task::spawn_blocking(read).await.map_err(io::Error::other)?
            }
        }
    }

    fn hash(&self, size: u64) -> io::Result<Sha256> {
        let file = match self {
            Self::Memory(bytes) => return Ok(sha256(bytes)),
            Self::File(file) => file,
        };
        let mut hasher = sha2::Sha256::new();
        let mut buffer = vec![0; 1 << 20];
        let mut at = 0;
        while at < size {
            let read = file.read_at(&mut buffer, at)?;
            if read == 0 {
                break;
            }
            hasher.update(&buffer[..read]);
            at += read as u64;
        }
        Ok(Sha256::from_bytes(hasher.finalize().into()))
    }
}

fn is_wrong_digest(error: &RegistryError) -> bool {
    match error {
        RegistryError::Http { source: HttpError::Status(said), .. } => {
            said.status == StatusCode::BAD_REQUEST
                && said.message.as_ref().is_some_and(|message| message.contains("DIGEST_INVALID"))
        }
        _ => false,
    }
}

/// What is worth a look at how far the upload is, and another try.
fn may_help(error: &RegistryError) -> bool {
    let again = [
        StatusCode::BAD_REQUEST,
        StatusCode::NOT_FOUND,
        StatusCode::CONFLICT,
        StatusCode::GONE,
        StatusCode::RANGE_NOT_SATISFIABLE,
    ];
    error.is_transient()
        || matches!(error, RegistryError::NotFound { .. } | RegistryError::Malformed { .. })
        || error.status().is_some_and(|status| again.contains(&status))
}

/// How many bytes there are, by `Range: 0-LAST`. Registries say `0-0` of an upload without a byte.
fn reach(answer: &Response) -> Option<u64> {
    reached(answer.header("range")?)
}

fn reached(range: &str) -> Option<u64> {
    let range = range.trim();
    let (first, last) = range.strip_prefix("bytes=").unwrap_or(range).split_once('-')?;
    match (first.trim().parse::<u64>().ok()?, last.trim().parse::<u64>().ok()?) {
        (0, 0) => Some(0),
        (0, last) => last.checked_add(1),
        _ => None,
    }
}

/// The address of an upload, if `base` may name it.
fn own_location(base: &Url, mut url: Url) -> Result<Url, &'static str> {
    // A registry behind a proxy that ends TLS may not know that it is reached by https.
    if base.scheme() == "https" && url.scheme() == "http" && url.host() == base.host() {
        let port = url.port().filter(|port| Some(*port) != base.port());
        if port.is_none() && (url.set_scheme("https").is_err() || url.set_port(base.port()).is_err()) {
            return Err("the address of the upload is malformed");
        }
    }
    let here = sovai_http::is_loopback(&url);
    if here && !sovai_http::is_loopback(base) {
        return Err("the address of the upload is on this host");
    }
    if url.scheme() != "https" && !here {
        return Err("the address of the upload is not https");
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_read_from_the_range() {
        let cases = [
            ("0-0", Some(0)),
            ("0-1023", Some(1024)),
            ("bytes=0-9", Some(10)),
            ("5-9", None),
            ("0-", None),
            ("0-18446744073709551615", None),
            ("x", None),
        ];
        for (text, there) in cases {
            assert_eq!(reached(text), there, "{text}");
        }
    }

    #[test]
    fn an_upload_goes_nowhere_in_plain_text_and_never_to_this_host_for_a_registry_elsewhere() {
        let of = |base: &str, url: &str| {
            own_location(&Url::parse(base).unwrap(), Url::parse(url).unwrap()).map(String::from)
        };
        let base = "https://registry.example:5000/v2/";
        assert_eq!(of(base, "https://files.example/u").unwrap(), "https://files.example/u");
        assert_eq!(of(base, "http://registry.example:5000/u").unwrap(), "https://registry.example:5000/u");
        assert_eq!(of("https://r.example/v2/", "http://r.example/u").unwrap(), "https://r.example/u");
        for bad in
            ["http://files.example/u", "http://127.0.0.1/u", "https://localhost/u", "ftp://x.example/u"]
        {
            of(base, bad).unwrap_err();
        }
        assert!(of("http://127.0.0.1:5000/v2/", "http://127.0.0.1:5000/u").is_ok());
        assert!(of("http://127.0.0.1:5000/v2/", "http://files.example/u").is_err());
    }
}
