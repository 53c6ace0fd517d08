//! Links between documents: what they point at must be there.

use crate::problem::{Problem, XtaskError};
use std::path::{Path, PathBuf};

/// Checks the relative links of all Markdown files at the root and below `docs/`.
pub(crate) fn check(root: &Path) -> Result<Vec<Problem>, XtaskError> {
    let mut files = markdown(root, Depth::Here)?;
    files.extend(markdown(&root.join("docs"), Depth::All)?);
    let mut problems = Vec::new();
    for path in files {
        let text = fs_err::read_to_string(&path)?;
        let folder = path.parent().unwrap_or(root);
        let name = path.strip_prefix(root).unwrap_or(&path).display().to_string();
        problems.extend(judge(&name, &text, |target| folder.join(target).exists()));
    }
    Ok(problems)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    Here,
    All,
}

fn markdown(folder: &Path, depth: Depth) -> Result<Vec<PathBuf>, XtaskError> {
    let mut found = Vec::new();
    for entry in fs_err::read_dir(folder)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() && depth == Depth::All {
            found.extend(markdown(&path, depth)?);
        } else if kind.is_file() && path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn judge(name: &str, text: &str, exists: impl Fn(&str) -> bool) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for rest in line.split("](").skip(1) {
            let target = rest.split([')', '#']).next().unwrap_or_default();
            let outside = target.is_empty() || target.contains("://") || target.starts_with("mailto:");
            if !outside && !exists(target) {
                let place = format!("{name}:{}", number + 1);
                problems.push(Problem::error(place, format!("links to `{target}`, which is not there")));
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(text: &str) -> Vec<String> {
        judge("a.md", text, |target| target == "there.md").iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_there_or_outside_passes() {
        assert_eq!(
            messages("[a](there.md), [b](there.md#part) and [c](https://example.org/x.md), [d](#part)"),
            [""; 0]
        );
    }

    #[test]
    fn a_dead_link_is_found_with_its_line() {
        assert_eq!(
            messages("fine\n[a](there.md) [b](gone.md)\n"),
            ["error: a.md:2: links to `gone.md`, which is not there"]
        );
    }
}
