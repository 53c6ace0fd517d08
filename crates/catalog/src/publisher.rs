//! Publishers of open weights, and which hosts are one source of model files.

use serde::Deserialize;
use std::sync::OnceLock;

/// Whether a publisher signs its weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignsWeights {
    /// No signature is known; that is not the same as there being none.
    Unknown,
    /// The publisher says that it does not.
    No,
    /// A source says so; see its note for how far.
    Yes,
}

/// A publisher, from `data/publishers.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Publisher {
    /// Name for people.
    pub name: String,
    /// Other names that manifests use for it.
    pub aliases: Vec<String>,
    /// Its own organisations at hubs, as `SCHEME:ORGANISATION`.
    pub hubs: Vec<String>,
    /// Whether it signs its weights.
    pub signs_weights: SignsWeights,
    /// How far that goes.
    #[serde(default)]
    pub note: Option<String>,
    /// Where the facts were found.
    pub source: String,
    /// When (`YYYY-MM-DD`).
    pub date: String,
}

/// Hosts that are one source of model files, from `data/hubs.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hub {
    /// Stable word for it.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// Schemes of a manifest's `source` that lead there.
    pub schemes: Vec<String>,
    /// Its hosts, each with all its subdomains.
    pub hosts: Vec<String>,
    /// Hosts of others that hand out what it has, each with all its subdomains: no second source, and not its own word.
    #[serde(default)]
    pub proxies: Vec<String>,
    /// Where the facts were found.
    pub source: String,
    /// When (`YYYY-MM-DD`).
    pub date: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Publishers {
    publisher: Vec<Publisher>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hubs {
    hub: Vec<Hub>,
}

/// Every publisher of the data file.
pub fn publishers() -> &'static [Publisher] {
    static PUBLISHERS: OnceLock<Vec<Publisher>> = OnceLock::new();
    PUBLISHERS.get_or_init(|| {
        // The text is part of the binary and a test reads it, so this cannot fail on a user's machine.
        toml::from_str::<Publishers>(include_str!("../data/publishers.toml"))
            .map_or_else(|error| unreachable!("data/publishers.toml: {error}"), |file| file.publisher)
    })
}

/// The publisher of that name, alias or organisation (`hf:ORG`, or `ORG` alone); letter case does not matter.
pub fn publisher(name: &str) -> Option<&'static Publisher> {
    let same = |other: &String| other.eq_ignore_ascii_case(name);
    publishers().iter().find(|publisher| {
        let organisation = |hub: &String| {
            same(hub) || hub.split_once(':').is_some_and(|(_, org)| org.eq_ignore_ascii_case(name))
        };
        same(&publisher.name) || publisher.aliases.iter().any(same) || publisher.hubs.iter().any(organisation)
    })
}

/// Every hub of the data file.
pub fn hubs() -> &'static [Hub] {
    static HUBS: OnceLock<Vec<Hub>> = OnceLock::new();
    HUBS.get_or_init(|| {
        // The text is part of the binary and a test reads it, so this cannot fail on a user's machine.
        toml::from_str::<Hubs>(include_str!("../data/hubs.toml"))
            .map_or_else(|error| unreachable!("data/hubs.toml: {error}"), |file| file.hub)
    })
}

/// The hub that a scheme (`hf`) leads to.
pub fn hub_of_scheme(scheme: &str) -> Option<&'static Hub> {
    hubs().iter().find(|hub| hub.schemes.iter().any(|known| known == scheme))
}

/// The hub that a host, written in lower case, belongs to, or hands out the files of.
pub fn hub_of_host(host: &str) -> Option<&'static Hub> {
    hubs().iter().find(|hub| hub.is_own_host(host) || hub.proxies.iter().any(|known| is_below(host, known)))
}

impl Hub {
    /// Whether a host, written in lower case, is the hub's own.
    pub fn is_own_host(&self, host: &str) -> bool {
        self.hosts.iter().any(|known| is_below(host, known))
    }
}

fn is_below(host: &str, known: &str) -> bool {
    host == known || host.strip_suffix(known).is_some_and(|rest| rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fact_has_a_source_and_a_date_and_no_name_stands_twice() {
        let mut names = std::collections::BTreeSet::new();
        for publisher in publishers() {
            assert!(!publisher.source.is_empty() && publisher.date.len() == 10, "{}", publisher.name);
            for name in publisher.aliases.iter().chain([&publisher.name]) {
                assert!(names.insert(name.to_lowercase()), "{name} stands twice");
            }
            for hub in &publisher.hubs {
                let (scheme, _) = hub.split_once(':').unwrap();
                assert!(hub_of_scheme(scheme).is_some(), "{hub}");
            }
        }
        for hub in hubs() {
            assert!(!hub.source.is_empty() && hub.date.len() == 10, "{}", hub.id);
        }
    }

    #[test]
    fn publishers_are_found_by_name_alias_and_organisation() {
        for name in ["DeepSeek", "deepseek-ai", "hf:deepseek-ai"] {
            assert_eq!(publisher(name).unwrap().name, "DeepSeek");
        }
        for name in ["DeepSeek", "Kimi", "qwen"] {
            assert_eq!(publisher(name).unwrap().signs_weights, SignsWeights::Unknown);
        }
        assert_eq!(publisher("deepseek-ai2"), None);
        assert_eq!(publisher(""), None);
    }

    #[test]
    fn subdomains_belong_to_their_hub_and_look_alikes_do_not() {
        assert_eq!(hub_of_host("cdn-lfs.huggingface.co").unwrap().id, "huggingface");
        assert_eq!(hub_of_host("modelscope.ai").unwrap().id, hub_of_host("modelscope.cn").unwrap().id);
        assert_eq!(hub_of_host("nothuggingface.co"), None);
        assert_eq!(hub_of_host("huggingface.co.example"), None);
    }
}
