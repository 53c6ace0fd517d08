use super::choose::{Choice, choose};
use super::wanted::Wanted;
use super::{skeleton, write};
use crate::error::CliError;
use crate::exit::Exit;
use sovai_catalog::{CatalogModel, Verdict, card, model, models};
use sovai_manifest::Manifest;

fn wanted(count: u32, name: &str) -> Wanted {
    Wanted { count, card: card(name).unwrap() }
}

/// A manifest about which validation has nothing to say, not even a warning.
fn parsed(text: &str) -> Manifest {
    let parsed = sovai_manifest::parse(text.as_bytes());
    assert_eq!(parsed.diagnostics, [], "{text}");
    parsed.manifest.unwrap()
}

fn chosen(
    id: &str,
    accelerators: &str,
    variant: Option<&str>,
    engine: Option<&str>,
) -> Result<Choice, CliError> {
    choose(model(id).unwrap(), Some(Wanted::parse(accelerators)?), variant, engine)
}

#[test]
fn the_skeleton_is_valid() {
    assert_eq!(parsed(skeleton::TEXT).name.as_str(), "my-stack");
}

#[test]
fn every_entry_with_every_layout_gives_a_valid_manifest() {
    let mut written = 0;
    for model in models() {
        for layout in
            model.layouts.iter().filter(|layout| layout.verdict == Verdict::Works && layout.hosts == 1)
        {
            let wanted = wanted(layout.count.unwrap(), &layout.card);
            for variant in &layout.variants {
                let choice = choose(model, Some(wanted), Some(variant), layout.engine.as_deref())
                    .unwrap_or_else(|error| panic!("{} {variant} on {wanted}: {error:?}", model.id));
                let known = choice.layout.unwrap_or_else(|| panic!("{} on {wanted}: not known", model.id));
                check(&choice);
                let manifest = parsed(&write::manifest(&choice));
                let parallelism = &manifest.services.values().next().unwrap().parallelism;
                assert_eq!(
                    (parallelism.tensor, parallelism.data),
                    (known.tensor, known.data),
                    "{}",
                    model.id
                );
                written += 1;
            }
            // The choice without further wishes is known to work too.
            let free = choose(model, Some(wanted), None, None).unwrap();
            assert!(
                free.layout.is_some(),
                "{} on {wanted}: {} with {}",
                model.id,
                free.variant.id,
                free.engine
            );
        }
        // With every checkpoint and engine, on no accelerators and on ones that nobody tried.
        for variant in &model.variants {
            for wanted in [None, Some(wanted(3, "l40s"))] {
                match choose(model, wanted, Some(&variant.id), None) {
                    Ok(choice) => {
                        check(&choice);
                        parsed(&write::manifest(&choice));
                        written += 1;
                    }
                    Err(error) => assert_ne!(error.exit(), Exit::Internal, "{}", model.id),
                }
            }
        }
    }
    assert!(written > 150, "{written}");
}

/// The manifest says where the bytes come from, what they may be used for, and what is not known.
fn check(choice: &Choice) {
    let text = write::manifest(choice);
    let manifest = parsed(&text);
    let CatalogModel { id, license, usage_limits, .. } = choice.model;
    let model = manifest.models.values().next().unwrap();
    assert_eq!(model.license.as_ref(), license.value(), "{id}");
    assert_eq!(model.usage.len(), usage_limits.len(), "{id}");
    let service = manifest.services.values().next().unwrap();
    assert_eq!(service.engine.as_deref(), Some(choice.engine), "{id}");
    let args = choice.usage.and_then(|usage| usage.args.value());
    assert!(service.args.starts_with(args.map_or(&[], Vec::as_slice)), "{id}");
    assert_eq!(service.accelerators.is_some(), choice.wanted.is_some(), "{id}");
    assert_eq!(text.contains("# WARNING: "), !choice.warnings.is_empty(), "{id}");
    assert!(text.lines().all(|line| line.chars().count() <= 400), "{id}");
}

#[test]
fn what_is_known_to_fail_is_refused_with_the_way_out() {
    for (id, accelerators, variant, engine, why, instead) in [
        ("deepseek-v4-pro", "8xMI300X", None, None, "unsupported", "mi355x"),
        ("deepseek-v4-pro", "8xMI325X", Some("preview"), None, "unsupported", "DeepSeek-V4-Flash"),
        ("deepseek-v4-flash", "16xascend-a3", Some("0731"), None, "no FP8", "W8A8"),
        ("kimi-k2.6", "8xmi300x", None, Some("sglang"), "at most 4", "4xmi300x"),
        ("glm-5.2", "8xh200", Some("nvfp4"), None, "Blackwell", "fp8"),
        ("deepseek-v4-pro", "16xascend-a3", Some("w4a8-mtp"), None, "2 hosts", "smaller model"),
        ("qwen3.6-27b", "2xascend-a2", Some("fp8"), None, "no FP8", "int8"),
    ] {
        let Err(error) = chosen(id, accelerators, variant, engine) else {
            panic!("{id} on {accelerators}: not refused")
        };
        assert_eq!(error.exit(), Exit::Resources, "{id} on {accelerators}");
        let causes = error.causes().join("\n");
        assert!(causes.contains(why) && causes.contains("https://"), "{id} on {accelerators}: {causes}");
        assert!(error.hints()[0].contains(instead), "{id} on {accelerators}: {:?}", error.hints());
    }
}

#[test]
fn what_works_beside_it_is_chosen() {
    for (id, accelerators, engine, variant, with) in [
        ("deepseek-v4-flash", "8xH200", None, "0731", "vllm"),
        ("deepseek-v4-flash", "16xAscend-A3", None, "w8a8-mtp", "vllm"),
        ("kimi-k2.6", "8xmi300x", None, "int4", "vllm"),
        ("kimi-k2.6", "16xascend-a3", None, "w4a8", "vllm"),
        ("gpt-oss-20b", "1xh100", None, "mxfp4", "vllm"),
        ("qwen3.6-35b-a3b", "2xh100", None, "bf16", "vllm"),
    ] {
        let choice = chosen(id, accelerators, None, engine).unwrap();
        assert_eq!((choice.variant.id.as_str(), choice.engine), (variant, with), "{id} on {accelerators}");
        assert!(choice.layout.is_some() && choice.warnings.is_empty(), "{id}: {:?}", choice.warnings);
    }
    let four = chosen("kimi-k2.6", "4xmi300x", None, Some("sglang")).unwrap();
    assert!(four.layout.is_none() && four.warnings[0].starts_with("no source says"), "{:?}", four.warnings);
    let small = chosen("kimi-k2.6", "4xh100", None, None).unwrap();
    assert!(small.warnings.iter().any(|warning| warning.contains("less than the published minimum")));
}

#[test]
fn wrong_names_are_usage_errors() {
    for (id, accelerators, variant, engine) in [
        ("kimi-k2.6", "8xh2o0", None, None),
        ("kimi-k2.6", "8xh200", Some("int5"), None),
        ("kimi-k2.6", "8xh200", None, Some("llama.cpp")),
        ("kimi-k2.6", "8xh200", Some("w4a8"), Some("sglang")),
    ] {
        let Err(error) = chosen(id, accelerators, variant, engine) else {
            panic!("{accelerators} {variant:?} {engine:?}: taken")
        };
        assert_eq!(error.exit(), Exit::Usage, "{accelerators} {variant:?} {engine:?}");
        assert!(!error.hints().is_empty(), "{accelerators} {variant:?} {engine:?}");
    }
}
