//! `hf:ORG/NAME[@REV]`: models of Hugging Face, and of what speaks its interface.
//!
//! Two kinds of requests make a list, those of `huggingface_hub` 2.4.0: `GET /api/models/{id}/revision/{rev}` for the commit
//! and the model card's licence, then `GET /api/models/{id}/tree/{commit}?recursive=true`, page by page, for each file's
//! size with its SHA-256 (in LFS) or git's id (others). The list of files in the first answer (`siblings`, with
//! `blobs=true`) would save the second, but people report that it ends early for models of some thousand files; pages are
//! complete, and asked for by commit they are all of one state. Bytes come from `GET /{id}/resolve/{commit}/{path}`.

use super::{Surroundings, Token, is_commit};
use crate::SourceError;
use crate::remote::{BOUNDS, MAX_FILES, Remote, below, boxed, endpoint, next_link, same_server};
use crate::source::{Body, BoxFuture, ByteRange, Listing, Source, Wanted};
use sovai_http::{Env, HttpError, Request, StatusCode, StatusError, safe_url};
use sovai_listing::Entry;
use sovai_listing::hub::{Answer, parse};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use sovai_http::Url;

/// The hub's own address (`ENDPOINT` in `huggingface_hub`'s constants).
const ENDPOINT: &str = "https://huggingface.co";
/// The branch that models start with.
const DEFAULT_REVISION: &str = "main";
/// Most pages of a tree; the hub puts 1,000 entries on one.
const MAX_PAGES: usize = 2_000;
/// Longest token file, in bytes.
const MAX_TOKEN: u64 = 64 << 10;

#[derive(Debug)]
struct Hub {
    remote: Remote,
    endpoint: Url,
    token: Option<Token>,
    organisation: String,
    name: String,
    revision: Option<String>,
}

/// Makes a source of `ORG/NAME[@REV]`.
pub(super) fn open(
    origin: &str,
    rest: &str,
    surroundings: &Surroundings,
) -> Result<Arc<dyn Source>, SourceError> {
    let invalid = |reason: &str| SourceError::Invalid { origin: origin.to_owned(), reason: reason.to_owned() };
    let (organisation, name, revision) =
        super::hub_id(rest).ok_or_else(|| invalid("expected hf:ORG/NAME or hf:ORG/NAME@REVISION"))?;
    let address = surroundings.env.get("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.to_owned());
    Ok(Arc::new(Hub {
        remote: Remote::new(origin, surroundings),
        endpoint: endpoint(origin, "HF_ENDPOINT", &address)?,
        token: token(&surroundings.env).map_err(|reason| invalid(&reason))?,
        organisation,
        name,
        revision,
    }))
}

/// The token that the Python client would use: of the environment, else of its file. Nothing is sent where
/// `HF_HUB_DISABLE_IMPLICIT_TOKEN` is set and no variable names one.
fn token(env: &Env) -> Result<Option<Token>, String> {
    let named = env.get("HF_TOKEN").or_else(|| env.get("HUGGING_FACE_HUB_TOKEN"));
    if let Some(token) = named {
        return Ok(Token::new(&token));
    }
    let is_set = |value: String| ["1", "on", "yes", "true"].contains(&value.to_ascii_lowercase().as_str());
    if env.get("HF_HUB_DISABLE_IMPLICIT_TOKEN").is_some_and(is_set) {
        return Ok(None);
    }
    let home = || {
        let cache = env.get("XDG_CACHE_HOME").map(PathBuf::from);
        let cache = cache.or_else(|| Some(PathBuf::from(env.get("HOME")?).join(".cache")))?;
        Some(cache.join("huggingface"))
    };
    let folder = || env.get("HF_HOME").map(PathBuf::from).or_else(home);
    let path = env.get("HF_TOKEN_PATH").map(PathBuf::from).or_else(|| Some(folder()?.join("token")));
    let Some(path) = path else { return Ok(None) };
    match fs_err::metadata(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Ok(found) if !found.is_file() || found.len() > MAX_TOKEN => {
            return Err(format!("{}: expected a file with a token", path.display()));
        }
        _ => {}
    }
    let text = fs_err::read_to_string(&path)
        .map_err(|error| format!("the token file cannot be read: {error}; set HF_TOKEN or HF_TOKEN_PATH"))?;
    Ok(Token::new(&text))
}

impl Hub {
    fn request(&self, url: Url) -> Request {
        let request = Request::get(url);
        match &self.token {
            Some(token) => request.authorization(&token.bearer()),
            None => request,
        }
    }

    fn api(&self, more: &[&str]) -> Url {
        let start = ["api", "models", &self.organisation, &self.name];
        below(&self.endpoint, start.into_iter().chain(more.iter().copied()))
    }

    async fn list_now(&self, revision: &str) -> Result<Listing, SourceError> {
        let url = self.api(&["revision", revision]);
        let explain = |error: &HttpError| self.explain(error, revision, true);
        let answer = self.remote.ask_json(self.request(url), &explain).await?;
        let parsed = parse(&answer.bytes, BOUNDS).map_err(|error| self.remote.bad_list(&error))?;
        let Answer::Model(model) = parsed else {
            return Err(self.remote.malformed("expected what the hub says of a model"));
        };
        let commit = model.sha.filter(|sha| is_commit(sha)).ok_or_else(|| {
            self.remote.malformed("expected the commit in `sha`: 40 lower-case hexadecimal digits")
        })?;
        if is_commit(revision) && commit != revision {
            return Err(
                self.remote.malformed(format!("commit {revision} was asked for, {commit} was answered"))
            );
        }
        let files = self.remote.files(self.tree(&commit).await?)?;
        Ok(Listing { revision: Some(commit), license: model.license, files })
    }

    /// Every page of the tree at a commit.
    async fn tree(&self, commit: &str) -> Result<Vec<Entry>, SourceError> {
        let mut url = self.api(&["tree", commit]);
        url.set_query(Some("recursive=true&expand=false"));
        let explain = |error: &HttpError| self.explain(error, commit, true);
        let (mut files, mut seen, mut bytes) = (Vec::new(), BTreeSet::new(), 0_usize);
        loop {
            if !seen.insert(url.to_string()) {
                return Err(self.remote.malformed("the pages of its file list lead in a circle"));
            }
            let answer = self.remote.ask_json(self.request(url.clone()), &explain).await?;
            bytes = bytes.saturating_add(answer.bytes.len());
            let parsed = parse(&answer.bytes, BOUNDS).map_err(|error| self.remote.bad_list(&error))?;
            let Answer::Tree(page) = parsed else {
                return Err(self.remote.malformed("expected a page of the file list"));
            };
            files.extend(page);
            if files.len() > MAX_FILES || seen.len() > MAX_PAGES || bytes > 4 * BOUNDS.bytes {
                return Err(self.remote.malformed(format!("a model has at most {MAX_FILES} files")));
            }
            let Some(next) = answer.link.as_deref().and_then(next_link) else { return Ok(files) };
            let next = url.join(next).map_err(|_| self.remote.malformed("its next page has no address"))?;
            // The token goes to the endpoint alone.
            if !same_server(&next, &self.endpoint) {
                let next = safe_url(&next);
                return Err(self.remote.malformed(format!("its next page is on another server: {next}")));
            }
            url = next;
        }
    }

    /// What an answer that is no success means here. `whole`: retries are over; while a file is fetched, what may pass
    /// stays what it is.
    fn explain(&self, error: &HttpError, revision: &str, whole: bool) -> Option<SourceError> {
        let HttpError::Status(status) = error else { return None };
        let page = safe_url(&below(&self.endpoint, [&*self.organisation, &*self.name]));
        let tokens = safe_url(&below(&self.endpoint, ["settings", "tokens"]));
        let signed_in = self.token.is_some();
        let refused = |reason: String, hint: String| Some(self.remote.refused(said(&reason, status), hint));
        let code = status.code.as_deref().unwrap_or_default();
        let message = status.message.as_deref().unwrap_or_default();
        let bad_token = message.starts_with("Invalid credentials") || message.starts_with("Invalid user token");
        match (status.status, code) {
            _ if message == "Access to this resource is disabled." => {
                refused("the hub has disabled this model".into(), format!("see {page}"))
            }
            (_, "GatedRepo") => refused(
                "the model is gated: its publisher wants its terms to be accepted first".into(),
                if signed_in {
                    format!("accept the terms at {page} with the account of the token in HF_TOKEN, or name another token")
                } else {
                    format!("accept the terms at {page}, make a token at {tokens}, and set HF_TOKEN to it")
                },
            ),
            (_, "RevisionNotFound") => Some(SourceError::NoRevision {
                origin: self.remote.origin.clone(),
                revision: revision.to_owned(),
                said: answer(status),
                hint: super::no_revision(revision, &format!("{page}/commits/{DEFAULT_REVISION}")),
            }),
            (_, "EntryNotFound") => refused(
                format!("the file is not in revision `{revision}`"),
                "make the lock again with `sovai lock`".into(),
            ),
            (StatusCode::UNAUTHORIZED, _) if bad_token => refused(
                "the hub does not accept the token".into(),
                format!("make a new one at {tokens} and set HF_TOKEN to it; for public models no token is needed"),
            ),
            (StatusCode::UNAUTHORIZED, _) | (_, "RepoNotFound") => refused(
                "there is no such model, or it is private".into(),
                if signed_in {
                    format!("check the name at {page}, and that the account of the token in HF_TOKEN may see it")
                } else {
                    format!("check the name at {page}; for a private model make a token at {tokens} and set HF_TOKEN to it")
                },
            ),
            (StatusCode::FORBIDDEN, _) => refused(
                "the hub does not let this token read the model".into(),
                format!("at {tokens} give the token in HF_TOKEN the right to read it, and look at {page} for terms"),
            ),
            (StatusCode::NOT_FOUND, _) => refused(
                "it is not there".into(),
                format!("check the name at {page}; HF_ENDPOINT names the hub that is asked"),
            ),
            (StatusCode::TOO_MANY_REQUESTS, _) if whole => refused(
                "the hub asks to slow down".into(),
                if signed_in {
                    "wait some minutes, then run the same command again".into()
                } else {
                    format!("wait some minutes, or make a token at {tokens} and set HF_TOKEN to it: limits are higher then")
                },
            ),
            _ => None,
        }
    }
}

/// The reason with what the server said itself.
fn said(reason: &str, status: &StatusError) -> String {
    format!("{reason} ({})", answer(status))
}

/// The status, and what the server said itself.
fn answer(status: &StatusError) -> String {
    match &status.message {
        Some(message) if !message.starts_with(['{', '[']) => {
            format!("{}: {message}", status.status.as_u16())
        }
        _ => status.status.as_u16().to_string(),
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
        let start = [&*self.organisation, &*self.name, "resolve", revision];
        let url = below(&self.endpoint, start.into_iter().chain(file.path.parts()));
        boxed(async move {
            let explain = |error: &HttpError| self.explain(error, revision, false);
            self.remote.open(self.request(url), range, &explain).await
        })
    }
}
