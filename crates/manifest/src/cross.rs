//! Rules between values: references, collisions, what fits what. They look at the tree, so that one bad value does
//! not hide another one.

mod gateway;
mod service;

use crate::Source;
use crate::diagnostic::{Sink, quoted};
use crate::format::{file_name_of, parse_image, parse_path, parse_source};
use crate::node::{Entry, Node};
use sovai_core::PathSet;
use std::collections::{HashMap, HashSet};

/// What rules on services and gateway ask of the whole document.
struct Context<'a> {
    models: &'a [Entry],
    services: &'a [Entry],
}

/// Checks a manifest whose single values were checked already.
pub(crate) fn manifest(root: &Node, sink: &mut Sink<'_>) {
    let Some(spec) = root.get("spec") else { return };
    let entries = |key: &str| spec.get(key).map_or(&[] as &[Entry], Node::entries);
    let context = Context { models: entries("models"), services: entries("services") };
    for entry in context.models {
        model(&entry.value, sink);
    }
    for entry in context.services {
        service::service(entry, &context, sink);
    }
    service::cycles(&context, sink);
    image_sources(&context, sink);
    if let Some(gateway) = spec.get("gateway") {
        gateway::gateway(gateway, &context, sink);
    }
    unused(&context, sink);
}

/// Models that no service names. Where a name is misspelt or missing, that has its own diagnostic.
fn unused(context: &Context<'_>, sink: &mut Sink<'_>) {
    let used: HashSet<&str> =
        context.services.iter().filter_map(|entry| entry.value.get("model")?.text()).collect();
    let missing = context
        .services
        .iter()
        .any(|entry| entry.value.get("engine").is_some() && entry.value.get("model").is_none());
    if missing || used.iter().any(|name| !context.models.iter().any(|model| model.key == *name)) {
        return;
    }
    for entry in context.models.iter().filter(|entry| !used.contains(entry.key.as_str())) {
        sink.warning(
            "SOV0077",
            &entry.key_span,
            format!("no service uses the model {}", quoted(&entry.key)),
            "name it as `model` of a service, or delete it".to_owned(),
        );
    }
}

/// Services that say different things about where one image comes from.
fn image_sources(context: &Context<'_>, sink: &mut Sink<'_>) {
    let mut seen: HashMap<&str, Option<&str>> = HashMap::new();
    for entry in context.services {
        let Some(image) = entry.value.get("image") else { continue };
        let Some(Ok((name, _))) = image.get("name").unwrap_or(image).text().map(parse_image) else {
            continue;
        };
        let source = image.get("source").and_then(Node::text);
        let first = *seen.entry(name).or_insert(source);
        if first != source {
            let span = image.get("source").map_or(&image.span, |node| &node.span);
            sink.error_hint(
                "SOV0069",
                span,
                format!("two services say different sources for the image {}", quoted(name)),
                "write the same `source` in both".to_owned(),
            );
        }
    }
}

/// Checks the files of a lock.
pub(crate) fn lock(root: &Node, sink: &mut Sink<'_>) {
    for entry in root.get("models").map_or(&[] as &[Entry], Node::entries) {
        collisions(&entry.value, sink);
    }
}

fn model(node: &Node, sink: &mut Sink<'_>) {
    collisions(node, sink);
    let Some(source_node) = node.get("source") else { return };
    let Some(Ok(source)) = source_node.text().map(parse_source) else { return };
    if let Some(revision) = node.entry("revision") {
        if !source.is_hub() {
            sink.error_hint(
                "SOV0063",
                &revision.key_span,
                "only sources at a hub have a revision",
                "delete it; digests say which bytes are meant".to_owned(),
            );
        } else if let (Some(named), Some(other)) = (source.revision(), revision.value.text())
            && named != other
        {
            sink.error_hint(
                "SOV0063",
                &revision.value.span,
                format!(
                    "the source names the revision {} after its `@`, here stands {}",
                    quoted(named),
                    quoted(other)
                ),
                "delete one of the two".to_owned(),
            );
        }
    }
    patterns(node, &source, sink);
    let (Some(name), Some(files)) = (file_name_of(&source), node.entry("files")) else { return };
    let paths: Vec<&Node> = files.value.items().iter().filter_map(|file| file.get("path")).collect();
    match paths[..] {
        [] => {}
        [path] if path.text() == Some(name) => {}
        // A malformed path has its own diagnostic.
        [path] if path.text().is_none_or(|text| parse_path(text).is_err()) => {}
        [path] => sink.error_hint(
            "SOV0062",
            &path.span,
            format!("the source is the file {}, its entry is called otherwise", quoted(name)),
            format!("write `path: {name}`, or end the source in `/` if it is a folder"),
        ),
        [_, second, ..] => sink.error_hint(
            "SOV0062",
            &second.span,
            format!("the source is the one file {}, so it has one entry", quoted(name)),
            "name the folder as source, or delete the other entries".to_owned(),
        ),
    }
}

/// Patterns of files that one list may have.
const MAX_PATTERNS: usize = 64;

/// `include` and `exclude`: only where there are many files, and the lock lists them.
fn patterns(node: &Node, source: &Source, sink: &mut Sink<'_>) {
    for key in ["include", "exclude"] {
        let Some(entry) = node.entry(key) else { continue };
        if file_name_of(source).is_some() {
            sink.error_hint(
                "SOV0066",
                &entry.key_span,
                "the source is one file, so there is nothing to choose",
                "delete it, or end the source in `/` if it is a folder".to_owned(),
            );
        } else if matches!(source, Source::File(_)) {
            sink.error_hint(
                "SOV0066",
                &entry.key_span,
                "a folder on this host is taken whole",
                "delete it, and bring the files that are meant into a folder of their own".to_owned(),
            );
        } else if node.entry("files").is_some() {
            sink.error_hint(
                "SOV0066",
                &entry.key_span,
                "`files` says already which files are meant",
                "delete it, or delete `files` and let `sovai lock` list them".to_owned(),
            );
        } else if entry.value.items().len() > MAX_PATTERNS {
            sink.error_hint(
                "SOV0066",
                &entry.key_span,
                format!("a list has at most {MAX_PATTERNS} patterns, found {}", entry.value.items().len()),
                "`*` matches any text, also with `/` in it".to_owned(),
            );
        }
    }
}

/// Paths of one model that collide: equal when case-folded, or one the folder of another.
fn collisions(model: &Node, sink: &mut Sink<'_>) {
    let mut seen = PathSet::default();
    for file in model.get("files").map_or(&[] as &[_], Node::items) {
        let Some(path_node) = file.get("path") else { continue };
        let Some(Ok(path)) = path_node.text().map(parse_path) else { continue };
        if let Err(first) = seen.insert(&path) {
            let same = first == path.as_str();
            let message = if same {
                format!("the path {} is given twice", quoted(&first))
            } else {
                format!("the path {} collides with {}", quoted(path.as_str()), quoted(&first))
            };
            let hint = if same {
                "delete one of the two"
            } else {
                "paths differ in more than case, and no file is another one's folder"
            };
            sink.error_hint("SOV0051", &path_node.span, message, hint.to_owned());
        }
    }
}
