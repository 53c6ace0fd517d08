//! What a check has to say, and why a check could not be done.

use std::fmt;
use std::io;

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    severity: Severity,
    /// File or crate.
    subject: String,
    message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Severity {
    Error,
    Warning,
}

impl Problem {
    pub(crate) fn error(subject: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, subject: subject.into(), message: message.into() }
    }

    pub(crate) fn warning(subject: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, subject: subject.into(), message: message.into() }
    }

    pub(crate) fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = if self.is_error() { "error" } else { "warning" };
        write!(f, "{severity}: {}: {}", self.subject, self.message)
    }
}

/// Why a check could not be done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum XtaskError {
    /// `cargo metadata` failed.
    #[error("cannot read the workspace's metadata")]
    Metadata(#[source] Box<cargo_metadata::Error>),
    /// A file of the repository; the error names its path.
    #[error("cannot read or write a file of the repository")]
    File(#[from] io::Error),
}
