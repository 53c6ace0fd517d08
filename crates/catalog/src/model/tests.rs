use super::files::FILES;
use super::*;
use crate::{COMPUTED, LicenseCheck, MEASURED, card, engine, license, license_ids, vendor};
use std::collections::BTreeSet;
use std::path::Path;

/// Every value of the data files that is a fact, as `path`, `source`, `date`.
fn facts(value: &toml::Value, path: &str, out: &mut Vec<(String, String, String)>) {
    match value {
        toml::Value::Table(table) => {
            if let (Some(source), Some(date)) = (table.get("source"), table.get("date")) {
                assert!(table.contains_key("value"), "{path}");
                let text = |value: &toml::Value| value.as_str().unwrap().to_owned();
                out.push((path.to_owned(), text(source), text(date)));
                return;
            }
            for (key, value) in table {
                facts(value, &format!("{path}.{key}"), out);
            }
        }
        toml::Value::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                facts(value, &format!("{path}[{index}]"), out);
            }
        }
        _ => {}
    }
}

#[test]
fn no_file_of_the_folder_is_forgotten() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../manifests/catalog");
    let mut there: Vec<String> = fs_err::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| Path::new(name).extension().is_some_and(|ending| ending == "toml"))
        .collect();
    there.sort();
    let built_in: Vec<&str> = FILES.iter().map(|(name, _)| *name).collect();
    assert_eq!(built_in, there);
}

#[test]
fn every_fact_has_a_source_and_a_date() {
    let mut found = Vec::new();
    for (name, text) in FILES {
        let value: toml::Value = toml::from_str(text).unwrap();
        facts(&value, name, &mut found);
    }
    assert!(found.len() > 100);
    for (path, source, date) in found {
        let told =
            [COMPUTED, MEASURED].iter().any(|start| source.starts_with(start) && source.len() > start.len());
        assert!(told || source.starts_with("https://"), "{path}: source {source}");
        let digits = date.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
        assert!(date.len() == 10 && digits && date.as_str() > "2025", "{path}: date {date}");
    }
}

#[test]
fn every_entry_speaks_of_known_things() {
    let mut ids = BTreeSet::new();
    for model in models() {
        let id = &model.id;
        assert!(ids.insert(id.as_str()), "{id} twice");
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
        assert!(id.chars().all(plain) && id.len() <= 60, "{id}");
        if let Some(name) = model.license.value() {
            assert!(!matches!(license(name), LicenseCheck::Unknown { .. }), "{id}: licence {name}");
            for reference in license_ids(name).iter().filter(|one| one.starts_with("LicenseRef-")) {
                let LicenseCheck::Known(known) = license(reference) else { panic!("{id}: {reference}") };
                assert!(!known.duties.is_empty(), "{id}: {reference} has no duties");
            }
        }
        assert!(!model.variants.is_empty(), "{id}");
        let variants: BTreeSet<&str> = model.variants.iter().map(|variant| variant.id.as_str()).collect();
        assert_eq!(variants.len(), model.variants.len(), "{id}: a variant twice");
        for variant in &model.variants {
            let somewhere = variant.hf.value().or(variant.modelscope.value());
            assert!(somewhere.is_some() || variant.file.is_some(), "{id} {}: nowhere to be had", variant.id);
            if let Some(repository) = somewhere {
                assert_eq!(repository.split('/').count(), 2, "{id}: {repository}");
            }
            assert!(variant.engine.as_deref().is_none_or(|name| engine(name).is_some()), "{id}");
        }
        for entry in &model.engines {
            let profile = engine(&entry.engine).unwrap_or_else(|| panic!("{id}: engine {}", entry.engine));
            for name in &entry.accelerators {
                assert!(
                    vendor(name).is_some() || card(name).is_some_and(|card| card.id == *name),
                    "{id}: {name}"
                );
            }
            assert!(
                entry.variants.iter().all(|name| variants.contains(name.as_str())),
                "{id}: {:?}",
                entry.variants
            );
            for word in entry.args.value().into_iter().flatten() {
                assert!(!profile.options().any(|option| option == word), "{id}: {word} is the profile's");
            }
        }
        for layout in &model.layouts {
            assert!(card(&layout.card).is_some_and(|card| card.id == layout.card), "{id}: {}", layout.card);
            assert!(
                layout.variants.iter().all(|name| variants.contains(name.as_str())),
                "{id}: {:?}",
                layout.variants
            );
            assert!(layout.engine.as_deref().is_none_or(|name| engine(name).is_some()), "{id}");
            match layout.verdict {
                Verdict::Works => {
                    let count =
                        layout.count.unwrap_or_else(|| panic!("{id}: {} without a count", layout.card));
                    let size = |size: Option<u32>| size.unwrap_or(1);
                    let ranks = size(layout.tensor) * size(layout.pipeline) * size(layout.data);
                    assert_eq!(
                        ranks,
                        count * layout.hosts,
                        "{id}: {count} x {} and {ranks} ranks",
                        layout.card
                    );
                    assert!(layout.instead.is_none() && layout.from_count.is_none(), "{id}");
                }
                Verdict::Fails => assert!(layout.instead.is_some(), "{id}: {} fails, and then?", layout.card),
            }
        }
    }
}

#[test]
fn the_kv_cache_is_recomputed_to_the_byte() {
    for model in models() {
        for stated in &model.kv {
            let computed = model.architecture.kv(stated.format);
            let sequence_bytes = stated.sequence_bytes.as_ref().map_or(0, |fact| fact.value);
            let stated = KvBytes { bytes: stated.bytes.value, tokens: stated.tokens, sequence_bytes };
            assert_eq!(computed, Some(stated), "{}", model.id);
        }
        // What can be computed is stated.
        for format in [CacheFormat::Bf16, CacheFormat::Fp8DsMla, CacheFormat::DeepSeekV4] {
            let is_stated = model.kv.iter().any(|stated| stated.format == format);
            assert!(model.architecture.kv(format).is_none() || is_stated, "{}: {format:?}", model.id);
        }
    }
}

/// From the project's own tables, which were made from the same configurations by other means.
#[test]
fn known_kv_caches() {
    let bytes = |id: &str, format| model(id).unwrap().architecture.kv(format).unwrap();
    assert_eq!(bytes("smollm2-135m", CacheFormat::Bf16).bytes, 23_040);
    assert_eq!(bytes("smollm2-360m", CacheFormat::Bf16).bytes, 40_960);
    for id in ["deepseek-v3", "deepseek-r1-0528", "kimi-k2.5", "kimi-k2.6"] {
        assert_eq!(bytes(id, CacheFormat::Bf16).bytes, 70_272, "{id}");
        assert_eq!(bytes(id, CacheFormat::Fp8).bytes, 35_136, "{id}");
    }
    assert_eq!(bytes("deepseek-v3.2", CacheFormat::Fp8DsMla).bytes, 48_068);
    let flash = bytes("deepseek-v4-flash", CacheFormat::DeepSeekV4);
    assert_eq!((flash.bytes / u64::from(flash.tokens), flash.sequence_bytes), (3_850, 3_214_336));
    let pro = bytes("deepseek-v4-pro", CacheFormat::DeepSeekV4);
    assert_eq!(pro.bytes / u64::from(pro.tokens), 5_511);
    let table = [
        ("qwen3-0.6b", 114_688),
        ("qwen3-1.7b", 114_688),
        ("qwen3-8b", 147_456),
        ("qwen3-32b", 262_144),
        ("qwen3-30b-a3b", 98_304),
        ("qwen3-235b-a22b-instruct-2507", 192_512),
        ("qwen3-coder-480b-a35b-instruct", 253_952),
        ("qwen3.5-27b", 65_536),
        ("qwen3.6-27b", 65_536),
        ("qwen3.5-35b-a3b", 20_480),
        ("qwen3.6-35b-a3b", 20_480),
        ("qwen3.5-122b-a10b", 24_576),
        ("qwen3.5-397b-a17b", 30_720),
        ("gpt-oss-20b", 24_576),
        ("gpt-oss-120b", 36_864),
        ("minimax-m2.5", 253_952),
        ("minimax-m2.7", 253_952),
        ("minimax-m3", 122_880),
        ("seed-oss-36b", 262_144),
        ("glm-5.2", 89_856),
    ];
    for (id, expected) in table {
        assert_eq!(bytes(id, CacheFormat::Bf16).bytes, expected, "{id}");
    }
    assert_eq!(bytes("glm-5.2", CacheFormat::Fp8DsMla).bytes, 61_464);
    // The constant shares, in MB of 10^6 bytes with one decimal.
    for (id, tenths) in [
        ("qwen3.5-27b", 1_510),
        ("qwen3.5-35b-a3b", 629),
        ("qwen3.5-122b-a10b", 1_510),
        ("qwen3.5-397b-a17b", 1_887),
        ("gpt-oss-20b", 31),
        ("gpt-oss-120b", 47),
    ] {
        assert_eq!((bytes(id, CacheFormat::Bf16).sequence_bytes + 50_000) / 100_000, tenths, "{id}");
    }
    assert_eq!(model("smollm2-135m").unwrap().architecture.kv(CacheFormat::DeepSeekV4), None);
}

#[test]
fn ready_manifests_are_named_and_there() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../manifests");
    let mut named = BTreeSet::new();
    for model in models() {
        for name in &model.manifests {
            let text = fs_err::read_to_string(folder.join(name)).unwrap();
            let at_hubs =
                model.variants.iter().flat_map(|variant| [variant.hf.value(), variant.modelscope.value()]);
            let files = model.variants.iter().filter_map(|variant| variant.file.as_ref());
            let mut places: Vec<&str> = at_hubs.flatten().map(String::as_str).collect();
            places.extend(files.map(|file| file.value.path.as_str()));
            assert!(places.iter().any(|place| text.contains(place)), "{}: {name}", model.id);
            named.insert(name.clone());
        }
    }
    let there: BTreeSet<String> = fs_err::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| {
            name.strip_suffix(".yaml")
                .is_some_and(|name| Path::new(name).extension().is_none_or(|last| last != "lock"))
        })
        .collect();
    assert_eq!(named, there, "every manifest is named by the model that it serves");
}

#[test]
fn only_what_ran_here_says_so() {
    let here: Vec<&str> =
        models().iter().filter(|model| model.tested == Tested::Here).map(|model| model.id.as_str()).collect();
    assert_eq!(here, ["smollm2-135m"]);
}

#[test]
fn models_are_found_and_slips_are_understood() {
    let id = |name: &str| model(name).map(|model| model.id.as_str());
    assert_eq!(id("kimi-k2.6"), Some("kimi-k2.6"));
    assert_eq!(id("moonshotai/Kimi-K2.6"), Some("kimi-k2.6"));
    assert_eq!(id("kimi"), None);
    assert_eq!(suggest_model("kimi-k26"), Some("kimi-k2.6"));
    assert_eq!(suggest_model("DeepSeek-V4-Flahs"), Some("deepseek-v4-flash"));
    assert_eq!(suggest_model("something else"), None);
    let found = |text: &str| search_models(text).iter().map(|model| model.id.as_str()).collect::<Vec<_>>();
    assert_eq!(found("kimi ascend"), ["kimi-k2.6", "kimi-k2.5"]);
    assert!(found("MI355X").contains(&"deepseek-v4-pro") && !found("mi300x").contains(&"deepseek-v4-pro"));
    assert_eq!(found("nothing of the kind"), Vec::<&str>::new());
    assert_eq!(found("  "), Vec::<&str>::new());
}

#[test]
fn a_typo_in_a_data_file_is_an_error() {
    let (_, text) = FILES.iter().find(|(name, _)| *name == "smollm2.toml").unwrap();
    for (from, to) in [
        ("kv_heads", "kv_head"),
        ("modelscope = \"unknown\"", "modelscope = \"\""),
        ("license =", "licence ="),
    ] {
        assert!(text.contains(from), "{from}");
        assert!(toml::from_str::<find::File>(&text.replacen(from, to, 1)).is_err(), "{from}");
    }
}
