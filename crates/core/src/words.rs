//! Bytes as words that can be read aloud: the PGP word list, `data/words.txt`.
//!
//! A byte in an even place is one of 256 words of two syllables, one in an odd place one of 256 others of three. So a word
//! that was left out, said twice or swapped with its neighbour is noticed.

use std::collections::HashMap;
use std::sync::OnceLock;

const DATA: &str = include_str!("../data/words.txt");

/// Why words are not bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WordError {
    /// A word that is in neither list.
    #[error("word {place} is not in the word list")]
    Unknown {
        /// Which one, from 1.
        place: usize,
    },
    /// A word of the other list.
    #[error("word {place} cannot stand there: a word is missing, said twice or swapped")]
    Place {
        /// Which one, from 1.
        place: usize,
    },
}

type Pair = (&'static str, &'static str);

fn list() -> &'static [Pair] {
    static LIST: OnceLock<Vec<Pair>> = OnceLock::new();
    LIST.get_or_init(|| {
        DATA.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(' ')).collect()
    })
}

/// The words of bytes, one each.
///
/// ```
/// assert_eq!(sovai_core::spell([0xe5, 0x82]).collect::<Vec<_>>(), ["topmost", "Istanbul"]);
/// ```
pub fn spell(bytes: impl IntoIterator<Item = u8>) -> impl Iterator<Item = &'static str> {
    bytes.into_iter().enumerate().map(|(place, byte)| {
        // A test reads the list: it has 256 lines.
        let (even, odd) = list().get(usize::from(byte)).copied().unwrap_or_default();
        if place % 2 == 0 { even } else { odd }
    })
}

/// The bytes of words with white space or commas between; case does not matter. One byte a word.
pub fn unspell(text: &str) -> Result<Vec<u8>, WordError> {
    static KNOWN: OnceLock<HashMap<String, (bool, u8)>> = OnceLock::new();
    let known = KNOWN.get_or_init(|| {
        let both = (0..=u8::MAX).zip(list());
        both.flat_map(|(byte, (even, odd))| {
            [(even.to_lowercase(), (false, byte)), (odd.to_lowercase(), (true, byte))]
        })
        .collect()
    });
    let words = text.split(|c: char| c.is_whitespace() || c == ',').filter(|word| !word.is_empty());
    words
        .enumerate()
        .map(|(at, word)| match known.get(&word.to_lowercase()) {
            None => Err(WordError::Unknown { place: at + 1 }),
            Some((odd, _)) if *odd != (at % 2 == 1) => Err(WordError::Place { place: at + 1 }),
            Some((_, byte)) => Ok(*byte),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// The example of <https://en.wikipedia.org/wiki/PGP_word_list>: a fingerprint and its words.
    const BYTES: [u8; 20] = [
        0xe5, 0x82, 0x94, 0xf2, 0xe9, 0xa2, 0x27, 0x48, 0x6e, 0x8b, 0x06, 0x1b, 0x31, 0xcc, 0x52, 0x8f, 0xd7,
        0xfa, 0x3f, 0x19,
    ];
    const WORDS: &str = "topmost Istanbul Pluto vagabond treadmill Pacific brackish dictator goldfish Medusa \
                         afflict bravado chatter revolver Dupont midsummer stopwatch whimsical cowbell bottomless";

    #[test]
    fn the_published_example_is_spelled_and_read() {
        assert_eq!(spell(BYTES).collect::<Vec<_>>().join(" "), WORDS);
        assert_eq!(unspell(&WORDS.to_uppercase().replace(' ', ", ")).unwrap(), BYTES);
    }

    #[test]
    fn both_lists_are_whole_and_no_word_is_in_both() {
        assert_eq!(list().len(), 256);
        let all: BTreeSet<String> =
            list().iter().flat_map(|(even, odd)| [even.to_lowercase(), odd.to_lowercase()]).collect();
        assert_eq!(all.len(), 512);
        for byte in 0..=u8::MAX {
            let pair = [byte, byte.wrapping_add(1)];
            assert_eq!(unspell(&spell(pair).collect::<Vec<_>>().join("\n")).unwrap(), pair);
        }
    }

    #[test]
    fn a_word_that_is_missing_swapped_or_unknown_is_found() {
        assert_eq!(unspell("Istanbul topmost"), Err(WordError::Place { place: 1 }));
        assert_eq!(unspell("topmost Pluto vagabond"), Err(WordError::Place { place: 2 }));
        assert_eq!(unspell("topmost topmost"), Err(WordError::Place { place: 2 }));
        assert_eq!(unspell("topmost Constantinople"), Err(WordError::Unknown { place: 2 }));
        assert_eq!(unspell(""), Ok(vec![]));
    }
}
