//! Plain files under `/files/`, with a `SHA256SUMS` in each folder that has none of its own.

use crate::answer::{self, Body, Served};
use crate::content::Content;
use crate::server::Asked;
use crate::state::State;
use http::{Response, StatusCode};
use std::fmt::Write as _;
use std::sync::Arc;

pub(crate) async fn answer(state: &Arc<State>, asked: &Asked, path: &str) -> Response<Body> {
    let last = path.rsplit('/').next().unwrap_or_default();
    let names = [path, last, asked.raw_path.as_str()];
    if let Some(early) = answer::early(state, asked, &names).await {
        return early;
    }
    let found = {
        let inner = state.lock();
        inner.plain.get(path).cloned().or_else(|| sums(&inner.plain, path))
    };
    let Some(content) = found else { return answer::text(StatusCode::NOT_FOUND, "no such file") };
    let etag = format!("\"{}\"", content.sha256().get(..16).unwrap_or_default());
    let served = Served { content, etag, headers: Vec::new() };
    answer::file(state, asked, &names, served)
}

/// The list of digests of a folder, in the form of coreutils; none when nothing is below it.
fn sums(plain: &std::collections::BTreeMap<String, Content>, path: &str) -> Option<Content> {
    let folder = path.strip_suffix("SHA256SUMS")?;
    let mut list = String::new();
    for (name, content) in plain {
        if let Some(name) = name.strip_prefix(folder) {
            // Writing to a string cannot fail.
            let _ = writeln!(list, "{}  {name}", content.sha256());
        }
    }
    (!list.is_empty()).then(|| list.into())
}
