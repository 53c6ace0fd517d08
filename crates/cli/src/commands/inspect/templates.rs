//! Chat templates, and how they differ from those of another model. None is rendered.

use crate::output::{safe_block, safe_line, style};
use serde::Serialize;
use sovai_core::Sha256;
use sovai_formats::{Template, template};
use std::fmt::Write as _;

/// How a template compares with the base model's.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Compared {
    /// Whether the base model has a template with the same bytes.
    equal: bool,
    /// The template of the base model that it is compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<Sha256>,
    /// Unified text, where they differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    diff: Option<String>,
}

/// Compares each template with the one of the base model that is equal, or has its name, or is the only one.
pub(super) fn compare(templates: &[Template], base: &[Template]) -> Vec<Compared> {
    templates
        .iter()
        .map(|template| {
            let equal = base.iter().find(|other| other.sha256 == template.sha256);
            let named = || base.iter().find(|other| name(other) == name(template));
            let only = || base.first().filter(|_| base.len() == 1);
            let other = equal.or_else(named).or_else(only);
            Compared {
                equal: equal.is_some(),
                path: other.map(|other| other.path.clone()),
                sha256: other.map(|other| other.sha256),
                diff: other.and_then(|other| template::diff(other, template)),
            }
        })
        .collect()
}

/// A template without a name is the default one.
fn name(template: &Template) -> &str {
    template.name.as_deref().unwrap_or("default")
}

/// The templates for people; `compared` has one entry for each, or is not there.
pub(super) fn render(templates: &[Template], compared: Option<&[Compared]>) -> String {
    let mut text = String::new();
    if templates.is_empty() {
        return text;
    }
    let _ = writeln!(text, "\n{}chat templates{}", style::BOLD, style::RESET);
    for (index, template) in templates.iter().enumerate() {
        let name = template.name.as_deref().map(|name| format!(" `{}`", safe_line(name))).unwrap_or_default();
        let _ = writeln!(
            text,
            "  {}{name}: {} bytes  {}",
            safe_line(&template.path),
            template.text.len(),
            template.sha256
        );
        let Some(compared) = compared.and_then(|compared| compared.get(index)) else { continue };
        match (&compared.path, compared.equal) {
            (None, _) => {
                let _ = writeln!(text, "    {}the base has no such template{}", style::WARNING, style::RESET);
            }
            (Some(path), true) => {
                let _ = writeln!(text, "    equal to {} of the base", safe_line(path));
            }
            (Some(path), false) => {
                let path = safe_line(path);
                let _ =
                    writeln!(text, "    {}differs from {path} of the base{}", style::WARNING, style::RESET);
                for line in compared.diff.as_deref().unwrap_or_default().lines() {
                    let _ = writeln!(text, "    | {}", safe_block(line));
                }
            }
        }
    }
    text
}
