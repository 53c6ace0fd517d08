//! Rules on services.

use super::Context;
use crate::diagnostic::{Sink, quoted};
use crate::format::{file_name_of, parse_path, parse_source};
use crate::node::{Entry, Node};
use sovai_catalog::{EngineProfile, ModelShape, suggest};
use std::collections::{HashMap, HashSet};

/// Names that sovai's own containers and networks have in a stack.
const RESERVED: [&str; 5] = ["edge", "gateway", "internal", "probe", "store-check"];

pub(super) fn service(entry: &Entry, context: &Context<'_>, sink: &mut Sink<'_>) {
    let node = &*entry.value;
    if RESERVED.contains(&entry.key.as_str()) {
        sink.error_hint(
            "SOV0079",
            &entry.key_span,
            format!("the name {} is taken by an object of sovai's own", quoted(&entry.key)),
            "choose another one".to_owned(),
        );
    }
    if let Some(image) = node.get("image") {
        check_image(image, sink);
    }
    let profile = node.get("engine").and_then(Node::text).and_then(sovai_catalog::engine);
    model(entry, profile, context, sink);
    if node.get("engine").is_none() {
        for key in ["context", "parallelism"] {
            if let Some(entry) = node.entry(key) {
                sink.error_hint(
                    "SOV0080",
                    &entry.key_span,
                    format!("`{key}` needs an `engine`"),
                    "it is handed over by an engine profile; use `args` for a plain container".to_owned(),
                );
            }
        }
    }
    environment(node, profile, sink);
    arguments(node, profile, sink);
    duplicates(node, context, sink);
    if let Some(accelerators) = node.entry("accelerators") {
        let (count, ids) = (accelerators.value.get("count"), accelerators.value.get("ids"));
        if count.is_some() == ids.is_some() && !accelerators.value.entries().is_empty() {
            let found = if count.is_some() { "both" } else { "neither" };
            sink.error_hint(
                "SOV0083",
                &accelerators.key_span,
                format!("accelerators have `count` or `ids`, found {found}"),
                "`count: 8` for any eight, `ids: [...]` for just these".to_owned(),
            );
        }
    }
}

fn check_image(image: &Node, sink: &mut Sink<'_>) {
    if let (Some(_), Some(id)) = (image.get("digest"), image.entry("id")) {
        sink.error_hint(
            "SOV0065",
            &id.key_span,
            "an image is pinned by `digest` or by `id`, not by both",
            "delete one of the two".to_owned(),
        );
    }
    let Some(name) = image.get("name") else { return };
    let pinned = image.get("digest").is_some() || image.get("id").is_some();
    if pinned && name.text().is_some_and(|name| name.contains('@')) {
        sink.error_hint(
            "SOV0065",
            &name.span,
            "the name has a digest already, after its `@`",
            "delete one of the two".to_owned(),
        );
    }
}

fn model(entry: &Entry, profile: Option<&EngineProfile>, context: &Context<'_>, sink: &mut Sink<'_>) {
    let Some(reference) = entry.value.get("model") else {
        if let Some(engine) = entry.value.entry("engine") {
            sink.error_hint(
                "SOV0074",
                &engine.key_span,
                "an engine needs a `model`",
                "name one of `spec.models`".to_owned(),
            );
        }
        return;
    };
    let Some(name) = reference.name() else { return };
    let Some(model) = context.models.iter().find(|model| model.key == name) else {
        let names = context.models.iter().map(|model| model.key.as_str());
        let hint = suggest(name, names.clone()).map(|near| format!("did you mean `{near}`?")).or_else(|| {
            names
                .clone()
                .next()
                .is_none()
                .then(|| "there are no models: add it under `spec.models`".to_owned())
        });
        sink.error_hint("SOV0070", &reference.span, format!("there is no model {}", quoted(name)), hint);
        return;
    };
    if let Some(why) = profile.and_then(|profile| misfit(profile, &model.value)) {
        sink.error_hint(
            "SOV0078",
            &reference.span,
            format!("the model {} does not fit this engine: {why}", quoted(name)),
            "choose an engine that reads this format, or the model in another format".to_owned(),
        );
    }
}

/// Why a model cannot be read by an engine; files that are not pinned here are not known yet.
fn misfit(profile: &EngineProfile, model: &Node) -> Option<String> {
    let source = model.get("source").and_then(Node::text).and_then(|text| parse_source(text).ok())?;
    let one_file = file_name_of(&source);
    match &profile.model {
        ModelShape::Folder => one_file.map(|name| {
            format!("`{}` reads a folder, the source is the file {}", profile.name, quoted(name))
        }),
        ModelShape::File { suffix } => {
            if let Some(name) = one_file.filter(|name| !name.ends_with(suffix.as_str())) {
                return Some(format!("`{}` reads `{suffix}`, the source is {}", profile.name, quoted(name)));
            }
            let files = model.get("files")?.items();
            // A malformed path has its own diagnostic; nothing follows from it.
            let paths: Option<Vec<&str>> = files
                .iter()
                .map(|file| file.get("path").and_then(Node::text).filter(|path| parse_path(path).is_ok()))
                .collect();
            profile.model.main_file(paths?).err().map(|error| error.to_string())
        }
    }
}

fn environment(node: &Node, profile: Option<&EngineProfile>, sink: &mut Sink<'_>) {
    for entry in node.get("env").map_or(&[] as &[_], Node::entries) {
        let value = entry.value.text().unwrap_or_default();
        if is_secret_name(&entry.key) || is_secret_value(value) {
            sink.error_hint(
                "SOV0081",
                &entry.key_span,
                format!("the variable {} looks like a secret", quoted(&entry.key)),
                "environments are seen by all who may ask the container engine: give the file under `secrets`, and \
                 its path `/run/secrets/NAME` here as `..._FILE` if the program wants it"
                    .to_owned(),
            );
        } else if profile.is_some_and(|profile| profile.env.get(&entry.key).is_some_and(|own| own != value)) {
            sink.warning(
                "SOV0086",
                &entry.key_span,
                format!("the engine profile sets {} otherwise", quoted(&entry.key)),
                "delete it, unless the profile is wrong for this image".to_owned(),
            );
        }
    }
}

fn arguments(node: &Node, profile: Option<&EngineProfile>, sink: &mut Sink<'_>) {
    for item in node.get("args").map_or(&[] as &[_], Node::items) {
        let Some(text) = item.text() else { continue };
        let option = text.split('=').next().unwrap_or_default();
        let word = option.trim_start_matches('-').replace('-', "_");
        if (option.starts_with('-') && is_secret_name(&word)) || is_secret_value(text) {
            sink.error_hint(
                "SOV0082",
                &item.span,
                "the argument looks like a secret",
                "arguments are seen by everybody on the host: give the file under `secrets`".to_owned(),
            );
        } else if profile.is_some_and(|profile| profile.options().any(|own| own == option)) {
            sink.error_hint(
                "SOV0085",
                &item.span,
                format!("the engine profile sets {} itself", quoted(option)),
                "use the fields of the service: `model`, `context`, `parallelism`".to_owned(),
            );
        }
    }
}

/// Whether a variable with this name usually holds a secret; one that holds a path to it does not.
fn is_secret_name(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    let words: Vec<&str> = upper.split('_').filter(|word| !word.is_empty()).collect();
    if matches!(words.last(), Some(&("FILE" | "PATH" | "DIR"))) {
        return false;
    }
    let secret = |word: &&str| {
        matches!(
            *word,
            "PASSWORD"
                | "PASSWD"
                | "PASSPHRASE"
                | "SECRET"
                | "SECRETS"
                | "CREDENTIAL"
                | "CREDENTIALS"
                | "APIKEY"
                | "APITOKEN"
        )
    };
    let pair = |pair: &[&str]| {
        matches!(
            pair,
            ["API" | "ACCESS" | "PRIVATE" | "AUTH" | "SIGNING" | "ENCRYPTION" | "MASTER", "KEY" | "KEYS"]
        )
    };
    // `TOKEN` only at the end: MAX_TOKENS and TOKENIZERS_PARALLELISM are no secrets.
    words.iter().any(secret) || words.windows(2).any(pair) || words.last() == Some(&"TOKEN")
}

/// Whether a value has the form of a well-known kind of secret.
fn is_secret_value(value: &str) -> bool {
    let token = |prefix: &str, least: usize| {
        value.split(['=', ' ']).any(|word| word.starts_with(prefix) && word.len() >= least)
    };
    let url = value.split_once("://").is_some_and(|(_, rest)| {
        rest.split('/')
            .next()
            .is_some_and(|authority| authority.split_once('@').is_some_and(|(user, _)| user.contains(':')))
    });
    url || value.contains("-----BEGIN ") && value.contains("PRIVATE KEY")
        || token("hf_", 20)
        || token("sk-", 20)
        || token("ghp_", 20)
        || token("glpat-", 20)
        || token("AKIA", 20)
}

fn duplicates(node: &Node, context: &Context<'_>, sink: &mut Sink<'_>) {
    let mut seen = HashSet::new();
    for item in node.get("depends").map_or(&[] as &[_], Node::items) {
        let Some(name) = item.name() else { continue };
        if !seen.insert(name) {
            twice(item, name, sink);
        } else if !context.services.iter().any(|service| service.key == name) {
            let names = context.services.iter().map(|service| service.key.as_str());
            let hint = suggest(name, names).map(|near| format!("did you mean `{near}`?"));
            sink.error_hint("SOV0071", &item.span, format!("there is no service {}", quoted(name)), hint);
        }
    }
    let mut seen = HashSet::new();
    for name in
        node.get("secrets").map_or(&[] as &[_], Node::items).iter().filter_map(|secret| secret.get("name"))
    {
        if let Some(text) = name.text().filter(|text| !seen.insert(*text)) {
            twice(name, text, sink);
        }
    }
    let mut seen = HashSet::new();
    let ids = node.get("accelerators").and_then(|accelerators| accelerators.get("ids"));
    for item in ids.map_or(&[] as &[_], Node::items) {
        if let Some(text) = item.text().filter(|text| !seen.insert(*text)) {
            twice(item, text, sink);
        }
    }
}

fn twice(node: &Node, text: &str, sink: &mut Sink<'_>) {
    sink.error_hint(
        "SOV0084",
        &node.span,
        format!("{} is given twice", quoted(text)),
        "delete one of the two".to_owned(),
    );
}

/// Services that wait for each other. Every service stands in at most one reported cycle.
pub(super) fn cycles(context: &Context<'_>, sink: &mut Sink<'_>) {
    let edges: HashMap<&str, Vec<(&str, &Node)>> = context
        .services
        .iter()
        .map(|service| {
            let depends = service.value.get("depends").map_or(&[] as &[_], Node::items);
            (service.key.as_str(), depends.iter().filter_map(|item| Some((item.text()?, &**item))).collect())
        })
        .collect();
    let mut done: HashSet<&str> = HashSet::new();
    for service in context.services {
        // A walk with its own stack: services may be many, and recursion is not bounded by anything else.
        let mut path: Vec<(&str, usize)> = vec![(service.key.as_str(), 0)];
        let mut on_path: HashSet<&str> = HashSet::from([service.key.as_str()]);
        while let Some((name, next)) = path.last_mut() {
            let edge =
                if done.contains(*name) { None } else { edges.get(*name).and_then(|edges| edges.get(*next)) };
            let Some((target, node)) = edge else {
                done.insert(*name);
                on_path.remove(*name);
                path.pop();
                continue;
            };
            *next += 1;
            if on_path.contains(target) {
                let start = path.iter().position(|(name, _)| name == target).unwrap_or(0);
                let mut names: Vec<&str> = path.iter().skip(start).map(|(name, _)| *name).take(8).collect();
                if path.len() - start > names.len() {
                    names.push("…");
                }
                names.push(target);
                sink.error_hint(
                    "SOV0072",
                    &node.span,
                    format!("services wait for each other: {}", quoted(&names.join(" -> "))),
                    "delete one of these `depends`".to_owned(),
                );
            } else if !done.contains(target) {
                on_path.insert(target);
                path.push((target, 0));
            }
        }
    }
}
