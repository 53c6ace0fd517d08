//! Chat templates compared with those of the base model.

use crate::error::CliError;
use crate::exit::Exit;
use crate::input::read_bounded;
use crate::output::{safe_block, safe_line, style};
use serde::Serialize;
use sovai_formats::template::{MAX_TEMPLATE, diff};
use sovai_formats::{Template, TemplatePlace};
use sovai_verifier::Options;
use std::fmt::Write as _;
use std::path::Path;

/// How a template differs from the base model's.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Difference {
    /// The file that holds it.
    path: String,
    place: TemplatePlace,
    name: Option<String>,
    /// The base's file; `None`: the base has no such template.
    base: Option<String>,
    /// Whether the two are equal.
    equal: bool,
    /// Unified text, bounded; raw.
    diff: Option<String>,
}

impl Difference {
    /// For people, escaped.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let name = self.name.as_deref().map(|name| format!(" {}", safe_line(name))).unwrap_or_default();
        let what = format!("chat template{name} in {}", safe_line(&self.path));
        let Some(base) = self.base.as_deref().map(safe_line) else {
            let _ = writeln!(text, "  {what}: {}the base has none{}", style::WARNING, style::RESET);
            return text;
        };
        if self.equal {
            let _ = writeln!(text, "  {what}: the same as {base} of the base");
            return text;
        }
        let _ = writeln!(text, "  {what}: {}differs{} from {base} of the base", style::WARNING, style::RESET);
        for line in self.diff.as_deref().unwrap_or_default().lines() {
            let _ = writeln!(text, "    {}", safe_block(line));
        }
        text
    }
}

/// The templates of a model, or of one file: a template alone, where it is nothing else.
pub(super) fn templates(path: &Path, options: &Options) -> Result<Vec<Template>, CliError> {
    let shown = safe_line(&path.display().to_string());
    if !path.exists() {
        return Err(CliError::new(Exit::Usage, format!("--base {shown} is not there"))
            .hint("check the path; a relative one starts at the working folder"));
    }
    let found = sovai_verifier::examine(path, options)?.templates;
    if !found.is_empty() || path.is_dir() {
        return Ok(found);
    }
    let limit = usize::try_from(MAX_TEMPLATE).unwrap_or(usize::MAX);
    let text = read_bounded(path, limit, "template")?;
    match String::from_utf8(text) {
        Ok(text) if text.len() <= limit => {
            Ok(vec![Template::new(&path.display().to_string(), TemplatePlace::JinjaFile, None, text)])
        }
        _ => Err(CliError::new(Exit::Usage, format!("--base {shown} has no chat template"))
            .hint("name a model's folder, a GGUF file, or a file with a template")),
    }
}

/// Each of `own` beside the template of the base that has the same name: in the same place if there is one.
pub(super) fn differences(own: &[Template], base: &[Template]) -> Vec<Difference> {
    let of = |template: &Template| {
        let named = || base.iter().filter(|other| other.name == template.name);
        named().find(|other| other.place == template.place).or_else(|| named().next()).or(match base {
            [only] => Some(only),
            _ => None,
        })
    };
    own.iter()
        .map(|template| {
            let base = of(template);
            let diff = base.and_then(|base| diff(base, template));
            Difference {
                path: template.path.clone(),
                place: template.place,
                name: template.name.clone(),
                base: base.map(|base| base.path.clone()),
                equal: base.is_some() && diff.is_none(),
                diff,
            }
        })
        .collect()
}
