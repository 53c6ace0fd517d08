//! Whole documents, as JSON.

#![expect(clippy::unwrap_used, reason = "what a test cannot do is a failed test")]

mod own;
mod schema;
mod stack;

use serde_json::Value;
use std::collections::BTreeSet;

/// The document as JSON, having seen that it is the same twice, and that what it refers to is there.
fn json(bom: &sovai_sbom::Bom) -> Value {
    let bytes = bom.to_json();
    assert_eq!(bytes, bom.to_json());
    let value: Value = serde_json::from_slice(&bytes).unwrap();
    let mut references = BTreeSet::new();
    collect(&value, &mut references);
    for dependency in value["dependencies"].as_array().unwrap() {
        let needed = dependency["dependsOn"].as_array().into_iter().flatten();
        for reference in needed.chain([&dependency["ref"]]) {
            assert!(references.contains(reference.as_str().unwrap()), "{reference} is nowhere");
        }
    }
    for assembly in value["compositions"].as_array().unwrap() {
        for reference in assembly["assemblies"].as_array().unwrap() {
            assert!(references.contains(reference.as_str().unwrap()), "{reference} is nowhere");
        }
    }
    value
}

fn collect(value: &Value, references: &mut BTreeSet<String>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| collect(value, references)),
        Value::Object(members) => {
            if let Some(reference) = members.get("bom-ref") {
                assert!(references.insert(reference.as_str().unwrap().to_owned()), "{reference} twice");
            }
            members.values().for_each(|value| collect(value, references));
        }
        _ => {}
    }
}

/// The property of that name.
fn property<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    let properties = value["properties"].as_array()?;
    properties.iter().find(|property| property["name"] == *name)?["value"].as_str()
}
