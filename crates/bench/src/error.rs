//! Why a measurement could not be made.

use std::io;

/// An error of this program.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    /// A file, a socket or a process could not be used.
    #[error("{what}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A program ended otherwise than it should have.
    #[error("`{command}` {how}: {said}")]
    Command {
        /// The program and its arguments.
        command: String,
        /// How it ended.
        how: String,
        /// The end of what it wrote.
        said: String,
    },
    /// A server answered otherwise than it should have, or not at all.
    #[error("{what}: {found}")]
    Answer {
        /// Who was asked what.
        what: String,
        /// What came.
        found: String,
    },
    /// The setting or a file is not as it must be.
    #[error("{0}")]
    Unfit(String),
    /// SIGINT or SIGTERM.
    #[error("interrupted")]
    Interrupted,
}

/// For `map_err`: an [`io::Error`] with what was tried.
pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> BenchError {
    let what = what.into();
    move |source| BenchError::Io { what, source }
}
