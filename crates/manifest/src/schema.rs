//! JSON Schema (draft 2020-12), written out of the tables that the validator walks.
//!
//! It tells editors the keys, types and forms; rules between values are the validator's alone.

use crate::shape::{Format, LOCK, MANIFEST, Object, POLICY, Shape};
use serde_json::{Map, Value, json};

/// JSON Schema of the manifest.
pub fn schema() -> Value {
    document(&MANIFEST, "sovai manifest")
}

/// JSON Schema of the lock.
pub fn lock_schema() -> Value {
    document(&LOCK, "sovai lock")
}

/// JSON Schema of the policy.
pub fn policy_schema() -> Value {
    document(&POLICY, "sovai policy")
}

fn document(root: &'static Object, title: &str) -> Value {
    let mut definitions = Map::new();
    let Value::Object(body) = object(root, &mut definitions) else { unreachable!("an object is an object") };
    let mut out = Map::new();
    out.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
    out.insert("title".into(), json!(title));
    out.extend(body);
    out.insert("$defs".into(), Value::Object(definitions));
    Value::Object(out)
}

fn object(object: &'static Object, definitions: &mut Map<String, Value>) -> Value {
    let mut properties = Map::new();
    for field in object.fields {
        let mut value = shape(&field.shape, definitions);
        if let Value::Object(map) = &mut value {
            map.insert("description".into(), json!(field.doc));
        }
        properties.insert(field.name.to_owned(), value);
    }
    let required: Vec<_> =
        object.fields.iter().filter(|field| field.required).map(|field| field.name).collect();
    json!({
        "description": object.doc,
        "type": "object",
        "properties": properties,
        "patternProperties": { "^x-": {} },
        "additionalProperties": false,
        "required": required,
    })
}

fn shape(shape_of: &'static Shape, definitions: &mut Map<String, Value>) -> Value {
    match shape_of {
        Shape::Object(object) => reference(object, definitions),
        Shape::Either(format, object) => {
            json!({ "anyOf": [scalar(*format), reference(object, definitions)] })
        }
        Shape::Scalar(format) => scalar(*format),
        Shape::List { item, min } => {
            let mut value = json!({ "type": "array", "items": shape(item, definitions) });
            if *min > 0 {
                value["minItems"] = json!(min);
            }
            value
        }
        Shape::Map { key, value, min } => {
            let mut names = scalar(*key);
            if let Value::Object(names) = &mut names {
                names.remove("type");
            }
            let mut out = json!({
                "type": "object",
                "propertyNames": names,
                "additionalProperties": shape(value, definitions),
            });
            if *min > 0 {
                out["minProperties"] = json!(min);
            }
            out
        }
    }
}

fn reference(target: &'static Object, definitions: &mut Map<String, Value>) -> Value {
    if !definitions.contains_key(target.name) {
        // Put there first, so that a table that names itself would end.
        definitions.insert(target.name.to_owned(), Value::Null);
        let value = object(target, definitions);
        definitions.insert(target.name.to_owned(), value);
    }
    json!({ "$ref": format!("#/$defs/{}", target.name) })
}

/// Patterns may take more than the validator, never less.
fn scalar(format: Format) -> Value {
    let pattern = |pattern: &str| json!({ "type": "string", "pattern": pattern });
    match format {
        Format::Const { text, .. } => json!({ "type": "string", "const": text }),
        Format::OneOf(texts) => json!({ "type": "string", "enum": texts }),
        Format::Engine => {
            let names: Vec<_> = sovai_catalog::engines().iter().map(|engine| engine.name.as_str()).collect();
            json!({ "type": "string", "enum": names })
        }
        Format::Vendor => {
            let ids: Vec<_> = sovai_catalog::vendors().iter().map(|vendor| vendor.id.as_str()).collect();
            json!({ "type": "string", "enum": ids })
        }
        Format::Text | Format::License => json!({ "type": "string", "minLength": 1 }),
        Format::Raw => json!({ "type": "string" }),
        Format::LicenseId => pattern("^[A-Za-z0-9][A-Za-z0-9.+-]*$"),
        Format::Pattern => pattern(r"^[^\u0000-\u001f?\[\]{}]{1,256}$"),
        Format::Glob => pattern(r"^[^/\\\u0000-\u001f\u007f\[\]{}][^\\\u0000-\u001f\u007f\[\]{}]*$"),
        Format::ImageSource => pattern("^(engine|registry|oci-layout:.+|docker-archive:.+)$"),
        Format::LockedRevision => pattern("^(sha256:[0-9a-f]{64}|[A-Za-z0-9_][A-Za-z0-9._/-]{0,199})$"),
        Format::Name => pattern("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"),
        Format::PublicName => pattern("^[A-Za-z0-9._:/-]{1,128}$"),
        Format::EnvKey => pattern("^[A-Za-z_][A-Za-z0-9_]{0,127}$"),
        Format::FilePath => pattern(&file_path()),
        Format::HostPath => pattern(r"^[^\u0000-\u001f\u007f]+$"),
        Format::Sha256 => pattern("^[0-9a-f]{64}$"),
        Format::Digest => pattern("^sha256:[0-9a-f]{64}$"),
        Format::Length => json!({ "type": "integer", "minimum": 0 }),
        Format::Count { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Format::Size(min) => json!({ "anyOf": [
            { "type": "integer", "minimum": min },
            { "type": "string", "pattern": "^[0-9]+ *(B|kB|MB|GB|TB|KiB|MiB|GiB|TiB)?$" },
        ] }),
        Format::Cpus => json!({ "type": "number", "minimum": 0.001, "maximum": 4096 }),
        Format::Date => pattern("^[0-9]{4}-[0-9]{2}-[0-9]{2}$"),
        Format::Source => pattern("^(file|hf|modelscope|https|s3|oci):.+$"),
        Format::Image => pattern("^[A-Za-z0-9][A-Za-z0-9._:/@-]*$"),
        Format::Listen => pattern(r"^(\[[0-9a-fA-F:.]+\]|[0-9.]+):[0-9]{1,5}$"),
        Format::Revision => pattern("^[A-Za-z0-9_][A-Za-z0-9._/-]{0,199}$"),
    }
}

/// Parts that are not empty, `.` or `..`, without look-ahead, which many readers of patterns do not have.
fn file_path() -> String {
    let any = r"[^/\\\u0000-\u001f\u007f]";
    let not_dot = r"[^./\\\u0000-\u001f\u007f]";
    let part = format!(r"({not_dot}{any}*|\.{not_dot}{any}*|\.\.{any}+)");
    format!("^{part}(/{part})*$")
}

#[cfg(test)]
mod tests;
