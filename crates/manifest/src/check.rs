//! Walks the tree along the tables: unknown, missing and misshapen keys and values.

use crate::diagnostic::{Sink, quoted};
use crate::format;
use crate::node::{Node, Value, is_free};
use crate::shape::{Object, Shape};
use sovai_catalog::suggest;
use std::ops::Range;

/// Checks a whole document.
pub(crate) fn document(root: &Node, object: &Object, sink: &mut Sink<'_>) {
    check_object(root, object, &root.span, sink);
}

/// `at` is where a thing that is missing is missed: the key of this value.
fn check(node: &Node, shape: &Shape, at: &Range<usize>, sink: &mut Sink<'_>) {
    match shape {
        Shape::Scalar(format) => format::check(*format, node, &mut *sink),
        Shape::Object(object) => check_object(node, object, at, sink),
        Shape::Either(format, object) => match node.value {
            Value::Map(_) => check_object(node, object, at, sink),
            _ => format::check(*format, node, sink),
        },
        Shape::Map { key, value, min } => {
            let Value::Map(entries) = &node.value else {
                return wrong_type(node, "a mapping", sink);
            };
            if entries.len() < *min {
                empty(node, at, sink);
            }
            for entry in entries {
                if let Err(problem) = format::check_text(*key, &entry.key) {
                    sink.error_hint(problem.code, &entry.key_span, problem.message, problem.hint);
                }
                check(&entry.value, value, &entry.key_span, sink);
            }
        }
        Shape::List { item, min } => {
            let Value::List(items) = &node.value else {
                return wrong_type(node, "a list", sink);
            };
            if items.len() < *min {
                empty(node, at, sink);
            }
            for node in items {
                check(node, item, &node.span, sink);
            }
        }
    }
}

fn wrong_type(node: &Node, expected: &str, sink: &mut Sink<'_>) {
    let hint = match (expected, node.describe()) {
        (_, "nothing") => Some("give a value, or delete the key".to_owned()),
        ("a list", "text") => Some("begin each item with `- `".to_owned()),
        _ => None,
    };
    sink.error_hint("SOV0022", &node.span, format!("expected {expected}, found {}", node.describe()), hint);
}

fn empty(node: &Node, at: &Range<usize>, sink: &mut Sink<'_>) {
    let span = if node.span.is_empty() { at } else { &node.span };
    sink.error_hint(
        "SOV0025",
        span,
        "it is empty; at least one is needed",
        "add one, or delete the key".to_owned(),
    );
}

fn check_object(node: &Node, object: &Object, at: &Range<usize>, sink: &mut Sink<'_>) {
    let Value::Map(entries) = &node.value else {
        return wrong_type(node, &format!("{} as a mapping", object.noun), sink);
    };
    for entry in entries {
        if let Some(field) = object.fields.iter().find(|field| field.name == entry.key) {
            check(&entry.value, &field.shape, &entry.key_span, sink);
        } else if !is_free(&entry.key) {
            unknown_key(node, &entry.key, &entry.key_span, object, sink);
        }
    }
    for field in object.fields.iter().filter(|field| field.required && node.get(field.name).is_none()) {
        // A key that is there but misspelt is one problem, not two.
        let misspelt = !sink.is_full()
            && entries.iter().any(|entry| {
                !object.fields.iter().any(|field| field.name == entry.key)
                    && suggest(&entry.key, [field.name]).is_some()
            });
        if !misspelt {
            sink.error_hint(
                "SOV0021",
                at,
                format!("{} needs the key `{}`", object.noun, field.name),
                format!("{}: {}", field.name, field.doc.trim_end_matches('.')),
            );
        }
    }
}

fn unknown_key(node: &Node, key: &str, at: &Range<usize>, object: &Object, sink: &mut Sink<'_>) {
    if sink.is_full() {
        return sink.error("SOV0020", at, String::new());
    }
    // A key that is there already cannot be what was meant.
    let absent = object.fields.iter().map(|field| field.name).filter(|name| node.get(name).is_none());
    let hint = match key {
        "<<" => "merge keys are not part of YAML 1.2: write the keys out".to_owned(),
        _ => suggest(key, absent).map_or_else(
            || {
                let known: Vec<_> = object.fields.iter().map(|field| format!("`{}`", field.name)).collect();
                format!("known: {}; keys that start with `x-` are free", known.join(", "))
            },
            |near| format!("did you mean `{near}`?"),
        ),
    };
    sink.error_hint("SOV0020", at, format!("unknown key {} in {}", quoted(key), object.noun), hint);
}
