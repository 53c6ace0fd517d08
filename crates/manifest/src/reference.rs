//! The generated parts of the reference page: keys and rules.

use crate::rules::rules;
use crate::shape::{Format, LOCK, MANIFEST, Object, POLICY, Shape};
use std::fmt::Write as _;

/// The table of rules, as Markdown, for `docs/manifest.md`.
pub fn rules_markdown() -> String {
    let mut out = String::from("| code | rule | why | breaks it |\n|---|---|---|---|\n");
    for rule in rules() {
        let (place, fragment) = rule.fragment();
        let shown = if rule.is_described() { fragment.to_owned() } else { example(place, fragment) };
        let _ =
            writeln!(out, "| {} | {} | {} | {shown} |", rule.code, cell(rule.title), cell(rule.explanation));
    }
    out
}

/// The line of an example that matters, in one cell.
fn example(place: &str, fragment: &str) -> String {
    // Long digests say nothing to people.
    let mut text = fragment.trim_end().replace('\n', "`<br>`");
    for case in [str::to_lowercase, str::to_uppercase] {
        let digest = case("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        text = text.replace(&digest, &format!("{}…", &digest[..8]));
    }
    let text = text.replace('|', "\\|");
    if place.is_empty() { format!("`{text}`") } else { format!("under `{place}`:<br>`{text}`") }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// Every key of manifest and lock, as Markdown, for `docs/manifest.md`.
pub fn fields_markdown() -> String {
    tables(&[&MANIFEST, &LOCK])
}

/// Every key of a policy, as Markdown, for `docs/policy.md`.
pub fn policy_fields_markdown() -> String {
    tables(&[&POLICY])
}

/// The tables of these documents, each with what is inside it; none twice.
fn tables(documents: &[&'static Object]) -> String {
    let mut out = String::new();
    let mut queue: Vec<&Object> = documents.iter().rev().copied().collect();
    let mut done: Vec<&str> = Vec::new();
    while let Some(object) = queue.pop() {
        if done.contains(&object.name) {
            continue;
        }
        done.push(object.name);
        section(object, &mut out);
        queue.extend(children(object).into_iter().rev());
    }
    out
}

fn section(object: &Object, out: &mut String) {
    let _ = write!(
        out,
        "### {}\n\n{}\n\n| key | needed | value | meaning |\n|---|---|---|---|\n",
        object.name, object.doc
    );
    for field in object.fields {
        let needed = if field.required { "yes" } else { "" };
        let _ = writeln!(
            out,
            "| `{}` | {needed} | {} | {} |",
            field.name,
            cell(&describe(&field.shape)),
            cell(field.doc)
        );
    }
    out.push('\n');
}

fn children(object: &Object) -> Vec<&'static Object> {
    fn of(shape: &Shape) -> Option<&'static Object> {
        match shape {
            Shape::Object(object) | Shape::Either(_, object) => Some(object),
            Shape::Map { value, .. } => of(value),
            Shape::List { item, .. } => of(item),
            Shape::Scalar(_) => None,
        }
    }
    object.fields.iter().filter_map(|field| of(&field.shape)).collect()
}

fn describe(shape: &Shape) -> String {
    match shape {
        Shape::Object(object) => format!("[{0}](#{1})", object.name, object.name.to_lowercase()),
        Shape::Either(format, object) => {
            format!("{}, or [{1}](#{2})", words(*format), object.name, object.name.to_lowercase())
        }
        Shape::Scalar(format) => words(*format),
        Shape::List { item, .. } => format!("list of {}", describe(item)),
        Shape::Map { key, value, .. } => format!("mapping of {} to {}", words(*key), describe(value)),
    }
}

fn words(format: Format) -> String {
    let codes = |texts: &mut dyn Iterator<Item = &str>| {
        texts.map(|text| format!("`{text}`")).collect::<Vec<_>>().join(", ")
    };
    match format {
        Format::Const { text, .. } => format!("`{text}`"),
        Format::OneOf(texts) => codes(&mut texts.iter().copied()),
        Format::Engine => codes(&mut sovai_catalog::engines().iter().map(|engine| engine.name.as_str())),
        Format::Vendor => codes(&mut sovai_catalog::vendors().iter().map(|vendor| vendor.id.as_str())),
        Format::Text | Format::Raw => "text".to_owned(),
        Format::License => "licence".to_owned(),
        Format::LicenseId => "licence id".to_owned(),
        Format::Pattern => "pattern".to_owned(),
        Format::Glob => "pattern of paths".to_owned(),
        Format::ImageSource => "`engine`, `registry`, `oci-layout:...`, `docker-archive:...`".to_owned(),
        Format::LockedRevision => "commit, or `sha256:` and 64 hexadecimal digits".to_owned(),
        Format::Name => "name".to_owned(),
        Format::PublicName => "model name of clients".to_owned(),
        Format::EnvKey => "variable".to_owned(),
        Format::FilePath => "path in the model".to_owned(),
        Format::HostPath => "path on the host".to_owned(),
        Format::Sha256 => "64 hexadecimal digits".to_owned(),
        Format::Digest => "`sha256:` and 64 hexadecimal digits".to_owned(),
        Format::Length => "whole number".to_owned(),
        Format::Count { min, max } => format!("{min} to {max}"),
        Format::Size(_) => "size".to_owned(),
        Format::Cpus => "number".to_owned(),
        Format::Date => "date".to_owned(),
        Format::Source => "source".to_owned(),
        Format::Image => "image reference".to_owned(),
        Format::Listen => "address and port".to_owned(),
        Format::Revision => "revision".to_owned(),
    }
}
