//! `modelscope:ORG/NAME[@REV]`: models of `ModelScope`.
//!
//! `GET /api/v1/models/{id}/repo/files` lists every file with its SHA-256, and ends at 3,000 entries without a word. A list
//! that long is put together folder by folder, as `modelscope-hub` 0.5.1 does; a folder that is too long by itself cannot be
//! listed in full, which is an error here. The interface tells no commits: only a revision that is one is kept as such.

use super::{Surroundings, Token};
use crate::SourceError;
use crate::remote::{BOUNDS, MAX_FILES, Remote, below, boxed, endpoint};
use crate::source::{Body, BoxFuture, ByteRange, Listing, Source, Wanted};
use futures_util::{StreamExt as _, TryStreamExt as _};
use serde::Deserialize;
use sovai_core::RelPath;
use sovai_http::header::COOKIE;
use sovai_http::{HttpError, Request, StatusCode, Url, safe_url};
use sovai_listing::Entry;
use sovai_listing::hub::{Answer, Folder, MODELSCOPE_CAP, parse};
use std::sync::Arc;

/// The hub's own address (`DEFAULT_ENDPOINT` of `modelscope-hub` 0.5.1).
const ENDPOINT: &str = "https://modelscope.cn";
/// The branch that models start with.
const DEFAULT_REVISION: &str = "master";
/// Most requests for one list (`MODELSCOPE_REPO_TREE_MAX_REQUESTS` of `modelscope-hub` 0.5.1).
const MAX_REQUESTS: usize = 5_000;
/// Folders that are listed at once (`MODELSCOPE_REPO_TREE_WALK_WORKERS` there).
const AT_ONCE: usize = 8;
/// Longest description of a model that is read for its licence, in bytes.
const MAX_DESCRIPTION: usize = 8 << 20;
/// Longest licence, in characters.
const MAX_LICENSE: usize = 200;

#[derive(Debug)]
struct Hub {
    remote: Remote,
    endpoint: Url,
    token: Option<Token>,
    organisation: String,
    name: String,
    revision: Option<String>,
}

/// What a refusal says in its body.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Said {
    message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Description {
    data: Data,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Data {
    license: Option<String>,
}

/// Makes a source of `ORG/NAME[@REV]`.
pub(super) fn open(
    origin: &str,
    rest: &str,
    surroundings: &Surroundings,
) -> Result<Arc<dyn Source>, SourceError> {
    let (organisation, name, revision) = super::hub_id(rest).ok_or_else(|| SourceError::Invalid {
        origin: origin.to_owned(),
        reason: "expected modelscope:ORG/NAME or modelscope:ORG/NAME@REVISION".to_owned(),
    })?;
    let address = surroundings.env.get("MODELSCOPE_ENDPOINT").unwrap_or_else(|| ENDPOINT.to_owned());
    // The hub's own client takes a bare host, too.
    let address = if address.contains("://") { address } else { format!("https://{address}") };
    Ok(Arc::new(Hub {
        remote: Remote::new(origin, surroundings),
        endpoint: endpoint(origin, "MODELSCOPE_ENDPOINT", &address)?,
        token: surroundings.env.get("MODELSCOPE_API_TOKEN").and_then(|text| Token::new(&text)),
        organisation,
        name,
        revision,
    }))
}

impl Hub {
    fn request(&self, more: &[&str], query: &[(&str, &str)]) -> Request {
        let start = ["api", "v1", "models", &self.organisation, &self.name];
        let mut url = below(&self.endpoint, start.into_iter().chain(more.iter().copied()));
        url.query_pairs_mut().extend_pairs(query);
        let request = Request::get(url);
        match &self.token {
            // Listings take the one, files the other (`modelscope-hub` sends both, too).
            Some(token) => {
                request.authorization(&token.bearer()).header(COOKIE, &format!("m_session_id={}", token.secret()))
            }
            None => request,
        }
    }

    async fn list_now(&self, revision: &str) -> Result<Listing, SourceError> {
        let license = self.license(revision);
        let files = self.all_files(revision);
        let (license, files) = tokio::try_join!(license, files)?;
        let files = self.remote.files(files)?;
        let revision = super::is_commit(revision).then(|| revision.to_owned());
        Ok(Listing { revision, license, files })
    }

    /// The licence that the model's description has.
    async fn license(&self, revision: &str) -> Result<Option<String>, SourceError> {
        let explain = |error: &HttpError| self.explain(error, revision, true);
        let request = self.request(&[], &[("Revision", revision)]);
        let answer = self.remote.ask(request, MAX_DESCRIPTION, &explain).await?;
        // Other members may be anything; a description that cannot be read says nothing of a licence.
        let description: Option<Description> = serde_json::from_slice(&answer.bytes).ok();
        let text = description.and_then(|description| description.data.license).unwrap_or_default();
        let text: String = text.trim().chars().filter(|c| !c.is_control()).take(MAX_LICENSE).collect();
        Ok((!text.is_empty()).then_some(text))
    }

    /// Every file, put together from folders where one list has no room for all.
    async fn all_files(&self, revision: &str) -> Result<Vec<Entry>, SourceError> {
        let mut files = Vec::new();
        let mut level: Vec<Option<RelPath>> = vec![None];
        let mut requests = 0;
        while !level.is_empty() {
            requests += 2 * level.len();
            if requests > MAX_REQUESTS {
                return Err(self.remote.malformed(format!("its list takes more than {MAX_REQUESTS} requests")));
            }
            let parts: Vec<Folder> = futures_util::stream::iter(level)
                .map(|root| self.whole_or_split(revision, root))
                .buffered(AT_ONCE)
                .try_collect()
                .await?;
            level = Vec::new();
            for part in parts {
                files.extend(part.files);
                level.extend(part.folders.into_iter().map(Some));
            }
            if files.len() > MAX_FILES {
                return Err(self.remote.malformed(format!("a model has at most {MAX_FILES} files")));
            }
        }
        Ok(files)
    }

    /// Everything below a folder; where that may be cut off, what lies in it, with the folders that are still to be listed.
    async fn whole_or_split(&self, revision: &str, root: Option<RelPath>) -> Result<Folder, SourceError> {
        let whole = self.folder(revision, root.as_ref(), true).await?;
        if !whole.may_be_cut() {
            return Ok(Folder { files: whole.files, folders: Vec::new() });
        }
        let shallow = self.folder(revision, root.as_ref(), false).await?;
        if shallow.may_be_cut() {
            let name = root.as_ref().map_or("/", RelPath::as_str);
            return Err(self.remote.malformed(format!(
                "its folder `{name}` has {MODELSCOPE_CAP} entries or more, which this hub does not list in full"
            )));
        }
        Ok(shallow)
    }

    async fn folder(
        &self,
        revision: &str,
        root: Option<&RelPath>,
        recursive: bool,
    ) -> Result<Folder, SourceError> {
        let recursive = if recursive { "True" } else { "False" };
        let mut query = vec![("Revision", revision), ("Recursive", recursive)];
        query.extend(root.map(|root| ("Root", root.as_str())));
        let explain = |error: &HttpError| self.explain(error, revision, true);
        let answer = self.remote.ask_json(self.request(&["repo", "files"], &query), &explain).await?;
        let parsed = parse(&answer.bytes, BOUNDS).map_err(|error| self.remote.bad_list(&error))?;
        let Answer::ModelScope(folder) = parsed else {
            return Err(self.remote.malformed("expected a list of files in `Data`"));
        };
        // A folder that leads out of the one that was asked for could lead in a circle.
        if let Some(root) = root {
            let paths = folder.files.iter().map(|file| &file.path).chain(&folder.folders);
            let inside = |path: &RelPath| {
                path.as_str().strip_prefix(root.as_str()).is_some_and(|rest| rest.starts_with('/'))
            };
            if let Some(path) = paths.into_iter().find(|path| !inside(path)) {
                return Err(self.remote.malformed(format!("its list of folder `{root}` has `{path}` in it")));
            }
        }
        Ok(folder)
    }

    fn explain(&self, error: &HttpError, revision: &str, whole: bool) -> Option<SourceError> {
        let HttpError::Status(status) = error else { return None };
        let page = safe_url(&below(&self.endpoint, ["models", &self.organisation, &self.name]));
        let said = status.message.as_deref().and_then(|text| serde_json::from_str::<Said>(text).ok());
        let said = said.unwrap_or_default().message;
        let said: String = said.chars().filter(|c| !c.is_control()).take(200).collect();
        let code = status.status.as_u16();
        let answer = if said.is_empty() { code.to_string() } else { format!("{code}: {said}") };
        let refused =
            |reason: &str, hint: String| Some(self.remote.refused(format!("{reason} ({answer})"), hint));
        let lower = said.to_lowercase();
        match status.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => self.no_access(&refused, &page),
            StatusCode::NOT_FOUND if lower.contains("denied") || lower.contains("permission") => {
                self.no_access(&refused, &page)
            }
            StatusCode::NOT_FOUND if lower.contains("revision") => Some(SourceError::NoRevision {
                origin: self.remote.origin.clone(),
                revision: revision.to_owned(),
                said: answer.clone(),
                hint: super::no_revision(revision, &page),
            }),
            StatusCode::NOT_FOUND => refused(
                "there is no such model or file, or it is private",
                format!("check the name at {page}; for a private model set MODELSCOPE_API_TOKEN; MODELSCOPE_ENDPOINT names the site that is asked"),
            ),
            StatusCode::TOO_MANY_REQUESTS if whole => refused(
                "the hub asks to slow down",
                "wait some minutes, then run the same command again".to_owned(),
            ),
            _ => None,
        }
    }

    fn no_access(
        &self,
        refused: &dyn Fn(&str, String) -> Option<SourceError>,
        page: &str,
    ) -> Option<SourceError> {
        if self.token.is_some() {
            let hint = format!("ask for access at {page} with the account of the token in MODELSCOPE_API_TOKEN, or name another token");
            refused("the hub does not let this token read the model", hint)
        } else {
            let hint = format!("ask for access at {page}, make an access token on that site, and set MODELSCOPE_API_TOKEN to it");
            refused("the hub wants to know who asks", hint)
        }
    }
}

impl Source for Hub {
    fn origin(&self) -> &str {
        &self.remote.origin
    }

    fn list<'a>(&'a self, revision: Option<&'a str>) -> BoxFuture<'a, Listing> {
        boxed(self.list_now(revision.or(self.revision.as_deref()).unwrap_or(DEFAULT_REVISION)))
    }

    fn open<'a>(&'a self, file: &'a Wanted, range: Option<ByteRange>) -> BoxFuture<'a, Body> {
        let revision = file.revision.as_deref().or(self.revision.as_deref()).unwrap_or(DEFAULT_REVISION);
        let request =
            self.request(&["repo"], &[("Revision", revision), ("FilePath", file.path.as_str())]);
        boxed(async move {
            let explain = |error: &HttpError| self.explain(error, revision, false);
            self.remote.open(request, range, &explain).await
        })
    }
}
