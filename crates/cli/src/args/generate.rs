//! Completion scripts and manual pages, made from the command line's definition.

use super::command;
use std::io;

/// The completion script of a shell.
pub(crate) fn completions(shell: clap_complete::Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command(), "sovai", &mut script);
    script
}

/// The manual page of one command, nested ones as `trust-witness`, or of sovai itself; `None` for a command that is not
/// there.
pub(crate) fn man(name: Option<&str>) -> Option<io::Result<Vec<u8>>> {
    let wanted = name.map_or_else(|| "sovai".to_owned(), |name| format!("sovai-{name}"));
    pages().into_iter().find(|(page, _)| *page == wanted).map(|(_, page)| render(page))
}

/// Every manual page: file name and content.
pub(crate) fn man_pages() -> io::Result<Vec<(String, Vec<u8>)>> {
    pages().into_iter().map(|(name, page)| Ok((format!("{name}.1"), render(page)?))).collect()
}

/// Names of the commands that have a page.
pub(crate) fn man_names() -> Vec<String> {
    pages().into_iter().filter_map(|(name, _)| Some(name.strip_prefix("sovai-")?.to_owned())).collect()
}

fn pages() -> Vec<(String, clap::Command)> {
    let mut root = command();
    root.build();
    let mut pages = Vec::new();
    collect("sovai", root, &mut pages);
    pages
}

/// The page of a command, then those of what it is made of. `help` is clap's own and has none.
fn collect(name: &str, command: clap::Command, pages: &mut Vec<(String, clap::Command)>) {
    let below: Vec<clap::Command> = command.get_subcommands().cloned().collect();
    // `build` has given each its full name to display.
    pages.push((name.to_owned(), command));
    for sub in below.into_iter().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help") {
        collect(&format!("{name}-{}", sub.get_name()), sub, pages);
    }
}

fn render(page: clap::Command) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    // No date: the same version gives the same page.
    clap_mangen::Man::new(page).section("1").manual("sovai manual").render(&mut text)?;
    Ok(text)
}
