use super::*;
use crate::{
    BundleFact, CodeFact, FileFact, ImageFact, LicenseFact, ModelFacts, ProblemFact, RemainderFact,
    RevocationFact, TemplateFact, TrustFact, UnseenFact, VoteFact, explain, rules,
};
use sovai_catalog::identify_license_text;
use sovai_core::{Sha256, TrustLevel};
use sovai_manifest::{Claim, FORMAT_WORDS, LineageLink, LineageNote, parse_policy};
use std::collections::BTreeSet;

/// A policy with this under `spec`.
fn policy(spec: &str) -> Policy {
    let text = format!("apiVersion: sovai/v1\nkind: Policy\nmetadata: {{ name: test }}\nspec: {spec}\n");
    let (policy, diagnostics) = parse_policy(text.as_bytes());
    policy.unwrap_or_else(|| panic!("{spec}: {diagnostics:#?}"))
}

/// A pinned, examined model with nothing wrong: one GGUF file with a chat template in it.
fn model() -> ModelFacts {
    let file = FileFact { path: "model.gguf".into(), content: "gguf" };
    let template = TemplateFact {
        path: "model.gguf".into(),
        place: "tokenizer.chat_template".into(),
        sha256: Sha256::from_bytes([7; 32]),
        pinned: true,
    };
    ModelFacts {
        source: Some("file:./model.gguf".into()),
        publisher: Some("Example".into()),
        declared_license: Some("Apache-2.0".into()),
        trust: Some(TrustFact {
            level: TrustLevel::Digest,
            why: vec!["every byte is what was pinned".into()],
            revocations: RevocationFact::NotNeeded,
        }),
        examined: true,
        files: vec![file],
        templates: vec![template],
        ..ModelFacts::new(Subject::Model("assistant".into()))
    }
}

/// `SOV1011 refuse` and so on.
fn judged(policy: &Policy, model: &ModelFacts) -> Vec<String> {
    let facts = Facts { models: vec![model.clone()], images: Vec::new() };
    let judgement = judge(policy, &facts);
    assert_eq!(judgement, judge(policy, &facts), "the same facts, the same judgement");
    let made = judgement.decisions.iter();
    made.map(|decision| {
        assert!(explain(decision.code).is_some(), "{}", decision.code);
        let severity = match decision.severity {
            Severity::Refuse => "refuse",
            Severity::Warn => "warn",
            Severity::Note => "note",
        };
        format!("{} {severity}", decision.code)
    })
    .collect()
}

/// Judges the good model after a change, by a policy with this under `spec`.
fn check(spec: &str, change: impl FnOnce(&mut ModelFacts), expected: &[&str]) {
    let mut model = model();
    change(&mut model);
    assert_eq!(judged(&policy(spec), &model), expected, "{spec}");
}

fn text(path: &str, text: &str) -> LicenseFact {
    LicenseFact { path: path.into(), text: identify_license_text(text) }
}

/// A text of the MIT licence, as the SPDX list has it.
fn mit() -> String {
    spdx::license_id("MIT").unwrap().text().replace("<year> <copyright holders>", "2025 Example")
}

#[test]
fn a_pinned_gguf_file_with_its_template_passes_the_built_in_policy() {
    let facts =
        Facts { models: vec![model()], images: vec![ImageFact { name: "sovai/engine:local".into() }] };
    let judgement = judge(Policy::built_in(), &facts);
    assert_eq!(judgement.decisions, []);
    assert!(!judgement.is_refused());
    let trail: Vec<_> = judgement.allowed.iter().map(|held| held.code).collect();
    assert_eq!(
        trail,
        ["SOV1001", "SOV1012", "SOV1030", "SOV1033", "SOV1040", "SOV1041", "SOV1070", "SOV1071", "SOV1060"]
    );
    assert_eq!(evaluate(Policy::built_in(), &facts), []);
}

#[test]
fn trust_levels() {
    check("{ trust: { minimum: digest } }", |_| {}, &[]);
    check("{ trust: { minimum: hub-pinned } }", |_| {}, &["SOV1001 refuse"]);
    check("{ trust: { minimum: publisher, models: { assistant: digest } } }", |_| {}, &[]);
    check("{ trust: { models: { assistant: publisher } } }", |_| {}, &["SOV1001 refuse"]);
    check("{ trust: { models: { other: publisher } } }", |_| {}, &[]);
    check("{}", |model| model.trust.as_mut().unwrap().level = TrustLevel::Unknown, &["SOV1001 refuse"]);
    check("{}", |model| model.trust = None, &["SOV1001 note"]);
    let signed = |fact| move |model: &mut ModelFacts| model.trust.as_mut().unwrap().revocations = fact;
    let spec = "{ trust: { revocations: { maxAgeDays: 30, stale: refuse } } }";
    check(spec, signed(RevocationFact::Days(30)), &[]);
    check(spec, signed(RevocationFact::Days(31)), &["SOV1002 refuse"]);
    check(spec, signed(RevocationFact::NoList), &["SOV1002 refuse"]);
    check(spec, signed(RevocationFact::NotNeeded), &[]);
    check("{}", signed(RevocationFact::NoList), &["SOV1002 warn"]);
    check("{}", signed(RevocationFact::Days(4000)), &[]);
}

#[test]
fn declared_licenses() {
    check("{ licenses: { allow: [Apache-2.0] } }", |_| {}, &[]);
    check("{ licenses: { allow: [MIT] } }", |_| {}, &["SOV1011 refuse"]);
    check("{ licenses: { deny: [Apache-2.0] } }", |_| {}, &["SOV1012 refuse"]);
    check("{ licenses: { allow: [Apache-2.0], deny: [Apache-2.0] } }", |_| {}, &["SOV1012 refuse"]);
    let declare =
        |text: &'static str| move |model: &mut ModelFacts| model.declared_license = Some(text.into());
    check("{ licenses: { allow: [MIT] } }", declare("MIT OR Apache-2.0"), &[]);
    check("{ licenses: { allow: [MIT] } }", declare("MIT AND Apache-2.0"), &["SOV1011 refuse"]);
    check("{ licenses: { deny: [MIT] } }", declare("MIT OR Apache-2.0"), &[]);
    check("{ licenses: { deny: [MIT] } }", declare("MIT AND Apache-2.0"), &["SOV1012 refuse"]);
    let kimi = "{ licenses: { allow: [LicenseRef-Kimi-Modified-MIT] } }";
    check(kimi, declare("LicenseRef-Kimi-Modified-MIT"), &[]);
    check(kimi, declare("modified-mit"), &["SOV1010 refuse"]);
    let none = |model: &mut ModelFacts| model.declared_license = None;
    check("{}", none, &["SOV1010 warn"]);
    check("{ licenses: { unknown: refuse } }", none, &["SOV1010 refuse"]);
    check("{ licenses: { unknown: ignore } }", none, &[]);
    check("{ licenses: { allow: [MIT] } }", none, &["SOV1010 refuse"]);
    check("{}", declare("ask the vendor"), &["SOV1010 warn"]);
    let label = |model: &mut ModelFacts| {
        model.declared_license = None;
        model.hub_license = Some("gpl-3.0-only".into());
    };
    check("{ licenses: { deny: [GPL-3.0-only] } }", label, &["SOV1012 refuse"]);
    check("{}", |model| model.hub_license = Some("mit".into()), &["SOV1014 refuse"]);
    check("{}", |model| model.hub_license = Some("apache-2.0".into()), &[]);
    check("{}", |model| model.hub_license = Some("other".into()), &[]);
}

#[test]
fn the_text_counts_and_not_the_label() {
    let with = |declared: &'static str, texts: Vec<LicenseFact>| {
        move |model: &mut ModelFacts| {
            model.declared_license = Some(declared.into());
            model.licenses = texts;
        }
    };
    let good = || vec![text("LICENSE", &mit())];
    check("{ licenses: { allow: [MIT], text: required } }", with("MIT", good()), &[]);
    check("{ licenses: { text: required } }", |_| {}, &["SOV1013 refuse"]);
    check("{ licenses: { text: warn } }", |_| {}, &["SOV1013 warn"]);
    // A text that is another licence than the one declared.
    check("{}", with("Apache-2.0", good()), &["SOV1014 refuse"]);
    check("{ licenses: { mismatch: warn } }", with("Apache-2.0", good()), &["SOV1014 warn"]);
    check("{ licenses: { deny: [MIT] } }", with("Apache-2.0", good()), &["SOV1012 refuse", "SOV1014 refuse"]);
    // The Kimi family's text: MIT and one clause more. It is not MIT, whoever says so.
    let kimi =
        || format!("Modified {}\nOur only modification is that you shall prominently display a name.", mit());
    let changed = || vec![text("LICENSE", &kimi())];
    check("{ licenses: { allow: [MIT] } }", with("MIT", changed()), &["SOV1013 note", "SOV1014 refuse"]);
    // Where the operator has read it and named it, it is what the operator says.
    let spec = format!(
        "{{ licenses: {{ allow: [LicenseRef-Kimi-Modified-MIT], text: required, texts: [{{ id: \
         LicenseRef-Kimi-Modified-MIT, sha256: {} }}] }} }}",
        identify_license_text(&kimi()).sha256().hex()
    );
    check(&spec, with("LicenseRef-Kimi-Modified-MIT", changed()), &[]);
    check(&spec, with("MIT", changed()), &["SOV1014 refuse"]);
    // One text for the code, another one for the weights: each is judged.
    let both =
        || vec![text("LICENSE-CODE", &mit()), text("LICENSE-MODEL", "Use-based restrictions as in Annex A.")];
    check("{ licenses: { text: required } }", with("MIT", both()), &["SOV1013 refuse"]);
    check("{}", with("MIT", both()), &["SOV1013 note"]);
    // Two licences share one text; the declaration says which is meant.
    let gpl = || vec![text("COPYING", spdx::license_id("GPL-3.0-only").unwrap().text())];
    check("{ licenses: { deny: [GPL-3.0-only] } }", with("GPL-3.0-or-later", gpl()), &[]);
    check("{ licenses: { deny: [GPL-3.0-only] } }", with("GPL-3.0-only", gpl()), &["SOV1012 refuse"]);
}

#[test]
fn a_wrong_label_of_a_hub_does_not_make_a_licence() {
    // MiniMax-M2.7: a catalogue's label is `modified-mit`, the text forbids commercial use without permission.
    let words =
        "Non-commercial use only; commercial use needs prior written authorisation. Built with MiniMax M2.7.";
    let labelled = |model: &mut ModelFacts| {
        model.declared_license = None;
        model.hub_license = Some("modified-mit".into());
        model.licenses = vec![text("LICENSE", words)];
    };
    let pin = format!(
        "texts: [{{ id: LicenseRef-MiniMax-M2.7, sha256: {} }}]",
        identify_license_text(words).sha256().hex()
    );
    // Kimi's licence went by the same label: it is the name of neither.
    check(
        "{ licenses: { allow: [LicenseRef-Kimi-Modified-MIT, MIT] } }",
        labelled,
        &["SOV1010 refuse", "SOV1013 note"],
    );
    check(
        "{ licenses: { allow: [LicenseRef-Kimi-Modified-MIT], text: required } }",
        labelled,
        &["SOV1010 refuse", "SOV1013 refuse"],
    );
    check(
        &format!("{{ licenses: {{ allow: [LicenseRef-Kimi-Modified-MIT], {pin} }} }}"),
        labelled,
        &["SOV1011 refuse"],
    );
    check(
        &format!("{{ licenses: {{ deny: [LicenseRef-MiniMax-M2.7], {pin} }} }}"),
        labelled,
        &["SOV1012 refuse"],
    );
    check(&format!("{{ licenses: {{ allow: [LicenseRef-MiniMax-M2.7], {pin} }} }}"), labelled, &[]);
    // A label or declaration of its own, beside a text that nobody has read: neither proves the other.
    let reference = "LicenseRef-Kimi-Modified-MIT";
    let hub = |model: &mut ModelFacts| {
        labelled(model);
        model.hub_license = Some(reference.into());
    };
    let declared = |model: &mut ModelFacts| {
        labelled(model);
        (model.declared_license, model.hub_license) = (Some(reference.into()), None);
    };
    let allow = format!("{{ licenses: {{ allow: [{reference}] }} }}");
    check(&allow, hub, &["SOV1010 refuse", "SOV1013 note"]);
    check(&allow, declared, &["SOV1010 refuse", "SOV1013 note"]);
    check("{}", declared, &["SOV1010 warn", "SOV1013 note"]);
    check(
        &format!("{{ licenses: {{ deny: [{reference}] }} }}"),
        hub,
        &["SOV1012 refuse", "SOV1010 warn", "SOV1013 note"],
    );
    for spec in ["{}", &allow] {
        let mut labelled = model();
        hub(&mut labelled);
        let judged = judge(&policy(spec), &Facts { models: vec![labelled], images: Vec::new() });
        assert!(
            judged.allowed.iter().all(|made| made.code != "SOV1014" && made.code != "SOV1011"),
            "{judged:?}"
        );
    }
    // The text as it was pinned: the label is wrong.
    check(
        &format!("{{ licenses: {{ allow: [LicenseRef-MiniMax-M2.7], {pin} }} }}"),
        hub,
        &["SOV1014 refuse"],
    );
}

#[test]
fn limits_of_use() {
    let limited =
        |model: &mut ModelFacts| model.usage = vec!["No medical advice.".into(), "No surveillance.".into()];
    check("{}", limited, &["SOV1020 warn", "SOV1020 warn"]);
    check(
        "{ usage: { unacknowledged: refuse, acknowledged: [No medical advice.] } }",
        limited,
        &["SOV1020 refuse"],
    );
    check(
        "{ usage: { unacknowledged: refuse, acknowledged: [No surveillance., No medical advice.] } }",
        limited,
        &[],
    );
    check("{ usage: { unacknowledged: ignore } }", limited, &[]);
}

#[test]
fn contents_count_and_not_names() {
    let file = |path: &'static str, content: &'static str| {
        move |model: &mut ModelFacts| model.files.push(FileFact { path: path.into(), content })
    };
    check("{}", file("config.json", "json"), &[]);
    for content in
        ["pickle", "torch-zip", "zip", "seven-zip", "elf", "llamafile", "script", "git-lfs-pointer"]
    {
        check("{}", file("model.safetensors", content), &["SOV1030 refuse"]);
    }
    check("{ formats: { allow: [gguf, pickle] } }", file("model.bin", "pickle"), &[]);
    check(
        "{ formats: { allow: [gguf, pickle], deny: [pickle] } }",
        file("model.bin", "pickle"),
        &["SOV1031 refuse"],
    );
    check("{}", file("model.xyz", "unknown"), &["SOV1032 refuse"]);
    check("{ formats: { unknown: warn } }", file("model.xyz", "unknown"), &["SOV1032 warn"]);
    check("{ formats: { unknown: ignore } }", file("model.xyz", "unknown"), &[]);
    let broken = |model: &mut ModelFacts| {
        let found = ProblemFact {
            code: "SOV2001",
            path: "model.gguf".into(),
            message: "too short".into(),
            warning: false,
        };
        model.problems.push(found);
    };
    check(
        "{}",
        |model| {
            broken(model);
            model.problems[0].warning = true;
        },
        &["SOV1033 warn"],
    );
    check("{}", broken, &["SOV1033 refuse"]);
    check("{ formats: { problems: warn } }", broken, &["SOV1033 warn"]);
    check("{ formats: { problems: ignore } }", broken, &[]);
    let many = |model: &mut ModelFacts| {
        model.files = (0..1000).map(|n| FileFact { path: format!("{n}.bin"), content: "pickle" }).collect();
    };
    check("{}", many, &["SOV1030 refuse"; MAX_LISTED + 1]);
}

#[test]
fn every_kind_of_content_is_a_word_of_policies_or_unknown() {
    let source = include_str!("../../../formats/src/content.rs");
    let (_, words) = source.split_once("fn word(self)").unwrap();
    let words: Vec<&str> =
        words.split('"').skip(1).step_by(2).take_while(|word| !word.contains(' ')).collect();
    let words: Vec<&str> = words.into_iter().filter(|word| *word != "unknown").collect();
    assert_eq!(words, FORMAT_WORDS);
    for word in FORMAT_WORDS {
        let content: sovai_formats::ContentType = serde_json::from_value(serde_json::json!(word)).unwrap();
        assert_eq!(content.word(), *word);
    }
}

#[test]
fn publishers_and_sources() {
    check("{ origins: { publishers: { allow: [Example] } } }", |_| {}, &[]);
    check("{ origins: { publishers: { allow: [Other] } } }", |_| {}, &["SOV1040 refuse"]);
    check("{ origins: { publishers: { deny: ['Exa*'] } } }", |_| {}, &["SOV1040 refuse"]);
    check("{ origins: { publishers: { allow: ['*'], deny: [Example] } } }", |_| {}, &["SOV1040 refuse"]);
    check(
        "{ origins: { publishers: { allow: [Example] } } }",
        |model| model.publisher = None,
        &["SOV1040 refuse"],
    );
    check("{ origins: { publishers: { deny: [Example] } } }", |model| model.publisher = None, &[]);
    check("{ origins: { sources: { allow: ['file:*'] } } }", |_| {}, &[]);
    check("{ origins: { sources: { allow: ['hf:*'] } } }", |_| {}, &["SOV1041 refuse"]);
    check("{ origins: { sources: { deny: ['file:*'] } } }", |_| {}, &["SOV1041 refuse"]);
}

#[test]
fn descent() {
    let link = |claim| {
        let note = LineageNote { date: "2026-02-23".into(), text: "Alleged by A, denied by B.".into() };
        Some(LineageLink { name: "Base".into(), claim, notes: vec![note] })
    };
    let base = |claim| move |model: &mut ModelFacts| model.lineage.base = link(claim);
    check("{ lineage: { base: declared } }", |_| {}, &["SOV1050 refuse"]);
    check("{ lineage: { base: declared } }", base(Claim::Declared), &[]);
    check("{ lineage: { base: proven } }", base(Claim::Declared), &["SOV1050 refuse"]);
    check("{ lineage: { base: proven } }", base(Claim::Proven), &[]);
    check("{ lineage: { quantisedBy: proven } }", |_| {}, &["SOV1051 refuse"]);
    let quantised = |model: &mut ModelFacts| model.lineage.quantised_by = link(Claim::Proven);
    check("{ lineage: { quantisedBy: declared } }", quantised, &[]);
    let distilled = |model: &mut ModelFacts| model.lineage.distilled_from = link(Claim::Declared);
    check("{ lineage: { distilledFrom: allow } }", distilled, &[]);
    check("{}", distilled, &["SOV1052 note"]);
    check("{ lineage: { distilledFrom: refuse } }", distilled, &["SOV1052 refuse"]);
    check("{ lineage: { distilledFrom: refuse } }", |_| {}, &[]);
    let mut model = model();
    distilled(&mut model);
    let made = evaluate(Policy::built_in(), &Facts { models: vec![model], images: Vec::new() });
    assert_eq!(made[0].message, "distilled from `Base` (declared); 2026-02-23: `Alleged by A, denied by B.`");
}

#[test]
fn images() {
    for (spec, name, refused) in [
        ("{ allow: ['registry.example/*'] }", "registry.example/vllm:1", false),
        ("{ allow: ['registry.example/*'] }", "registry.example.org/vllm:1", true),
        ("{ allow: ['registry.example/*'] }", "vllm/vllm-openai:1", true),
        ("{ allow: ['docker.io/vllm/*'] }", "vllm/vllm-openai:1", false),
        ("{ allow: ['sovai/*'] }", "sovai/engine:local", false),
        ("{ deny: ['docker.io/*'] }", "vllm/vllm-openai:1", true),
        ("{ deny: ['docker.io/*'] }", "localhost:5000/vllm:1", false),
        ("{ allow: ['*'], deny: ['docker.io/library/*'] }", "nginx", true),
    ] {
        let policy = policy(&format!("{{ images: {{ registries: {spec} }} }}"));
        let facts = Facts { models: Vec::new(), images: vec![ImageFact { name: name.into() }] };
        assert_eq!(judge(&policy, &facts).is_refused(), refused, "{spec} {name}");
    }
}

#[test]
fn code_and_templates() {
    let code = |pinned| {
        move |model: &mut ModelFacts| {
            let what = "auto_map names AutoModelForCausalLM".to_owned();
            model.code.push(CodeFact { path: "config.json".into(), what, pinned });
        }
    };
    check("{}", code(true), &["SOV1070 refuse"]);
    check("{ remoteCode: pinned }", code(true), &[]);
    check("{ remoteCode: pinned }", code(false), &["SOV1070 refuse"]);
    let unpinned = |model: &mut ModelFacts| model.templates[0].pinned = false;
    check("{}", unpinned, &["SOV1071 refuse"]);
    check("{ templates: any }", unpinned, &[]);
    let digests = |byte| format!("{{ templates: {{ digests: ['{}'] }} }}", Sha256::from_bytes([byte; 32]));
    check(&digests(7), |_| {}, &[]);
    check(&digests(8), |_| {}, &["SOV1071 refuse"]);
}

#[test]
fn what_nobody_signed_and_nobody_looked_at() {
    let left = |model: &mut ModelFacts| {
        model.remainder.push(RemainderFact { path: ".git/config".into(), reason: "version control".into() });
    };
    check("{}", left, &["SOV1080 refuse"]);
    check("{ remainder: report }", left, &["SOV1080 note"]);
    check("{}", |model| model.examined = false, &["SOV1090 note"]);
    let link = |model: &mut ModelFacts| {
        model.unseen.push(UnseenFact { path: "a.gguf".into(), why: "it is a link".into() });
    };
    check("{}", link, &["SOV1090 refuse"]);
    check("{ licenses: { text: required } }", |model| model.examined = false, &["SOV1090 note"]);
}

#[test]
fn a_decision_names_key_and_line() {
    let text = "apiVersion: sovai/v1\nkind: Policy\nmetadata: { name: test }\nspec:\n  licenses:\n    deny:\n      - MIT\n      - Apache-2.0\n";
    let policy = parse_policy(text.as_bytes()).0.unwrap();
    let made = evaluate(&policy, &Facts { models: vec![model()], images: Vec::new() });
    assert_eq!((made[0].key, made[0].line), ("spec.licenses.deny", Some(8)));
    let mut late = model();
    late.templates[0].pinned = false;
    let made = evaluate(Policy::built_in(), &Facts { models: vec![late], images: Vec::new() });
    assert_eq!(made[0].key, "spec.templates");
    let json = serde_json::to_value(&made[0]).unwrap();
    assert_eq!(json["severity"], "refuse");
    assert_eq!(json["subject"], serde_json::json!({ "kind": "model", "name": "assistant" }));
}

#[test]
fn rules_are_ordered_and_all_are_used() {
    assert!(rules().is_sorted_by(|a, b| a.code < b.code));
    let mut used = BTreeSet::new();
    for text in [
        include_str!("../judge.rs"),
        include_str!("bundle.rs"),
        include_str!("license.rs"),
        include_str!("content.rs"),
        include_str!("origin.rs"),
    ] {
        used.extend(text.match_indices("\"SOV1").map(|(at, _)| &text[at + 1..at + 8]));
    }
    assert_eq!(used, rules().iter().map(|rule| rule.code).collect());
}

#[test]
fn the_page_of_rules_is_current() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/policy.md");
    let page = fs_err::read_to_string(page).unwrap();
    assert!(page.contains(crate::rules_markdown().trim()), "run `cargo xtask generate`");
}

#[test]
fn long_texts_from_outside_are_cut() {
    let mut model = model();
    model.declared_license = Some("x".repeat(100_000));
    model.publisher = Some("y".repeat(100_000));
    let facts = Facts { models: vec![model], images: Vec::new() };
    let judgement = judge(&policy("{ origins: { publishers: { deny: [a] } } }"), &facts);
    let messages = judgement.decisions.iter().map(|made| &made.message);
    for message in messages.chain(judgement.allowed.iter().map(|held| &held.message)) {
        assert!(message.len() < 1000, "{}", message.len());
    }
}

fn votes(counted: u32, needed: u32) -> VoteFact {
    VoteFact { counted, needed, uncounted: Vec::new() }
}

fn judged_bundle(spec: &str, change: impl FnOnce(&mut BundleFact)) -> Vec<String> {
    let mut fact = BundleFact {
        stack: "demo".into(),
        sequence: 7,
        digest: Sha256::from_bytes([1; 32]),
        signed: votes(1, 1),
        approved: votes(0, 1),
        rejected: Vec::new(),
        installed: None,
    };
    change(&mut fact);
    let judgement = judge_bundle(&policy(spec), &fact);
    assert!(judgement.decisions.iter().all(|decision| explain(decision.code).is_some()));
    let made = judgement.decisions.iter();
    made.map(|decision| format!("{} {:?}", decision.code, decision.severity).to_lowercase()).collect()
}

#[test]
fn a_bundle_needs_its_signatures_and_the_border_where_the_policy_says_so() {
    let none: [&str; 0] = [];
    assert_eq!(judged_bundle("{}", |_| {}), none);
    assert_eq!(judged_bundle("{}", |fact| fact.signed = votes(1, 2)), ["sov1100 refuse"]);
    let required = "{ bundle: { approval: required } }";
    assert_eq!(judged_bundle(required, |_| {}), ["sov1101 refuse"]);
    assert_eq!(judged_bundle(required, |fact| fact.approved = votes(1, 2)), ["sov1101 refuse"]);
    assert_eq!(judged_bundle(required, |fact| fact.approved = votes(2, 2)), none);
    // Who holds it back counts whatever the policy says.
    assert_eq!(judged_bundle("{}", |fact| fact.rejected = vec!["no".into()]), ["sov1101 refuse"]);
}

#[test]
fn a_bundle_that_is_older_is_refused_unless_the_policy_allows_it() {
    let none: [&str; 0] = [];
    let (same, other) = (Sha256::from_bytes([1; 32]), Sha256::from_bytes([2; 32]));
    for (sequence, digest, expected) in [
        (6, other, &none[..]),
        (7, same, &none),
        (7, other, &["sov1102 refuse"]),
        (8, other, &["sov1102 refuse"]),
    ] {
        assert_eq!(judged_bundle("{}", |fact| fact.installed = Some((sequence, digest))), expected);
    }
    let allowed = "{ bundle: { rollback: allow } }";
    assert_eq!(judged_bundle(allowed, |fact| fact.installed = Some((8, other))), ["sov1102 warn"]);
}
