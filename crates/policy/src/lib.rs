//! What a policy decides about a model, as decisions with rule codes.
//!
//! Main types: [`Facts`] go in, a [`Judgement`] comes out. Every decision names its rule (`SOV1xxx`, see [`rules`]), the
//! key of the policy that it follows with its line, and what to do. What was allowed, and by which key, is told too.
//!
//! Pure: no file, no clock, no network. The same policy and facts give the same judgement, in the same order. Texts of
//! facts come from outside; they are quoted and cut, and whoever prints them escapes them.

mod decision;
mod facts;
mod judge;
mod pattern;
mod rules;

pub use decision::{Allowed, Decision, Judgement, Severity};
pub use facts::{
    BundleFact, CodeFact, Facts, FileFact, ImageFact, LicenseFact, ModelFacts, ProblemFact, RemainderFact,
    RevocationFact, Subject, TemplateFact, TrustFact, UnseenFact, VoteFact,
};
pub use judge::{MAX_LISTED, evaluate, judge, judge_bundle};
pub use rules::{Rule, explain, rules, rules_markdown};
