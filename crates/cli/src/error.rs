//! Why a command failed: exit code, chain of causes, hints. The one place where errors of the other crates get both.

mod bundle;
mod create;
mod deploy;
mod from;
mod import;
mod net;
mod trust;

pub(crate) use from::as_data;

use crate::exit::Exit;
use serde_json::Value;
use std::error::Error;

/// A failed command.
#[derive(Debug)]
pub(crate) struct CliError(Box<Inner>);

#[derive(Debug)]
struct Inner {
    exit: Exit,
    message: String,
    causes: Vec<String>,
    hints: Vec<String>,
    details: Option<String>,
    findings: Vec<Value>,
}

impl CliError {
    /// An error of our own words, a lower-case fragment.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            exit,
            message: message.into(),
            causes: Vec::new(),
            hints: Vec::new(),
            details: None,
            findings: Vec::new(),
        }))
    }

    /// An error of another crate, with its causes.
    pub(crate) fn wrap(exit: Exit, error: &(dyn Error + 'static)) -> Self {
        let mut new = Self::new(exit, error.to_string());
        if let Some(source) = error.source() {
            new = new.source(source);
        }
        new
    }

    /// A defect: what cannot happen did.
    pub(crate) fn internal(error: impl Error + 'static) -> Self {
        Self::wrap(Exit::Internal, &error)
    }

    /// The same error with another exit code.
    pub(crate) fn into_exit(mut self, exit: Exit) -> Self {
        self.0.exit = exit;
        self
    }

    /// Adds an error and all that caused it.
    pub(crate) fn source(mut self, error: &(dyn Error + 'static)) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            self = self.cause(error.to_string());
            next = error.source();
        }
        self
    }

    /// Adds a cause in words. One that the message before it already ends with is left out: some libraries say it twice.
    pub(crate) fn cause(mut self, cause: impl Into<String>) -> Self {
        let cause = cause.into();
        let before = self.0.causes.last().unwrap_or(&self.0.message);
        if !before.ends_with(&cause) {
            self.0.causes.push(cause);
        }
        self
    }

    /// Adds a next step: a command to run or a key to change.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hints.push(hint.into());
        self
    }

    /// Text to print before the error, already safe for a terminal: rendered diagnostics, the end of a log.
    pub(crate) fn with_details(mut self, details: impl Into<String>) -> Self {
        self.0.details = Some(details.into());
        self
    }

    /// The same as data.
    pub(crate) fn with_findings(mut self, findings: Vec<Value>) -> Self {
        self.0.findings = findings;
        self
    }

    /// How the process ends.
    pub(crate) fn exit(&self) -> Exit {
        self.0.exit
    }

    /// What failed.
    pub(crate) fn message(&self) -> &str {
        &self.0.message
    }

    /// Why, outermost first.
    pub(crate) fn causes(&self) -> &[String] {
        &self.0.causes
    }

    /// What to do next.
    pub(crate) fn hints(&self) -> &[String] {
        &self.0.hints
    }

    /// Text to print before the error.
    pub(crate) fn details(&self) -> Option<&str> {
        self.0.details.as_deref()
    }

    /// Findings as data.
    pub(crate) fn findings(&self) -> &[Value] {
        &self.0.findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_walked_and_not_said_twice() {
        let error = CliError::new(Exit::Internal, "cannot read `x`: gone").cause("gone").cause("deeper");
        assert_eq!(error.causes(), ["deeper"]);
    }
}
