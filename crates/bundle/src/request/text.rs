//! A request as text, with words that tell whether it was heard right.

use super::{Request, Wanted};
use crate::chunk::MAX_CHUNKS;
use crate::volume::VolumeId;
use sha2::Digest as _;
use sovai_core::Name;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Longest text that is read, in bytes.
const MAX_TEXT: usize = 1 << 20;
/// Check words of a line.
const LINE_WORDS: usize = 2;
/// Check words of all lines.
const ALL_WORDS: usize = 4;

/// Why a text is no request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Longer than any request.
    #[error("it has more than {MAX_TEXT} bytes")]
    TooLong,
    /// Another word than may stand there.
    #[error("word {place} is `{}`; expected {expected}", .found.escape_debug())]
    Word {
        /// Which word, from 1.
        place: usize,
        /// The word; nothing at the end of the text.
        found: String,
        /// What may stand there.
        expected: &'static str,
    },
    /// The check words of a line are not those of its content.
    #[error("{line} and its check words do not go together: something was heard wrong")]
    Line {
        /// The line by its first word, or the first line.
        line: String,
    },
    /// Each line was heard right, and lines are missing, or stand in another order.
    #[error("the check words at the end are not those of all lines: a line is missing or said twice")]
    End,
}

impl Request {
    /// The request as text, some lines of capital letters, digits, spaces and `-`.
    pub fn to_text(&self) -> String {
        let head = self.head();
        let mut text = String::new();
        let mut all = head.clone();
        // Writing to a string does not fail.
        let _ = writeln!(text, "{head} CHECK {}", words(&[&head], LINE_WORDS));
        for (id, wanted) in &self.volumes {
            let line = line(*id, wanted);
            let _ = writeln!(text, "{line} CHECK {}", words(&[&head, &line], LINE_WORDS));
            all.push('\n');
            all.push_str(&line);
        }
        let _ = writeln!(text, "END CHECK {}", words(&[&all], ALL_WORDS));
        text
    }

    fn head(&self) -> String {
        format!("SOVAI REQUEST {} {} {}", self.stack, self.sequence, self.index).to_ascii_uppercase()
    }

    /// Reads a request, in capital or small letters, with any white space, also with commas between numbers. What was heard
    /// wrong is told by line.
    pub fn parse(text: &str) -> Result<Self, RequestError> {
        if text.len() > MAX_TEXT {
            return Err(RequestError::TooLong);
        }
        let words = text.split(|c: char| c.is_whitespace() || c == ',').filter(|word| !word.is_empty());
        let mut reader = Reader { words: words.map(str::to_ascii_uppercase).collect(), at: 0 };
        reader.exactly("SOVAI")?;
        reader.exactly("REQUEST")?;
        let stack = reader.next("the name of a stack", |word| Name::new(&word.to_ascii_lowercase()).ok())?;
        let sequence = reader.next("a sequence number", number)?;
        let index = reader.next("eight digits of the index, 0 to 9 and A to F", |word| {
            let plain = word.len() == 8 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
            plain.then(|| word.to_ascii_lowercase())
        })?;
        let mut request = Self { stack, sequence, index, volumes: BTreeMap::new() };
        let head = request.head();
        reader.check(&[&head], LINE_WORDS).map_err(|error| named(error, "the first line"))?;
        let mut all = head.clone();
        let mut last = None;
        while reader.peek() != "END" {
            let expected = "a volume after the one before, as V001, or END";
            let id = reader.next(expected, |word| {
                word.to_ascii_lowercase().parse::<VolumeId>().ok().filter(|id| last < Some(*id))
            })?;
            last = Some(id);
            let wanted = reader.wanted()?;
            let line = line(id, &wanted);
            let name = format!("the line {}", id.to_string().to_ascii_uppercase());
            reader.check(&[&head, &line], LINE_WORDS).map_err(|error| named(error, &name))?;
            all.push('\n');
            all.push_str(&line);
            request.volumes.insert(id, wanted);
        }
        reader.exactly("END")?;
        reader.check(&[&all], ALL_WORDS).map_err(|error| match error {
            RequestError::Line { .. } => RequestError::End,
            other => other,
        })?;
        match reader.words.get(reader.at) {
            None => Ok(request),
            Some(found) => Err(reader.wrong(found, "nothing after the check words")),
        }
    }
}

fn named(error: RequestError, name: &str) -> RequestError {
    match error {
        RequestError::Line { .. } => RequestError::Line { line: name.to_owned() },
        other => other,
    }
}

/// A line without its check words, in the one way that it is written.
fn line(id: VolumeId, wanted: &Wanted) -> String {
    let mut line = id.to_string();
    if wanted.all {
        line.push_str(" all");
    }
    for (first, last) in &wanted.chunks {
        let _ = if first == last { write!(line, " {first}") } else { write!(line, " {first}-{last}") };
    }
    if wanted.files {
        line.push_str(" files");
    }
    line.to_ascii_uppercase()
}

/// The check words of some lines.
fn words(lines: &[&str], count: usize) -> String {
    let digest = sha2::Sha256::digest(lines.join("\n"));
    let words: Vec<&str> = sovai_core::spell(digest.into_iter().take(count)).collect();
    words.join(" ").to_ascii_uppercase()
}

fn number(word: &str) -> Option<u64> {
    let plain = word.bytes().all(|byte| byte.is_ascii_digit()) && !(word.len() > 1 && word.starts_with('0'));
    plain.then(|| word.parse().ok()).flatten()
}

/// A chunk, or a run of them.
fn run(word: &str) -> Option<(u64, u64)> {
    let (first, last) = word.split_once('-').unwrap_or((word, word));
    let (first, last) = (number(first)?, number(last)?);
    (first >= 1 && first <= last && last <= MAX_CHUNKS).then_some((first, last))
}

struct Reader {
    words: Vec<String>,
    at: usize,
}

impl Reader {
    fn peek(&self) -> &str {
        self.words.get(self.at).map_or("", String::as_str)
    }

    fn wrong(&self, found: &str, expected: &'static str) -> RequestError {
        RequestError::Word { place: self.at + 1, found: found.chars().take(40).collect(), expected }
    }

    fn next<T>(
        &mut self,
        expected: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, RequestError> {
        let value = read(self.peek()).filter(|_| self.at < self.words.len());
        let value = value.ok_or_else(|| self.wrong(self.peek(), expected))?;
        self.at += 1;
        Ok(value)
    }

    fn exactly(&mut self, word: &'static str) -> Result<(), RequestError> {
        self.next(word, |found| (found == word).then_some(()))
    }

    fn wanted(&mut self) -> Result<Wanted, RequestError> {
        let mut wanted = Wanted::default();
        loop {
            match self.peek() {
                "CHECK" if wanted != Wanted::default() => return Ok(wanted),
                "ALL" if wanted == Wanted::default() => {
                    wanted.all = true;
                    self.at += 1;
                }
                "FILES" if !wanted.files => {
                    wanted.files = true;
                    self.at += 1;
                }
                _ => {
                    let last = wanted.chunks.last().map_or(0, |(_, last)| *last);
                    let fits = !wanted.all && !wanted.files;
                    let run = self.next("numbers of chunks in order, ALL, FILES or CHECK", |word| {
                        run(word).filter(|(first, _)| fits && *first > last)
                    })?;
                    wanted.chunks.push(run);
                }
            }
        }
    }

    fn check(&mut self, lines: &[&str], count: usize) -> Result<(), RequestError> {
        self.exactly("CHECK")?;
        let words = words(lines, count);
        for expected in words.split(' ') {
            if self.peek() != expected {
                return Err(RequestError::Line { line: String::new() });
            }
            self.at += 1;
        }
        Ok(())
    }
}
