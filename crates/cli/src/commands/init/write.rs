//! The text of a manifest from the catalogue.

use super::choose::Choice;
use crate::commands::catalog::decimal;
use sovai_catalog::{LicenseCheck, Sourced, Variant, license};
use std::fmt::Write as _;

/// Columns that a comment keeps to.
const WIDTH: usize = 118;

/// Context in tokens where no layout names one: long contexts are the first thing that does not fit.
const CONTEXT: u32 = 131_072;

/// The whole manifest.
pub(super) fn manifest(choice: &Choice) -> String {
    let mut text = String::new();
    head(&mut text, choice);
    let name = label(&choice.model.id);
    let stack = match choice.wanted {
        Some(wanted) => label(&format!("{}-{}", choice.model.id, wanted.card.id)),
        None => name.clone(),
    };
    let _ = writeln!(
        text,
        "apiVersion: sovai/v1\nkind: Stack\nmetadata:\n  name: {stack}\n\nspec:\n  models:\n    {name}:"
    );
    model(&mut text, choice);
    service(&mut text, choice, &name);
    let _ = write!(
        text,
        "\n  gateway: # the stack's one door; clients need a key, which deploy makes\n    listen: 127.0.0.1:8080\n    routes:\n      {}: engine # the name that clients use: the service behind it\n",
        scalar(&choice.model.id)
    );
    text
}

fn head(text: &mut String, choice: &Choice) {
    let model = choice.model;
    let on = match choice.wanted {
        Some(wanted) if wanted.count == 1 => format!(" on one {}", wanted.card.name),
        Some(wanted) => format!(" on {} x {}", wanted.count, wanted.card.name),
        None => String::new(),
    };
    comment(text, 0, &format!("{}{on}, behind a gateway on http://127.0.0.1:8080.", model.name));
    if let Some(layout) = choice.layout {
        comment(text, 0, &format!("Known to work: {} ({}).", layout.says.value, cited(&layout.says)));
    }
    if model.tested != sovai_catalog::Tested::Here {
        comment(
            text,
            0,
            "This project has not run it: the facts are from the catalogue, and so are their sources.",
        );
    }
    for warning in &choice.warnings {
        comment(text, 0, &format!("WARNING: {warning}."));
    }
    let open = if choice.variant.file.is_some() { "The image is not" } else { "Nothing is" };
    let on = choice.wanted.map(|wanted| format!(" --accelerators {wanted}")).unwrap_or_default();
    // Not broken into lines: it is a command.
    let _ = writeln!(
        text,
        "# Made by: sovai init --model {}{on} --variant {} --engine {}",
        model.id, choice.variant.id, choice.engine
    );
    let show = format!("All that is known: `sovai catalog show {}`.", model.id);
    comment(text, 0, &format!("{show} {open} pinned: `sovai lock` does that."));
}

fn model(text: &mut String, choice: &Choice) {
    let (model, variant) = (choice.model, choice.variant);
    let known =
        |fact: &sovai_catalog::Known<String>| fact.value().cloned().unwrap_or_else(|| "unknown".to_owned());
    let mut about = format!("Checkpoint `{}`, precision {}", variant.id, known(&variant.precision));
    if let Some(bytes) = variant.disk_bytes.value() {
        let _ = write!(about, ", {} on disk", decimal(*bytes));
    }
    if let Some(gb) = variant.memory_gb.value() {
        let _ = write!(about, ", published minimum {gb} GB of accelerator memory");
    }
    comment(text, 6, &(about + "."));
    source(text, variant);
    match model.license.value() {
        Some(name) => {
            let _ = writeln!(text, "      license: {}", scalar(name));
            if let LicenseCheck::Known(known) = license(name) {
                comment(text, 6, &format!("{}: {}.", known.name, known.note));
                for duty in &known.duties {
                    comment(text, 6, &format!("Duty: {} ({}).", duty.value, cited(duty)));
                }
            }
        }
        None => {
            comment(text, 6, "license: unknown; read the LICENSE file of the repository and write it here.");
        }
    }
    for said in &model.license_labels {
        comment(text, 6, &format!("Others call its licence: {} ({}).", said.value, cited(said)));
    }
    let _ = writeln!(text, "      publisher: {}", scalar(&model.publisher));
    let made_by = variant.made_by.value().filter(|maker| **maker != model.publisher);
    if let Some(maker) = made_by {
        let _ = write!(
            text,
            "      lineage:\n        base:\n          name: {}\n          claim: declared\n        quantisedBy:\n          name: {}\n          claim: declared\n",
            scalar(&model.name),
            scalar(maker)
        );
    }
    if !model.usage_limits.is_empty() {
        text.push_str("      usage: # from the model's card\n");
        for limit in &model.usage_limits {
            let _ = writeln!(text, "        - {}", scalar(&limit.value));
        }
    }
    for need in &model.offline {
        comment(text, 6, &format!("Offline: {} ({}).", need.value, cited(need)));
    }
    if let Some(file) = &variant.file {
        let pin = &file.value;
        let _ = write!(
            text,
            "      files:\n        - path: {}\n          size: {}\n          sha256: {}\n",
            scalar(pin.path.as_str()),
            pin.size,
            pin.sha256.hex()
        );
    }
}

fn source(text: &mut String, variant: &Variant) {
    let (hf, modelscope) = (variant.hf.value(), variant.modelscope.value());
    let unpinned = "no revision: the lock keeps the commit that it found";
    match (hf, modelscope, &variant.file) {
        (Some(hf), mirror, _) => {
            let _ = writeln!(text, "      source: hf:{hf} # {unpinned}");
            if let Some(mirror) = mirror {
                let _ = writeln!(
                    text,
                    "      mirrors:\n        - modelscope:{mirror} # believed only when its bytes have the same digests"
                );
            }
        }
        (None, Some(modelscope), _) => {
            let _ = writeln!(text, "      source: modelscope:{modelscope} # {unpinned}");
        }
        (None, None, Some(file)) => {
            let _ =
                writeln!(text, "      source: file:./weights/{} # relative to this file", file.value.path);
        }
        // A test holds every entry to one of these.
        (None, None, None) => {}
    }
}

fn service(text: &mut String, choice: &Choice, name: &str) {
    let version = choice.usage.and_then(|usage| usage.minimum_version.value());
    let version = version.map(|version| format!(" # {version} or later")).unwrap_or_default();
    let _ = writeln!(text, "\n  services:\n    engine:\n      engine: {}{version}", choice.engine);
    image(text, choice);
    let _ = writeln!(text, "      model: {name}");
    let mut args: Vec<&str> = Vec::new();
    args.extend(choice.usage.and_then(|usage| usage.args.value()).into_iter().flatten().map(String::as_str));
    args.extend(choice.layout.iter().flat_map(|layout| &layout.args).map(String::as_str));
    if !args.is_empty() {
        if args.contains(&"--trust-remote-code") {
            comment(
                text,
                6,
                "--trust-remote-code runs Python code out of the model's folder. The built-in policy refuses a model with such \
                 code; a policy allows it with `remoteCode: pinned`, and the code is to be read first.",
            );
        }
        text.push_str("      args: # after those of the profile\n");
        for word in args {
            let _ = writeln!(text, "        - {}", scalar(word));
        }
    }
    if let Some(env) = choice.usage.and_then(|usage| usage.env.as_ref()) {
        let _ = writeln!(text, "      env:");
        for (name, value) in &env.value {
            let _ = writeln!(text, "        {name}: {}", scalar(value));
        }
    }
    let longest = choice.model.context.value().copied();
    if let Some(tokens) = choice.layout.and_then(|layout| layout.context) {
        let _ = writeln!(
            text,
            "      context: {tokens} # tokens, as it is known to work{}",
            limit(longest, tokens)
        );
    } else if let Some(longest) = longest {
        let tokens = longest.min(CONTEXT);
        let _ = writeln!(text, "      context: {tokens} # tokens{}", limit(Some(longest), tokens));
    }
    split(text, choice);
    text.push_str(
        "      # resources: { memory: 64GiB } # of the host; without it a quarter more than the weights\n",
    );
}

/// What the model itself can do, where that is more.
fn limit(longest: Option<u32>, tokens: u32) -> String {
    longest
        .filter(|longest| *longest > tokens)
        .map(|most| format!("; the model can do {most}"))
        .unwrap_or_default()
}

fn image(text: &mut String, choice: &Choice) {
    if let Some(image) = choice.usage.and_then(|usage| usage.image.value()) {
        if image.starts_with("registry.example/") {
            let words = "Not at the container engine's own registry: write the name of the registry that you have it from.";
            comment(text, 6, words);
        }
        let _ = writeln!(text, "      image: {image}");
    } else {
        comment(text, 6, "The catalogue knows no tagged image for this: write the one that you have.");
        let _ = writeln!(text, "      image: registry.example/{}:latest", choice.engine);
    }
}

/// How the work is split, and the accelerators.
fn split(text: &mut String, choice: &Choice) {
    let Some(wanted) = choice.wanted else { return };
    let (mut tensor, mut pipeline, mut data, mut sequences) = (Some(wanted.count), None, None, None);
    if let Some(layout) = choice.layout {
        (tensor, pipeline, data, sequences) = (layout.tensor, layout.pipeline, layout.data, layout.sequences);
    }
    let parts = [("tensor", tensor), ("pipeline", pipeline), ("data", data), ("sequences", sequences)];
    let parts: Vec<String> =
        parts.iter().filter_map(|(key, size)| Some(format!("        {key}: {}\n", (*size)?))).collect();
    if !parts.is_empty() {
        text.push_str("      parallelism:\n");
        text.extend(parts);
    }
    let _ = write!(
        text,
        "      accelerators:\n        vendor: {}\n        count: {} # {}\n",
        wanted.card.vendor, wanted.count, wanted.card.name
    );
}

fn cited<T>(fact: &Sourced<T>) -> String {
    format!("{}, {}", fact.source, fact.date)
}

/// A name of the manifest from an id: a DNS label.
fn label(id: &str) -> String {
    let plain: String = id
        .chars()
        .map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' })
        .take(63)
        .collect();
    plain.trim_end_matches('-').to_owned()
}

/// Comment lines of whole words.
fn comment(text: &mut String, indent: usize, words: &str) {
    let start = format!("{:indent$}#", "");
    let mut line = start.clone();
    for word in words.split(' ') {
        if line.chars().count() + 1 + word.chars().count() > WIDTH && line != start {
            let _ = writeln!(text, "{line}");
            line.clone_from(&start);
        }
        line.push(' ');
        line.push_str(word);
    }
    let _ = writeln!(text, "{line}");
}

/// A YAML scalar that every reader takes for this text.
fn scalar(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | '=' | '+');
    let numeric =
        text.bytes().next().is_some_and(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'+'))
            || (text.starts_with('-') && !text.starts_with("--"));
    let word = text.to_lowercase();
    let reserved = matches!(word.as_str(), "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "~");
    if !text.is_empty() && text.chars().all(plain) && !numeric && !reserved {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}
