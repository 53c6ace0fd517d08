//! From bytes to a tree, within budgets: the only module that knows the YAML crate.
//!
//! Events of `granit-parser` (the parser under `serde-saphyr`) are taken one by one and not through serde: a serde
//! value stops at its first error, and all problems are to show in one run.

use crate::diagnostic::{Sink, quoted};
use crate::node::{Entry, Node, Scalar, Value};
use crate::{MAX_BYTES, MAX_LOCK_BYTES};
use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError};
use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::ops::Range;
use std::rc::Rc;

/// Deepest nesting. A manifest needs 9; free `x-` keys may hold what they like within this.
const MAX_DEPTH: usize = 32;
/// How much of a document is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Most bytes of the file.
    pub(crate) bytes: usize,
    /// Most values, each alias counted as all that it stands for. A model of 1000 files has about 7000.
    pub(crate) values: usize,
    /// Most bytes of text in all scalars, each alias counted as all that it stands for.
    pub(crate) text: usize,
}

impl Limits {
    /// What people write.
    pub(crate) const WRITTEN: Self = Self { bytes: MAX_BYTES, values: 50_000, text: 4 * MAX_BYTES };
    /// Locks, which programs write: repositories with tens of thousands of files are real. A lock has no aliases.
    pub(crate) const LOCK: Self = Self { bytes: MAX_LOCK_BYTES, values: 600_000, text: MAX_LOCK_BYTES };
}
/// Most aliases.
const MAX_ALIASES: usize = 500;

/// Checks what must hold before YAML is read: length, UTF-8, control characters.
///
/// Gives the text and its offset in the bytes, which is 3 where it starts with a byte order mark.
pub(crate) fn decode(bytes: &[u8], limits: Limits) -> Result<&str, crate::Diagnostic> {
    let most = limits.bytes;
    if bytes.len() > most {
        // Lossy only for counting lines; nothing of it is read.
        return Err(early(
            bytes,
            most..most,
            "SOV0002",
            format!("the file has {} bytes, {most} are allowed", bytes.len()),
            "split the stack, or leave the pins of files to the lock",
        ));
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let at = error.valid_up_to();
            let end = at + error.error_len().unwrap_or(bytes.len() - at);
            let found: Vec<String> = bytes[at..end].iter().map(|byte| format!("0x{byte:02x}")).collect();
            return Err(early(
                bytes,
                at..end,
                "SOV0001",
                format!("the file is not UTF-8: found {}", found.join(" ")),
                "save it as UTF-8",
            ));
        }
    };
    if let Some((at, c)) =
        text.char_indices().find(|(at, c)| !is_allowed(*c) && (*at > 0 || *c != '\u{feff}'))
    {
        let span = at..at + c.len_utf8();
        let (code, what) = match c {
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => ("SOV0004", "bidirectional control"),
            '\u{feff}' => ("SOV0003", "byte order mark inside the text"),
            _ => ("SOV0003", "control"),
        };
        return Err(early(
            bytes,
            span,
            code,
            format!("found the {what} character U+{:04X}", u32::from(c)),
            "delete it, or write it as an escape in double quotes",
        ));
    }
    Ok(text)
}

/// YAML's printable characters (YAML 1.2.2, 5.1), less those that make a text look like another one.
fn is_allowed(c: char) -> bool {
    match c {
        '\t' | '\n' | '\r' => true,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => false,
        c => !c.is_control(),
    }
}

/// A diagnostic on bytes that are not a text yet.
fn early(
    bytes: &[u8],
    at: Range<usize>,
    code: &'static str,
    message: String,
    hint: &str,
) -> crate::Diagnostic {
    let before = bytes.get(..at.start).unwrap_or(bytes);
    let line = before.split(|byte| *byte == b'\n').count();
    let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    let column = String::from_utf8_lossy(&before[line_start..]).chars().count() + 1;
    let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    crate::Diagnostic {
        code,
        severity: crate::Severity::Error,
        message,
        span: Some(crate::Span { start: at.start, end: at.end, line: narrow(line), column: narrow(column) }),
        hint: Some(hint.to_owned()),
    }
}

/// Reads the first document of a text. `None` after an error that leaves no tree.
pub(crate) fn read(text: &str, limits: Limits, sink: &mut Sink<'_>) -> Option<Rc<Node>> {
    let mut options = granit_parser::options! { emit_unresolved_aliases: true };
    options.set_emit_comments(false);
    let mut builder = Builder::new(limits);
    for event in Parser::new_from_str_with_options(text, options) {
        let step = match event {
            Ok((event, span)) => {
                let at = range(text, &span);
                builder.take(text, event, at, span.tag_span().map(|tag| range(text, &tag)), sink)
            }
            Err(error) => {
                syntax(text, &error, sink);
                return None;
            }
        };
        match step {
            Step::Go => {}
            Step::Done => break,
            Step::Refuse => return None,
        }
    }
    builder.root
}

/// Bytes of a parser's span.
fn range(text: &str, span: &granit_parser::Span) -> Range<usize> {
    let start = span.start.byte_offset().unwrap_or(0).min(text.len());
    start..span.end.byte_offset().unwrap_or(start).clamp(start, text.len())
}

fn syntax(text: &str, error: &ScanError, sink: &mut Sink<'_>) {
    // The error's mark counts characters where it has no byte offset.
    let at = error.marker().byte_offset().unwrap_or_else(|| {
        text.char_indices().nth(error.marker().index()).map_or(text.len(), |(byte, _)| byte)
    });
    // A tab is reported where it ends; people look for where it is.
    let at = if text.get(..at).is_some_and(|before| before.ends_with('\t')) { at - 1 } else { at };
    let at = at..at;
    match error.kind() {
        ErrorKind::RecursionLimitExceeded => {
            sink.error("SOV0007", &at, format!("values are nested more than {MAX_DEPTH} deep"));
        }
        kind => {
            let hint = match kind {
                ErrorKind::TabNotAllowed
                | ErrorKind::TabInBlockIndentation
                | ErrorKind::TabInIndentation
                | ErrorKind::TabAtBlockScalarStart
                | ErrorKind::TabInPlainScalar => "YAML indents with spaces, never with tabs",
                ErrorKind::MappingValueNotAllowed => {
                    "put a text with `: ` in it in quotes, or check the indentation"
                }
                ErrorKind::UnclosedQuotedScalar => "close the quotes",
                _ => "check indentation, quotes and brackets here and in the line above",
            };
            sink.error_hint("SOV0005", &at, format!("not YAML: {kind}"), hint.to_owned());
        }
    }
}

enum Step {
    Go,
    Done,
    Refuse,
}

/// An open list or mapping.
struct Frame {
    span: Range<usize>,
    anchor: usize,
    /// Values and bytes of text before this one was opened.
    before: (usize, usize),
    /// Levels below this one.
    height: usize,
    kind: FrameKind,
}

enum FrameKind {
    List(Vec<Rc<Node>>),
    Map { entries: Vec<Entry>, seen: HashMap<String, Range<usize>>, key: Option<Key> },
}

/// A key that waits for its value.
enum Key {
    Text(String, Range<usize>),
    /// It was reported; its value is dropped.
    Refused,
}

/// A value that aliases stand for.
struct Anchor {
    node: Rc<Node>,
    values: usize,
    text: usize,
    height: usize,
}

struct Builder {
    limits: Limits,
    stack: Vec<Frame>,
    anchors: HashMap<usize, Anchor>,
    values: usize,
    text: usize,
    aliases: usize,
    documents: usize,
    root: Option<Rc<Node>>,
}

impl Builder {
    fn new(limits: Limits) -> Self {
        Self {
            limits,
            stack: Vec::new(),
            anchors: HashMap::new(),
            values: 0,
            text: 0,
            aliases: 0,
            documents: 0,
            root: None,
        }
    }

    fn take(
        &mut self,
        text: &str,
        event: Event<'_>,
        at: Range<usize>,
        tag: Option<Range<usize>>,
        sink: &mut Sink<'_>,
    ) -> Step {
        if let Some(tag) = tag {
            let found = quoted(text.get(tag.clone()).unwrap_or_default());
            sink.error_hint(
                "SOV0011",
                &tag,
                format!("tags are not allowed, found {found}"),
                "delete it; put text that looks like a number in quotes".to_owned(),
            );
        }
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    sink.error_hint(
                        "SOV0006",
                        &at,
                        "a second document starts here; a file has one",
                        "put it into a file of its own".to_owned(),
                    );
                    return Step::Done;
                }
                Step::Go
            }
            Event::Scalar(value, style, anchor, _) => {
                let before = (self.values, self.text);
                self.text += value.len();
                let scalar = Scalar { text: value.into_owned(), plain: style == ScalarStyle::Plain };
                let node = Rc::new(Node { span: at, value: Value::Scalar(scalar) });
                self.place(node, anchor, before, 0, sink)
            }
            Event::SequenceStart(_, anchor, _) => self.open(at, anchor, FrameKind::List(Vec::new()), sink),
            Event::MappingStart(_, anchor, _) => {
                let kind = FrameKind::Map { entries: Vec::new(), seen: HashMap::new(), key: None };
                self.open(at, anchor, kind, sink)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(sink),
            Event::Alias(id) => self.alias(id, &at, sink),
            Event::UnresolvedAlias(name) => {
                sink.error("SOV0009", &at, format!("no anchor {} stands before this", quoted(&name)));
                let node = Rc::new(Node {
                    span: at,
                    value: Value::Scalar(Scalar { text: String::new(), plain: true }),
                });
                self.place(node, 0, (self.values, self.text), 0, sink)
            }
            _ => Step::Go,
        }
    }

    fn open(&mut self, at: Range<usize>, anchor: usize, kind: FrameKind, sink: &mut Sink<'_>) -> Step {
        if self.stack.len() >= MAX_DEPTH {
            return too_deep(&at, sink);
        }
        // Only the first character: a collection reaches over many lines.
        let span = at.start..at.end.min(at.start + 1);
        self.stack.push(Frame { span, anchor, before: (self.values, self.text), height: 0, kind });
        Step::Go
    }

    fn close(&mut self, sink: &mut Sink<'_>) -> Step {
        let Some(frame) = self.stack.pop() else { return Step::Go };
        let value = match frame.kind {
            FrameKind::List(items) => Value::List(items),
            FrameKind::Map { entries, .. } => Value::Map(entries),
        };
        let node = Rc::new(Node { span: frame.span, value });
        self.place(node, frame.anchor, frame.before, frame.height + 1, sink)
    }

    fn alias(&mut self, id: usize, at: &Range<usize>, sink: &mut Sink<'_>) -> Step {
        self.aliases += 1;
        if self.aliases > MAX_ALIASES {
            sink.error("SOV0009", at, format!("more than {MAX_ALIASES} aliases"));
            return Step::Refuse;
        }
        let Some(anchor) = self.anchors.get(&id) else {
            sink.error("SOV0009", at, "an alias cannot stand inside what it stands for");
            return Step::Refuse;
        };
        if self.stack.len() + anchor.height > MAX_DEPTH {
            return too_deep(at, sink);
        }
        let before = (self.values, self.text);
        // `place` counts one itself.
        self.values += anchor.values.saturating_sub(1);
        self.text += anchor.text;
        let (node, height) = (Rc::clone(&anchor.node), anchor.height);
        self.place(node, 0, before, height, sink)
    }

    /// Puts a finished value where it belongs.
    fn place(
        &mut self,
        node: Rc<Node>,
        anchor: usize,
        before: (usize, usize),
        height: usize,
        sink: &mut Sink<'_>,
    ) -> Step {
        self.values += 1;
        let Limits { values, text, .. } = self.limits;
        if self.values > values {
            sink.error("SOV0008", &node.span, format!("more than {values} values, aliases written out"));
            return Step::Refuse;
        }
        if self.text > text {
            sink.error("SOV0008", &node.span, format!("more than {text} bytes of text, aliases written out"));
            return Step::Refuse;
        }
        if anchor != 0 {
            let (values, text) = (self.values - before.0, self.text - before.1);
            self.anchors.insert(anchor, Anchor { node: Rc::clone(&node), values, text, height });
        }
        let Some(frame) = self.stack.last_mut() else {
            self.root = Some(node);
            return Step::Go;
        };
        frame.height = frame.height.max(height);
        match &mut frame.kind {
            FrameKind::List(items) => items.push(node),
            FrameKind::Map { entries, seen, key } => match key.take() {
                None => *key = Some(take_key(&node, seen, sink)),
                Some(Key::Refused) => {}
                Some(Key::Text(key, key_span)) => entries.push(Entry { key, key_span, value: node }),
            },
        }
        Step::Go
    }
}

fn too_deep(at: &Range<usize>, sink: &mut Sink<'_>) -> Step {
    sink.error("SOV0007", at, format!("values are nested more than {MAX_DEPTH} deep"));
    Step::Refuse
}

fn take_key(node: &Node, seen: &mut HashMap<String, Range<usize>>, sink: &mut Sink<'_>) -> Key {
    let Some(text) = node.text() else {
        sink.error("SOV0022", &node.span, format!("a key is text, found {}", node.describe()));
        return Key::Refused;
    };
    match seen.entry(text.to_owned()) {
        Slot::Occupied(first) => {
            let hint = format!("it was first given in line {}", sink.span(first.get()).line);
            sink.error_hint("SOV0010", &node.span, format!("the key {} is given twice", quoted(text)), hint);
            Key::Refused
        }
        Slot::Vacant(slot) => {
            slot.insert(node.span.clone());
            Key::Text(text.to_owned(), node.span.clone())
        }
    }
}
