//! What a file is, from its bytes.

use crate::content::ContentType;
use crate::data::magics;
use crate::pickle::{goes_on, is_pickle};
use crate::safetensors::MAX_HEADER;

/// Bytes of a file's beginning that [`sniff`] wants; fewer where the file is shorter.
pub const HEAD: usize = 8 << 10;

/// What a file of `size` bytes is, from its first [`HEAD`] bytes. The name only decides between kinds of text, which
/// bytes alone cannot tell apart; a wrong name never makes a binary file pass for another one.
pub fn sniff(head: &[u8], size: u64, name: &str) -> ContentType {
    let head = head.get(..HEAD).unwrap_or(head);
    if size == 0 || head.is_empty() {
        return ContentType::Empty;
    }
    if is_safetensors(head) {
        return ContentType::Safetensors;
    }
    for magic in &magics().magic {
        let there = head.get(magic.offset..magic.offset + magic.bytes.len());
        if there.is_some_and(|there| there.iter().zip(&magic.bytes).all(|(a, b)| b.is_none_or(|b| b == *a))) {
            return if magic.content == ContentType::Zip { zip_kind(head) } else { magic.content };
        }
    }
    let text = as_text(head, size);
    if is_pickle(head, size, text.is_some()) {
        return ContentType::Pickle;
    }
    if is_pe(head, text.is_some()) {
        return ContentType::Pe;
    }
    match text {
        Some(text) => text_kind(text, &name.to_lowercase()),
        None if is_onnx(head) => ContentType::Onnx,
        None => ContentType::Unknown,
    }
}

/// Most bytes that [`sniff_whole`] wants.
pub const MOST: usize = 16 << 20;

/// Whether [`sniff`] cannot be sure of what it says: the beginning is that of a program of pickle, which a long first value
/// can carry beyond any beginning. Then [`sniff_whole`] is to be asked.
pub fn is_unsure(head: &[u8], size: u64, said: ContentType) -> bool {
    matches!(
        said,
        ContentType::Unknown
            | ContentType::Text
            | ContentType::Json
            | ContentType::Jinja
            | ContentType::Python
    ) && goes_on(head.get(..HEAD).unwrap_or(head), size)
}

/// What a file of `size` bytes is, of which [`sniff`] said `said` and [`is_unsure`] that more is to be seen: `start` is the
/// whole file, or its first [`MOST`] bytes. A program that goes on even behind those is none of the known kinds.
pub fn sniff_whole(start: &[u8], size: u64, said: ContentType) -> ContentType {
    let start = start.get(..MOST).unwrap_or(start);
    if is_pickle(start, size, std::str::from_utf8(start).is_ok()) {
        return ContentType::Pickle;
    }
    if goes_on(start, size) { ContentType::Unknown } else { said }
}

/// A length that a header can have, then the beginning of a JSON object. That the rest fits is the parser's business.
fn is_safetensors(head: &[u8]) -> bool {
    let Some((length, json)) = head.split_first_chunk::<8>() else { return false };
    let mut json = json.iter().filter(|byte| !byte.is_ascii_whitespace());
    u64::from_le_bytes(*length) <= MAX_HEADER
        && json.next() == Some(&b'{')
        && matches!(json.next(), Some(b'"' | b'}') | None)
}

/// Kind of a ZIP archive by the name of its first member (APPNOTE 4.3.7: length at 26, name at 30).
fn zip_kind(head: &[u8]) -> ContentType {
    let length = head.get(26..28).map_or(0, |bytes| usize::from(bytes[0]) | usize::from(bytes[1]) << 8);
    let name = head.get(30..).map(|rest| rest.get(..length).unwrap_or(rest)).unwrap_or_default();
    let found = magics().zip.iter().find(|kind| name.ends_with(kind.ends.as_bytes()));
    found.map_or(ContentType::Zip, |kind| kind.content)
}

/// `MZ`, and the place of the header of newer programs at 0x3c (PE format, 2).
fn is_pe(head: &[u8], is_text: bool) -> bool {
    if !head.starts_with(b"MZ") {
        return false;
    }
    let place = head.get(0x3c..0x40).and_then(|bytes| bytes.first_chunk::<4>());
    let place = place.and_then(|bytes| usize::try_from(u32::from_le_bytes(*bytes)).ok());
    !is_text || place.and_then(|at| head.get(at..)?.get(..4)) == Some(b"PE\0\0")
}

/// `ir_version`, then another field of `ModelProto` (onnx.proto 1.17): a protocol buffer has no magic number.
fn is_onnx(head: &[u8]) -> bool {
    matches!(head, [0x08, 1..=32, 0x12 | 0x1a | 0x22 | 0x28 | 0x32 | 0x3a | 0x42 | 0x72, ..])
}

/// The head as text: UTF-8 without control characters but those of layout. A character may be cut at the head's end.
fn as_text(head: &[u8], size: u64) -> Option<&str> {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) => {
            let cut = error.error_len().is_none() && size > head.len() as u64;
            let valid = head.get(..error.valid_up_to()).unwrap_or_default();
            std::str::from_utf8(valid).ok().filter(|_| cut)?
        }
    };
    let odd = |c: char| c.is_ascii_control() && !matches!(c, '\t' | '\n' | '\r' | '\x0c' | '\x1b');
    (!text.contains(odd)).then_some(text)
}

fn text_kind(text: &str, name: &str) -> ContentType {
    let ends = |ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
    if ends(&[".py", ".pyi", ".pyw"]) {
        return ContentType::Python;
    }
    if ends(&[".jinja", ".jinja2", ".j2"]) {
        return ContentType::Jinja;
    }
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let mut rest = text.chars();
    let (first, second) = (rest.next(), rest.find(|c| !c.is_whitespace()));
    let is_json = match first {
        Some('{') => matches!(second, Some('"' | '}')),
        Some('[') => matches!(second, Some('"' | '{' | '[' | ']' | '-' | '0'..='9' | 't' | 'f' | 'n')),
        _ => false,
    };
    if is_json {
        return ContentType::Json;
    }
    let known =
        ends(&[".txt", ".md", ".rst", ".yaml", ".yml", ".toml", ".cfg", ".csv", ".html", ".sh", ".json"]);
    if !known && ["{%", "{{", "{#"].iter().any(|begin| text.starts_with(begin)) {
        return ContentType::Jinja;
    }
    if !known && is_python(text) {
        return ContentType::Python;
    }
    // Old pickles are text too, and one that hides behind a long first value cannot be told from it.
    if ends(&[".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".dat"]) {
        return ContentType::Unknown;
    }
    ContentType::Text
}

/// Whether a line of text imports something as Python does.
fn is_python(text: &str) -> bool {
    let word =
        |word: &str| !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || "_.,".contains(c));
    text.lines().any(|line| match line.split_whitespace().collect::<Vec<_>>().as_slice() {
        ["import", module] | ["from", module, "import", ..] => word(module),
        ["import", module, "as", name] => word(module) && word(name),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sniffed(bytes: &[u8], name: &str) -> ContentType {
        sniff(bytes, bytes.len() as u64, name)
    }

    #[test]
    fn bytes_count_and_not_names() {
        let zip = |name: &str| {
            let mut bytes = b"PK\x03\x04".to_vec();
            bytes.resize(26, 0);
            bytes.extend([u8::try_from(name.len()).unwrap(), 0, 0, 0]);
            bytes.extend(name.as_bytes());
            bytes
        };
        let mut tar = vec![b'a'; 257];
        tar.extend(b"ustar\x0000");
        let mut pe = b"MZ\x90\0".to_vec();
        pe.resize(0x3c, 0);
        pe.extend([0x40, 0, 0, 0]);
        pe.extend(b"PE\0\0");
        let safetensors = b"\x08\0\0\0\0\0\0\0{}      ";
        let cases: [(&[u8], ContentType); 34] = [
            (b"", ContentType::Empty),
            (safetensors, ContentType::Safetensors),
            (b"GGUF\x03\0\0\0", ContentType::Gguf),
            (b"GGUF\0\0\0\x03", ContentType::Gguf),
            (b"\x80\x02]q\0.", ContentType::Pickle),
            (b"cos\nsystem\n(S'id'\ntR.", ContentType::Pickle),
            (&zip("archive/data.pkl"), ContentType::TorchZip),
            (&zip("a.npy"), ContentType::Npz),
            (&zip("metadata.json"), ContentType::Keras),
            (&zip("readme"), ContentType::Zip),
            (b"PK\x05\x06", ContentType::Zip),
            (b"7z\xbc\xaf\x27\x1c", ContentType::SevenZip),
            (b"Rar!\x1a\x07\x01\0", ContentType::Rar),
            (&tar, ContentType::Tar),
            (b"\x1f\x8b\x08", ContentType::Gzip),
            (b"\xfd7zXZ\0", ContentType::Xz),
            (b"\x28\xb5\x2f\xfd", ContentType::Zstd),
            (b"\x7fELF\x02", ContentType::Elf),
            (&pe, ContentType::Pe),
            (b"MZqFpD='\n", ContentType::Llamafile),
            (b"\0asm\x01", ContentType::Wasm),
            (b"\x89HDF\r\n\x1a\n", ContentType::Hdf5),
            (b"\x93NUMPY\x01", ContentType::Npy),
            (b"\x08\x07\x12\x07pytorch", ContentType::Onnx),
            (b"\x0a\x0e\x0a\x05<unk>\x15", ContentType::SentencePiece),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:", ContentType::GitLfsPointer),
            (b"#!/bin/sh\n", ContentType::Script),
            (b"{\"a\": 1}", ContentType::Json),
            (b" [1, 2]", ContentType::Json),
            (b"{% for m in messages %}", ContentType::Jinja),
            (b"import os\nos.system('id')\n", ContentType::Python),
            (b"from . import x\n", ContentType::Python),
            (b"hello", ContentType::Text),
            (b"\xff\xff\0\0", ContentType::Unknown),
        ];
        for (bytes, content) in cases {
            assert_eq!(sniffed(bytes, "model"), content, "{bytes:?}");
            if !content.is_text() {
                for name in ["model.safetensors", "a.py", "config.json", "x.jinja"] {
                    assert_eq!(sniffed(bytes, name), content, "{bytes:?} as {name}");
                }
            }
        }
    }

    #[test]
    fn names_tell_kinds_of_text_apart() {
        assert_eq!(sniffed(b"x = 1\n", "a/modeling.PY"), ContentType::Python);
        assert_eq!(sniffed(b"hello {{ name }}", "chat_template.jinja"), ContentType::Jinja);
        assert_eq!(sniffed(b"import this\n", "notes.md"), ContentType::Text);
        assert_eq!(sniffed(b"Vaaaa", "pytorch_model.bin"), ContentType::Unknown);
        // A character that the head cuts is still text; one that the file's end cuts is not.
        assert_eq!(sniff("ä".as_bytes().get(..1).unwrap(), 1, ""), ContentType::Unknown);
        let text = format!("a{}", "ä".repeat(HEAD));
        assert_eq!(sniff(text.as_bytes(), text.len() as u64, ""), ContentType::Text);
    }
}
