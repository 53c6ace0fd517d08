//! Vendors of accelerators.

use crate::Tested;
use serde::Deserialize;
use std::sync::OnceLock;

/// A request for devices to a driver of the container engine (`DeviceRequests` of its API).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceRequest {
    /// Name of the driver.
    pub driver: String,
    /// Capabilities, all of which are wanted.
    pub capabilities: Vec<String>,
}

/// A vendor of accelerators, from `data/accelerators.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vendor {
    /// What a manifest writes after `vendor:`.
    pub id: String,
    /// For people.
    pub name: String,
    /// Where its accelerators have been used with sovai.
    pub tested: Tested,
    /// Where the facts were found.
    pub source: String,
    /// When (`YYYY-MM-DD`).
    pub date: String,
    /// How the container engine itself hands its devices out; `None` where it does not, or where that is not known here.
    #[serde(default)]
    pub device_request: Option<DeviceRequest>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    vendor: Vec<Vendor>,
}

/// Every vendor of the data file.
pub fn vendors() -> &'static [Vendor] {
    static VENDORS: OnceLock<Vec<Vendor>> = OnceLock::new();
    VENDORS.get_or_init(|| {
        // The text is part of the binary and a test reads it, so this cannot fail on a user's machine.
        toml::from_str::<File>(include_str!("../data/accelerators.toml"))
            .map_or_else(|error| unreachable!("data/accelerators.toml: {error}"), |file| file.vendor)
    })
}

/// The vendor with that id.
pub fn vendor(id: &str) -> Option<&'static Vendor> {
    vendors().iter().find(|vendor| vendor.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_vendor_is_whole_and_there_once() {
        for entry in vendors() {
            assert!(entry.source.starts_with("https://"), "{}", entry.id);
            assert_eq!(entry.date.len(), 10, "{}", entry.id);
            assert_eq!(vendor(&entry.id), Some(entry), "{} twice", entry.id);
        }
        assert!(vendor("NVIDIA").is_none(), "ids are lower case");
    }
}
