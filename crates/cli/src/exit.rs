//! The exit codes: a public table that scripts rely on.

use std::fmt::Write as _;

/// How a command ended. The numbers never change their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Exit {
    /// Done.
    Done,
    /// Internal error: a defect of sovai, or an I/O error nothing else explains.
    Internal,
    /// Wrong usage, or a file named on the command line is not there.
    Usage,
    /// Manifest, lock or policy file invalid.
    Invalid,
    /// Bytes are not what was pinned or signed.
    Mismatch,
    /// Refused by trust or policy, or something is pinned nowhere.
    Refused,
    /// Something outside cannot be reached, is too old or lacks a thing.
    Unreachable,
    /// Not enough of something, or it is taken.
    Resources,
    /// Deploy failed; what served before serves again.
    DeployFailed,
    /// Deploy failed and what served before could not be restored.
    DeployLost,
    /// Drift, acceptance failure, or `lock --check` found a change.
    Drift,
    /// Another sovai holds it.
    Busy,
    /// Interrupted.
    Interrupted,
}

impl Exit {
    /// Every code, in the order of their numbers.
    pub const ALL: [Self; 13] = [
        Self::Done,
        Self::Internal,
        Self::Usage,
        Self::Invalid,
        Self::Mismatch,
        Self::Refused,
        Self::Unreachable,
        Self::Resources,
        Self::DeployFailed,
        Self::DeployLost,
        Self::Drift,
        Self::Busy,
        Self::Interrupted,
    ];

    /// The number that the process ends with.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Internal => 1,
            Self::Usage => 2,
            Self::Invalid => 3,
            Self::Mismatch => 4,
            Self::Refused => 5,
            Self::Unreachable => 6,
            Self::Resources => 7,
            Self::DeployFailed => 8,
            Self::DeployLost => 9,
            Self::Drift => 10,
            Self::Busy => 11,
            Self::Interrupted => 130,
        }
    }

    /// What the number means, as the documentation says it.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Internal => "internal error",
            Self::Usage => "wrong usage; a file named on the command line is not there",
            Self::Invalid => "manifest, lock or policy file invalid",
            Self::Mismatch => "verification failed: bytes are not what was pinned or signed",
            Self::Refused => {
                "refused by trust or policy: signature missing, malformed, by an unknown or revoked key, trust level, \
                 licence, format, or something is pinned nowhere"
            }
            Self::Unreachable => {
                "something outside cannot be reached, is too old or lacks a thing: container engine, image, registry, \
                 source"
            }
            Self::Resources => {
                "not enough or taken: disk, memory, accelerators, wrong architecture, port in use, volumes still missing"
            }
            Self::DeployFailed => "deploy failed; what served before (perhaps nothing) serves again",
            Self::DeployLost => "deploy failed and what served before could not be restored",
            Self::Drift => "drift, acceptance failure, or `lock --check` found a change",
            Self::Busy => "busy: another sovai holds it (it is named)",
            Self::Interrupted => "interrupted",
        }
    }
}

/// The table as the documentation prints it.
pub fn table_markdown() -> String {
    let mut table = String::from("| code | meaning |\n|---|---|\n");
    for exit in Exit::ALL {
        let _ = writeln!(table, "| {} | {} |", exit.code(), exit.meaning());
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_each_code_once_in_order() {
        let codes = Exit::ALL.map(Exit::code);
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 130]);
        assert_eq!(table_markdown().lines().count(), 15);
        assert!(table_markdown().contains("\n| 11 | busy: another sovai holds it (it is named) |\n"));
    }
}
