//! The documents that go along: as plain text and as HTML, for people who have only the disks.

use super::Items;
use crate::error::CliError;
use pulldown_cmark::{Event, Options, Parser, Tag, html};
use sovai_bundle::Role;

/// The documents of `docs/`, made by the build script: name and text.
const DOCS: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/docs.rs"));

/// How a page looks: black on white, no script, nothing from elsewhere, so that it prints.
const STYLE: &str = "body{max-width:48em;margin:2em auto;padding:0 1em;font:1em/1.5 sans-serif}\
    pre,code{font-family:monospace;font-size:.9em}pre{overflow:auto;background:#f4f4f4;padding:.5em}\
    table{border-collapse:collapse}td,th{border:1px solid #999;padding:.2em .5em;text-align:left;vertical-align:top}";

/// Adds them under `docs/`.
pub(super) fn add(items: &mut Items) -> Result<(), CliError> {
    for (name, text) in DOCS {
        let stem = name.trim_end_matches(".md");
        items.add(&format!("docs/{name}"), Role::Document, text.as_bytes().to_vec())?;
        items.add(&format!("docs/{stem}.html"), Role::Document, page(stem, text).into_bytes())?;
    }
    Ok(())
}

/// A page of its own.
fn page(title: &str, markdown: &str) -> String {
    let parser = Parser::new_ext(markdown, Options::ENABLE_TABLES).map(|event| match event {
        Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
            let dest_url = beside(&dest_url).unwrap_or(dest_url);
            Event::Start(Tag::Link { link_type, dest_url, title, id })
        }
        other => other,
    });
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>{title}</title>\
         <style>{STYLE}</style></head>\n<body>\n"
    );
    html::push_html(&mut page, parser);
    page.push_str("</body>\n</html>\n");
    page
}

/// A link to another document leads to its page.
fn beside(link: &str) -> Option<pulldown_cmark::CowStr<'static>> {
    let (file, anchor) = link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor)));
    let stem = file.strip_suffix(".md").filter(|stem| !stem.contains(['/', ':']))?;
    let anchor = anchor.map(|anchor| format!("#{anchor}")).unwrap_or_default();
    Some(format!("{stem}.html{anchor}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documents_that_help_are_there() {
        let names: Vec<&str> = DOCS.iter().map(|(name, _)| *name).collect();
        for name in ["bundle-format.md", "commands.md", "deploy.md", "trust.md"] {
            assert!(names.contains(&name), "{names:?}");
        }
        assert!(!names.contains(&"benchmarks.md") && names.is_sorted(), "{names:?}");
    }

    #[test]
    fn pages_have_no_script_and_lead_to_each_other() {
        let page = page(
            "x",
            "# Title\n\n[other](store.md#roots) [out](https://a.example/b.md)\n\n| a |\n|---|\n| b |\n",
        );
        assert!(page.contains("<a href=\"store.html#roots\">other</a>"), "{page}");
        assert!(page.contains("<a href=\"https://a.example/b.md\">"), "{page}");
        assert!(page.contains("<td>b</td>"), "{page}");
        for (name, text) in DOCS {
            assert!(!super::page(name, text).contains("<script"), "{name}");
        }
    }
}
