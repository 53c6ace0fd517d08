//! What `verify -o json` prints is what its schema says.

use crate::env::{FILES, FLIPPED, IMAGE_PIN, TestEnv, WEIGHTS, manifest};
use serde_json::{Map, Value};

const SCHEMA: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/schema/sovai-verify-result-v1.schema.json");

/// The part of JSON Schema that the file uses; a keyword that is not known here is a failed test.
fn check(schema: &Value, value: &Value, root: &Value, at: &str) -> Result<(), String> {
    let rules = schema.as_object().ok_or("a schema is an object")?;
    for (keyword, rule) in rules {
        match keyword.as_str() {
            "$ref" => {
                let name = rule.as_str().and_then(|text| text.strip_prefix("#/$defs/")).ok_or("$ref")?;
                check(&root["$defs"][name], value, root, at)?;
            }
            "type" => {
                let kinds: Vec<&str> = rule.as_array().map_or_else(
                    || vec![rule.as_str().unwrap()],
                    |all| all.iter().filter_map(Value::as_str).collect(),
                );
                let kind = match value {
                    Value::Null => "null",
                    Value::Bool(_) => "boolean",
                    Value::Number(number) if number.is_u64() || number.is_i64() => "integer",
                    Value::Number(_) => "number",
                    Value::String(_) => "string",
                    Value::Array(_) => "array",
                    Value::Object(_) => "object",
                };
                if !kinds.contains(&kind) {
                    return Err(format!("{at}: expected {kinds:?}, found {value}"));
                }
            }
            "enum" if !rule.as_array().unwrap().contains(value) => {
                return Err(format!("{at}: {value} is not one of {rule}"));
            }
            "pattern" => {
                // The one pattern there is.
                let good = value.as_str().is_none_or(|text| text.len() == 71 && text.starts_with("sha256:"));
                if !good {
                    return Err(format!("{at}: {value} is no digest"));
                }
            }
            "required" => {
                let Some(object) = value.as_object() else { continue };
                for name in rule.as_array().unwrap() {
                    if !object.contains_key(name.as_str().unwrap()) {
                        return Err(format!("{at}: {name} is missing"));
                    }
                }
            }
            "properties" => {
                let empty = Map::new();
                for (name, member) in value.as_object().unwrap_or(&empty) {
                    if let Some(of) = rule.get(name) {
                        check(of, member, root, &format!("{at}.{name}"))?;
                    } else if schema["additionalProperties"] == false {
                        return Err(format!("{at}.{name} is not in the schema"));
                    }
                }
            }
            "items" => {
                for (i, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(rule, item, root, &format!("{at}[{i}]"))?;
                }
            }
            "enum"
            | "minimum"
            | "additionalProperties"
            | "$schema"
            | "$id"
            | "title"
            | "description"
            | "$defs" => {}
            other => return Err(format!("{at}: the test does not know the keyword {other}")),
        }
    }
    Ok(())
}

/// Panics where a result is not as the schema says.
pub(crate) fn assert_schema(value: &Value) {
    let schema: Value = serde_json::from_str(&fs_err::read_to_string(SCHEMA).unwrap()).unwrap();
    check(&schema, value, &schema, "$").unwrap_or_else(|error| panic!("{error}\n{value}"));
}

#[test]
fn every_kind_of_result_is_as_the_schema_says() {
    let schema: Value = serde_json::from_str(&fs_err::read_to_string(SCHEMA).unwrap()).unwrap();
    let env = TestEnv::new();
    let more = format!("{FILES}\n      signatures: [s]");
    env.write("weights/m.gguf", WEIGHTS)
        .write("stack.yaml", manifest("", &more, IMAGE_PIN))
        .write("bare.yaml", manifest("", "", ""))
        .write("m/config.json", r#"{"auto_map":{"AutoModel":"modeling_x.X"}}"#)
        .write("m/chat_template.jinja", "{{ x }}\n")
        .write("m/LICENSE", "All is allowed.\n")
        .write("base/chat_template.jinja", "{{ y }}\n");
    for line in [
        "keys generate --algorithm p256 --out k",
        "sign model weights/m.gguf --key k --signature s",
        "sign model m --key k --signature m.sig",
        "verify m --passport p.json",
        "sign passport p.json --key k --signature p.sig",
    ] {
        assert_eq!(env.run(line).code, 0, "{line}");
    }
    let lines = [
        ("verify stack.yaml", 5),
        ("verify bare.yaml", 0),
        ("verify m", 0),
        ("verify m --base base --scan", 0),
        ("verify m --signature m.sig", 5),
        ("verify m --signature m.sig --key k.pub --vsa v.json", 0),
        ("verify m --against p.json --passport-signature p.sig --key k.pub", 0),
        ("verify m --against p.json", 0),
        ("verify weights/m.gguf --pins stack.yaml", 5),
        ("verify gone", 2),
    ];
    for (line, code) in lines {
        let value = env.json(line);
        assert_eq!(value["exitCode"], code, "{line}: {value}");
        check(&schema, &value, &schema, "$").unwrap_or_else(|error| panic!("{line}: {error}\n{value}"));
    }
    assert_eq!(env.run("trust add k.pub --role publisher").code, 0);
    env.write("m/.git/x", "");
    for line in ["verify stack.yaml", "verify m --signature m.sig", "verify m --signature m.sig --compat -v"]
    {
        check(&schema, &env.json(line), &schema, "$").unwrap_or_else(|error| panic!("{line}: {error}"));
    }
    env.write("weights/m.gguf", FLIPPED);
    let mut value = env.json("verify stack.yaml");
    check(&schema, &value, &schema, "$").unwrap();
    // The check can fail.
    value["models"][0]["trust"] = "good".into();
    assert!(check(&schema, &value, &schema, "$").is_err());
    value["models"][0]["trust"] = "digest".into();
    value["more"] = true.into();
    assert!(check(&schema, &value, &schema, "$").is_err());
}
