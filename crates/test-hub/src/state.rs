//! What the server and the test share.

use crate::Seen;
use crate::content::Content;
use crate::fault::Rule;
use crate::repo::Repo;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Debug, Default)]
pub(crate) struct State {
    inner: Mutex<Inner>,
    pub(crate) next_rule: AtomicU64,
    pub(crate) bytes_sent: AtomicU64,
    pub(crate) connections: AtomicU64,
}

impl State {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
pub(crate) struct Inner {
    repos: BTreeMap<String, Commits>,
    pub(crate) plain: BTreeMap<String, Content>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) requests: Vec<Seen>,
    pub(crate) page_size: usize,
    pub(crate) relative_redirects: bool,
    pub(crate) use_cdn: bool,
    pub(crate) modelscope_cdn: bool,
    /// Where the other host is.
    pub(crate) cdn_url: String,
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            repos: BTreeMap::new(),
            plain: BTreeMap::new(),
            rules: Vec::new(),
            requests: Vec::new(),
            page_size: 1000,
            relative_redirects: true,
            use_cdn: true,
            modelscope_cdn: false,
            cdn_url: String::new(),
        }
    }
}

/// The commits of one repository.
#[derive(Debug, Default)]
struct Commits {
    by_id: BTreeMap<String, Arc<Repo>>,
    refs: BTreeMap<String, String>,
    /// The newest.
    latest: String,
}

/// What a name of a repository and of a revision led to.
#[derive(Debug)]
pub(crate) enum Found {
    Commit(Arc<Repo>),
    /// The repository is there, the revision is not; the newest commit says who may know.
    NoRevision(Arc<Repo>),
    NoRepo,
}

impl Inner {
    pub(crate) fn add(&mut self, repo: Repo) {
        let commits = self.repos.entry(repo.id.clone()).or_default();
        for name in &repo.refs {
            commits.refs.insert(name.clone(), repo.commit.clone());
        }
        commits.latest.clone_from(&repo.commit);
        commits.by_id.insert(repo.commit.clone(), Arc::new(repo));
    }

    pub(crate) fn set_ref(&mut self, id: &str, name: &str, commit: &str) {
        self.repos.entry(id.to_owned()).or_default().refs.insert(name.to_owned(), commit.to_owned());
    }

    /// A revision is a branch, a tag, or a commit in full.
    pub(crate) fn find(&self, id: &str, revision: &str) -> Found {
        let Some(commits) = self.repos.get(id) else { return Found::NoRepo };
        let commit = commits.refs.get(revision).map_or(revision, String::as_str);
        match (commits.by_id.get(commit), commits.by_id.get(&commits.latest)) {
            (Some(repo), _) => Found::Commit(Arc::clone(repo)),
            (None, Some(latest)) => Found::NoRevision(Arc::clone(latest)),
            (None, None) => Found::NoRepo,
        }
    }

    /// The file in LFS at this path with these bytes, in whichever commit.
    pub(crate) fn lfs(&self, id: &str, path: &str, sha256: &str) -> Option<Content> {
        let commits = self.repos.get(id)?;
        let mut files = commits.by_id.values().filter_map(|repo| repo.files.get(path));
        files.find(|file| file.lfs && file.content.sha256() == sha256).map(|file| file.content.clone())
    }

    /// Branches and tags with their commits.
    pub(crate) fn refs(&self, id: &str) -> Vec<(String, String)> {
        let refs = self.repos.get(id).map(|commits| &commits.refs);
        refs.into_iter().flatten().map(|(name, commit)| (name.clone(), commit.clone())).collect()
    }
}
