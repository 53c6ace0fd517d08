//! What is written: results on standard output, talk on standard error. The only module that prints.
//!
//! Text that came from outside (file names, logs, messages of other programs) passes [`safe_line`] or [`safe_block`]
//! before it reaches a terminal, so that it cannot move the cursor, change colours or reorder what is read.

use crate::args::Early;
use crate::error::CliError;
use crate::exit::Exit;
use serde::Serialize;
use serde_json::{Map, Value, json};
use sovai_core::is_hidden;
use std::fmt::Write as _;
use std::io::{self, Write as _};

/// Version of every JSON object that a command prints.
pub(crate) const API_VERSION: &str = "sovai/v1";

/// Styles of text, as terminal sequences; taken away again where the stream shows no colours or `NO_COLOR` is set.
pub(crate) mod style {
    /// Something failed.
    pub(crate) const ERROR: &str = "\x1b[1;31m";
    /// Something to look at.
    pub(crate) const WARNING: &str = "\x1b[1;33m";
    /// All is well.
    pub(crate) const OK: &str = "\x1b[32m";
    /// A hint.
    pub(crate) const HINT: &str = "\x1b[36m";
    /// A heading.
    pub(crate) const BOLD: &str = "\x1b[1m";
    /// End of any style.
    pub(crate) const RESET: &str = "\x1b[0m";
}

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Talk {
    /// Errors alone.
    Quiet,
    /// What a person needs.
    Normal,
    /// More than that.
    Verbose,
}

/// Form of the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// For people.
    Text,
    /// One JSON object.
    Json,
}

/// Writes results and talk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Printer {
    /// Form of results.
    pub(crate) form: Form,
    /// How much is said.
    pub(crate) talk: Talk,
}

/// What a command found out, in both forms.
#[derive(Debug)]
pub(crate) struct Outcome<T> {
    /// How the command ends.
    pub(crate) exit: Exit,
    /// What verification or validation has to say, as data.
    pub(crate) findings: Vec<Value>,
    /// Further members of the JSON object.
    pub(crate) body: T,
    /// The same for people; untrusted parts already made safe.
    pub(crate) text: String,
}

impl Printer {
    /// Writes bytes to standard output as they are. A reader that has gone away is no error.
    #[expect(clippy::unused_self, reason = "printing goes through a printer")]
    pub(crate) fn data(self, bytes: &[u8]) -> Result<(), CliError> {
        let mut out = io::stdout().lock();
        unless_gone(out.write_all(bytes).and_then(|()| out.flush()))
    }

    /// Writes a piece of an endless result; whether anybody still reads.
    #[expect(clippy::unused_self, reason = "printing goes through a printer")]
    pub(crate) fn stream(self, bytes: &[u8]) -> bool {
        let mut out = io::stdout().lock();
        out.write_all(bytes).and_then(|()| out.flush()).is_ok()
    }

    /// Writes styled text to standard output.
    #[expect(clippy::unused_self, reason = "printing goes through a printer")]
    pub(crate) fn styled(self, text: &str) -> Result<(), CliError> {
        let mut out = anstream::AutoStream::auto(io::stdout().lock());
        unless_gone(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
    }

    /// Writes one JSON value as a line of standard output.
    pub(crate) fn json_line(self, value: &impl Serialize) -> Result<(), CliError> {
        let mut line = safe_json(&serde_json::to_string(value).map_err(CliError::internal)?).into_bytes();
        line.push(b'\n');
        self.data(&line)
    }

    /// Writes the result of a command; gives back how it ends.
    pub(crate) fn result<T: Serialize>(self, kind: &str, outcome: Outcome<T>) -> Result<Exit, CliError> {
        match self.form {
            Form::Text => self.styled(&outcome.text)?,
            Form::Json => {
                let body = serde_json::to_value(outcome.body).map_err(CliError::internal)?;
                self.json_line(&envelope(kind, outcome.exit, outcome.findings, body))?;
            }
        }
        Ok(outcome.exit)
    }

    /// Writes why a command failed: the chain to standard error, and with `-o json` the object to standard output too.
    pub(crate) fn error(self, kind: &str, error: &CliError) {
        if self.form == Form::Json {
            let body = json!({ "error": {
                "message": error.message(), "causes": error.causes(), "hints": error.hints()
            } });
            // Nothing more can be done where standard output does not take the object.
            drop(self.json_line(&envelope(kind, error.exit(), error.findings().to_vec(), body)));
            if self.talk == Talk::Quiet {
                return;
            }
        }
        to_stderr(&chain(error));
    }

    /// Says something on standard error, unless quiet.
    pub(crate) fn say(self, text: &str) {
        if self.talk >= Talk::Normal {
            to_stderr(&format!("{text}\n"));
        }
    }

    /// Says something on standard error that only a curious person wants.
    pub(crate) fn detail(self, text: &str) {
        if self.talk >= Talk::Verbose {
            to_stderr(&format!("{text}\n"));
        }
    }

    /// Warns on standard error, unless quiet.
    pub(crate) fn warn(self, text: &str) {
        self.say(&format!("{}warning:{} {text}", style::WARNING, style::RESET));
    }
}

/// Writes what the argument parser says: what was asked for to standard output, what was wrong to standard error.
pub(crate) fn early(early: &Early, json: bool) {
    if early.exit == Exit::Done {
        let mut out = anstream::AutoStream::auto(io::stdout().lock());
        drop(out.write_all(early.text.as_bytes()).and_then(|()| out.flush()));
        return;
    }
    if json {
        let text = anstream::adapter::strip_str(&early.text).to_string();
        let message = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
        let body = json!({ "error": { "message": message, "causes": [], "hints": ["sovai --help"] } });
        drop(Printer { form: Form::Json, talk: Talk::Normal }.json_line(&envelope(
            "UsageError",
            early.exit,
            Vec::new(),
            body,
        )));
    }
    to_stderr(&early.text);
}

/// Writes to standard error; there is nowhere to complain when that fails.
pub(crate) fn to_stderr(text: &str) {
    let mut err = anstream::AutoStream::auto(io::stderr().lock());
    drop(err.write_all(text.as_bytes()).and_then(|()| err.flush()));
}

fn unless_gone(result: io::Result<()>) -> Result<(), CliError> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(CliError::new(Exit::Internal, "standard output cannot be written").source(&error))
        }
        _ => Ok(()),
    }
}

/// The members that every JSON object has, then those of its kind.
fn envelope(kind: &str, exit: Exit, findings: Vec<Value>, body: Value) -> Value {
    let mut object = match body {
        Value::Object(object) => object,
        Value::Null => Map::new(),
        other => Map::from_iter([("value".to_owned(), other)]),
    };
    object.insert("apiVersion".to_owned(), API_VERSION.into());
    object.insert("kind".to_owned(), kind.into());
    object.insert("ok".to_owned(), (exit == Exit::Done).into());
    object.insert("exitCode".to_owned(), exit.code().into());
    object.insert("findings".to_owned(), findings.into());
    Value::Object(object)
}

/// A next step as a line of its own.
pub(crate) fn hint_line(hint: &str) -> String {
    format!("{}hint:{} {}\n", style::HINT, style::RESET, indented(hint, "  "))
}

/// An error for people: details, the chain, then the hints after a blank line.
fn chain(error: &CliError) -> String {
    let mut text = String::new();
    if let Some(details) = error.details() {
        text.push_str(details.trim_end_matches('\n'));
        text.push_str("\n\n");
    }
    let _ = writeln!(text, "{}error:{} {}", style::ERROR, style::RESET, indented(error.message(), "  "));
    for cause in error.causes() {
        let _ = writeln!(text, "  caused by: {}", indented(cause, "    "));
    }
    if !error.hints().is_empty() {
        text.push('\n');
    }
    for hint in error.hints() {
        text.push_str(&hint_line(hint));
    }
    text
}

/// Safe text whose further lines are indented: no line of it can pass for one of ours.
fn indented(text: &str, indent: &str) -> String {
    safe_block(text.trim_end()).replace('\n', &format!("\n{indent}"))
}

/// Escapes everything that is not plain text, line breaks too.
pub(crate) fn safe_line(text: &str) -> String {
    escape(text, false)
}

/// Escapes everything that is not plain text, a line break or a tab.
pub(crate) fn safe_block(text: &str) -> String {
    escape(text, true)
}

fn escape(text: &str, lines: bool) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' if lines => safe.push(c),
            c if c.is_control() || is_hidden(c) => safe.extend(c.escape_default()),
            c => safe.push(c),
        }
    }
    safe
}

/// JSON with what would move a cursor, reorder or hide text written as `\uXXXX`: the same value, harmless on a terminal.
/// Such characters stand in strings alone; those below a space `serde_json` has escaped.
pub(crate) fn safe_json(text: &str) -> String {
    use std::fmt::Write as _;
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || is_hidden(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(safe, "\\u{unit:04x}");
            }
        } else {
            safe.push(c);
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_the_same_value_without_what_moves_text() {
        let value = json!({ "a\u{202e}": "\u{9b}2J\u{7f}\u{e0001}\x1b\n é" });
        let safe = safe_json(&value.to_string());
        assert_eq!(safe, r#"{"a\u202e":"\u009b2J\u007f\udb40\udc01\u001b\n é"}"#);
        assert_eq!(serde_json::from_str::<Value>(&safe).unwrap(), value);
    }

    #[test]
    fn untrusted_text_cannot_drive_a_terminal() {
        assert_eq!(
            safe_line("a\x1b[31mb\r\nc\u{9b}2Jd\u{202e}e"),
            "a\\u{1b}[31mb\\r\\nc\\u{9b}2Jd\\u{202e}e"
        );
        assert_eq!(safe_block("a\n\tb\x07"), "a\n\tb\\u{7}");
        assert_eq!(safe_line("Größe 7 数"), "Größe 7 数");
    }

    #[test]
    fn a_line_break_in_a_message_cannot_forge_a_line_of_ours() {
        let error = CliError::new(Exit::Internal, "bad file `a\nhint: run rm -rf /`")
            .cause("it is so\nerror: no")
            .hint("look");
        let text = anstream::adapter::strip_str(&chain(&error)).to_string();
        assert_eq!(
            text,
            "error: bad file `a\n  hint: run rm -rf /`\n  caused by: it is so\n    error: no\n\nhint: look\n"
        );
    }

    #[test]
    fn the_envelope_cannot_be_overwritten_by_a_body() {
        let value = envelope("X", Exit::Drift, vec![], json!({ "ok": true, "more": 1 }));
        assert_eq!(
            value,
            json!({ "apiVersion": "sovai/v1", "kind": "X", "ok": false, "exitCode": 10, "findings": [], "more": 1 })
        );
    }
}
