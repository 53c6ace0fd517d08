use super::*;
use crate::diagnostic::Sink;
use crate::node::{Node, ScalarType, Value as Yaml};
use crate::{parse, rules};

/// The keywords that the schema uses, and no others, so that a new one cannot be overlooked here.
fn accepts(schema: &Value, root: &Value, value: &Value) -> Result<(), String> {
    let fail = |why: String| Err(format!("{why}: {value}"));
    let all = |schemas: &Value, want_one: bool| {
        let mut results = schemas.as_array().unwrap().iter().map(|schema| accepts(schema, root, value));
        if want_one { results.any(|result| result.is_ok()) } else { results.all(|result| result.is_ok()) }
    };
    for (keyword, argument) in schema.as_object().unwrap() {
        let number = argument.as_f64().unwrap_or(f64::NAN);
        let least = argument.as_u64().and_then(|least| usize::try_from(least).ok()).unwrap_or(usize::MAX);
        let text = value.as_str();
        let good = match keyword.as_str() {
            "$schema" | "$defs" | "title" | "description" => true,
            "$ref" => {
                let name = argument.as_str().unwrap().strip_prefix("#/$defs/").unwrap();
                accepts(&root["$defs"][name], root, value)?;
                true
            }
            "type" => match argument.as_str().unwrap() {
                "object" => value.is_object(),
                "array" => value.is_array(),
                "string" => value.is_string(),
                "integer" => value.is_u64(),
                "number" => value.is_number(),
                other => panic!("type {other}"),
            },
            "anyOf" => all(argument, true),
            "const" => value == argument,
            "enum" => argument.as_array().unwrap().contains(value),
            "pattern" => {
                let pattern = regex::Regex::new(argument.as_str().unwrap()).unwrap();
                text.is_none_or(|text| pattern.is_match(text))
            }
            "minLength" => text.is_none_or(|text| text.chars().count() >= least),
            "minimum" => value.as_f64().is_none_or(|value| value >= number),
            "maximum" => value.as_f64().is_none_or(|value| value <= number),
            "minItems" => value.as_array().is_none_or(|items| items.len() >= least),
            "minProperties" => value.as_object().is_none_or(|map| map.len() >= least),
            "items" => {
                for item in value.as_array().into_iter().flatten() {
                    accepts(argument, root, item)?;
                }
                true
            }
            "propertyNames" => {
                for key in value.as_object().into_iter().flat_map(Map::keys) {
                    accepts(argument, root, &json!(key))?;
                }
                true
            }
            "required" => {
                let names = argument.as_array().unwrap();
                value
                    .as_object()
                    .is_none_or(|map| names.iter().all(|name| map.contains_key(name.as_str().unwrap())))
            }
            "properties" => {
                for (key, value) in value.as_object().into_iter().flatten() {
                    if let Some(schema) = argument.get(key) {
                        accepts(schema, root, value)?;
                    }
                }
                true
            }
            "patternProperties" => {
                assert_eq!(argument, &json!({ "^x-": {} }));
                true
            }
            "additionalProperties" => {
                let known = schema.get("properties");
                for (key, value) in value.as_object().into_iter().flatten() {
                    let free = schema.get("patternProperties").is_some() && key.starts_with("x-");
                    if free || known.is_some_and(|known| known.get(key).is_some()) {
                        continue;
                    }
                    if *argument == json!(false) {
                        return fail(format!("additional key {key}"));
                    }
                    accepts(argument, root, value)?;
                }
                true
            }
            other => panic!("keyword {other}"),
        };
        if !good {
            return fail(format!("{keyword} {argument}"));
        }
    }
    Ok(())
}

/// What another program's YAML reader would hand to a JSON Schema validator.
fn json_of(node: &Node) -> Value {
    match &node.value {
        Yaml::List(items) => items.iter().map(|item| json_of(item)).collect(),
        Yaml::Map(entries) => entries
            .iter()
            .map(|entry| (entry.key.clone(), json_of(&entry.value)))
            .collect::<Map<_, _>>()
            .into(),
        Yaml::Scalar(scalar) => match scalar.scalar_type() {
            ScalarType::Null => Value::Null,
            ScalarType::Bool => json!(scalar.text.eq_ignore_ascii_case("true")),
            ScalarType::Text => json!(scalar.text),
            ScalarType::Int | ScalarType::Float => {
                scalar.text.parse().map_or_else(|_| json!(-1), |number: serde_json::Number| number.into())
            }
        },
    }
}

fn check(schema: &Value, bytes: &[u8]) -> Result<(), String> {
    let text = std::str::from_utf8(bytes).unwrap();
    let root = crate::yaml::read(text, crate::yaml::Limits::WRITTEN, &mut Sink::new(text)).expect("YAML");
    accepts(schema, schema, &json_of(&root))
}

#[test]
fn what_the_validator_takes_the_schema_takes() {
    let schema = schema();
    for (path, bytes) in crate::tests::examples() {
        assert_eq!(check(&schema, &bytes), Ok(()), "{path}");
    }
    for rule in
        rules().iter().filter(|rule| !rule.is_of_policies() && parse(&rule.example()).manifest.is_some())
    {
        assert_eq!(check(&schema, &rule.example()), Ok(()), "{}", rule.code);
    }
    let policies = policy_schema();
    for (path, bytes) in crate::policy::tests::examples() {
        assert_eq!(check(&policies, &bytes), Ok(()), "{path}");
    }
    for rule in rules().iter().filter(|rule| rule.is_of_policies()) {
        let taken = crate::parse_policy(&rule.example()).0.is_some();
        assert!(!taken || check(&policies, &rule.example()).is_ok(), "{}", rule.code);
    }
    let lock = crate::lock::tests::sample().to_yaml();
    assert_eq!(check(&lock_schema(), lock.as_bytes()), Ok(()));
}

#[test]
fn rules_on_single_values_are_in_the_schema_too() {
    let schema = schema();
    let single = [
        "SOV0020", "SOV0021", "SOV0022", "SOV0023", "SOV0024", "SOV0025", "SOV0026", "SOV0027", "SOV0030",
        "SOV0031", "SOV0032", "SOV0035", "SOV0036", "SOV0037", "SOV0039", "SOV0040", "SOV0041", "SOV0042",
        "SOV0043", "SOV0044", "SOV0045", "SOV0046", "SOV0052", "SOV0060", "SOV0073", "SOV0075",
    ];
    for rule in rules().iter().filter(|rule| single.contains(&rule.code)) {
        assert!(check(&schema, &rule.example()).is_err(), "{}: the schema takes its example", rule.code);
    }
}

#[test]
fn the_policys_committed_schema_and_page_are_current() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/");
    let committed = fs_err::read_to_string(format!("{root}schema/sovai-policy-v1.schema.json")).unwrap();
    assert!(committed == format!("{:#}\n", policy_schema()), "run `cargo xtask generate`");
    let page = fs_err::read_to_string(format!("{root}policy.md")).unwrap();
    assert!(page.contains(crate::policy_fields_markdown().trim()), "run `cargo xtask generate`");
}

#[test]
fn the_committed_schema_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/schema/sovai-v1.schema.json");
    let committed = fs_err::read_to_string(path).unwrap();
    assert!(committed == format!("{:#}\n", schema()), "run `cargo xtask generate`");
}

#[test]
fn the_reference_page_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/manifest.md");
    let page = fs_err::read_to_string(path).unwrap();
    assert!(page.contains(crate::rules_markdown().trim()), "run `cargo xtask generate`");
    assert!(page.contains(crate::fields_markdown().trim()), "run `cargo xtask generate`");
}
