//! Licences: SPDX expressions, and the licences of open models that SPDX does not list.

use crate::{Sourced, suggest};
use serde::{Deserialize, Serialize};
use std::sync::OnceLock;

/// A licence outside the SPDX list, from `data/licenses.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownLicense {
    /// SPDX form for licences outside its list: `LicenseRef-...`.
    pub id: String,
    /// Full name.
    pub name: String,
    /// Labels under which hubs show it.
    pub aliases: Vec<String>,
    /// What to know before use; a summary, not legal advice.
    pub note: String,
    /// What it demands of whoever uses the model, where that is known; summaries too.
    #[serde(default)]
    pub duties: Vec<Sourced<String>>,
    /// Where its text was found.
    pub source: String,
    /// When (`YYYY-MM-DD`).
    pub date: String,
}

/// What is known about a licence text of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LicenseCheck {
    /// A strict SPDX licence expression (SPDX 2.3 annex D), also with `LicenseRef-` of the author's own.
    Spdx,
    /// A licence outside the SPDX list that the catalogue knows, by id or alias.
    Known(&'static KnownLicense),
    /// Neither.
    Unknown {
        /// What may have been meant.
        suggestion: Option<String>,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    license: Vec<KnownLicense>,
}

/// Every licence of the data file.
pub fn known_licenses() -> &'static [KnownLicense] {
    static LICENSES: OnceLock<Vec<KnownLicense>> = OnceLock::new();
    LICENSES.get_or_init(|| {
        // The text is part of the binary and a test reads it, so this cannot fail on a user's machine.
        toml::from_str::<File>(include_str!("../data/licenses.toml"))
            .map_or_else(|error| unreachable!("data/licenses.toml: {error}"), |file| file.license)
    })
}

/// Looks a licence text up: SPDX expression, known id or alias, or unknown.
pub fn license(text: &str) -> LicenseCheck {
    let known = known_licenses();
    if let Some(found) =
        known.iter().find(|entry| entry.id == text || entry.aliases.iter().any(|alias| alias == text))
    {
        return LicenseCheck::Known(found);
    }
    // The parser is given no absurd lengths: real expressions are short.
    if text.len() <= 512 && spdx::Expression::parse(text).is_ok() {
        return LicenseCheck::Spdx;
    }
    let folded = text.to_lowercase();
    // Hubs write SPDX ids in lower case; that is the likeliest slip, so it comes before near spellings.
    let suggestion = spdx::identifiers::LICENSES
        .iter()
        .map(|entry| entry.name)
        .find(|name| name.to_lowercase() == folded)
        .or_else(|| {
            spdx::imprecise_license_id(text).filter(|(_, used)| *used == text.len()).map(|(id, _)| id.name)
        })
        .or_else(|| {
            let ids = spdx::identifiers::LICENSES.iter().map(|entry| entry.name);
            suggest(text, ids.chain(known.iter().map(|entry| entry.id.as_str())))
        });
    LicenseCheck::Unknown { suggestion: suggestion.map(str::to_owned) }
}

/// Whether a text is one licence's id: of the SPDX list, or `LicenseRef-...`. An error is what may have been meant.
///
/// Expressions and a hub's labels are none: a list of a policy names licences one by one.
pub fn license_id(text: &str) -> Result<(), Option<String>> {
    let reference = |name: &str| {
        (1..=128).contains(&name.len())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'))
    };
    if text.strip_prefix("LicenseRef-").is_some_and(reference) {
        return Ok(());
    }
    if text.len() <= 128 && spdx::license_id(text).is_some_and(|id| id.name == text) {
        return Ok(());
    }
    Err(match license(text) {
        LicenseCheck::Known(known) => Some(known.id.clone()),
        LicenseCheck::Unknown { suggestion } => suggestion,
        LicenseCheck::Spdx => None,
    })
}

/// Judges a licence as a manifest writes it: an expression holds when `taken` holds for enough of its licences (`OR`
/// needs one side, `AND` both). `None` where the licence is not known.
pub fn license_test(text: &str, mut taken: impl FnMut(&str) -> bool) -> Option<bool> {
    match license(text) {
        LicenseCheck::Known(known) => Some(taken(&known.id)),
        LicenseCheck::Spdx => {
            let expression = spdx::Expression::parse(text).ok()?;
            Some(expression.evaluate(|requirement| taken(&requirement.license.to_string())))
        }
        LicenseCheck::Unknown { .. } => None,
    }
}

/// The ids of all licences that a licence as a manifest writes it names; none where it is not known.
pub fn license_ids(text: &str) -> Vec<String> {
    match license(text) {
        LicenseCheck::Known(known) => vec![known.id.clone()],
        LicenseCheck::Spdx => spdx::Expression::parse(text)
            .map(|expression| expression.requirements().map(|one| one.req.license.to_string()).collect())
            .unwrap_or_default(),
        LicenseCheck::Unknown { .. } => Vec::new(),
    }
}

/// The licence that a hub's label means: `apache-2.0` is `Apache-2.0`. `None` for `other`, `unknown` and their like.
pub fn hub_label(label: &str) -> Option<String> {
    match license(label) {
        LicenseCheck::Known(known) => Some(known.id.clone()),
        LicenseCheck::Spdx => Some(label.to_owned()),
        LicenseCheck::Unknown { suggestion } => suggestion.filter(|near| near.eq_ignore_ascii_case(label)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_known_ids_and_slips_are_told_apart() {
        for good in ["Apache-2.0", "MIT", "Apache-2.0 OR MIT", "GPL-3.0-or-later WITH GCC-exception-3.1"] {
            assert_eq!(license(good), LicenseCheck::Spdx, "{good}");
        }
        assert_eq!(license("LicenseRef-Our-Ministry"), LicenseCheck::Spdx);
        let known = |text| match license(text) {
            LicenseCheck::Known(entry) => entry.id.as_str(),
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(known("LicenseRef-Kimi-Modified-MIT"), "LicenseRef-Kimi-Modified-MIT");
        assert_eq!(known("LicenseRef-DeepSeek-1.0"), "LicenseRef-DeepSeek-1.0");
        assert_eq!(known("llama3.1"), "LicenseRef-Llama-3.1");
        let suggestion = |text| match license(text) {
            LicenseCheck::Unknown { suggestion } => suggestion,
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(suggestion("apache-2.0").as_deref(), Some("Apache-2.0"));
        assert_eq!(suggestion("mit").as_deref(), Some("MIT"));
        assert_eq!(suggestion("Apache 2.0").as_deref(), Some("Apache-2.0"));
        assert_eq!(suggestion("LicenseRef Deepseek 1.0"), Some("LicenseRef-DeepSeek-1.0".into()));
        assert_eq!(suggestion("all rights reserved, ask the vendor"), None);
        assert_eq!(suggestion(""), None);
        assert_eq!(suggestion(&"(".repeat(1 << 20)), None);
    }

    #[test]
    fn expressions_are_judged_and_labels_read() {
        let mit = |text| license_test(text, |id| id == "MIT");
        assert_eq!(mit("MIT"), Some(true));
        assert_eq!(mit("MIT OR Apache-2.0"), Some(true));
        assert_eq!(mit("MIT AND Apache-2.0"), Some(false));
        assert_eq!(mit("llama3.1"), Some(false));
        assert_eq!(mit("no licence that anybody knows"), None);
        assert_eq!(license_test("GPL-3.0-or-later", |id| id == "GPL-3.0-or-later"), Some(true));
        assert_eq!(license_ids("MIT OR LicenseRef-Ours"), ["MIT", "LicenseRef-Ours"]);
        assert_eq!(license_ids("llama3.1"), ["LicenseRef-Llama-3.1"]);
        // Kimi and MiniMax both went by it, and their licences differ.
        assert_eq!((license_ids("modified-mit"), hub_label("modified-mit")), (vec![], None));
        assert_eq!(hub_label("apache-2.0").as_deref(), Some("Apache-2.0"));
        assert_eq!(hub_label("llama3.1").as_deref(), Some("LicenseRef-Llama-3.1"));
        assert_eq!(hub_label("other"), None);
        for (text, good) in [
            ("MIT", true),
            ("LicenseRef-Ours", true),
            ("LicenseRef-", false),
            ("mit", false),
            ("MIT OR ISC", false),
            ("modified-mit", false),
        ] {
            assert_eq!(license_id(text).is_ok(), good, "{text}");
        }
    }

    #[test]
    fn every_entry_is_whole_and_used_once() {
        let mut seen = std::collections::BTreeSet::new();
        for entry in known_licenses() {
            assert!(entry.id.starts_with("LicenseRef-"), "{}", entry.id);
            assert!(spdx::Expression::parse(&entry.id).is_ok(), "{}", entry.id);
            assert!(entry.source.starts_with("https://"), "{}", entry.id);
            assert_eq!(entry.date.len(), 10, "{}", entry.id);
            for duty in &entry.duties {
                assert!(
                    duty.source.starts_with("https://") && duty.date.len() == 10,
                    "{}: {}",
                    entry.id,
                    duty.value
                );
            }
            assert!(seen.insert(entry.id.clone()), "{} twice", entry.id);
            for alias in &entry.aliases {
                assert!(spdx::license_id(alias).is_none(), "{alias} is an SPDX id");
                assert!(seen.insert(alias.clone()), "{alias} twice");
            }
        }
    }
}
