//! One file of an examination.

use super::shards::{Indexes, Part};
use super::{FileFact, FormatFinding, LicenseText, Weights};
use crate::finding::Finding;
use crate::run::open_steady;
use crate::walk::{Entry, Source};
use sha2::Digest as _;
use sovai_core::Sha256;
use sovai_formats::surface::{MAX_CONFIG, config, of_content, promised, template_place};
use sovai_formats::{
    ContentError, ContentType, FormatError, HEAD, MOST, SurfaceItem, SurfaceKind, Template, TensorMap,
    external_data, gguf, is_unsure, safetensors, sniff, sniff_whole,
};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Headers above this size are parsed one at a time.
const LARGE_HEADER: u64 = 4 << 20;
/// Longest file that is read whole to be hashed or looked through.
const MAX_WHOLE: u64 = MAX_CONFIG;
/// Longest licence text in bytes that is kept.
const MAX_LICENSE: usize = 1 << 20;
/// Templates and licence texts of one examination together, in bytes.
const MAX_TEXTS: u64 = 64 << 20;

/// What came of looking at one file.
#[derive(Debug, Default)]
pub(super) struct Looked {
    pub(super) fact: Option<FileFact>,
    pub(super) finding: Option<Finding>,
    pub(super) problems: Vec<FormatFinding>,
    pub(super) surface: Vec<SurfaceItem>,
    pub(super) templates: Vec<Template>,
    pub(super) license: Option<LicenseText>,
    /// Of a GGUF file.
    pub(super) part: Option<Part>,
}

/// Looks at files, on several threads.
pub(super) struct Looker<'a> {
    source: &'a Source,
    indexes: &'a Indexes,
    /// Held while a large file is in memory.
    large: Mutex<()>,
    /// Bytes of texts that were kept.
    texts: AtomicU64,
}

/// A file that is open.
struct Opened<'a> {
    file: &'a File,
    entry: &'a Entry,
    content: ContentType,
}

impl<'a> Looker<'a> {
    pub(super) const fn new(source: &'a Source, indexes: &'a Indexes) -> Self {
        Self { source, indexes, large: Mutex::new(()), texts: AtomicU64::new(0) }
    }

    /// Looks at one file; `buffer` holds at least [`HEAD`] bytes.
    pub(super) fn look(&self, entry: &Entry, buffer: &mut [u8]) -> Looked {
        let mut looked = Looked::default();
        let path = entry.path.as_str();
        let opened = match open_steady(self.source, &entry.path, entry.size) {
            Ok(opened) => opened,
            Err(finding) => return Looked { finding: Some(finding), ..looked },
        };
        let head = match head(&opened.file, buffer) {
            Ok(head) => head,
            Err(error) => {
                let finding = Finding::Unreadable { path: path.to_owned(), error: error.to_string() };
                return Looked { finding: Some(finding), ..looked };
            }
        };
        let mut content = sniff(head, entry.size, entry.path.file_name());
        if is_unsure(head, entry.size, content) {
            match whole(&opened.file) {
                Ok(start) => content = sniff_whole(&start, entry.size, content),
                Err(error) => {
                    let finding = Finding::Unreadable { path: path.to_owned(), error: error.to_string() };
                    return Looked { finding: Some(finding), ..looked };
                }
            }
        }
        let file = Opened { file: &opened.file, entry, content };
        let weights = match self.header(&file, &mut looked) {
            Ok(weights) => weights,
            Err(error) => {
                looked.problems.push(FormatFinding::new(path, &error));
                None
            }
        };
        looked.fact = Some(FileFact { path: path.to_owned(), size: entry.size, content, weights });
        self.surface(&file, head.len() as u64 == entry.size, head, &mut looked);
        looked
    }

    /// What the header of weights says, and whether the file is what its name says.
    fn header(&self, file: &Opened<'_>, looked: &mut Looked) -> Result<Option<Weights>, FormatError> {
        let Opened { content, entry, .. } = *file;
        let promise = promised(entry.path.as_str());
        match content {
            ContentType::GitLfsPointer => return Err(ContentError::LfsPointer.into()),
            ContentType::Safetensors => return self.safetensors(file).map(Some),
            ContentType::Gguf => return self.gguf(file, looked).map(Some),
            _ => {}
        }
        let Some((expected, kinds)) = promise.filter(|(_, kinds)| !kinds.contains(&content)) else {
            return Ok(None);
        };
        // What is nothing else is damaged, and the parser says in what way.
        let is_damaged = matches!(content, ContentType::Unknown | ContentType::Empty);
        match kinds {
            [ContentType::Safetensors] if is_damaged => self.safetensors(file).map(Some),
            [ContentType::Gguf] if is_damaged => self.gguf(file, looked).map(Some),
            _ => Err(ContentError::Disguised { expected, found: content }.into()),
        }
    }

    fn safetensors(&self, file: &Opened<'_>) -> Result<Weights, FormatError> {
        let size = file.entry.size;
        let mut first = [0u8; 8];
        let announced = match file.file.read_exact_at(&mut first, 0) {
            Ok(()) => u64::from_le_bytes(first).min(size),
            Err(_) => size,
        };
        let _large = self.large_if(announced);
        let parsed = safetensors::read(file.file, size)?;
        self.indexes.shard(file.entry.path.as_str(), &parsed.tensors);
        Ok(weights(&parsed.tensors, None))
    }

    fn gguf(&self, file: &Opened<'_>, looked: &mut Looked) -> Result<Weights, FormatError> {
        // How long the header is shows only at its end; real ones are read in milliseconds.
        let _large = self.large_if(file.entry.size);
        let mut reader = file.file;
        let parsed = gguf::parse(&mut reader, file.entry.size)?;
        looked.part = Some((file.entry.path.as_str().to_owned(), parsed.split));
        for mut template in parsed.templates {
            file.entry.path.as_str().clone_into(&mut template.path);
            self.keep(template, looked);
        }
        Ok(weights(&parsed.tensors, parsed.architecture))
    }

    fn large_if(&self, size: u64) -> Option<std::sync::MutexGuard<'_, ()>> {
        (size > LARGE_HEADER).then(|| self.large.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// What of the file can run, and what it says about its use.
    fn surface(&self, file: &Opened<'_>, is_whole: bool, head: &[u8], looked: &mut Looked) {
        let Opened { content, entry, .. } = *file;
        let path = entry.path.as_str();
        let kind = of_content(path, content);
        let template = template_place(path, content);
        let is_config = content == ContentType::Json && !self.indexes.has(path) || is_named_config(path);
        // A text of an old encoding is unknown content.
        let is_text = content.is_text() || content == ContentType::Unknown;
        let is_license = is_text && is_license(entry.path.file_name());
        let is_onnx = content == ContentType::Onnx;
        if kind.is_none() && template.is_none() && !is_config && !is_license && !is_onnx {
            return;
        }
        // Only small files are read whole; a larger program or pickle is named without a digest of its own.
        if entry.size > MAX_WHOLE && !is_onnx {
            let what = match (&template, is_named_config(path) || is_license) {
                (Some(_), _) => Some("a chat template"),
                (None, true) => Some("a file that is looked through"),
                (None, false) => None,
            };
            if let Some(what) = what {
                let error = ContentError::TooLarge { what, limit: MAX_WHOLE, found: entry.size };
                looked.problems.push(FormatFinding::new(path, &error.into()));
            }
            looked.surface.extend(kind.map(|kind| item(entry, kind, None)));
            return;
        }
        let _large = self.large_if(entry.size);
        let bytes = if is_whole { Ok(head.to_vec()) } else { read_whole(file.file, MAX_WHOLE) };
        let bytes = match bytes {
            Ok(bytes) if bytes.len() as u64 == entry.size || is_onnx => bytes,
            Ok(_) => {
                looked.finding = Some(Finding::ChangedDuringRead { path: path.to_owned() });
                return;
            }
            Err(error) => {
                looked.finding =
                    Some(Finding::Unreadable { path: path.to_owned(), error: error.to_string() });
                return;
            }
        };
        let sha256 = || Sha256::from_bytes(sha2::Sha256::digest(&bytes).into());
        if is_onnx {
            let locations = external_data(&bytes);
            if !locations.is_empty() {
                let sha256 = (bytes.len() as u64 == entry.size).then(sha256);
                looked.surface.push(item(entry, SurfaceKind::OnnxExternalData { locations }, sha256));
            }
            return;
        }
        if let Some(kind) = kind {
            looked.surface.push(item(entry, kind, Some(sha256())));
        }
        if is_config {
            match config(path, &bytes) {
                Ok(found) => {
                    looked.surface.extend(found.items);
                    for template in found.templates {
                        self.keep(template, looked);
                    }
                }
                // What no engine reads for its configuration may be any text.
                Err(error) if is_named_config(path) || error.code() == "SOV2305" => {
                    looked.problems.push(FormatFinding::new(path, &error));
                }
                Err(_) => {}
            }
        }
        if is_license {
            let text = String::from_utf8_lossy(bytes.get(..MAX_LICENSE).unwrap_or(&bytes)).into_owned();
            if self.has_room(text.len()) {
                looked.license = Some(LicenseText { path: path.to_owned(), sha256: sha256(), text });
            } else {
                self.too_much(path, looked);
            }
        }
        if let Some((place, name)) = template {
            if let Ok(text) = String::from_utf8(bytes) {
                self.keep(Template::new(path, place, name, text), looked);
            } else {
                let error = ContentError::NotText { place: place.words() };
                looked.problems.push(FormatFinding::new(path, &error.into()));
            }
        }
    }

    fn keep(&self, template: Template, looked: &mut Looked) {
        looked.surface.push(SurfaceItem::template(&template));
        if self.has_room(template.text.len()) {
            looked.templates.push(template);
        } else {
            self.too_much(&template.path, looked);
        }
    }

    fn has_room(&self, bytes: usize) -> bool {
        let bytes = bytes as u64;
        self.texts.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) <= MAX_TEXTS
    }

    fn too_much(&self, path: &str, looked: &mut Looked) {
        let found = self.texts.load(Ordering::Relaxed);
        let error =
            ContentError::TooLarge { what: "all templates and licences together", limit: MAX_TEXTS, found };
        looked.problems.push(FormatFinding::new(path, &error.into()));
    }
}

fn item(entry: &Entry, kind: SurfaceKind, sha256: Option<Sha256>) -> SurfaceItem {
    SurfaceItem { path: entry.path.as_str().to_owned(), kind, sha256, bytes: entry.size }
}

fn weights(tensors: &TensorMap, architecture: Option<String>) -> Weights {
    let mut types = BTreeMap::new();
    for tensor in tensors.iter() {
        *types.entry(tensor.dtype()).or_insert(0) += 1;
    }
    Weights {
        tensors: tensors.len() as u64,
        bytes: tensors.bytes(),
        header: tensors.header().end,
        types,
        architecture,
    }
}

/// The beginning of a file, at most [`HEAD`] bytes of it.
pub(super) fn head<'b>(file: &File, buffer: &'b mut [u8]) -> io::Result<&'b [u8]> {
    let buffer = match buffer.len().min(HEAD) {
        0 => buffer,
        length => &mut buffer[..length],
    };
    let mut there = 0;
    while there < buffer.len() {
        match file.read_at(&mut buffer[there..], there as u64) {
            Ok(0) => break,
            Ok(count) => there += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(&buffer[..there])
}

/// The first [`MOST`] bytes of a file, wherever its own position is.
fn whole(file: &File) -> io::Result<Vec<u8>> {
    let mut start = Vec::new();
    let mut buffer = vec![0; 128 << 10];
    while start.len() < MOST {
        match file.read_at(&mut buffer, start.len() as u64) {
            Ok(0) => break,
            Ok(count) => start.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    start.truncate(MOST);
    Ok(start)
}

/// A file from its beginning, at most `limit` bytes of it. The file's own position must be at its beginning.
pub(super) fn read_whole(file: &File, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Files that engines read as configurations whatever is in them.
fn is_named_config(path: &str) -> bool {
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name).to_lowercase();
    name.ends_with("config.json") || matches!(name.as_str(), "chat_template.json" | "model_index.json")
}

/// Files that say under which conditions a model may be used.
fn is_license(name: &str) -> bool {
    let name = name.to_lowercase();
    let begins = ["license", "licence", "copying", "notice", "unlicense"];
    // `license_plate_config.json` is no licence.
    let ends = [".json", ".py", ".safetensors", ".gguf"];
    begins.iter().any(|begin| name.starts_with(begin)) && !ends.iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences_and_configurations_go_by_their_names() {
        for name in ["LICENSE", "License.txt", "LICENCE-MODEL", "COPYING", "NOTICE.md", "LICENSE-CODE"] {
            assert!(is_license(name), "{name}");
        }
        for name in ["license_plate.json", "relicense", "README.md"] {
            assert!(!is_license(name), "{name}");
        }
        assert!(is_named_config("sub/Config.json") && is_named_config("tokenizer_config.json"));
        assert!(!is_named_config("tokenizer.json"));
    }
}
