//! The interface of `ModelScope`: one listing that is silently cut, and files by a query.

use crate::answer::{self, Body, Served};
use crate::hugging_face::cdn_address;
use crate::repo::{Repo, RepoFile};
use crate::server::Asked;
use crate::state::{Found, State};
use http::{Response, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// More entries than this are left out without a word.
const LISTED: usize = 3000;

/// `/api/v1/models/ORG/NAME...`
pub(crate) async fn answer(state: &Arc<State>, asked: &Asked, id: &str, rest: &[&str]) -> Response<Body> {
    let path = if rest == ["repo"] { asked.param("FilePath").unwrap_or_default() } else { "" };
    let full = format!("{id}/{path}");
    let names = [path, full.as_str(), asked.raw_path.as_str()];
    let names = if path.is_empty() { &names[2..] } else { &names };
    if let Some(early) = answer::early(state, asked, names).await {
        return early;
    }
    let found = state.lock().find(id, asked.param("Revision").unwrap_or("master"));
    let repo = match found {
        Found::Commit(repo) if !repo.private || asked.token == repo.token => repo,
        Found::Commit(_) | Found::NoRepo => return refuse(10_010_205_001, "record not found"),
        Found::NoRevision(_) => return refuse(10_010_200_001, "revision not found"),
    };
    match rest {
        ["repo", "files"] => files(asked, &repo),
        ["repo"] => {
            if repo.gated && asked.token != repo.token {
                return refuse(10_010_208_009, "access denied");
            }
            let Some(file) = repo.files.get(path) else { return refuse(10_010_202_001, "file not found") };
            let (redirects, cdn) = {
                let inner = state.lock();
                (inner.modelscope_cdn, inner.cdn_url.clone())
            };
            if file.lfs && redirects {
                return answer::redirect(StatusCode::FOUND, &cdn_address(&cdn, id, path, file));
            }
            let etag = format!("\"{}\"", file.content.sha256());
            answer::file(
                state,
                asked,
                names,
                Served { content: file.content.clone(), etag, headers: Vec::new() },
            )
        }
        ["revisions"] => revisions(state, id),
        [] => wrap(&description(&repo)),
        _ => refuse(404, "not found"),
    }
}

fn wrap(data: &Value) -> Response<Body> {
    answer::json(
        StatusCode::OK,
        &json!({ "Code": 200, "Data": data, "Message": "", "RequestId": "test", "Success": true }),
    )
}

fn refuse(code: u64, message: &str) -> Response<Body> {
    answer::json(
        StatusCode::NOT_FOUND,
        &json!({ "Code": code, "Data": {}, "Message": message, "RequestId": "test", "Success": false }),
    )
}

fn description(repo: &Repo) -> Value {
    let (owner, name) = repo.id.split_once('/').unwrap_or_default();
    json!({
        "Path": owner,
        "Name": name,
        "License": repo.license,
        "Revision": "master",
        "Visibility": if repo.private { 1 } else { 5 },
        "StorageSize": repo.files.values().map(|file| file.content.size()).sum::<u64>(),
    })
}

/// Branches and tags; the hub tells no commits here.
fn revisions(state: &State, id: &str) -> Response<Body> {
    let branches: Vec<Value> = state
        .lock()
        .refs(id)
        .into_iter()
        .map(|(name, _)| json!({ "Revision": name, "CreatedAt": 1_767_225_600 }))
        .collect();
    wrap(&json!({ "RevisionMap": { "Branches": branches, "Tags": [] } }))
}

/// The listing of a folder, cut at 3000 entries as the real one is.
fn files(asked: &Asked, repo: &Repo) -> Response<Body> {
    let recursive = asked.param("Recursive").is_some_and(|text| text.eq_ignore_ascii_case("true"));
    let root = asked.param("Root").unwrap_or_default().trim_matches('/');
    let prefix = if root.is_empty() { String::new() } else { format!("{root}/") };
    let mut folders = BTreeSet::new();
    let mut entries = Vec::new();
    for (path, file) in &repo.files {
        let Some(below) = path.strip_prefix(&prefix) else { continue };
        for (at, _) in below.match_indices('/') {
            let above = below.get(..at).unwrap_or_default();
            if (recursive || !above.contains('/')) && folders.insert(above.to_owned()) {
                entries.push(folder(repo, &format!("{prefix}{above}")));
            }
        }
        if recursive || !below.contains('/') {
            entries.push(entry(repo, path, file));
        }
    }
    entries.truncate(LISTED);
    wrap(&json!({ "Files": entries, "IsVisual": 0, "LatestCommitter": {} }))
}

fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

fn entry(repo: &Repo, path: &str, file: &RepoFile) -> Value {
    json!({
        "CommitMessage": "Upload",
        "CommittedDate": 1_767_225_600,
        "CommitterName": "acme",
        "InCheck": false,
        "IsLFS": file.lfs,
        "Mode": "33188",
        "Name": name(path),
        "Path": path,
        "Revision": repo.commit,
        "Sha256": file.content.sha256(),
        "Size": file.content.size(),
        "Type": "blob",
    })
}

fn folder(repo: &Repo, path: &str) -> Value {
    json!({
        "CommitMessage": "Upload",
        "CommittedDate": 1_767_225_600,
        "CommitterName": "acme",
        "InCheck": false,
        "IsLFS": false,
        "Mode": "16384",
        "Name": name(path),
        "Path": path,
        "Revision": repo.commit,
        "Sha256": "",
        "Size": 0,
        "Type": "tree",
    })
}
