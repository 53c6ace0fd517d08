//! Licences in the words of the schema.

use crate::cdx::{License, NamedLicense};
use crate::claim::Claim;
use sovai_catalog::{LicenseCheck, license, license_ids};

/// A licence as somebody wrote it: an SPDX id, an expression, a licence that the catalogue knows, or a text.
pub(crate) fn written(text: &str, claim: Claim) -> License {
    let acknowledgement = claim.acknowledgement();
    let named = |id: Option<String>, name: Option<String>, url: Option<String>| License::One {
        license: NamedLicense { id, name, acknowledgement, url },
    };
    match license(text) {
        LicenseCheck::Known(known) => {
            // A source is an address, and perhaps what to look at there.
            let url = known.source.split(' ').next().map(crate::model::address);
            named(None, Some(known.id.clone()), url)
        }
        LicenseCheck::Spdx => match license_ids(text).as_slice() {
            [one] if one == text && text.starts_with("LicenseRef-") => {
                named(None, Some(text.to_owned()), None)
            }
            [one] if one == text => named(Some(text.to_owned()), None, None),
            _ => License::Expression { expression: text.to_owned(), acknowledgement },
        },
        LicenseCheck::Unknown { .. } => named(None, Some(text.to_owned()), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_kind_of_licence_has_its_place() {
        let shown = |text, claim| serde_json::to_value(written(text, claim)).unwrap();
        assert_eq!(
            shown("Apache-2.0", Claim::Verified),
            json!({"license": {"id": "Apache-2.0", "acknowledgement": "concluded"}})
        );
        assert_eq!(
            shown("MIT OR Apache-2.0", Claim::Declared),
            json!({"expression": "MIT OR Apache-2.0", "acknowledgement": "declared"})
        );
        assert_eq!(shown("GPL-3.0-or-later", Claim::Declared)["license"]["id"], json!("GPL-3.0-or-later"));
        assert_eq!(shown("LicenseRef-Ours", Claim::Declared)["license"]["name"], json!("LicenseRef-Ours"));
        let known = shown("llama3.1", Claim::Declared);
        assert_eq!(known["license"]["name"], json!("LicenseRef-Llama-3.1"));
        assert!(known["license"]["url"].as_str().unwrap().starts_with("https://"));
        assert_eq!(shown("ask the vendor", Claim::Declared)["license"]["name"], json!("ask the vendor"));
    }
}
