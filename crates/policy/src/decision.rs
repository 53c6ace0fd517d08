//! What a policy came to.

use crate::Subject;
use serde::Serialize;

/// One decision that is not a plain yes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// Stable code of the rule: `SOV1011`. [`crate::explain`] explains it.
    pub code: &'static str,
    /// What follows.
    pub severity: Severity,
    /// What it is about.
    pub subject: Subject,
    /// What was expected and what was found, with the place.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// The key of the policy that decides.
    pub key: &'static str,
    /// Its line in the policy file; `None` where the built-in policy's value holds.
    pub line: Option<u32>,
}

/// What follows from a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// It is refused.
    Refuse,
    /// It is taken, and somebody should look.
    Warn,
    /// It is taken; something is worth saying.
    Note,
}

/// Something that was judged and taken, for the trail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Allowed {
    /// Code of the rule that holds.
    pub code: &'static str,
    /// What it is about.
    pub subject: Subject,
    /// What was found.
    pub message: String,
    /// The key of the policy that allows it.
    pub key: &'static str,
    /// Its line in the policy file; `None` where the built-in policy's value holds.
    pub line: Option<u32>,
}

/// All that a policy has to say.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Judgement {
    /// What is not a plain yes: by subject, then by rule.
    pub decisions: Vec<Decision>,
    /// What was judged and taken.
    pub allowed: Vec<Allowed>,
}

impl Judgement {
    /// Whether anything is refused.
    pub fn is_refused(&self) -> bool {
        self.decisions.iter().any(|decision| decision.severity == Severity::Refuse)
    }

    /// How many decisions are of this severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.decisions.iter().filter(|decision| decision.severity == severity).count()
    }
}
