//! File lists of hubs, as their JSON interfaces give them.
//!
//! Hugging Face: field names as in `huggingface_hub` (ee0a451); the SHA-256 of a file in LFS or Xet stands in `lfs.oid` of
//! a tree and in `lfs.sha256` of siblings, both are read in both. Other files have git's blob id alone (`oid`, `blobId`),
//! which for an LFS file is that of the pointer and not read. `ModelScope`: as in `modelscope-hub` 0.5.1.

use super::{Bounds, Entry, ListingError, count, path, sha256, size};
use crate::blob::GitBlob;
use serde::Deserialize;
use serde_json::Value;
use sovai_core::RelPath;
use sovai_signing::json::{Limits, from_slice};
use std::borrow::Cow;

/// Deepest nesting. Model information nests deeper than a file list: card data, configurations.
const DEPTH: usize = 32;
/// Values of JSON for each file that may be listed: an entry of `ModelScope` has some twenty.
const VALUES_PER_FILE: usize = 40;
/// Longest licence that a model card states, in characters; longer ones are cut.
const MAX_LICENSE: usize = 200;

/// The list of `ModelScope` ends here without a word.
pub const MODELSCOPE_CAP: usize = 3000;

/// An answer of a hub with a file list in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Hugging Face, `GET /api/models/{id}/tree/{rev}`: the files of one page.
    Tree(Vec<Entry>),
    /// Hugging Face, `GET /api/models/{id}/revision/{rev}?blobs=true`.
    Model(Model),
    /// `ModelScope`, `GET /api/v1/models/{id}/repo/files`.
    ModelScope(Folder),
}

/// What Hugging Face says of a model at a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// The commit, as it stands there.
    pub sha: Option<String>,
    /// The licence that the model card states. Of several all, with commas; of `other` its name, where it has one.
    pub license: Option<String>,
    /// Its files.
    pub files: Vec<Entry>,
}

/// What `ModelScope` says of a folder.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Folder {
    /// Files in it, or below it where the list is recursive.
    pub files: Vec<Entry>,
    /// Folders in it.
    pub folders: Vec<RelPath>,
}

impl Folder {
    /// Whether the hub may have cut the list off, which it does without a word.
    pub const fn may_be_cut(&self) -> bool {
        self.files.len() + self.folders.len() >= MODELSCOPE_CAP
    }
}

#[derive(Deserialize)]
struct Lfs<'a> {
    #[serde(borrow)]
    oid: Option<Cow<'a, str>>,
    #[serde(borrow)]
    sha256: Option<Cow<'a, str>>,
    size: Option<u64>,
}

#[derive(Deserialize)]
struct TreeEntry<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow)]
    path: Cow<'a, str>,
    #[serde(borrow)]
    oid: Option<Cow<'a, str>>,
    size: Option<u64>,
    #[serde(borrow)]
    lfs: Option<Lfs<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sibling<'a> {
    #[serde(borrow)]
    rfilename: Cow<'a, str>,
    #[serde(borrow)]
    blob_id: Option<Cow<'a, str>>,
    size: Option<u64>,
    #[serde(borrow)]
    lfs: Option<Lfs<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ModelScopeFile<'a> {
    #[serde(borrow)]
    path: Cow<'a, str>,
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    size: Option<u64>,
    #[serde(borrow)]
    sha256: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ModelScopeData<'a> {
    #[serde(borrow)]
    files: Vec<ModelScopeFile<'a>>,
}

#[derive(Deserialize)]
struct Object<'a> {
    #[serde(borrow)]
    siblings: Option<Vec<Sibling<'a>>>,
    #[serde(borrow)]
    sha: Option<Cow<'a, str>>,
    // Anything may stand in a model card.
    #[serde(rename = "cardData")]
    card: Option<Value>,
    #[serde(rename = "Success")]
    success: Option<bool>,
    #[serde(borrow, rename = "Data")]
    data: Option<ModelScopeData<'a>>,
}

/// Reads an answer; which one it is is told from its first byte and its members. Entries are in the order of the text, and
/// a path may stand there twice: that is the caller's to refuse.
pub fn parse(bytes: &[u8], bounds: Bounds) -> Result<Answer, ListingError> {
    let limits =
        Limits { bytes: bounds.bytes, depth: DEPTH, values: bounds.files.saturating_mul(VALUES_PER_FILE) };
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
        return Ok(Answer::Tree(tree(&from_slice::<Vec<TreeEntry<'_>>>(bytes, limits)?, bounds)?));
    }
    let object: Object<'_> = from_slice(bytes, limits)?;
    match (object.siblings, object.data) {
        (Some(files), None) => Ok(Answer::Model(Model {
            sha: object.sha.map(Cow::into_owned),
            license: object.card.as_ref().and_then(license),
            files: siblings(&files, bounds)?,
        })),
        (None, Some(_)) if object.success != Some(true) => Err(ListingError::Failed),
        (None, Some(data)) => Ok(Answer::ModelScope(modelscope(&data.files, bounds)?)),
        _ => Err(ListingError::Form),
    }
}

/// `license` of a model card, `license_name` where that says no more than `other`.
fn license(card: &Value) -> Option<String> {
    let text = match card.get("license")? {
        Value::String(text) if text == "other" => {
            card.get("license_name").and_then(Value::as_str).unwrap_or(text).to_owned()
        }
        Value::String(text) => text.clone(),
        Value::Array(texts) => texts.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
        _ => return None,
    };
    let text: String = text.trim().chars().filter(|c| !c.is_control()).take(MAX_LICENSE).collect();
    (!text.is_empty()).then_some(text)
}

fn tree(entries: &[TreeEntry<'_>], bounds: Bounds) -> Result<Vec<Entry>, ListingError> {
    count(entries.len(), bounds)?;
    let mut files = Vec::new();
    for entry in entries {
        let path = path(&entry.path)?;
        match &*entry.r#type {
            "file" => files.push(file(path, entry.size, entry.lfs.as_ref(), entry.oid.as_deref())?),
            "directory" => {}
            found => {
                return Err(ListingError::Type { path, found: found.chars().take(80).collect() });
            }
        }
    }
    Ok(files)
}

fn siblings(files: &[Sibling<'_>], bounds: Bounds) -> Result<Vec<Entry>, ListingError> {
    count(files.len(), bounds)?;
    files
        .iter()
        .map(|entry| {
            let path = path(&entry.rfilename)?;
            file(path, entry.size, entry.lfs.as_ref(), entry.blob_id.as_deref())
        })
        .collect()
}

fn file(
    path: RelPath,
    stated: Option<u64>,
    lfs: Option<&Lfs<'_>>,
    blob: Option<&str>,
) -> Result<Entry, ListingError> {
    let stated = stated.map(|bytes| size(&path, bytes)).transpose()?;
    let Some(lfs) = lfs else {
        let git_blob = blob
            .map(|text| {
                GitBlob::from_hex(text).ok_or_else(|| ListingError::Digest {
                    path: path.clone(),
                    what: "git's id of a file has 40 lower-case hexadecimal digits",
                    found: text.chars().take(80).collect(),
                })
            })
            .transpose()?;
        return Ok(Entry { path, size: stated, sha256: None, git_blob });
    };
    let in_lfs = lfs.size.map(|bytes| size(&path, bytes)).transpose()?;
    let size = match (stated, in_lfs) {
        (Some(one), Some(other)) if one != other => return Err(ListingError::Sizes { path, one, other }),
        (one, other) => one.or(other),
    };
    let read = |text: Option<&str>| text.map(|text| sha256(&path, text)).transpose();
    let sha256 = match (read(lfs.oid.as_deref())?, read(lfs.sha256.as_deref())?) {
        (Some(one), Some(other)) if one != other => return Err(ListingError::Contradiction { path }),
        (one, other) => one.or(other),
    };
    Ok(Entry { path, size, sha256, git_blob: None })
}

fn modelscope(entries: &[ModelScopeFile<'_>], bounds: Bounds) -> Result<Folder, ListingError> {
    count(entries.len(), bounds)?;
    let mut folder = Folder::default();
    for entry in entries {
        let path = path(&entry.path)?;
        match &*entry.r#type {
            "blob" => {
                let size = entry.size.map(|bytes| size(&path, bytes)).transpose()?;
                let text = entry.sha256.as_deref().filter(|text| !text.is_empty());
                let sha256 = text.map(|text| sha256(&path, text)).transpose()?;
                folder.files.push(Entry { path, size, sha256, git_blob: None });
            }
            "tree" => folder.folders.push(path),
            found => {
                return Err(ListingError::Type { path, found: found.chars().take(80).collect() });
            }
        }
    }
    Ok(folder)
}
