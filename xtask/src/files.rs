//! Size of files, and what must not be left in them.

use crate::problem::{Problem, XtaskError};
use std::path::{Path, PathBuf};

/// Longer is harder to hold in the head: a module is one idea.
const WARN_LINES: usize = 400;
/// Longer is not merged.
const MAX_LINES: usize = 700;

/// Folders with source text, below the workspace's root.
const FOLDERS: [&str; 4] = ["crates", "xtask", "scripts", ".ci"];

/// What must not be left, and what to do instead. Put together here so that this file itself passes.
const MARKERS: [(&str, &str); 8] = [
    (concat!("todo", "!("), "finish it, or return an error"),
    (concat!("unimplemented", "!("), "finish it, or return an error"),
    (concat!("dbg", "!("), "take it out"),
    (concat!("#[", "ignore"), "a test that is not run proves nothing; make it run or take it out"),
    (concat!("#[", "allow("), "write #[expect(lint, reason = \"...\")]"),
    (concat!("#![", "allow("), "write #![expect(lint, reason = \"...\")]"),
    (concat!("TO", "DO"), "do it, or write down why not"),
    (concat!("FIX", "ME"), "do it, or write down why not"),
];

/// Checks all source files below `root`.
pub(crate) fn check(root: &Path) -> Result<Vec<Problem>, XtaskError> {
    let mut problems = Vec::new();
    for folder in FOLDERS {
        for path in source_files(&root.join(folder))? {
            let text = fs_err::read_to_string(&path)?;
            let name = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            problems.extend(judge(&name, &text));
        }
    }
    Ok(problems)
}

/// Rust and shell files, sorted; build outputs and links are passed over.
fn source_files(folder: &Path) -> Result<Vec<PathBuf>, XtaskError> {
    let mut found = Vec::new();
    for entry in fs_err::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        let kind = entry.file_type()?;
        if kind.is_dir() && entry.file_name() != "target" {
            found.extend(source_files(&path)?);
        } else if kind.is_file() && is_source(&path) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn is_source(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "rs" || extension == "sh")
        || path.ends_with(".ci/run")
}

fn judge(name: &str, text: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    let lines = text.lines().count();
    if lines > MAX_LINES {
        problems.push(Problem::error(name, format!("has {lines} lines, more than {MAX_LINES}: split it")));
    } else if lines > WARN_LINES {
        problems.push(Problem::warning(name, format!("has {lines} lines; aim at {WARN_LINES}")));
    }
    for (number, line) in text.lines().enumerate() {
        for (marker, advice) in MARKERS {
            if line.contains(marker) {
                let place = format!("{name}:{}", number + 1);
                problems.push(Problem::error(place, format!("`{marker}` is left here: {advice}")));
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(text: &str) -> Vec<String> {
        judge("a.rs", text).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_bounds_of_length_are_exact() {
        assert_eq!(messages(&"x\n".repeat(400)), [""; 0]);
        assert_eq!(messages(&"x\n".repeat(401)), ["warning: a.rs: has 401 lines; aim at 400"]);
        assert_eq!(messages(&"x\n".repeat(700)).len(), 1);
        assert!(!judge("a.rs", &"x\n".repeat(700))[0].is_error());
        assert_eq!(messages(&"x\n".repeat(701)), ["error: a.rs: has 701 lines, more than 700: split it"]);
    }

    #[test]
    fn every_marker_is_found_with_its_line() {
        for (marker, _) in MARKERS {
            let found = messages(&format!("fn f() {{}}\n    {marker}\n"));
            assert_eq!(found.len(), 1, "{marker}: {found:?}");
            assert!(found[0].starts_with(&format!("error: a.rs:2: `{marker}` is left here")), "{found:?}");
        }
    }

    #[test]
    fn like_words_are_no_markers() {
        assert_eq!(messages("#[expect(dead_code, reason = \"r\")]\nlet ignored = todo;\n"), [""; 0]);
    }

    #[test]
    fn rust_and_shell_are_read_and_nothing_else() {
        for (path, expected) in [
            ("scripts/a.sh", true),
            ("crates/a/src/b.rs", true),
            (".ci/run", true),
            ("run", false),
            ("docs/a.md", false),
            ("crates/rs", false),
        ] {
            assert_eq!(is_source(Path::new(path)), expected, "{path}");
        }
    }
}
