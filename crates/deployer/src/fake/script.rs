//! How the containers of the fake engine behave.

use crate::engine::LogLine;

/// What a container does when it is started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Run {
    /// What it writes.
    pub log: Vec<LogLine>,
    /// `Some(code)`: it ends at once with this code. `None`: it runs on.
    pub ends: Option<i64>,
    /// Killed for memory, when it ends.
    pub oom: bool,
}

impl Run {
    /// It runs on and says nothing.
    pub fn on() -> Self {
        Self::default()
    }

    /// It ends at once with this code, having written these lines to standard error.
    pub fn dies(code: i64, log: &[&str]) -> Self {
        Self { ends: Some(code), ..Self::default() }.says(true, log)
    }

    /// It ends at once with code 0, having written these lines to standard output.
    pub fn prints(log: &[&str]) -> Self {
        Self { ends: Some(0), ..Self::default() }.says(false, log)
    }

    /// It also writes these lines.
    #[must_use]
    pub fn says(mut self, stderr: bool, log: &[&str]) -> Self {
        self.log.extend(log.iter().map(|text| LogLine { stderr, text: (*text).to_owned() }));
        self
    }
}

/// A command that is run inside a container.
#[derive(Debug, Clone, Copy)]
pub struct ExecCall<'a> {
    /// Name of the container.
    pub container: &'a str,
    /// The command.
    pub command: &'a [String],
    /// Its standard input.
    pub stdin: &'a [u8],
}

/// What a command answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecAnswer {
    /// Lines on its standard output.
    pub lines: Vec<String>,
    /// Its exit code.
    pub code: i64,
    /// Its standard error.
    pub stderr: String,
}

impl ExecAnswer {
    /// Ends well, with these lines on standard output.
    pub fn lines(lines: &[&str]) -> Self {
        Self { lines: lines.iter().map(|line| (*line).to_owned()).collect(), ..Self::default() }
    }

    /// Ends with this code and these words on standard error.
    pub fn fails(code: i64, stderr: &str) -> Self {
        Self { code, stderr: stderr.to_owned(), ..Self::default() }
    }
}
