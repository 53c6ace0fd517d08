//! Patterns with `*`, and lists of them.

use sovai_manifest::Patterns;

/// Whether `text` is as `pattern` says, where `*` stands for any text. Never worse than length times length: it steps
/// back to the last star only.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while let Some(byte) = text.get(t) {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(wanted) if wanted == byte => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|byte| *byte == b'*')
}

/// What a pair of lists says of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listed<'a> {
    /// A denying pattern, with its place in the list.
    Denied(usize, &'a str),
    /// An allowing pattern, with its place in the list.
    Allowed(usize, &'a str),
    /// There is no list of what is allowed.
    Free,
    /// There is one, and nothing in it matches.
    Unlisted,
}

/// Looks names for one thing up; `deny` beats `allow`.
pub(crate) fn look_up<'a>(patterns: &'a Patterns, names: &[&str]) -> Listed<'a> {
    let find = |list: &'a [String]| {
        list.iter().enumerate().find(|(_, pattern)| names.iter().any(|name| matches(pattern, name)))
    };
    if let Some((at, pattern)) = find(&patterns.deny) {
        return Listed::Denied(at, pattern);
    }
    match &patterns.allow {
        None => Listed::Free,
        Some(allow) => find(allow).map_or(Listed::Unlisted, |(at, pattern)| Listed::Allowed(at, pattern)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_text() {
        for (pattern, text, expected) in [
            ("hf:deepseek-ai/*", "hf:deepseek-ai/DeepSeek-V4-Flash", true),
            ("hf:deepseek-ai/*", "hf:deepseek-ai-mirror/DeepSeek-V4-Flash", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("*-mirror", "some-mirror", true),
            ("abc", "abcd", false),
            ("file:*", "file:./weights", true),
            ("File:*", "file:./weights", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
        assert!(!matches("*a*a*a*a*a*a*a*b", &"a".repeat(100_000)), "and it ends soon");
    }

    #[test]
    fn deny_beats_allow() {
        let lists = |allow: Option<&[&str]>, deny: &[&str]| Patterns {
            allow: allow.map(|list| list.iter().map(|&text| text.to_owned()).collect()),
            deny: deny.iter().map(|&text| text.to_owned()).collect(),
        };
        assert_eq!(look_up(&lists(Some(&["*"]), &["b*"]), &["bad"]), Listed::Denied(0, "b*"));
        assert_eq!(look_up(&lists(Some(&["x", "*"]), &["b*"]), &["good"]), Listed::Allowed(1, "*"));
        assert_eq!(look_up(&lists(Some(&["x"]), &[]), &["good"]), Listed::Unlisted);
        assert_eq!(look_up(&lists(None, &[]), &["good"]), Listed::Free);
        assert_eq!(look_up(&lists(None, &["a"]), &["b", "a"]), Listed::Denied(0, "a"));
    }
}
