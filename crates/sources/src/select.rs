//! Which files of a model are wanted: include and exclude globs.

use crate::SourceError;
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use sovai_core::RelPath;

/// Most globs of one list.
const MAX_GLOBS: usize = 1_000;
/// Longest glob in bytes.
const MAX_GLOB: usize = 1_000;

/// Which files of a model are wanted. A file is taken when an include glob matches its whole path (or there is none) and no
/// exclude glob does.
///
/// Globs are those of `allow_patterns` and `ignore_patterns` of `huggingface_hub`, which are Python's `fnmatch`: `*` and `?`
/// match also `/`, `[abc]` and `[!abc]` one character, everything else itself, upper and lower case apart; a glob that ends
/// with `/` means all below that folder. `**` means what `*` means. Stricter: a `[` that is never closed, a
/// `[^` and a `[[:` are errors, as readers disagree on them.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    include: Option<GlobSet>,
    exclude: GlobSet,
}

impl Selection {
    /// Reads the globs of a model; no globs take every file. The error names the glob.
    pub fn new<S: AsRef<str>>(include: &[S], exclude: &[S]) -> Result<Self, SourceError> {
        let include = if include.is_empty() { None } else { Some(set(include)?) };
        Ok(Self { include, exclude: set(exclude)? })
    }

    /// Whether a file is wanted.
    pub fn takes(&self, path: &RelPath) -> bool {
        let path = path.as_str();
        self.include.as_ref().is_none_or(|globs| globs.is_match(path)) && !self.exclude.is_match(path)
    }
}

fn set<S: AsRef<str>>(globs: &[S]) -> Result<GlobSet, SourceError> {
    let bad =
        |glob: &str, reason: String| SourceError::Glob { glob: glob.chars().take(80).collect(), reason };
    if globs.len() > MAX_GLOBS {
        return Err(bad("", format!("at most {MAX_GLOBS} globs are taken, found {}", globs.len())));
    }
    let mut builder = GlobSetBuilder::new();
    for glob in globs {
        let glob = glob.as_ref();
        if glob.is_empty() || glob.len() > MAX_GLOB {
            return Err(bad(glob, format!("a glob has 1 to {MAX_GLOB} bytes")));
        }
        if glob.contains("[^") || glob.contains("[[:") {
            return Err(bad(
                glob,
                "write `[!abc]` for other characters than these, and no named classes".to_owned(),
            ));
        }
        let made = GlobBuilder::new(&translate(glob))
            .literal_separator(false)
            .backslash_escape(true)
            .build()
            .map_err(|error| bad(glob, error.kind().to_string()))?;
        builder.add(made);
    }
    builder.build().map_err(|error| bad(error.glob().unwrap_or_default(), error.kind().to_string()))
}

/// `fnmatch`'s text as `globset` reads it: there braces, backslashes and `**` mean more.
fn translate(glob: &str) -> String {
    let mut out = String::with_capacity(glob.len() + 8);
    let mut chars = glob.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '*' => {
                while chars.next_if_eq(&'*').is_some() {}
                out.push('*');
            }
            '\\' | '{' | '}' => out.extend(['\\', c]),
            '[' => {
                out.push('[');
                if chars.next_if_eq(&'!').is_some() {
                    out.push('!');
                }
                // What stands in brackets is the same in both.
                if chars.peek() == Some(&']') {
                    chars.next();
                    out.push(']');
                }
                for c in chars.by_ref() {
                    out.push(c);
                    if c == ']' {
                        break;
                    }
                }
            }
            c => out.push(c),
        }
    }
    if glob.ends_with('/') {
        out.push('*');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn takes(include: &[&str], exclude: &[&str], path: &str) -> bool {
        Selection::new(include, exclude).unwrap().takes(&RelPath::new(path).unwrap())
    }

    #[test]
    fn include_then_exclude() {
        assert!(takes(&[], &[], "a/b"));
        assert!(takes(&["*.safetensors", "*.json"], &[], "sub/w.safetensors"));
        assert!(!takes(&["*.safetensors"], &[], "README.md"));
        assert!(!takes(&["*.json"], &["sub/*"], "sub/deep/x.json"));
        assert!(!takes(&[], &["original/"], "original/w.pth"));
        assert!(takes(&[], &["original/"], "original.json"));
    }

    #[test]
    fn bad_globs_are_named() {
        for glob in ["", "[abc", "[^a]", "[[:alpha:]]", "[z-a]"] {
            let error = Selection::new(&[glob], &[]).unwrap_err();
            assert!(error.to_string().contains(glob), "{glob}: {error}");
        }
        assert!(Selection::new(&["x".repeat(MAX_GLOB + 1)], &[]).is_err());
        assert!(Selection::new(&vec!["x"; MAX_GLOBS + 1], &[]).is_err());
    }

    /// The judge is Python, whose `fnmatch` is what `huggingface_hub` filters with.
    #[test]
    fn globs_match_what_pythons_fnmatch_matches() {
        let globs = [
            "*",
            "*.json",
            "**",
            "**/*.json",
            "a/**/b",
            "a*b",
            "?",
            "a?b",
            "[ab].json",
            "[!ab].json",
            "[]x]y",
            "[!]x]y",
            "[a-c]*",
            "{a,b}.json",
            "a{b",
            "a}b",
            "*.JSON",
            "sub/",
            "sub/*",
            "*/x",
            "a.b",
            "[-a]z",
            "[a-]z",
            "[]]",
            "a,b",
            "***.bin",
            "model-0000?-of-*.safetensors",
            "*[0-9].gguf",
            "/*",
            "é*",
            "!a",
        ];
        let paths = [
            "a",
            "b",
            "a.json",
            "b.json",
            "c.json",
            "sub/a.json",
            "sub/deep/x",
            "sub/x",
            "subx",
            "a/b",
            "a/x/b",
            "a/x/y/b",
            "axb",
            "ab",
            "{a,b}.json",
            "a{b",
            "a}b",
            "a.JSON",
            "axb.bin",
            "]y",
            "xy",
            "zy",
            "-z",
            "az",
            "]",
            "a,b",
            "aXb",
            "model-00001-of-00002.safetensors",
            "model-000010-of-2.safetensors",
            "q4.gguf",
            "x/9.gguf",
            "été",
            "!a",
            "a-b",
        ];
        let script = "import sys, json, fnmatch\n\
            globs, paths = json.load(sys.stdin)\n\
            globs = [g + '*' if g.endswith('/') else g for g in globs]\n\
            json.dump([[fnmatch.fnmatchcase(p, g) for p in paths] for g in globs], sys.stdout)";
        let mut child = Command::new("python3")
            .args(["-c", script])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("python3 is on PATH");
        let given = serde_json::to_vec(&(&globs[..], &paths[..])).unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), &given).unwrap();
        let output = child.wait_with_output().unwrap();
        let expected: Vec<Vec<bool>> = serde_json::from_slice(&output.stdout).unwrap();
        for (glob, row) in globs.iter().zip(expected) {
            for (path, expected) in paths.iter().zip(row) {
                assert_eq!(takes(&[glob], &[], path), expected, "{glob} {path}");
            }
        }
    }
}
