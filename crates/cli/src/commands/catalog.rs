//! `sovai catalog`: what is known of models. Reads nothing: the catalogue is part of the program.

mod show;

use crate::args::{CatalogArgs, CatalogCommand};
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;
use crate::manifest::count;
use crate::output::{Outcome, safe_line};
use serde::Serialize;
use sovai_catalog::{
    CatalogModel, Known, KnownLicense, known_licenses, model, models, search_models, suggest_model,
};
use std::fmt::Write as _;

/// Members of the JSON result.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    action: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    models: &'a [&'static CatalogModel],
    /// Those outside SPDX that the models have.
    licenses: Vec<&'static KnownLicense>,
}

/// Runs the command.
pub(crate) fn run(args: &CatalogArgs, ctx: &Ctx) -> Result<Exit, CliError> {
    match &args.command {
        CatalogCommand::List => {
            let all: Vec<&CatalogModel> = models().iter().collect();
            finish("list", None, &all, table(&all), ctx)
        }
        CatalogCommand::Show { id } => {
            let model = wanted(id)?;
            finish("show", None, &[model], show::text(model), ctx)
        }
        CatalogCommand::Search { text } => search(&text.join(" "), ctx),
    }
}

/// The model of that id.
pub(super) fn wanted(id: &str) -> Result<&'static CatalogModel, CliError> {
    model(id).ok_or_else(|| {
        let error = CliError::new(Exit::Usage, format!("the catalogue has no model `{}`", safe_line(id)));
        match suggest_model(id) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error.hint("sovai catalog list"),
        }
    })
}

fn search(text: &str, ctx: &Ctx) -> Result<Exit, CliError> {
    let found = search_models(text);
    let shown = if found.is_empty() {
        let near = text.split_whitespace().find_map(suggest_model);
        let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        format!("nothing in the catalogue has all of `{}`{hint}\n", safe_line(text))
    } else {
        table(&found)
    };
    finish("search", Some(text), &found, shown, ctx)
}

fn finish(
    action: &'static str,
    text: Option<&str>,
    models: &[&'static CatalogModel],
    shown: String,
    ctx: &Ctx,
) -> Result<Exit, CliError> {
    let named = |license: &&KnownLicense| {
        models.iter().any(|model| model.license.value().is_some_and(|name| *name == license.id))
    };
    let licenses = known_licenses().iter().filter(named).collect();
    let body = Body { action, text, models, licenses };
    ctx.finish(Outcome { exit: Exit::Done, findings: Vec::new(), body, text: shown })
}

/// One line a model.
fn table(models: &[&CatalogModel]) -> String {
    let head = ["id", "parameters", "license", "context", "size", "tested"].map(str::to_owned);
    let rows: Vec<[String; 6]> = std::iter::once(head).chain(models.iter().map(|model| row(model))).collect();
    let mut widths = [0; 6];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            let _ = write!(line, "{cell:<width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    let _ = writeln!(text, "{}", count(models.len(), "model"));
    text
}

fn row(model: &CatalogModel) -> [String; 6] {
    let parameters = match (model.parameters.total.value(), model.parameters.active.value()) {
        (Some(total), Some(active)) if active != total => format!("{} / {}", short(*total), short(*active)),
        (Some(total), _) => short(*total),
        (None, _) => unknown(),
    };
    let size = model.variants.first().and_then(|usual| usual.disk_bytes.value());
    [
        model.id.clone(),
        parameters,
        model.license.value().map_or_else(unknown, |license| license.replace("LicenseRef-", "")),
        or_unknown(&model.context),
        size.map_or_else(unknown, |bytes| decimal(*bytes)),
        model.tested.as_str().to_owned(),
    ]
}

fn unknown() -> String {
    "unknown".to_owned()
}

fn or_unknown<T: ToString>(fact: &Known<T>) -> String {
    fact.value().map_or_else(unknown, ToString::to_string)
}

/// A number of parameters: `284B`, `1.6T`, `135M`.
fn short(number: u64) -> String {
    scaled(number, &[(1_000_000_000_000, "T"), (1_000_000_000, "B"), (1_000_000, "M")])
}

/// Bytes in decimal units, as publishers write them.
pub(super) fn decimal(bytes: u64) -> String {
    scaled(bytes, &[(1_000_000_000_000, " TB"), (1_000_000_000, " GB"), (1_000_000, " MB")])
}

/// With at most one decimal, rounded to the nearest.
fn scaled(number: u64, units: &[(u64, &str)]) -> String {
    for (unit, name) in units {
        if number >= *unit {
            let tenths = (number + unit / 20) / (unit / 10);
            return match tenths % 10 {
                0 => format!("{}{name}", tenths / 10),
                rest => format!("{}.{rest}{name}", tenths / 10),
            };
        }
    }
    number.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!(short(1_600_000_000_000), "1.6T");
        assert_eq!(short(284_000_000_000), "284B");
        assert_eq!(short(135_000_000), "135M");
        assert_eq!(decimal(98_362_432), "98.4 MB");
        assert_eq!(decimal(595_000_000_000), "595 GB");
        assert_eq!(decimal(12), "12");
    }
}
