//! A repository: its commits, branches, files and who may read it.

use crate::content::{Content, git_blob, sha256_hex};
use bytes::Bytes;
use std::collections::BTreeMap;

/// One commit of a repository, as a test describes it. Adding another commit of the same repository keeps the first.
#[derive(Debug, Clone)]
pub struct Repo {
    /// `ORG/NAME`.
    pub id: String,
    /// The commit: 40 hex digits.
    pub commit: String,
    /// Branches and tags that name this commit.
    pub refs: Vec<String>,
    /// Files need a token, the listing does not (as with models whose terms are to be accepted).
    pub gated: bool,
    /// Nothing is told of the repository without the token.
    pub private: bool,
    /// The token that opens a gated or private repository.
    pub token: Option<String>,
    /// The licence as the model card names it.
    pub license: Option<String>,
    /// The files.
    pub files: BTreeMap<String, RepoFile>,
}

/// One file of a repository.
#[derive(Debug, Clone)]
pub struct RepoFile {
    /// Its bytes.
    pub content: Content,
    /// It is kept in LFS: listed by SHA-256, and served by another host.
    pub lfs: bool,
}

impl Repo {
    /// An empty commit of a repository, named `main` and, for `ModelScope`, `master`.
    pub fn new(id: impl Into<String>, commit: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            commit: commit.into(),
            refs: vec!["main".to_owned(), "master".to_owned()],
            gated: false,
            private: false,
            token: None,
            license: None,
            files: BTreeMap::new(),
        }
    }

    /// Branches and tags of this commit, in place of `main` and `master`.
    #[must_use]
    pub fn refs<'a>(mut self, refs: impl IntoIterator<Item = &'a str>) -> Self {
        self.refs = refs.into_iter().map(str::to_owned).collect();
        self
    }

    /// A small file, kept in git itself.
    #[must_use]
    pub fn file(mut self, path: impl Into<String>, content: impl Into<Content>) -> Self {
        self.files.insert(path.into(), RepoFile { content: content.into(), lfs: false });
        self
    }

    /// A file in LFS.
    #[must_use]
    pub fn lfs(mut self, path: impl Into<String>, content: impl Into<Content>) -> Self {
        self.files.insert(path.into(), RepoFile { content: content.into(), lfs: true });
        self
    }

    /// The licence as the model card names it.
    #[must_use]
    pub fn license(mut self, license: impl Into<String>) -> Self {
        self.license = Some(license.into());
        self
    }

    /// Files need this token.
    #[must_use]
    pub fn gated(mut self, token: impl Into<String>) -> Self {
        self.gated = true;
        self.token = Some(token.into());
        self
    }

    /// Without this token the repository is said not to exist.
    #[must_use]
    pub fn private(mut self, token: impl Into<String>) -> Self {
        self.private = true;
        self.token = Some(token.into());
        self
    }

    /// A commit made from the files: 40 hex digits that change with any name or byte.
    pub fn commit_of(files: &BTreeMap<String, RepoFile>) -> String {
        let mut list = String::new();
        for (path, file) in files {
            list.extend([file.content.sha256(), " ", path, "\n"]);
        }
        let mut hex = sha256_hex(list.as_bytes());
        hex.truncate(40);
        hex
    }
}

impl RepoFile {
    /// Git's object of the file: of its bytes, or of the pointer that stands for them.
    pub fn oid(&self) -> String {
        if self.lfs {
            let pointer = self.pointer();
            git_blob(pointer.len() as u64, std::iter::once(Bytes::from(pointer)))
        } else {
            self.content.git_blob().to_owned()
        }
    }

    /// The pointer that git keeps in place of a file in LFS (<https://git-lfs.github.com/spec/v1>).
    pub fn pointer(&self) -> String {
        format!(
            "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize {}\n",
            self.content.sha256(),
            self.content.size()
        )
    }
}
