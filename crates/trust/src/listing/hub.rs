//! File lists of hubs, as JSON that somebody saved to a file.
//!
//! Hugging Face: field names as in `huggingface_hub` (ee0a451); the SHA-256 of a file in LFS or Xet stands in `lfs.oid` of
//! a tree and in `lfs.sha256` of siblings, both are read in both. Other files have git's blob id alone (`oid`, `blobId`),
//! which for an LFS file is that of the pointer and not read. `ModelScope`: as in `modelscope-hub` 0.5.1.

use super::{Listing, ListingError, ListingKind, MAX_LISTING, Seen, path, sha256};
use crate::blob::GitBlob;
use serde::Deserialize;
use sovai_core::RelPath;
use sovai_signing::json::{Limits, from_slice};
use std::borrow::Cow;

/// Bounds of a hub's answer. Model information nests deeper than a file list: card data, configurations.
const LIMITS: Limits = Limits { bytes: MAX_LISTING, depth: 32, values: 400_000 };
/// The list of `ModelScope` ends here without a word.
const MODELSCOPE_CAP: usize = 3000;

#[derive(Deserialize)]
struct Lfs<'a> {
    #[serde(borrow)]
    oid: Option<Cow<'a, str>>,
    #[serde(borrow)]
    sha256: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct TreeEntry<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow)]
    path: Cow<'a, str>,
    #[serde(borrow)]
    oid: Option<Cow<'a, str>>,
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
    #[serde(rename = "Success")]
    success: Option<bool>,
    #[serde(borrow, rename = "Data")]
    data: Option<ModelScopeData<'a>>,
}

pub(super) fn parse(bytes: &[u8]) -> Result<Listing, ListingError> {
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
        return tree(&from_slice::<Vec<TreeEntry<'_>>>(bytes, LIMITS)?);
    }
    let object: Object<'_> = from_slice(bytes, LIMITS)?;
    match (object.siblings, object.data) {
        (Some(files), None) => siblings(&files),
        (None, Some(_)) if object.success != Some(true) => Err(ListingError::Failed),
        (None, Some(data)) => modelscope(&data.files),
        _ => Err(ListingError::Form),
    }
}

fn tree(entries: &[TreeEntry<'_>]) -> Result<Listing, ListingError> {
    let mut listing = Listing::new(ListingKind::HubTree);
    for entry in entries {
        let path = path(&entry.path)?;
        match &*entry.r#type {
            "file" => {
                let seen = seen(&path, entry.lfs.as_ref(), entry.oid.as_deref())?;
                listing.add(path, seen)?;
            }
            "directory" => {}
            found => {
                return Err(ListingError::Type { path, found: found.chars().take(80).collect() });
            }
        }
    }
    Ok(listing)
}

fn siblings(files: &[Sibling<'_>]) -> Result<Listing, ListingError> {
    let mut listing = Listing::new(ListingKind::HubSiblings);
    for file in files {
        let path = path(&file.rfilename)?;
        let seen = seen(&path, file.lfs.as_ref(), file.blob_id.as_deref())?;
        listing.add(path, seen)?;
    }
    Ok(listing)
}

fn seen(path: &RelPath, lfs: Option<&Lfs<'_>>, blob: Option<&str>) -> Result<Seen, ListingError> {
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
        return Ok(Seen { sha256: None, git_blob });
    };
    let read = |text: Option<&str>| text.map(|text| sha256(path, text)).transpose();
    let sha256 = match (read(lfs.oid.as_deref())?, read(lfs.sha256.as_deref())?) {
        (Some(one), Some(other)) if one != other => {
            return Err(ListingError::Contradiction { path: path.clone() });
        }
        (one, other) => one.or(other),
    };
    Ok(Seen { sha256, git_blob: None })
}

fn modelscope(files: &[ModelScopeFile<'_>]) -> Result<Listing, ListingError> {
    if files.len() == MODELSCOPE_CAP {
        return Err(ListingError::PossiblyCut(MODELSCOPE_CAP));
    }
    let mut listing = Listing::new(ListingKind::ModelScope);
    for file in files {
        let path = path(&file.path)?;
        match &*file.r#type {
            "blob" => {
                let text = file.sha256.as_deref().filter(|text| !text.is_empty());
                let sha256 = text.map(|text| sha256(&path, text)).transpose()?;
                listing.add(path, Seen { sha256, git_blob: None })?;
            }
            "tree" => {}
            found => {
                return Err(ListingError::Type { path, found: found.chars().take(80).collect() });
            }
        }
    }
    Ok(listing)
}
