//! PEM text (RFC 7468), read strictly: blocks, blank lines and comments before the first block, nothing else.

use crate::text::{from_base64, shorten, to_base64};
use zeroize::Zeroizing;

/// Most bytes of a PEM text that are looked at: a chain of certificates is far smaller.
pub const MAX_BYTES: usize = 1 << 20;

/// One block: what stands between `BEGIN` and `END`. Its bytes are wiped when it is dropped.
#[derive(Clone)]
pub struct Block {
    /// The label: `PUBLIC KEY`, `PRIVATE KEY`, `CERTIFICATE`.
    pub label: String,
    /// The decoded bytes, DER.
    pub der: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for Block {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Block").field("label", &self.label).finish_non_exhaustive()
    }
}

/// Why a text is not PEM.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PemError {
    /// Longer than [`MAX_BYTES`].
    #[error("a PEM file has at most {MAX_BYTES} bytes, found {0}")]
    TooLong(usize),
    /// Not UTF-8.
    #[error("a PEM file is text, found bytes that are none")]
    NotText,
    /// No block at all.
    #[error("expected a PEM block (`-----BEGIN ...-----`), found none")]
    None,
    /// A block without its end, or with another one's.
    #[error("the PEM block `{0}` has no `-----END {0}-----`")]
    Open(String),
    /// Text between two blocks, or after the last.
    #[error("unexpected text on line {0} of a PEM file")]
    Stray(usize),
    /// The old encryption of PEM blocks by headers (RFC 1421), which is weak.
    #[error(
        "the PEM block `{0}` has headers, as the old way of encrypting a key does; convert it: \
         openssl pkcs8 -topk8 -in KEY -out NEW"
    )]
    Headers(String),
    /// Not base64.
    #[error("the PEM block `{0}` is not base64")]
    Base64(String),
}

/// Reads every block of a text, in order. Lines before the first block are skipped, as RFC 7468 allows.
pub fn blocks(text: &[u8]) -> Result<Vec<Block>, PemError> {
    if text.len() > MAX_BYTES {
        return Err(PemError::TooLong(text.len()));
    }
    let text = std::str::from_utf8(text).map_err(|_| PemError::NotText)?;
    let mut found: Vec<Block> = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let line = line.trim_end();
        let Some(label) = line.strip_prefix("-----BEGIN ").and_then(|rest| rest.strip_suffix("-----")) else {
            if line.is_empty() || found.is_empty() {
                continue;
            }
            return Err(PemError::Stray(number + 1));
        };
        found.push(block(label, lines.by_ref().map(|(_, line)| line.trim_end()))?);
    }
    if found.is_empty() { Err(PemError::None) } else { Ok(found) }
}

fn block<'a>(label: &str, lines: impl Iterator<Item = &'a str>) -> Result<Block, PemError> {
    let label = shorten(label, 64);
    let end = format!("-----END {label}-----");
    let mut body = Zeroizing::new(String::new());
    for line in lines {
        if line == end {
            let der = from_base64(&body).ok_or_else(|| PemError::Base64(label.clone()))?;
            return Ok(Block { label, der: Zeroizing::new(der) });
        }
        if line.contains(':') {
            return Err(PemError::Headers(label));
        }
        if line.starts_with("-----") {
            return Err(PemError::Open(label));
        }
        body.push_str(line);
    }
    Err(PemError::Open(label))
}

/// The DER of every block labelled `label`; any other block is an error that names it.
pub fn only(text: &[u8], label: &str) -> Result<Vec<Vec<u8>>, OtherBlock> {
    blocks(text)?
        .into_iter()
        .map(|block| {
            if block.label == label {
                Ok(block.der.to_vec())
            } else {
                Err(OtherBlock::Label { expected: label.to_owned(), found: block.label })
            }
        })
        .collect()
}

/// Why a text does not hold the blocks that were asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OtherBlock {
    /// Not PEM.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// A block of another kind.
    #[error("expected a PEM block `{expected}`, found `{found}`")]
    Label {
        /// What was asked for.
        expected: String,
        /// What stands there.
        found: String,
    },
}

/// Writes one block with lines of 64 characters, as OpenSSL does.
pub fn encode(label: &str, der: &[u8]) -> String {
    let body = Zeroizing::new(to_base64(der));
    let mut text = format!("-----BEGIN {label}-----\n");
    // One allocation, so that no copy of a private key stays behind.
    text.reserve(body.len() + body.len() / 64 + label.len() + 32);
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = more;
    }
    text.push_str("-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    text
}
