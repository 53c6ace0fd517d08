//! Accelerators by model: how much memory one has, and which precisions it cannot run.

use crate::{Known, Sourced};
use serde::{Deserialize, Serialize};
use std::sync::OnceLock;

/// One model of accelerator, from `data/cards.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all(serialize = "camelCase"))]
pub struct Card {
    /// What is written after the count in `--accelerators 8xh200`; lower case.
    pub id: String,
    /// For people.
    pub name: String,
    /// Other spellings, lower case.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Id of its vendor in `data/accelerators.toml`.
    pub vendor: String,
    /// Memory of one device in GB (10^9 bytes), as its maker or a recipe writes it.
    pub memory_gb: Known<u32>,
    /// Memory of one device in MiB, as a driver reported it.
    pub memory_mib: Known<u32>,
    /// Devices in one host, as usually built.
    pub per_host: Known<u32>,
    /// Precisions of weights that it cannot run.
    #[serde(default)]
    pub cannot: Vec<Cannot>,
}

/// Precisions that a card cannot run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cannot {
    /// The precisions, as variants of models write them.
    pub precisions: Vec<String>,
    /// Why.
    pub reason: Sourced<String>,
    /// What can be run instead.
    pub instead: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    card: Vec<Card>,
}

/// Every card of the data file.
pub fn cards() -> &'static [Card] {
    static CARDS: OnceLock<Vec<Card>> = OnceLock::new();
    CARDS.get_or_init(|| {
        // The text is part of the binary and a test reads it, so this cannot fail on a user's machine.
        toml::from_str::<File>(include_str!("../data/cards.toml"))
            .map_or_else(|error| unreachable!("data/cards.toml: {error}"), |file| file.card)
    })
}

/// The card of that id or alias; case, `-` and `_` do not matter.
pub fn card(name: &str) -> Option<&'static Card> {
    let wanted = plain(name);
    cards()
        .iter()
        .find(|card| std::iter::once(&card.id).chain(&card.aliases).any(|known| plain(known) == wanted))
}

fn plain(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '-' | '_' | ' ')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vendor;
    use std::collections::BTreeSet;

    #[test]
    fn every_card_is_whole_and_there_once() {
        let mut seen = BTreeSet::new();
        for entry in cards() {
            assert!(vendor(&entry.vendor).is_some(), "{}", entry.id);
            for name in std::iter::once(&entry.id).chain(&entry.aliases) {
                assert!(seen.insert(plain(name)), "{name} twice");
                assert_eq!(name.to_lowercase(), *name);
            }
            let dated = [entry.memory_gb.fact(), entry.memory_mib.fact(), entry.per_host.fact()];
            for fact in dated.into_iter().flatten() {
                assert!(fact.source.starts_with("https://") && fact.date.len() == 10, "{}", entry.id);
                assert!(fact.value > 0, "{}", entry.id);
            }
            for cannot in &entry.cannot {
                assert!(!cannot.precisions.is_empty() && !cannot.instead.is_empty(), "{}", entry.id);
                assert!(cannot.reason.source.starts_with("https://"), "{}", entry.id);
            }
        }
        assert_eq!(card("Ascend_A3").map(|card| card.vendor.as_str()), Some("ascend"));
        assert_eq!(card("H200").map(|card| card.id.as_str()), Some("h200"));
        assert!(card("h2000").is_none());
    }
}
