//! From chunks of bytes to lines that are safe to show.

use std::fmt::Write as _;

/// Longest line of a log, in bytes; what is beyond is cut. Engines themselves split at 16 KiB.
pub(super) const LOG_LINE: usize = 16 << 10;

/// Longest line of the output of a command, in bytes. Such lines are JSON of sovai's own making.
pub(super) const EXEC_LINE: usize = 1 << 20;

/// Puts lines together from chunks; holds at most one line.
#[derive(Debug)]
pub(super) struct Lines {
    longest: usize,
    buffer: Vec<u8>,
    cut: u64,
}

impl Lines {
    /// Lines are cut after `longest` bytes.
    pub(super) const fn new(longest: usize) -> Self {
        Self { longest, buffer: Vec::new(), cut: 0 }
    }

    /// Takes a chunk and gives each line that it ends; stops early, with `false`, when `line` gives `false`.
    pub(super) fn push(&mut self, chunk: &[u8], mut line: impl FnMut(String) -> bool) -> bool {
        let mut parts = chunk.split(|byte| *byte == b'\n');
        // What follows the last line break is the beginning of the next line.
        let rest = parts.next_back().unwrap_or_default();
        for part in parts {
            self.keep(part);
            if !line(self.take()) {
                return false;
            }
        }
        self.keep(rest);
        true
    }

    /// Gives the last line, when it has no line break.
    pub(super) fn finish(mut self) -> Option<String> {
        (!self.buffer.is_empty()).then(|| self.take())
    }

    fn keep(&mut self, part: &[u8]) {
        let room = self.longest.saturating_sub(self.buffer.len()).min(part.len());
        self.buffer.extend_from_slice(&part[..room]);
        self.cut += (part.len() - room) as u64;
    }

    fn take(&mut self) -> String {
        let bytes = std::mem::take(&mut self.buffer);
        let cut = std::mem::take(&mut self.cut);
        let line = bytes.strip_suffix(b"\r").filter(|_| cut == 0).unwrap_or(&bytes);
        let mut text = String::from_utf8_lossy(line).into_owned();
        if cut > 0 {
            // Writing to a String cannot fail.
            let _ = write!(text, " [{cut} bytes cut]");
        }
        text
    }
}

/// Makes a text from outside safe for a terminal and for one line of a log: control characters, line separators and
/// characters that change the direction of writing are spelt out. A tab stays.
pub(crate) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        let hidden = matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
        match c {
            '\t' => safe.push(c),
            c if c.is_ascii_control() => {
                let _ = write!(safe, "\\x{:02x}", u32::from(c));
            }
            c if c.is_control() || hidden => safe.extend(c.escape_unicode()),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(longest: usize, chunks: &[&[u8]]) -> Vec<String> {
        let mut lines = Lines::new(longest);
        let mut found = Vec::new();
        for chunk in chunks {
            assert!(lines.push(chunk, |line| {
                found.push(line);
                true
            }));
        }
        found.extend(lines.finish());
        found
    }

    #[test]
    fn a_line_may_come_in_pieces_and_a_piece_may_hold_many_lines() {
        assert_eq!(all(99, &[b"a", b"b\nc\r\n\n", b"d"]), ["ab", "c", "", "d"]);
        assert_eq!(all(99, &[]), [""; 0]);
        assert_eq!(all(99, &[b"\n"]), [""]);
    }

    #[test]
    fn a_character_that_is_split_over_chunks_survives() {
        let text = "\u{e4}\n".as_bytes();
        assert_eq!(all(99, &[&text[..1], &text[1..]]), ["\u{e4}"]);
        assert_eq!(all(99, &[b"\xff\n"]), ["\u{fffd}"]);
    }

    #[test]
    fn a_long_line_is_cut_and_says_so_and_the_next_is_whole() {
        assert_eq!(all(4, &[b"abc", b"defg\nhi\n"]), ["abcd [3 bytes cut]", "hi"]);
    }

    #[test]
    fn a_sink_that_has_enough_ends_it() {
        let mut seen = 0;
        let more = Lines::new(9).push(b"a\nb\nc\n", |_| {
            seen += 1;
            seen < 2
        });
        assert!(!more);
        assert_eq!(seen, 2);
    }

    #[test]
    fn what_would_drive_a_terminal_is_spelt_out() {
        assert_eq!(
            escape("\x1b]0;x\x07\ta\u{9b}b\u{202e}c\u{2028}"),
            "\\x1b]0;x\\x07\ta\\u{9b}b\\u{202e}c\\u{2028}"
        );
        assert_eq!(escape("Kuala Lumpur \u{1f1f2}"), "Kuala Lumpur \u{1f1f2}");
    }

    proptest! {
        #[test]
        fn the_lines_do_not_depend_on_the_chunks(bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..200), at in 0usize..200) {
            let (a, b) = bytes.split_at(at.min(bytes.len()));
            prop_assert_eq!(all(50, &[&bytes]), all(50, &[a, b]));
        }

        #[test]
        fn nothing_that_is_escaped_controls_anything(text in any::<String>()) {
            prop_assert!(escape(&text).chars().all(|c| c == '\t' || !c.is_control()));
        }
    }
}
