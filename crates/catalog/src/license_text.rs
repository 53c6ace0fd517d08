//! Licence texts, known by the digest of what is left when form is taken away.
//!
//! A label says what somebody called a licence, a text is the licence. Two copies of one text differ in line breaks,
//! quotes, case and the copyright line; [`normalize_license_text`] takes that away and nothing else, in the spirit of
//! SPDX's matching guidelines (SPDX 2.3 annex B). One added clause is another text.

use serde::Deserialize;
use sha2::{Digest as _, Sha256 as Hasher};
use sovai_core::Sha256;
use std::sync::OnceLock;
use unicode_normalization::UnicodeNormalization as _;

/// The data file; a test makes it anew from the texts of the `spdx` crate.
pub const LICENSE_TEXTS_DATA: &str = include_str!("../data/license-texts.toml");

/// A licence text, from `data/license-texts.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownText {
    /// Licences that share the text: `GPL-3.0-only` and `GPL-3.0-or-later` do.
    pub ids: Vec<String>,
    /// Which form of it: `whole`, `without title`, `without appendix`, or the title it bears.
    pub form: String,
    /// SHA-256 of the normalised text.
    pub sha256: Sha256,
    /// Its first words after the title, normalised.
    pub opening: String,
}

/// What a licence text is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextMatch {
    /// The text of this licence, or of one of these that share it.
    Known {
        /// SPDX ids.
        ids: &'static [String],
        /// SHA-256 of the normalised text.
        sha256: Sha256,
    },
    /// Another text, with the first words of a known one in it: a changed licence.
    Similar {
        /// The licence whose words it has.
        id: &'static str,
        /// SHA-256 of the normalised text.
        sha256: Sha256,
    },
    /// Another text.
    Unknown {
        /// SHA-256 of the normalised text.
        sha256: Sha256,
    },
}

impl TextMatch {
    /// SHA-256 of the normalised text.
    pub const fn sha256(&self) -> Sha256 {
        match self {
            Self::Known { sha256, .. } | Self::Similar { sha256, .. } | Self::Unknown { sha256 } => *sha256,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    text: Vec<KnownText>,
}

/// Every text of the data file.
pub fn known_texts() -> &'static [KnownText] {
    static TEXTS: OnceLock<Vec<KnownText>> = OnceLock::new();
    TEXTS.get_or_init(|| {
        // The text is part of the binary and a test reads it, so this cannot fail on a user's machine.
        toml::from_str::<File>(LICENSE_TEXTS_DATA)
            .map_or_else(|error| unreachable!("data/license-texts.toml: {error}"), |file| file.text)
    })
}

/// Says which licence a text is. Linear in the text's length; callers bound that.
pub fn identify_license_text(text: &str) -> TextMatch {
    let words = normalize_license_text(text);
    let sha256 = digest(&words);
    if let Some(known) = known_texts().iter().find(|known| known.sha256 == sha256) {
        return TextMatch::Known { ids: &known.ids, sha256 };
    }
    match known_texts().iter().find(|known| words.contains(&known.opening)) {
        Some(known) => TextMatch::Similar { id: known.ids.first().map_or("", String::as_str), sha256 },
        None => TextMatch::Unknown { sha256 },
    }
}

/// SHA-256 of the normalised text: what `licenses.texts` of a policy names.
pub fn license_text_digest(text: &str) -> Sha256 {
    digest(&normalize_license_text(text))
}

fn digest(words: &str) -> Sha256 {
    Sha256::from_bytes(Hasher::digest(words.as_bytes()).into())
}

/// What is left of a licence text when form is taken away, in this order:
///
/// 1. Unicode NFC, lower case.
/// 2. Copyright lines are dropped: at most 120 bytes, beginning with `copyright` and then `(c)`, `©`, a year or a
///    placeholder, without any word of a condition; and lines that are just `all rights reserved`.
/// 3. Everything but letters and digits separates words: punctuation, quotes, bullets, comment signs, white space.
/// 4. `https` is `http` and `licence` is `license`.
/// 5. One space between words.
pub fn normalize_license_text(text: &str) -> String {
    let text: String = text.nfc().flat_map(char::to_lowercase).collect();
    let mut out = String::with_capacity(text.len());
    for line in text.lines().filter(|line| !is_copyright(line)) {
        for word in words(line) {
            if !out.is_empty() {
                out.push(' ');
            }
            out.push_str(match word {
                "https" => "http",
                "licence" => "license",
                other => other,
            });
        }
    }
    out
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty())
}

/// Longest copyright line in bytes. A longer one may hide a clause.
const MAX_COPYRIGHT: usize = 120;

/// Words of conditions. A line that has one is kept, so that a clause cannot hide behind a copyright sign.
const CONDITIONS: [&str; 22] = [
    "agree",
    "commercial",
    "commercially",
    "condition",
    "conditions",
    "except",
    "forbidden",
    "granted",
    "may",
    "must",
    "noncommercial",
    "not",
    "only",
    "permission",
    "permitted",
    "prohibited",
    "provided",
    "require",
    "required",
    "requires",
    "shall",
    "use",
];

/// Whether a lower-case line is a copyright notice and nothing else.
fn is_copyright(line: &str) -> bool {
    let line = line.trim_matches(|c: char| c.is_whitespace() || matches!(c, '*' | '#' | '/' | '-' | ';'));
    if line.len() > MAX_COPYRIGHT {
        return false;
    }
    if line.trim_end_matches('.') == "all rights reserved" {
        return true;
    }
    let rest = match line.strip_prefix("copyright") {
        Some(rest) => rest.trim_start_matches(':').trim_start(),
        None => line,
    };
    let marked = rest.starts_with("(c)") || rest.starts_with('©');
    let dated = rest.len() != line.len()
        && rest.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '<' | '[' | '{'));
    (marked || dated) && !words(line).any(|word| CONDITIONS.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn form_is_taken_away_and_nothing_else() {
        let same = [
            "MIT Licence\n\nCopyright (c) 2024 A\n\nPermission is \"granted\".",
            "mit  license\r\nCopyright \u{a9} 2025 Somebody Else. All rights reserved.\r\npermission is\n \u{201c}granted\u{201d}",
            "# MIT License\n# Copyright [yyyy] [name]\n# All rights reserved.\n# Permission is 'granted'",
            "MIT License\nCopyright <year> <copyright holders>\nPermission is granted",
        ];
        for text in same {
            assert_eq!(normalize_license_text(text), "mit license permission is granted", "{text}");
        }
        for other in [
            "MIT License\nCopyright (c) 2024 A\nPermission is not granted",
            "MIT License\nCopyright (c) 2024 A. Commercial use is not covered.\nPermission is granted",
            "MIT License\nCopyright 2024 A, you shall display its name\nPermission is granted",
            &format!("MIT License\nCopyright 2024 {}\nPermission is granted", "a ".repeat(80)),
            "MIT License\ncopyright notice stays\nPermission is granted",
            "MIT License\nPerm\u{456}ssion is granted",
        ] {
            assert_ne!(normalize_license_text(other), "mit license permission is granted", "{other}");
        }
        assert_eq!(normalize_license_text("caf\u{e9}"), normalize_license_text("cafe\u{301}"));
        assert_eq!(normalize_license_text(""), "");
    }

    #[test]
    fn every_entry_is_whole_and_no_digest_stands_twice() {
        let mut seen = std::collections::BTreeSet::new();
        for text in known_texts() {
            assert!(seen.insert(text.sha256), "{:?} {}", text.ids, text.form);
            assert!(!text.ids.is_empty() && !text.opening.is_empty());
            for id in &text.ids {
                assert!(spdx::license_id(id).is_some(), "{id}");
            }
        }
        assert!(seen.len() > 20);
    }
}
