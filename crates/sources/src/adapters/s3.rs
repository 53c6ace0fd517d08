//! `s3://BUCKET/PREFIX`: a bucket of Amazon S3, or of a store that speaks its interface.
//!
//! The crate `object_store` lists and signs; requests go through our client, so that certificates, proxies and bounds are the
//! same everywhere. Bytes come from presigned addresses, whose query no error shows. A `SHA256SUMS` below the prefix is
//! used where there is one.

mod wire;

use super::{Surroundings, Token};
use crate::SourceError;
use crate::remote::{BOUNDS, MAX_FILES, Remote, below, boxed, endpoint};
use crate::source::{Body, BoxFuture, ByteRange, ListedFile, Listing, Source, Wanted};
use futures_util::StreamExt as _;
use object_store::ObjectStore as _;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::signer::Signer as _;
use object_store::{ClientOptions, RetryConfig};
use sovai_core::{RelPath, Sha256, is_model_file};
use sovai_http::{Env, HttpError, Method, Request, StatusCode, Url};
use sovai_listing::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use wire::Wire;

/// The region of buckets that name none, as in Amazon's own tools.
const DEFAULT_REGION: &str = "us-east-1";
/// How long a presigned address may be used: to begin a request, not to end it.
const SIGNED_FOR: Duration = Duration::from_hours(1);
/// The list of a prefix's digests.
const SUMS: &str = "SHA256SUMS";

#[derive(Debug)]
struct Bucket {
    remote: Remote,
    /// The bucket's own address: its name is in the host or in the path.
    address: Url,
    name: String,
    region: String,
    keys: Option<Keys>,
    prefix: RelPath,
    /// Whether the prefix is one object, which its name says.
    is_file: bool,
}

#[derive(Debug)]
struct Keys {
    id: String,
    secret: Token,
    session: Option<Token>,
}

/// Makes a source of `//BUCKET/PREFIX`.
pub(super) fn open(
    origin: &str,
    rest: &str,
    surroundings: &Surroundings,
) -> Result<Arc<dyn Source>, SourceError> {
    let invalid = |reason: String| SourceError::Invalid { origin: origin.to_owned(), reason };
    let parts = rest.strip_prefix("//").and_then(|rest| rest.split_once('/'));
    let (name, prefix) = parts.ok_or_else(|| invalid("expected s3://BUCKET/PREFIX".to_owned()))?;
    let is_named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if name.is_empty() || name.starts_with('.') || !name.chars().all(is_named) {
        return Err(invalid("expected a bucket's name: letters, digits, `.`, `-` and `_`".to_owned()));
    }
    let prefix = RelPath::new(prefix.strip_suffix('/').unwrap_or(prefix))
        .map_err(|error| invalid(format!("its prefix: {error}")))?;
    let env = &surroundings.env;
    let region = env.get("AWS_REGION").or_else(|| env.get("AWS_DEFAULT_REGION"));
    let region = region.unwrap_or_else(|| DEFAULT_REGION.to_owned());
    Ok(Arc::new(Bucket {
        remote: Remote::new(origin, surroundings),
        address: address(origin, env, name, &region)?,
        name: name.to_owned(),
        region,
        keys: keys(env).map_err(invalid)?,
        is_file: is_model_file(prefix.file_name()),
        prefix,
    }))
}

/// The bucket's address. Without an endpoint it is Amazon's (<https://docs.aws.amazon.com/general/latest/gr/s3.html>).
fn address(origin: &str, env: &Env, bucket: &str, region: &str) -> Result<Url, SourceError> {
    let invalid = |reason: &str| SourceError::Invalid { origin: origin.to_owned(), reason: reason.to_owned() };
    let variables = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"];
    let named = variables.into_iter().find_map(|name| Some((name, env.get(name)?)));
    let is_custom = named.is_some();
    let (name, text) = named.unwrap_or_else(|| {
        let top = if region.starts_with("cn-") { "com.cn" } else { "com" };
        ("AWS_REGION", format!("https://s3.{region}.amazonaws.{top}"))
    });
    let base = endpoint(origin, name, &text)?;
    let in_path = match env.get("SOVAI_S3_PATH_STYLE").as_deref() {
        Some("true" | "1") => true,
        Some("false" | "0") => false,
        Some(_) => return Err(invalid("SOVAI_S3_PATH_STYLE: expected `true` or `false`")),
        // Of others' servers most know no host of each bucket; of Amazon's every bucket has one, but with a dot in its
        // name no certificate for it.
        None => is_custom || bucket.contains('.'),
    };
    if in_path {
        return Ok(below(&base, [bucket]));
    }
    let mut url = base;
    let host = url.domain().map(|host| format!("{bucket}.{host}"));
    if host.is_none_or(|host| url.set_host(Some(&host)).is_err()) {
        return Err(invalid("a bucket's name in the host needs an endpoint with a name: set SOVAI_S3_PATH_STYLE to true"));
    }
    Ok(url)
}

/// The keys of the environment; without any, requests are not signed.
fn keys(env: &Env) -> Result<Option<Keys>, String> {
    match (env.get("AWS_ACCESS_KEY_ID"), env.get("AWS_SECRET_ACCESS_KEY").and_then(|text| Token::new(&text))) {
        (Some(id), Some(secret)) => {
            let session = env.get("AWS_SESSION_TOKEN").and_then(|text| Token::new(&text));
            Ok(Some(Keys { id: id.trim().to_owned(), secret, session }))
        }
        (None, None) => Ok(None),
        (Some(_), None) => Err("AWS_ACCESS_KEY_ID is set, and AWS_SECRET_ACCESS_KEY is not".to_owned()),
        (None, Some(_)) => Err("AWS_SECRET_ACCESS_KEY is set, and AWS_ACCESS_KEY_ID is not".to_owned()),
    }
}

impl Bucket {
    fn store(&self, wire: Wire) -> Result<AmazonS3, SourceError> {
        let address = self.address.as_str().trim_end_matches('/');
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&self.name)
            .with_region(&self.region)
            // "Virtual hosted" makes it take the address as it is.
            .with_endpoint(address)
            .with_virtual_hosted_style_request(true)
            .with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() })
            .with_client_options(ClientOptions::new())
            .with_http_connector(wire);
        builder = match &self.keys {
            None => builder.with_skip_signature(true),
            Some(keys) => {
                builder = builder
                    .with_access_key_id(&keys.id)
                    .with_secret_access_key(keys.secret.secret());
                match &keys.session {
                    Some(session) => builder.with_token(session.secret()),
                    None => builder,
                }
            }
        };
        builder.build().map_err(|error| SourceError::Invalid {
            origin: self.remote.origin.clone(),
            reason: error.to_string(),
        })
    }

    /// The address of an object, signed where there are keys.
    async fn object(&self, method: Method, key: &RelPath) -> Result<Url, SourceError> {
        if self.keys.is_none() {
            return Ok(below(&self.address, key.parts()));
        }
        let store = self.store(Wire::new(self.remote.client()))?;
        let path = Path::parse(key.as_str()).map_err(|error| self.remote.malformed(error.to_string()))?;
        store
            .signed_url(method, &path, SIGNED_FOR)
            .await
            .map_err(|error| self.remote.malformed(error.to_string()))
    }

    /// The key of a file of the model.
    fn key(&self, path: &RelPath) -> Result<RelPath, SourceError> {
        if !self.is_file {
            return RelPath::new(&format!("{}/{path}", self.prefix))
                .map_err(|error| self.remote.malformed(format!("`{path}`: {error}")));
        }
        if path.file_name() == self.prefix.file_name() {
            return Ok(self.prefix.clone());
        }
        Err(self.remote.refused(
            format!("it is the one object `{}`, and `{path}` is another", self.prefix.file_name()),
            "name the prefix that has all files of the model",
        ))
    }

    async fn list_now(&self) -> Result<Listing, SourceError> {
        let files = if self.is_file { vec![self.one().await?] } else { self.all().await? };
        Ok(Listing { revision: None, license: None, files })
    }

    async fn one(&self) -> Result<ListedFile, SourceError> {
        let name = RelPath::new(self.prefix.file_name())
            .map_err(|error| self.remote.malformed(error.to_string()))?;
        let explain = |error: &HttpError| self.explain(error, name.as_str(), true);
        let head = Request::new(Method::HEAD, self.object(Method::HEAD, &self.prefix).await?);
        let mut size = self.remote.length(head).await?;
        if size.is_none() {
            let get = Request::get(self.object(Method::GET, &self.prefix).await?);
            size = self.remote.length_by_range(get, &explain).await?;
        }
        Ok(ListedFile { path: name, size, sha256: None, git_blob: None })
    }

    async fn all(&self) -> Result<Vec<ListedFile>, SourceError> {
        let mut failures = 0;
        let mut sizes = loop {
            let error = match self.objects().await {
                Ok(sizes) => break sizes,
                Err(error) => error,
            };
            failures += 1;
            let Some(wait) = self.remote.wait(failures, &error) else { return Err(error) };
            self.remote.pause(&error, wait).await;
        };
        if sizes.is_empty() {
            return Err(self.remote.refused(
                format!("bucket `{}` has nothing below `{}/`", self.name, self.prefix),
                "check the name; AWS_ENDPOINT_URL and AWS_REGION say which store is asked",
            ));
        }
        let sums = RelPath::new(SUMS).ok().filter(|path| sizes.remove(path).is_some());
        let mut digests = match &sums {
            Some(path) => self.sums(path).await?,
            None => BTreeMap::new(),
        };
        let entries = sizes.into_iter().map(|(path, size)| {
            let sha256 = digests.remove(&path);
            Entry { path, size: Some(size), sha256, git_blob: None }
        });
        let entries = entries.collect();
        if let Some(path) = digests.into_keys().next() {
            return Err(self.remote.malformed(format!("its {SUMS} names `{path}`, which is not there")));
        }
        self.remote.files(entries)
    }

    async fn sums(&self, path: &RelPath) -> Result<BTreeMap<RelPath, Sha256>, SourceError> {
        let explain = |error: &HttpError| self.explain(error, SUMS, true);
        let request = Request::get(self.object(Method::GET, &self.key(path)?).await?);
        let answer = self.remote.ask(request, BOUNDS.bytes, &explain).await?;
        let entries =
            sovai_listing::sums(&answer.bytes, BOUNDS).map_err(|error| self.remote.bad_list(&error))?;
        let files = self.remote.files(entries)?;
        Ok(files.into_iter().filter_map(|file| Some((file.path, file.sha256?))).collect())
    }

    /// Every object below the prefix with its size, by its path in the model.
    async fn objects(&self) -> Result<BTreeMap<RelPath, u64>, SourceError> {
        let wire = Wire::new(self.remote.client());
        let store = self.store(wire.clone())?;
        let prefix = Path::parse(self.prefix.as_str()).map_err(|error| self.remote.malformed(error.to_string()))?;
        let explain = |error: &HttpError| self.explain(error, self.prefix.as_str(), true);
        let mut list = store.list(Some(&prefix));
        let mut found: BTreeMap<RelPath, u64> = BTreeMap::new();
        while let Some(next) = list.next().await {
            let object = next.map_err(|error| match wire.failure() {
                Some(wire::Failure::Http(error)) => self.remote.failed(error, &explain),
                Some(wire::Failure::Bound(reason)) => self.remote.malformed(reason),
                None => self.remote.malformed(format!("its list cannot be read: {error}")),
            })?;
            let key = object.location.as_ref();
            if key == self.prefix.as_str() {
                // The object that some tools make for a folder.
                continue;
            }
            let path = key.strip_prefix(self.prefix.as_str()).and_then(|rest| rest.strip_prefix('/'));
            let Some(path) = path else {
                return Err(self.remote.malformed("its list has an object that is not below the prefix"));
            };
            let path = RelPath::new(path).map_err(|error| {
                self.remote.malformed(format!("`{}` cannot be a file of a model: {error}", path.escape_debug()))
            })?;
            if i64::try_from(object.size).is_err() || found.insert(path.clone(), object.size).is_some() {
                return Err(self.remote.malformed(format!("its list has `{path}` twice, or with an impossible size")));
            }
            if found.len() > MAX_FILES {
                return Err(self.remote.malformed(format!("a model has at most {MAX_FILES} files")));
            }
        }
        let folders: BTreeSet<String> = found
            .keys()
            .flat_map(|path| path.as_str().match_indices('/').map(|(at, _)| path.as_str()[..at].to_owned()))
            .collect();
        found.retain(|path, size| *size > 0 || !folders.contains(path.as_str()));
        Ok(found)
    }

    fn explain(&self, error: &HttpError, what: &str, whole: bool) -> Option<SourceError> {
        let HttpError::Status(status) = error else { return None };
        let code = status.code.as_deref().unwrap_or_default();
        let said = format!("{}{}{code}", status.status.as_u16(), if code.is_empty() { "" } else { " " });
        let refused = |reason: String, hint: &str| Some(self.remote.refused(format!("{reason} ({said})"), hint));
        match (status.status, code) {
            (_, "NoSuchBucket") => refused(
                format!("there is no bucket `{}`", self.name),
                "check the name; AWS_ENDPOINT_URL and AWS_REGION say which store is asked",
            ),
            (_, "AuthorizationHeaderMalformed" | "PermanentRedirect")
            | (StatusCode::MOVED_PERMANENTLY | StatusCode::TEMPORARY_REDIRECT, _) => refused(
                format!("bucket `{}` is not in region `{}`", self.name, self.region),
                "set AWS_REGION to the bucket's region, or AWS_ENDPOINT_URL to its store",
            ),
            (_, "SignatureDoesNotMatch" | "InvalidAccessKeyId" | "ExpiredToken" | "InvalidToken" | "RequestTimeTooSkewed") => {
                refused(
                    "the store does not accept the keys".to_owned(),
                    "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, and this host's clock",
                )
            }
            (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) => refused(
                format!("the store does not give out `{what}`"),
                if self.keys.is_some() {
                    "the keys in AWS_ACCESS_KEY_ID need the rights to list the bucket and to read objects"
                } else {
                    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; without them requests are not signed"
                },
            ),
            (StatusCode::NOT_FOUND, _) => refused(
                format!("`{what}` is not in bucket `{}`", self.name),
                "check the name; AWS_ENDPOINT_URL and AWS_REGION say which store is asked",
            ),
            (StatusCode::TOO_MANY_REQUESTS, _) if whole => refused(
                "the store asks to slow down".to_owned(),
                "wait some minutes, then run the same command again",
            ),
            _ => None,
        }
    }
}

impl Source for Bucket {
    fn origin(&self) -> &str {
        &self.remote.origin
    }

    fn list<'a>(&'a self, _revision: Option<&'a str>) -> BoxFuture<'a, Listing> {
        boxed(self.list_now())
    }

    fn open<'a>(&'a self, file: &'a Wanted, range: Option<ByteRange>) -> BoxFuture<'a, Body> {
        boxed(async move {
            let key = self.key(&file.path)?;
            let request = Request::get(self.object(Method::GET, &key).await?);
            let explain = |error: &HttpError| self.explain(error, file.path.as_str(), false);
            self.remote.open(request, range, &explain).await
        })
    }
}
