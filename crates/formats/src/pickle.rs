//! Recognising pickles of any protocol by walking their opcodes, without doing what they say.
//!
//! Old pickles have no magic number, and newer ones may leave theirs out: what makes a pickle is that its opcodes fit one
//! another. The walk keeps how deep the stack would be and nothing else. Opcodes: `CPython` 3.13 `Lib/pickletools.py`.

/// What a walk over the beginning of a file came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Walked {
    /// It is no pickle.
    Invalid,
    /// The program ends at this byte.
    Stopped(usize),
    /// The beginning ends inside the program, after so many opcodes.
    Exhausted(usize),
}

/// Whether a file of `size` bytes that begins with `head` is a pickle.
pub(crate) fn is_pickle(head: &[u8], size: u64, is_text: bool) -> bool {
    if matches!(head, [0x80, 1..=5, ..]) {
        return true;
    }
    let mut walk = Walk { head, at: 0, size, depth: 0, marks: Vec::new(), calls: false };
    match walk.run() {
        Walked::Invalid => false,
        Walked::Stopped(end) => walk.calls || (end as u64 == size && !is_text),
        Walked::Exhausted(opcodes) => walk.calls || (opcodes >= 4 && !is_text),
    }
}

/// Whether a file whose beginning is `head` may turn out to be a pickle further on: the program goes on behind it.
pub(crate) fn goes_on(head: &[u8], size: u64) -> bool {
    let mut walk = Walk { head, at: 0, size, depth: 0, marks: Vec::new(), calls: false };
    size > head.len() as u64 && matches!(walk.run(), Walked::Exhausted(_))
}

struct Walk<'a> {
    head: &'a [u8],
    at: usize,
    size: u64,
    /// Values on the stack above the last mark.
    depth: usize,
    /// Values below each mark.
    marks: Vec<usize>,
    /// Whether something would be imported or called.
    calls: bool,
}

/// The walk goes no further.
enum Stop {
    Invalid,
    Exhausted,
}

/// Deepest stack of marks that is followed; the head has some thousand bytes.
const MAX_MARKS: usize = 4096;

impl Walk<'_> {
    fn run(&mut self) -> Walked {
        let mut opcodes = 0;
        loop {
            let Some(&opcode) = self.head.get(self.at) else { return Walked::Exhausted(opcodes) };
            self.at += 1;
            if opcode == b'.' {
                return if self.depth >= 1 { Walked::Stopped(self.at) } else { Walked::Invalid };
            }
            match self.step(opcode) {
                Ok(()) => opcodes += 1,
                Err(Stop::Invalid) => return Walked::Invalid,
                Err(Stop::Exhausted) => return Walked::Exhausted(opcodes),
            }
        }
    }

    fn step(&mut self, opcode: u8) -> Result<(), Stop> {
        match opcode {
            // Values with an argument in the text form.
            b'I' | b'L' | b'F' => {
                let line = self.line()?;
                let number = |&b: &u8| b.is_ascii_alphanumeric() || b"+-._".contains(&b);
                if line.is_empty() || !line.iter().all(number) {
                    return Err(Stop::Invalid);
                }
                self.pop_push(0, 1)
            }
            b'S' => {
                let line = self.line()?;
                match line {
                    [b'\'', .., b'\''] | [b'"', .., b'"'] => {}
                    _ => return Err(Stop::Invalid),
                }
                self.pop_push(0, 1)
            }
            b'V' => self.line().map(|_| ()).and_then(|()| self.pop_push(0, 1)),
            b'P' => {
                self.line()?;
                self.calls = true;
                self.pop_push(0, 1)
            }
            b'g' => self.memo().and_then(|()| self.pop_push(0, 1)),
            b'p' => self.memo().and_then(|()| self.pop_push(1, 1)),
            b'c' => {
                self.name()?;
                self.pop_push(0, 1)
            }
            b'i' => {
                self.name()?;
                self.down_to_mark(0, 1)
            }
            // Values with an argument of fixed length.
            b'K' | b'h' => self.pass(1).and_then(|()| self.pop_push(0, 1)),
            b'M' => self.pass(2).and_then(|()| self.pop_push(0, 1)),
            b'J' | b'j' => self.pass(4).and_then(|()| self.pop_push(0, 1)),
            b'G' => self.pass(8).and_then(|()| self.pop_push(0, 1)),
            // Values with a length before them.
            b'U' | b'C' | 0x8a | 0x8c => self.counted(1).and_then(|()| self.pop_push(0, 1)),
            b'T' | b'B' | b'X' | 0x8b => self.counted(4).and_then(|()| self.pop_push(0, 1)),
            0x8d | 0x8e | 0x96 => self.counted(8).and_then(|()| self.pop_push(0, 1)),
            // Values without an argument.
            b'N' | b')' | b']' | b'}' | 0x88 | 0x89 | 0x8f | 0x97 => self.pop_push(0, 1),
            0x82..=0x84 => {
                self.pass(1 << (opcode - 0x82))?;
                self.calls = true;
                self.pop_push(0, 1)
            }
            // The memo.
            b'q' => self.pass(1).and_then(|()| self.pop_push(1, 1)),
            b'r' => self.pass(4).and_then(|()| self.pop_push(1, 1)),
            0x94 | 0x98 => self.pop_push(1, 1),
            // The stack.
            b'(' => {
                if self.marks.len() == MAX_MARKS {
                    return Err(Stop::Exhausted);
                }
                self.marks.push(self.depth);
                self.depth = 0;
                Ok(())
            }
            b'0' if self.depth == 0 => self.down_to_mark(0, 0),
            b'0' => self.pop_push(1, 0),
            b'1' => self.down_to_mark(0, 0),
            b'2' => self.pop_push(1, 2),
            // Containers.
            b't' | b'l' | b'd' | 0x91 => self.down_to_mark(0, 1),
            b'e' | b'u' | 0x90 => self.down_to_mark(1, 0),
            b'a' => self.pop_push(2, 1),
            b's' => self.pop_push(3, 1),
            0x85..=0x87 => self.pop_push(usize::from(opcode - 0x84), 1),
            // What imports and calls.
            b'o' => self.call(|walk| walk.down_to_mark(0, 1)),
            b'b' => self.call(|walk| walk.pop_push(2, 1)),
            b'R' | 0x81 | 0x93 => self.call(|walk| walk.pop_push(2, 1)),
            0x92 => self.call(|walk| walk.pop_push(3, 1)),
            b'Q' => self.call(|walk| walk.pop_push(1, 1)),
            // Protocol and frame.
            0x80 => self.pass(1),
            0x95 => self.pass(8),
            _ => Err(Stop::Invalid),
        }
    }

    fn call(&mut self, effect: impl FnOnce(&mut Self) -> Result<(), Stop>) -> Result<(), Stop> {
        effect(self)?;
        self.calls = true;
        Ok(())
    }

    fn pop_push(&mut self, pop: usize, push: usize) -> Result<(), Stop> {
        self.depth = self.depth.checked_sub(pop).ok_or(Stop::Invalid)? + push;
        Ok(())
    }

    /// Takes everything above the last mark, and the mark; `below` values must lie below it.
    fn down_to_mark(&mut self, below: usize, push: usize) -> Result<(), Stop> {
        let depth = self.marks.pop().filter(|&depth| depth >= below).ok_or(Stop::Invalid)?;
        self.depth = depth + push;
        Ok(())
    }

    fn pass(&mut self, bytes: usize) -> Result<(), Stop> {
        self.at = self.at.saturating_add(bytes);
        if self.at as u64 > self.size {
            return Err(Stop::Invalid);
        }
        if self.at > self.head.len() { Err(Stop::Exhausted) } else { Ok(()) }
    }

    fn counted(&mut self, width: usize) -> Result<(), Stop> {
        let start = self.at;
        self.pass(width)?;
        let bytes = self.head.get(start..self.at).ok_or(Stop::Exhausted)?;
        let count = bytes.iter().rev().fold(0u64, |sum, &byte| (sum << 8) | u64::from(byte));
        if count > self.size {
            return Err(Stop::Invalid);
        }
        self.pass(usize::try_from(count).unwrap_or(usize::MAX))
    }

    fn line(&mut self) -> Result<&[u8], Stop> {
        let rest = self.head.get(self.at..).unwrap_or_default();
        let end = rest.iter().position(|&byte| byte == b'\n').ok_or(Stop::Exhausted)?;
        self.at += end + 1;
        Ok(&rest[..end])
    }

    fn memo(&mut self) -> Result<(), Stop> {
        let line = self.line()?;
        if !line.is_empty() && line.iter().all(u8::is_ascii_digit) { Ok(()) } else { Err(Stop::Invalid) }
    }

    /// Module and name, each on a line.
    fn name(&mut self) -> Result<(), Stop> {
        for _ in 0..2 {
            let line = self.line()?;
            let fits = |&byte: &u8| byte.is_ascii_alphanumeric() || b"_.<>".contains(&byte) || byte >= 0x80;
            if line.is_empty() || !line.iter().all(fits) {
                return Err(Stop::Invalid);
            }
        }
        self.calls = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::ContentType;

    fn pickle(head: &[u8]) -> bool {
        is_pickle(head, head.len() as u64, std::str::from_utf8(head).is_ok())
    }

    #[test]
    fn every_protocol_is_recognised() {
        // `pickle.dumps(os.system)` and a call of it, by protocol; made by hand from `Lib/pickletools.py`.
        assert!(pickle(b"cposix\nsystem\np0\n."));
        assert!(pickle(b"(S'id'\nios\nsystem\n."));
        assert!(pickle(b"cos\nsystem\n(S'id'\ntR."));
        assert!(pickle(b"cposix\nsystem\nq\x00."));
        assert!(pickle(b"\x80\x02cposix\nsystem\nq\x00."));
        assert!(pickle(b"\x80\x04\x95\x14\0\0\0\0\0\0\0\x8c\x05posix\x94\x8c\x06system\x94\x93\x94."));
        // No protocol, the magic left out; and marks pushed and popped before.
        assert!(pickle(b"\x8c\x05posix\x8c\x06system\x93\x8c\x02id\x85R."));
        assert!(pickle(b"(0(0N0cos\nsystem\n(S'id'\ntR."));
        // A tensor file of old: several pickles, the first a number.
        assert!(pickle(b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03."));
    }

    #[test]
    fn a_program_behind_a_long_first_value_is_found_when_more_is_read() {
        use crate::sniff::{HEAD, is_unsure, sniff, sniff_whole};
        let hidden = [b"V".as_slice(), &[b'x'; 9000], b"\n0cposix\nsystem\n(S'id'\ntR."].concat();
        let many = [b"Vhello\n0".repeat(2000).as_slice(), b"cposix\nsystem\n(S'id'\ntR."].concat();
        for (bytes, name) in [(&hidden, "merges.txt"), (&hidden, "m.pt"), (&many, "merges.txt")] {
            let size = bytes.len() as u64;
            let said = sniff(&bytes[..HEAD], size, name);
            assert_ne!(said, ContentType::Pickle, "the beginning does not show it");
            assert!(is_unsure(&bytes[..HEAD], size, said));
            assert_eq!(sniff_whole(bytes, size, said), ContentType::Pickle);
        }
        let prose = b"Very long text, of which no word is an opcode.\n".repeat(400);
        let said = sniff(&prose[..HEAD], prose.len() as u64, "a.txt");
        assert_eq!(sniff_whole(&prose, prose.len() as u64, said), ContentType::Text);
    }

    #[test]
    fn text_and_random_bytes_are_no_pickles() {
        for text in [
            "",
            ".",
            "Version 1\n.",
            "copyright\nby me\n",
            "I am\n",
            "import os\n",
            "class A:\n  pass\n",
            "(a)\n",
        ] {
            assert!(!pickle(text.as_bytes()), "{text:?}");
        }
        assert!(!pickle(b"X\xff\xff\xff\xff"));
        assert!(!pickle(b"\0\0\0\0"));
        assert!(!pickle(&[b'('; 10_000]));
    }
}
