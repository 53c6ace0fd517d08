//! What can go wrong with evidence.

use std::path::PathBuf;

/// Why evidence could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// The store could not do it; also when another process holds the log.
    #[error(transparent)]
    Store(#[from] sovai_store::StoreError),
    /// The log is not what was written: nothing is appended to it.
    #[error("the evidence log `{}` is damaged at line {line}: {reason}", .path.display())]
    Damaged {
        /// The log.
        path: PathBuf,
        /// Number of the line, from 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// The folder of an export cannot be written or read.
    #[error("cannot {action} `{}`", .path.display())]
    Folder {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// There is something in the folder that an export does not overwrite.
    #[error("the folder `{}` has `{found}` in it", .path.display())]
    Occupied {
        /// The folder.
        path: PathBuf,
        /// What is there.
        found: String,
    },
    /// There is no log yet.
    #[error("no evidence: `{}` is not there", .path.display())]
    NoLog {
        /// The log.
        path: PathBuf,
    },
    /// A statement that cannot be a line of the log.
    #[error("the statement cannot be written to the evidence log: {reason}")]
    Statement {
        /// Why not.
        reason: String,
    },
    /// The site's key cannot be read or made.
    #[error("the site's key `{}` cannot be used", .path.display())]
    SiteKey {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
