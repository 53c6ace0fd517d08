//! `https://HOST/FILE` and `https://HOST/FOLDER/`: one file, or the files of a folder.
//!
//! Servers list folders in ways of their own, so a folder is listed by its `SHA256SUMS`; without one, the manifest pins the
//! files, and then no list is needed. Sizes come from HEAD, or from the answer to one byte where that is refused.

use super::Surroundings;
use crate::SourceError;
use crate::remote::{BOUNDS, Remote, below, boxed};
use crate::source::{Body, BoxFuture, ByteRange, ListedFile, Listing, Source, Wanted};
use futures_util::{StreamExt as _, TryStreamExt as _};
use percent_encoding::percent_decode_str;
use sovai_core::RelPath;
use sovai_http::{HttpError, Method, Request, StatusCode, Url};
use std::sync::Arc;

/// The list of a folder's digests.
const SUMS: &str = "SHA256SUMS";
/// Files whose size is asked for at once.
const AT_ONCE: usize = 8;

#[derive(Debug)]
struct Server {
    remote: Remote,
    url: Url,
    /// Of a single file: its name.
    file: Option<RelPath>,
}

/// Makes a source of what follows `https:`.
pub(super) fn open(
    origin: &str,
    rest: &str,
    surroundings: &Surroundings,
) -> Result<Arc<dyn Source>, SourceError> {
    Ok(Arc::new(Server::new(origin, &format!("https:{rest}"), surroundings)?))
}

impl Server {
    fn new(origin: &str, address: &str, surroundings: &Surroundings) -> Result<Self, SourceError> {
        let invalid = |reason: String| SourceError::Invalid { origin: origin.to_owned(), reason };
        let url = Url::parse(address).map_err(|error| invalid(error.to_string()))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid("it has credentials in it".to_owned()));
        }
        let last = url.path_segments().and_then(|mut segments| segments.next_back()).unwrap_or_default();
        let file = if last.is_empty() {
            None
        } else {
            let name = percent_decode_str(last).decode_utf8().map_err(|_| invalid("its name is not UTF-8".to_owned()))?;
            let name = RelPath::new(&name).map_err(|error| invalid(error.to_string()))?;
            // A name that hides a slash would be a path.
            if name.parts().count() != 1 {
                return Err(invalid("a name cannot have a slash in it".to_owned()));
            }
            Some(name)
        };
        Ok(Self { remote: Remote::new(origin, surroundings), url, file })
    }

    fn at(&self, path: &RelPath) -> Result<Url, SourceError> {
        match &self.file {
            None => Ok(below(&self.url, path.parts())),
            Some(name) if path.file_name() == name.as_str() => Ok(self.url.clone()),
            Some(name) => Err(self.remote.refused(
                format!("it is the one file `{name}`, and `{path}` is another"),
                "write a folder with a `/` at its end",
            )),
        }
    }

    async fn list_now(&self) -> Result<Listing, SourceError> {
        let files = match &self.file {
            Some(name) => {
                let size = self.size(name).await?;
                vec![ListedFile { path: name.clone(), size, sha256: None, git_blob: None }]
            }
            None => self.sums().await?,
        };
        Ok(Listing { revision: None, license: None, files })
    }

    async fn sums(&self) -> Result<Vec<ListedFile>, SourceError> {
        let explain = |error: &HttpError| match error.status() {
            Some(StatusCode::NOT_FOUND | StatusCode::FORBIDDEN) => Some(self.remote.refused(
                format!("the folder has no `{SUMS}` that can be read"),
                format!("pin the model's `files` in the manifest, or put a `{SUMS}` in the folder: `sha256sum * > {SUMS}`"),
            )),
            _ => self.explain(error, SUMS),
        };
        let answer = self.remote.ask(Request::get(below(&self.url, [SUMS])), BOUNDS.bytes, &explain).await?;
        let entries =
            sovai_listing::sums(&answer.bytes, BOUNDS).map_err(|error| self.remote.bad_list(&error))?;
        let files = self.remote.files(entries)?;
        futures_util::stream::iter(files)
            .map(|file| async move {
                let size = self.size(&file.path).await?;
                Ok::<_, SourceError>(ListedFile { size, ..file })
            })
            .buffered(AT_ONCE)
            .try_collect()
            .await
    }

    /// The length of a file, where the server says it.
    async fn size(&self, path: &RelPath) -> Result<Option<u64>, SourceError> {
        let url = self.at(path)?;
        // Any refusal: the same file may still be given to a GET.
        if let Some(size) = self.remote.length(Request::new(Method::HEAD, url.clone())).await? {
            return Ok(Some(size));
        }
        let explain = |error: &HttpError| self.explain(error, path.as_str());
        self.remote.length_by_range(Request::get(url), &explain).await
    }

    fn explain(&self, error: &HttpError, name: &str) -> Option<SourceError> {
        let reason = match error.status()? {
            StatusCode::NOT_FOUND | StatusCode::GONE => format!("`{name}` is not there"),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => format!("the server does not give out `{name}`"),
            _ => return None,
        };
        let hint = "check the address; sovai sends no password to plain servers";
        Some(self.remote.refused(reason, hint))
    }
}

impl Source for Server {
    fn origin(&self) -> &str {
        &self.remote.origin
    }

    fn list<'a>(&'a self, _revision: Option<&'a str>) -> BoxFuture<'a, Listing> {
        boxed(self.list_now())
    }

    fn open<'a>(&'a self, file: &'a Wanted, range: Option<ByteRange>) -> BoxFuture<'a, Body> {
        boxed(async move {
            let explain = |error: &HttpError| self.explain(error, file.path.as_str());
            self.remote.open(Request::get(self.at(&file.path)?), range, &explain).await
        })
    }
}

#[cfg(test)]
pub(super) fn at(origin: &str, address: &str, surroundings: &Surroundings) -> Result<Arc<dyn Source>, SourceError> {
    Ok(Arc::new(Server::new(origin, address, surroundings)?))
}
