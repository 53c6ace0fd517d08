use super::*;
use crate::{Diagnostic, Severity, parse, parse_policy};
use std::collections::BTreeSet;

#[test]
fn the_parts_make_a_good_manifest() {
    let text = manifest(MODEL, &format!("engine:\n{}", indent(SERVICE, 2)), GATEWAY);
    let parsed = parse(text.as_bytes());
    assert_eq!(parsed.diagnostics, [], "{text}");
    assert!(parsed.manifest.is_some());
}

/// Whether the example is taken, and what is said about it.
fn diagnose(rule: &Rule) -> (bool, Vec<Diagnostic>) {
    if rule.is_of_policies() {
        let (policy, diagnostics) = parse_policy(&rule.example());
        return (policy.is_some(), diagnostics);
    }
    let parsed = parse(&rule.example());
    (parsed.manifest.is_some(), parsed.diagnostics)
}

#[test]
fn every_example_breaks_its_rule_and_no_other() {
    for rule in rules() {
        let (taken, diagnostics) = diagnose(rule);
        let found: BTreeSet<_> = diagnostics.iter().map(|diagnostic| diagnostic.code).collect();
        assert!(found.contains(rule.code), "{}: {:#?}", rule.code, diagnostics);
        // These leave nothing that the other rules could hold for, or need others to be broken.
        let alone = !matches!(rule.code, "SOV0007" | "SOV0008" | "SOV0009" | "SOV0012");
        assert!(!alone || found.len() == 1, "{}: {:#?}", rule.code, diagnostics);
        for diagnostic in diagnostics.iter().filter(|diagnostic| diagnostic.code == rule.code) {
            let warns = diagnostic.severity == Severity::Warning;
            assert_eq!(
                warns,
                rule.title.ends_with("(warning)"),
                "{}: the title says warning or not",
                rule.code
            );
        }
        let error = diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
        assert_eq!(!taken, error, "{}", rule.code);
    }
}

#[test]
fn codes_are_ordered_and_all_codes_of_the_source_are_listed() {
    let listed: Vec<_> = rules().iter().map(|rule| rule.code).collect();
    assert!(listed.is_sorted_by(|a, b| a < b), "{listed:?}");
    let mut used = BTreeSet::new();
    let mut folders = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
    while let Some(folder) = folders.pop() {
        for entry in fs_err::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with("tests.rs") && !path.ends_with("table.rs") {
                let text = fs_err::read_to_string(path).unwrap();
                for (at, _) in text.match_indices("\"SOV0") {
                    used.insert(text[at + 1..at + 8].to_owned());
                }
            }
        }
    }
    let listed: BTreeSet<String> = listed.into_iter().map(str::to_owned).collect();
    assert_eq!(used, listed);
}
