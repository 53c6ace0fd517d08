//! Against the official schema, as the Python library of `CycloneDX` carries it.
//!
//! `SOVAI_WITNESS` names the Python that has it; `scripts/witness.sh` makes one and prints its path. Without it the test
//! says so and ends, except in CI, where that is a failure.

#![expect(clippy::print_stderr, reason = "a test that was skipped says so")]

use crate::stack::bom;
use sovai_core::Sha256;
use sovai_sbom::{Bom, Tool, own_bom};
use std::io::Write as _;
use std::process::{Command, Stdio};

/// Reads a list of documents from standard input, and writes a list of what is wrong with each.
const VALIDATE: &str = "
import json, sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

validator = JsonStrictValidator(SchemaVersion.V1_6)

def purls(value):
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else []:
        yield from purls(inner)
    if isinstance(value, dict) and 'purl' in value:
        yield value['purl']

def wrong(text):
    for purl in purls(json.loads(text)):
        PackageURL.from_string(purl)
    errors = validator.validate_str(text, all_errors=True) or []
    return [f'{error.data.json_path} {error.data.message}' for error in errors]

json.dump([wrong(text) for text in json.load(sys.stdin)], sys.stdout)
";

/// What the schema has against each document; `None` where there is no witness.
fn complaints(documents: &[String]) -> Option<Vec<Vec<String>>> {
    let Some(python) = std::env::var_os("SOVAI_WITNESS") else {
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "CI must name the witness");
        eprintln!("SKIPPED: SOVAI_WITNESS is not set; see scripts/witness.sh");
        return None;
    };
    let mut child = Command::new(python)
        .args(["-c", VALIDATE])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&serde_json::to_vec(documents).unwrap()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn the_official_schema_has_nothing_against_our_documents() {
    let text = |bom: &Bom| String::from_utf8(bom.to_json()).unwrap();
    let stack = text(&bom(true, Some("2026-11-30T00:00:00Z")));
    let own = text(&own_bom(&Tool { version: "1.2.3", digest: Some(Sha256::from_bytes([7; 32])) }, None));
    // A witness that finds nothing wrong with anything is none.
    let broken = [
        ("\"machine-learning-model\"", "\"large-language-model\"", "$.components"),
        ("\"modelCard\"", "\"modelcard\"", "$.components"),
        ("\"urn:uuid:", "\"urn:sovai:", "$.serialNumber"),
        ("\"SHA-256\"", "\"SHA256\"", "$.components"),
    ];
    let mut documents = vec![stack.clone(), own, text(&bom(false, None))];
    documents.extend(broken.iter().map(|(good, bad, _)| {
        assert!(stack.contains(good));
        stack.replace(good, bad)
    }));
    let Some(found) = complaints(&documents) else { return };
    assert_eq!(found[..3], [const { Vec::<String>::new() }; 3]);
    for ((_, bad, place), found) in broken.iter().zip(&found[3..]) {
        assert!(found.iter().any(|complaint| complaint.starts_with(place)), "{bad}: {found:?}");
    }
}
