//! The interface of Hugging Face: listings, redirects, and the codes of what is refused.

use crate::answer::{self, Body, Served};
use crate::repo::{Repo, RepoFile};
use crate::server::Asked;
use crate::state::{Found, State};
use http::header::{ACCEPT_RANGES, ETAG, HeaderName, LINK};
use http::{Response, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

const REPO_COMMIT: HeaderName = HeaderName::from_static("x-repo-commit");
const LINKED_ETAG: HeaderName = HeaderName::from_static("x-linked-etag");
const LINKED_SIZE: HeaderName = HeaderName::from_static("x-linked-size");
const ERROR_CODE: HeaderName = HeaderName::from_static("x-error-code");
const ERROR_MESSAGE: HeaderName = HeaderName::from_static("x-error-message");

/// `/api/models/ORG/NAME...`
pub(crate) async fn api(state: &Arc<State>, asked: &Asked, id: &str, rest: &[&str]) -> Response<Body> {
    if let Some(early) = answer::early(state, asked, &[asked.raw_path.as_str()]).await {
        return early;
    }
    let revision = match rest {
        ["revision" | "tree", revision, ..] => revision,
        [] => "main",
        ["refs"] => return refs(state, id),
        _ => {
            return refuse(StatusCode::NOT_FOUND, None, "Sorry, we can't find the page you are looking for.");
        }
    };
    let repo = match open(state, asked, id, revision) {
        Ok(repo) => repo,
        Err(refused) => return *refused,
    };
    match rest {
        ["tree", _, folder @ ..] => tree(state, asked, &repo, &folder.join("/")),
        _ => answer::json(StatusCode::OK, &info(&repo, asked.param("blobs").is_some_and(is_true))),
    }
}

fn is_true(text: &str) -> bool {
    matches!(text, "true" | "True" | "1" | "")
}

/// The commit that a revision names, for who may know of it.
fn open(state: &State, asked: &Asked, id: &str, revision: &str) -> Result<Arc<Repo>, Box<Response<Body>>> {
    let found = state.lock().find(id, revision);
    let newest = match &found {
        Found::Commit(repo) | Found::NoRevision(repo) => Some(repo),
        Found::NoRepo => None,
    };
    // The hub does not tell whether a repository is not there or is another's; without a token it asks for one.
    if newest.is_none_or(|repo| repo.private && asked.token != repo.token) {
        let (status, message) = if asked.token.is_none() {
            (StatusCode::UNAUTHORIZED, "Invalid username or password.")
        } else {
            (StatusCode::NOT_FOUND, "Repository not found")
        };
        return Err(Box::new(refuse(status, Some("RepoNotFound"), message)));
    }
    match found {
        Found::Commit(repo) => Ok(repo),
        _ => Err(Box::new(refuse(
            StatusCode::NOT_FOUND,
            Some("RevisionNotFound"),
            &format!("Invalid rev id: {revision}"),
        ))),
    }
}

fn refuse(status: StatusCode, code: Option<&str>, message: &str) -> Response<Body> {
    let mut response = answer::json(status, &json!({ "error": message }));
    if let Some(code) = code {
        answer::set(response.headers_mut(), ERROR_CODE, code);
    }
    answer::set(response.headers_mut(), ERROR_MESSAGE, message);
    response
}

fn refs(state: &State, id: &str) -> Response<Body> {
    let branches: Vec<Value> = state
        .lock()
        .refs(id)
        .into_iter()
        .map(|(name, commit)| json!({ "name": name, "ref": format!("refs/heads/{name}"), "targetCommit": commit }))
        .collect();
    answer::json(StatusCode::OK, &json!({ "tags": [], "branches": branches, "converts": [] }))
}

/// The description of a model; with `blobs`, every file has its size and its names.
fn info(repo: &Repo, blobs: bool) -> Value {
    let siblings: Vec<Value> = repo
        .files
        .iter()
        .map(|(path, file)| {
            let mut entry = json!({ "rfilename": path });
            if blobs {
                entry["blobId"] = file.oid().into();
                entry["size"] = file.content.size().into();
                if file.lfs {
                    entry["lfs"] = json!({
                        "sha256": file.content.sha256(),
                        "size": file.content.size(),
                        "pointerSize": file.pointer().len(),
                    });
                }
            }
            entry
        })
        .collect();
    let mut tags = vec!["region:us".to_owned()];
    let mut card = json!({});
    if let Some(license) = &repo.license {
        tags.push(format!("license:{license}"));
        card["license"] = license.as_str().into();
    }
    json!({
        "_id": "66f000000000000000000000",
        "id": repo.id,
        "modelId": repo.id,
        "author": repo.id.split('/').next(),
        "sha": repo.commit,
        "lastModified": "2026-01-02T03:04:05.000Z",
        "createdAt": "2026-01-01T00:00:00.000Z",
        "private": repo.private,
        "gated": if repo.gated { json!("manual") } else { json!(false) },
        "disabled": false,
        "downloads": 0,
        "likes": 0,
        "tags": tags,
        "cardData": card,
        "siblings": siblings,
        "spaces": [],
        "usedStorage": repo.files.values().map(|file| file.content.size()).sum::<u64>(),
    })
}

/// A page of the listing of a folder. A cursor is the path of the last entry before it.
fn tree(state: &State, asked: &Asked, repo: &Repo, folder: &str) -> Response<Body> {
    let recursive = asked.param("recursive").is_some_and(is_true);
    let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
    let mut folders = BTreeSet::new();
    let mut entries = Vec::new();
    for (path, file) in &repo.files {
        let Some(below) = path.strip_prefix(&prefix) else { continue };
        for (at, _) in below.match_indices('/') {
            let above = format!("{prefix}{}", below.get(..at).unwrap_or_default());
            if (recursive || !above[prefix.len()..].contains('/')) && folders.insert(above.clone()) {
                let oid = crate::content::git_blob(0, std::iter::once(above.clone().into()));
                entries.push((
                    above.clone(),
                    json!({ "type": "directory", "oid": oid, "size": 0, "path": above }),
                ));
            }
        }
        if recursive || !below.contains('/') {
            entries.push((path.clone(), tree_file(path, file)));
        }
    }
    if entries.is_empty() && !folder.is_empty() {
        let message = format!("{folder} does not exist on \"{}\"", repo.commit);
        return refuse(StatusCode::NOT_FOUND, Some("EntryNotFound"), &message);
    }
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    let page_size = state.lock().page_size;
    let limit =
        asked.param("limit").and_then(|limit| limit.parse().ok()).unwrap_or(page_size).min(page_size).max(1);
    let mut left =
        entries.into_iter().filter(|(path, _)| asked.param("cursor").is_none_or(|last| path.as_str() > last));
    let mut page = Vec::new();
    let mut last = String::new();
    for (path, entry) in left.by_ref().take(limit) {
        last = path;
        page.push(entry);
    }
    let mut response = answer::json(StatusCode::OK, &Value::Array(page));
    if left.next().is_some() {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("recursive", if recursive { "true" } else { "false" })
            .append_pair("limit", &limit.to_string())
            .append_pair("cursor", &last)
            .finish();
        let link = format!("<http://{}/{}?{query}>; rel=\"next\"", asked.host, asked.raw_path);
        answer::set(response.headers_mut(), LINK, &link);
    }
    response
}

fn tree_file(path: &str, file: &RepoFile) -> Value {
    let mut entry = json!({ "type": "file", "oid": file.oid(), "size": file.content.size(), "path": path });
    if file.lfs {
        entry["lfs"] = json!({
            "oid": file.content.sha256(),
            "size": file.content.size(),
            "pointerSize": file.pointer().len(),
        });
    }
    entry
}

/// `/ORG/NAME/resolve/REVISION/PATH`
pub(crate) async fn resolve(
    state: &Arc<State>,
    asked: &Asked,
    id: &str,
    revision: &str,
    path: &str,
) -> Response<Body> {
    let full = format!("{id}/{path}");
    let names = [path, full.as_str(), asked.raw_path.as_str()];
    if let Some(early) = answer::early(state, asked, &names).await {
        return early;
    }
    let repo = match open(state, asked, id, revision) {
        Ok(repo) => repo,
        Err(refused) => return *refused,
    };
    if let Some(refused) = gate(&repo, asked) {
        return refused;
    }
    let Some(file) = repo.files.get(path) else {
        let mut response = refuse(StatusCode::NOT_FOUND, Some("EntryNotFound"), "Entry not found");
        answer::set(response.headers_mut(), REPO_COMMIT, &repo.commit);
        return response;
    };
    let (use_cdn, relative, cdn) = {
        let inner = state.lock();
        (inner.use_cdn, inner.relative_redirects, inner.cdn_url.clone())
    };
    let size = file.content.size();
    let mut response = if file.lfs && use_cdn {
        let location = cdn_address(&cdn, id, path, file);
        answer::redirect(StatusCode::FOUND, &location)
    } else if !file.lfs && relative {
        let location = format!(
            "/api/resolve-cache/models/{id}/{}/{}?etag=%22{}%22",
            repo.commit,
            encode(path),
            file.oid()
        );
        answer::redirect(StatusCode::TEMPORARY_REDIRECT, &location)
    } else {
        return send(state, asked, &names, &repo, file);
    };
    let to = response.headers_mut();
    answer::set(to, REPO_COMMIT, &repo.commit);
    answer::set(to, ACCEPT_RANGES, "bytes");
    answer::set(to, LINKED_SIZE, &size.to_string());
    answer::set(to, LINKED_ETAG, &etag(file));
    response
}

/// Files of a gated model: 401 without a token, 403 with one that was not let in.
fn gate(repo: &Repo, asked: &Asked) -> Option<Response<Body>> {
    if !repo.gated || asked.token == repo.token {
        return None;
    }
    let (status, rest) = if asked.token.is_none() {
        (
            StatusCode::UNAUTHORIZED,
            "You must have access to it and be authenticated to access it. Please log in.",
        )
    } else {
        (StatusCode::FORBIDDEN, "You are not in the authorized list.")
    };
    let message = format!("Access to model {} is restricted. {rest}", repo.id);
    Some(refuse(status, Some("GatedRepo"), &message))
}

/// The relative address to which small files are redirected.
pub(crate) fn cached(
    state: &Arc<State>,
    asked: &Asked,
    id: &str,
    commit: &str,
    path: &str,
) -> Response<Body> {
    let repo = match open(state, asked, id, commit) {
        Ok(repo) => repo,
        Err(refused) => return *refused,
    };
    if let Some(refused) = gate(&repo, asked) {
        return refused;
    }
    let full = format!("{id}/{path}");
    match repo.files.get(path) {
        Some(file) => send(state, asked, &[path, &full, &asked.raw_path], &repo, file),
        None => refuse(StatusCode::NOT_FOUND, Some("EntryNotFound"), "Entry not found"),
    }
}

fn send(state: &Arc<State>, asked: &Asked, names: &[&str], repo: &Repo, file: &RepoFile) -> Response<Body> {
    let etag = etag(file);
    let mut headers = vec![(REPO_COMMIT, repo.commit.clone())];
    if file.lfs {
        headers.push((LINKED_SIZE, file.content.size().to_string()));
        headers.push((LINKED_ETAG, etag.clone()));
    }
    answer::file(state, asked, names, Served { content: file.content.clone(), etag, headers })
}

/// Where the other host has a file in LFS.
pub(crate) fn cdn_address(cdn: &str, id: &str, path: &str, file: &RepoFile) -> String {
    let (sha256, path) = (file.content.sha256(), encode(path));
    format!(
        "{cdn}/lfs/{sha256}/{id}/{path}?response-content-disposition=inline&Expires=4102444800&Signature=test"
    )
}

/// The other host: it takes the signature in the address and no other authorization, as S3 does.
pub(crate) async fn cdn(
    state: &Arc<State>,
    asked: &Asked,
    sha256: &str,
    id: &str,
    path: &str,
) -> Response<Body> {
    let full = format!("{id}/{path}");
    let names = [path, full.as_str(), asked.raw_path.as_str()];
    if let Some(early) = answer::early(state, asked, &names).await {
        return early;
    }
    if asked.token.is_some() {
        return answer::text(StatusCode::BAD_REQUEST, "Only one auth mechanism allowed");
    }
    if asked.param("Signature").is_none() {
        return answer::text(StatusCode::FORBIDDEN, "Access denied");
    }
    let Some(content) = state.lock().lfs(id, path, sha256) else {
        return answer::text(StatusCode::NOT_FOUND, "no such object");
    };
    let etag = format!("\"{sha256}\"");
    let mut response =
        answer::file(state, asked, &names, Served { content, etag: etag.clone(), headers: Vec::new() });
    if !response.headers().contains_key(ETAG) {
        answer::set(response.headers_mut(), ETAG, &etag);
    }
    response
}

/// With its quotes: SHA-256 for a file in LFS, git's name of the blob for another.
fn etag(file: &RepoFile) -> String {
    if file.lfs { format!("\"{}\"", file.content.sha256()) } else { format!("\"{}\"", file.oid()) }
}

/// A path for an address: everything but slashes is percent-encoded where it must be.
fn encode(path: &str) -> String {
    let parts: Vec<String> = path
        .split('/')
        .map(|part| {
            url::form_urlencoded::byte_serialize(part.as_bytes()).collect::<String>().replace('+', "%20")
        })
        .collect();
    parts.join("/")
}
