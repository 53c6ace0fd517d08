//! Licence texts against their source: the texts that the `spdx` crate has from the SPDX list.

#![expect(clippy::unwrap_used, reason = "what a test cannot do is a failed test")]

use sovai_catalog::{
    LICENSE_TEXTS_DATA, TextMatch, identify_license_text, license_text_digest, normalize_license_text,
};
use std::fmt::Write as _;

/// Licences of open models and of the code that comes with them; those that share one text stand together.
const LICENSES: &[&[&str]] = &[
    &["Apache-2.0"],
    &["MIT"],
    &["MIT-0"],
    &["BSD-2-Clause"],
    &["BSD-3-Clause"],
    &["ISC"],
    &["0BSD"],
    &["Unlicense"],
    &["Zlib"],
    &["BSL-1.0"],
    &["MPL-2.0"],
    &["GPL-2.0-only", "GPL-2.0-or-later"],
    &["GPL-3.0-only", "GPL-3.0-or-later"],
    &["LGPL-2.1-only", "LGPL-2.1-or-later"],
    &["LGPL-3.0-only", "LGPL-3.0-or-later"],
    &["AGPL-3.0-only", "AGPL-3.0-or-later"],
    &["EUPL-1.2"],
    &["MulanPSL-2.0"],
    &["CC0-1.0"],
    &["CC-BY-3.0"],
    &["CC-BY-4.0"],
    &["CC-BY-SA-4.0"],
    &["CC-BY-NC-4.0"],
    &["CC-BY-NC-SA-4.0"],
    &["CC-BY-NC-ND-4.0"],
    &["CC-BY-ND-4.0"],
    &["CDLA-Permissive-1.0"],
    &["CDLA-Permissive-2.0"],
    &["CDLA-Sharing-1.0"],
    &["ODC-By-1.0"],
    &["ODbL-1.0"],
];

fn text(id: &str) -> &'static str {
    spdx::license_id(id).unwrap_or_else(|| panic!("{id}")).text()
}

/// Titles under which copies of a text without a fixed one are seen.
fn titles(id: &str) -> &'static [&'static str] {
    match id {
        "MIT" => &["MIT License", "The MIT License", "The MIT License (MIT)", "MIT License (MIT)"],
        "BSD-2-Clause" => &["BSD 2-Clause License", "The 2-Clause BSD License"],
        "BSD-3-Clause" => &["BSD 3-Clause License", "The 3-Clause BSD License"],
        "ISC" => &["ISC License", "The ISC License"],
        _ => &[],
    }
}

/// The forms of a text, with a name each.
fn forms(id: &str) -> Vec<(String, String)> {
    let whole = normalize_license_text(text(id));
    let mut forms = vec![("whole".to_owned(), whole.clone())];
    let titles = titles(id);
    let body = titles
        .iter()
        .map(|title| format!("{} ", normalize_license_text(title)))
        .filter_map(|title| whole.strip_prefix(&title).map(str::to_owned))
        .min_by_key(String::len)
        .unwrap_or_else(|| whole.clone());
    if !titles.is_empty() {
        forms.push(("without title".to_owned(), body.clone()));
        forms.extend(
            titles
                .iter()
                .map(|title| ((*title).to_owned(), format!("{} {body}", normalize_license_text(title)))),
        );
    }
    if id == "Apache-2.0" {
        let end = "end of terms and conditions";
        let at = whole.find(end).unwrap();
        forms.push(("without appendix".to_owned(), whole[..at + end.len()].to_owned()));
        forms.push(("without appendix and its last line".to_owned(), whole[..at].trim_end().to_owned()));
    }
    if id == "GPL-3.0-only" {
        // Its last line names a page that moved.
        forms.push(("older address".to_owned(), whole.replace("philosophy why not", "licenses why not")));
    }
    forms
}

fn data() -> String {
    let mut out = String::from(
        "# Digests of normalised licence texts; src/license_text.rs says how they are normalised. Made from the texts of the\n\
         # SPDX list as the crate `spdx` 0.13 has them; tests/license_texts.rs makes it anew and compares. Texts outside that\n\
         # list (DeepSeek, Kimi, Llama, Gemma, MiniMax) are pinned by the operator: `licenses.texts` of a policy.\n",
    );
    let mut seen = Vec::new();
    for ids in LICENSES {
        let forms = forms(ids[0]);
        // The shortest form has no title.
        let body = forms.iter().filter(|(form, _)| form == "without title").map(|(_, body)| body).next();
        let body = body.unwrap_or(&forms[0].1);
        let opening: Vec<&str> = body.split(' ').take(24).collect();
        for (form, words) in &forms {
            // Normalised words are normalised.
            let sha256 = license_text_digest(words);
            if seen.contains(&sha256) {
                continue;
            }
            seen.push(sha256);
            let _ = write!(
                out,
                "\n[[text]]\nids = {ids:?}\nform = {form:?}\nsha256 = \"{sha256}\"\nopening = {:?}\n",
                opening.join(" ")
            );
        }
    }
    out
}

#[test]
fn the_data_file_follows_from_the_texts() {
    let expected = data();
    if expected != LICENSE_TEXTS_DATA {
        let path = concat!(env!("CARGO_TARGET_TMPDIR"), "/license-texts.toml");
        fs_err::write(path, expected).unwrap();
        panic!("data/license-texts.toml is not what the texts say; what it should be is in {path}");
    }
}

fn known(text: &str) -> Vec<String> {
    match identify_license_text(text) {
        TextMatch::Known { ids, .. } => ids.to_vec(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_text_is_known_also_reflowed_and_with_another_holder() {
    for ids in LICENSES {
        assert_eq!(known(text(ids[0])), *ids, "{ids:?}");
        let reflowed = text(ids[0]).replace('"', "\u{201d}").to_uppercase();
        assert_eq!(known(&reflowed), *ids, "{ids:?} reflowed");
    }
    let apache = text("Apache-2.0")
        .replace("[yyyy]", "2024")
        .replace("[name of copyright owner]", "Example Cloud")
        .replace("http://", "https://");
    assert_eq!(known(&apache), ["Apache-2.0"]);
    let mit = text("MIT").replace("<year> <copyright holders>", "2023 Example AI");
    assert_eq!(known(&mit), ["MIT"]);
    assert_eq!(known(&mit.replace("MIT License", "The MIT License (MIT)")), ["MIT"]);
    assert_eq!(known(&mit.replace("MIT License\n", "")), ["MIT"]);
}

#[test]
fn a_text_with_one_clause_more_is_another_text() {
    // As the Kimi K2 family has it: MIT, a title of its own, and one clause at the end.
    let clause = "Our only modification part is that, if the Software is used for any of your commercial products or \
                  services that have more than 100 million monthly active users, you shall prominently display its \
                  name on the user interface of such product or service.";
    let mit = text("MIT").replace("<year> <copyright holders>", "2025 Example AI");
    for changed in [
        format!("{mit}\n\n{clause}\n"),
        format!("{}\n\n{clause}\n", mit.replace("MIT License", "Modified MIT License")),
        mit.replace("MIT License", "Modified MIT License"),
        mit.replace("without restriction", "for research"),
        mit.replace("2025 Example AI", "2025 Example AI. Commercial use needs permission."),
    ] {
        let found = identify_license_text(&changed);
        assert!(matches!(found, TextMatch::Similar { id: "MIT", .. }), "{found:?}");
    }
    let unknown = identify_license_text("DEEPSEEK LICENSE AGREEMENT Version 1.0");
    assert!(matches!(unknown, TextMatch::Unknown { .. }), "{unknown:?}");
}

#[test]
fn the_systems_own_copies_are_known() {
    // Debian's copies, where there are any; the texts above prove the same without them.
    for (file, ids) in [("Apache-2.0", "Apache-2.0"), ("GPL-3", "GPL-3.0-only"), ("MPL-2.0", "MPL-2.0")] {
        if let Ok(text) = fs_err::read_to_string(format!("/usr/share/common-licenses/{file}")) {
            assert_eq!(known(&text)[0], ids, "{file}");
        }
    }
}
