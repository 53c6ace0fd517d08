//! The rules: a policy and facts in, decisions out.

mod bundle;
mod content;
mod license;
mod origin;

pub use bundle::judge_bundle;

use crate::{Allowed, Decision, Facts, Judgement, Severity, Subject};
use sovai_manifest::{Policy, Reaction};

/// Most decisions of one rule about one subject; the rest is counted in one more.
pub const MAX_LISTED: usize = 20;

/// Judges facts by a policy; what is not a plain yes.
pub fn evaluate(policy: &Policy, facts: &Facts) -> Vec<Decision> {
    judge(policy, facts).decisions
}

/// Judges facts by a policy, and keeps the trail of what was taken. Subjects come in the order of the facts, rules in
/// the order of their codes.
pub fn judge(policy: &Policy, facts: &Facts) -> Judgement {
    let mut out = Judgement::default();
    for model in &facts.models {
        let mut court = Court { policy, subject: &model.subject, out: &mut out };
        origin::trust(model, &mut court);
        license::license(model, &mut court);
        origin::usage(model, &mut court);
        content::formats(model, &mut court);
        origin::origins(model, &mut court);
        origin::lineage(model, &mut court);
        content::code(model, &mut court);
        content::templates(model, &mut court);
        content::remainder(model, &mut court);
        court.many(
            "SOV1090",
            Severity::Refuse,
            "spec",
            model
                .unseen
                .iter()
                .map(|unseen| format!("{} was not looked at: {}", quoted(&unseen.path), unseen.why)),
            "take it out of the model, or put a regular file in its place",
        );
        if !model.examined {
            court.decide(
                "SOV1090",
                Severity::Note,
                "spec",
                "its files are not here: only what is declared was judged",
                "bring them here, and judge again".to_owned(),
            );
        }
    }
    for image in &facts.images {
        let subject = Subject::Image(image.name.clone());
        let mut court = Court { policy, subject: &subject, out: &mut out };
        origin::image(image, &mut court);
    }
    out
}

/// Writes decisions about one subject.
struct Court<'a> {
    policy: &'a Policy,
    subject: &'a Subject,
    out: &'a mut Judgement,
}

impl Court<'_> {
    /// Adds a decision.
    fn decide(
        &mut self,
        code: &'static str,
        severity: Severity,
        key: &'static str,
        message: impl Into<String>,
        hint: impl Into<Option<String>>,
    ) {
        let line = self.policy.line(key);
        self.push(code, severity, (key, line), message.into(), hint.into());
    }

    /// Adds a decision that follows an item of a list.
    fn decide_item(
        &mut self,
        code: &'static str,
        severity: Severity,
        (key, at): (&'static str, usize),
        message: impl Into<String>,
        hint: impl Into<Option<String>>,
    ) {
        let line = self.policy.line(&format!("{key}[{at}]"));
        self.push(code, severity, (key, line), message.into(), hint.into());
    }

    /// Adds a decision as a reaction says; whether there was one.
    fn react(
        &mut self,
        code: &'static str,
        reaction: Reaction,
        key: &'static str,
        message: impl Into<String>,
        hint: impl Into<Option<String>>,
    ) {
        if let Some(severity) = severity(reaction) {
            self.decide(code, severity, key, message, hint);
        }
    }

    /// Adds the same decision about many things, at most [`MAX_LISTED`] of them one by one.
    fn many(
        &mut self,
        code: &'static str,
        severity: Severity,
        key: &'static str,
        messages: impl IntoIterator<Item = String>,
        hint: &str,
    ) {
        let mut messages = messages.into_iter();
        for message in messages.by_ref().take(MAX_LISTED) {
            self.decide(code, severity, key, message, hint.to_owned());
        }
        let rest = messages.count();
        if rest > 0 {
            self.decide(code, severity, key, format!("and {rest} more like these"), hint.to_owned());
        }
    }

    fn push(
        &mut self,
        code: &'static str,
        severity: Severity,
        (key, line): (&'static str, Option<u32>),
        message: String,
        hint: Option<String>,
    ) {
        let subject = self.subject.clone();
        self.out.decisions.push(Decision { code, severity, subject, message, hint, key, line });
    }

    /// Adds to the trail of what was taken.
    fn allow(&mut self, code: &'static str, key: &'static str, message: impl Into<String>) {
        let line = self.policy.line(key);
        let subject = self.subject.clone();
        self.out.allowed.push(Allowed { code, subject, message: message.into(), key, line });
    }
}

/// What follows from a reaction; nothing from `ignore`.
const fn severity(reaction: Reaction) -> Option<Severity> {
    match reaction {
        Reaction::Refuse => Some(Severity::Refuse),
        Reaction::Warn => Some(Severity::Warn),
        Reaction::Ignore => None,
    }
}

/// A text from outside for a message: in backticks, not longer than 120 characters.
fn quoted(text: &str) -> String {
    let mut short: String = text.chars().take(120).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("`{short}`")
}

#[cfg(test)]
mod tests;
