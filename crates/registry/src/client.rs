//! One registry: addresses, requests, and what came back.

use crate::RegistryError;
use crate::auth::{Auth, Scope};
use crate::credentials::Credentials;
use crate::document::{ACCEPT, Content, Document, MANIFEST_LIMIT, Manifest, sha256};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use sovai_core::{Reference, ReferenceError, Sha256, is_registry_host};
use sovai_http::{Client, HttpError, Method, Request, Response, Retry, StatusCode, Url, header};
use sovai_store::Descriptor;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::OnceCell;

/// The tag where a reference names neither tag nor digest.
const DEFAULT_TAG: &str = "latest";

/// A registry, by its host; clones share connections and tokens.
#[derive(Clone)]
pub struct Registry(Arc<Inner>);

struct Inner {
    client: Client,
    host: String,
    https: Url,
    /// Where it is reached: https, for a registry on this host also plain http.
    base: OnceCell<Url>,
    auth: Auth,
    retry: Retry,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Registry").field(&self.0.host).finish()
    }
}

/// Bytes of a blob on their way.
pub struct BlobBody {
    /// Where in the blob they begin: 0 when the registry gave no range although one was asked for.
    pub start: u64,
    /// How many will come, as far as the registry says.
    pub length: Option<u64>,
    /// Length of the whole blob, as far as the registry says.
    pub total: Option<u64>,
    /// The bytes in pieces. An error ends them; an end that comes too early is no error here.
    pub stream: Pin<Box<dyn Stream<Item = Result<Bytes, HttpError>> + Send>>,
}

impl fmt::Debug for BlobBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobBody")
            .field("start", &self.start)
            .field("length", &self.length)
            .field("total", &self.total)
            .finish_non_exhaustive()
    }
}

impl Registry {
    /// A registry at `HOST[:PORT]`. Nothing is sent yet.
    ///
    /// It is reached over https. On this host (127.0.0.0/8, `[::1]`, `localhost`) https is tried first and plain http
    /// next: nobody stands between.
    pub fn new(client: Client, host: &str, credentials: Credentials) -> Result<Self, RegistryError> {
        let bad = |source| RegistryError::Reference { text: host.to_owned(), source };
        if !is_registry_host(host) {
            return Err(bad(ReferenceError::Host));
        }
        let https = Url::parse(&format!("https://{host}/v2/")).map_err(|_| bad(ReferenceError::Host))?;
        let auth = Auth::new(host, sovai_http::is_loopback(&https), credentials);
        let retry = Retry::default();
        Ok(Self(Arc::new(Inner { client, host: host.to_owned(), https, base: OnceCell::new(), auth, retry })))
    }

    /// The registry that a reference names.
    pub fn of(
        client: Client,
        reference: &Reference,
        credentials: Credentials,
    ) -> Result<Self, RegistryError> {
        let Some(host) = reference.host() else {
            return Err(RegistryError::NoHost { what: reference.to_string() });
        };
        Self::new(client, host, credentials)
    }

    /// The same with another count of tries.
    #[must_use]
    pub fn with_retry(self, retry: Retry) -> Self {
        let Inner { client, host, https, auth, .. } = match Arc::try_unwrap(self.0) {
            Ok(inner) => inner,
            // Others hold it already: they keep theirs.
            Err(shared) => return Self(shared),
        };
        Self(Arc::new(Inner { client, host, https, base: OnceCell::new(), auth, retry }))
    }

    /// Its host, as `HOST[:PORT]`.
    pub fn host(&self) -> &str {
        &self.0.host
    }

    /// How often something is tried.
    pub(crate) fn retry(&self) -> Retry {
        self.0.retry
    }

    /// The manifest or index that a reference names, by its digest, else by its tag (`latest` if it has none). Its bytes
    /// have the digest that is asked for, or that the registry states.
    pub async fn manifest(&self, reference: &Reference) -> Result<Content, RegistryError> {
        self.document(reference).await.map(|(content, _)| content)
    }

    /// The manifest of an artifact, read. An index is not taken.
    pub async fn artifact(&self, reference: &Reference) -> Result<(Content, Manifest), RegistryError> {
        match self.document(reference).await? {
            (content, Document::Manifest(manifest)) => Ok((content, manifest)),
            (_, Document::Index(_)) => Err(RegistryError::Unsupported {
                what: reference.to_string(),
                reason: "it is an index of several manifests; name the one that is meant by its digest"
                    .to_owned(),
            }),
        }
    }

    pub(crate) async fn document(&self, reference: &Reference) -> Result<(Content, Document), RegistryError> {
        let what = reference.to_string();
        let (content_type, stated, bytes) = self
            .retrying(|| async {
                let name = reference
                    .digest()
                    .map_or_else(|| reference.tag().unwrap_or(DEFAULT_TAG).to_owned(), ToString::to_string);
                let url = self.url(reference, &format!("manifests/{name}")).await?;
                let make = || Request::get(url.clone()).header(header::ACCEPT, ACCEPT);
                let response = self.call(&what, &Scope::pull(reference.path()), make).await?;
                let of = |name: &str| response.header(name).map(ToOwned::to_owned);
                let (content_type, stated) = (of("content-type"), of("docker-content-digest"));
                let bytes = response.bytes(MANIFEST_LIMIT).await;
                let bytes = bytes.map_err(|source| RegistryError::http(&what, source))?;
                Ok((content_type, stated, bytes))
            })
            .await?;
        let found = sha256(&bytes);
        // Another kind of digest cannot be compared, and proves nothing that is not asked for.
        let stated = stated.and_then(|stated| stated.parse::<Sha256>().ok());
        let expected = reference.digest().copied().or(stated).unwrap_or(found);
        if expected != found {
            let (expected, found) = (expected.to_string(), found.to_string());
            return Err(RegistryError::Mismatch { what, expected, found });
        }
        let (media_type, document) = Document::read(&what, content_type.as_deref(), &bytes)?;
        Ok((Content::new(&media_type, bytes), document))
    }

    /// A small blob, for example a config: whole, and with the digest and size of its descriptor.
    pub async fn small_blob(
        &self,
        reference: &Reference,
        descriptor: &Descriptor,
    ) -> Result<Content, RegistryError> {
        let what = format!("{} of {reference}", descriptor.digest);
        if descriptor.size > MANIFEST_LIMIT as u64 {
            let reason = format!("it has {} bytes, more than {MANIFEST_LIMIT}", descriptor.size);
            return Err(RegistryError::Malformed { what, reason });
        }
        let bytes = self
            .retrying(|| async {
                let body = self.open_blob(reference, &descriptor.digest, None).await?;
                let mut stream = body.stream;
                let mut bytes = Vec::new();
                while let Some(piece) = stream.next().await {
                    let piece = piece.map_err(|source| RegistryError::http(&what, source))?;
                    if bytes.len() + piece.len() > MANIFEST_LIMIT {
                        let reason = format!("more than {MANIFEST_LIMIT} bytes came");
                        return Err(RegistryError::Malformed { what: what.clone(), reason });
                    }
                    bytes.extend_from_slice(&piece);
                }
                Ok(bytes)
            })
            .await?;
        let content = Content::new(&descriptor.media_type, bytes);
        if content.descriptor.digest != descriptor.digest {
            let (expected, found) = (descriptor.digest.to_string(), content.descriptor.digest.to_string());
            return Err(RegistryError::Mismatch { what, expected, found });
        }
        if content.descriptor.size != descriptor.size {
            let (expected, found) = (descriptor.size, content.descriptor.size);
            let (expected, found) = (format!("{expected} bytes"), format!("{found} bytes"));
            return Err(RegistryError::Mismatch { what, expected, found });
        }
        Ok(content)
    }

    /// Opens a blob of the reference's repository, or bytes `start..end` of it. One try; what comes is not checked.
    pub async fn open_blob(
        &self,
        reference: &Reference,
        digest: &Sha256,
        range: Option<(u64, u64)>,
    ) -> Result<BlobBody, RegistryError> {
        let url = self.url(reference, &format!("blobs/{digest}")).await?;
        let make = || {
            let request = Request::get(url.clone()).header(header::ACCEPT_ENCODING, "identity");
            match range {
                Some((start, end)) => request.range(start, end),
                None => request,
            }
        };
        let what = format!("{digest} of {}/{}", self.0.host, reference.path());
        let response = self.call(&what, &Scope::pull(reference.path()), make).await?;
        let length = response.length();
        let (start, total) = match response.content_range() {
            Some((start, _, total)) if response.status() == StatusCode::PARTIAL_CONTENT => (start, total),
            _ if response.status() == StatusCode::PARTIAL_CONTENT => {
                let reason = "it answered 206 without a range that can be read".to_owned();
                return Err(RegistryError::Malformed { what, reason });
            }
            _ => (0, length),
        };
        Ok(BlobBody { start, length, total, stream: Box::pin(response.into_stream()) })
    }

    /// Where a blob or manifest of a repository is.
    pub(crate) async fn url(&self, reference: &Reference, rest: &str) -> Result<Url, RegistryError> {
        let base = self.base().await?;
        base.join(&format!("{}/{rest}", reference.path())).map_err(|_| RegistryError::Malformed {
            what: reference.to_string(),
            reason: "it makes no address".to_owned(),
        })
    }

    /// Where it is reached, which is found out once.
    pub(crate) async fn base(&self) -> Result<&Url, RegistryError> {
        let Inner { https, client, host, base, .. } = &*self.0;
        base.get_or_try_init(|| async {
            if !sovai_http::is_loopback(https) {
                return Ok(https.clone());
            }
            let Err(error) = client.send_any(Request::get(https.clone())).await else {
                return Ok(https.clone());
            };
            let mut plain = https.clone();
            // Changes between schemes that have hosts cannot fail; if it did, the https address stays.
            if plain.set_scheme("http").is_ok()
                // A TLS server answers 400 to plain text.
                && let Ok(answer) = client.send_any(Request::get(plain.clone())).await
                && answer.status() != StatusCode::BAD_REQUEST
            {
                return Ok(plain);
            }
            Err(RegistryError::http(host, error))
        })
        .await
    }

    /// Sends once, and once more with what the registry asks for. An answer that is no success is an error.
    pub(crate) async fn call(
        &self,
        what: &str,
        scope: &Scope,
        make: impl Fn() -> Request,
    ) -> Result<Response, RegistryError> {
        let Inner { client, auth, .. } = &*self.0;
        let failed = |source| RegistryError::http(what, source);
        let header = auth.header(client, scope).await?;
        let with = |header: Option<&str>| match header {
            Some(header) => make().authorization(header),
            None => make(),
        };
        let response = client.send_any(with(header.as_deref())).await.map_err(failed)?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let error = response.into_error().await;
        if status == StatusCode::UNAUTHORIZED
            && let HttpError::Status(said) = &error
            && let Some(header) = auth.answer(client, scope, &said.challenges, header.as_deref()).await?
        {
            return client.send(with(Some(&header))).await.map_err(failed);
        }
        Err(failed(error))
    }

    /// Tries again what may help.
    pub(crate) async fn retrying<T, F>(&self, run: impl Fn() -> F) -> Result<T, RegistryError>
    where
        F: Future<Output = Result<T, RegistryError>>,
    {
        let mut failures = 0;
        loop {
            let error = match run().await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            failures += 1;
            let asked = match &error {
                RegistryError::Http { source, .. } => source.retry_after(),
                _ => None,
            };
            match self.0.retry.wait(failures, asked) {
                Some(wait) if error.is_transient() => {
                    self.0.client.options().waits.note(&self.0.host, &error, wait);
                    tokio::time::sleep(wait).await;
                }
                _ => return Err(error),
            }
        }
    }

    /// Like [`Registry::call`], to an address that the registry gave: elsewhere without credentials.
    pub(crate) async fn call_at(
        &self,
        what: &str,
        scope: &Scope,
        url: &Url,
        make: impl Fn() -> Request,
    ) -> Result<Response, RegistryError> {
        if self.base().await?.origin() == url.origin() {
            return self.call(what, scope, make).await;
        }
        self.0.client.send(make()).await.map_err(|source| RegistryError::http(what, source))
    }

    /// A HEAD request; nothing where there is nothing.
    pub(crate) async fn head(
        &self,
        what: &str,
        scope: &Scope,
        url: &Url,
        accept: &str,
    ) -> Result<Option<Response>, RegistryError> {
        let make = || Request::new(Method::HEAD, url.clone()).header(header::ACCEPT, accept);
        match self.call(what, scope, make).await {
            Ok(response) => Ok(Some(response)),
            Err(RegistryError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
