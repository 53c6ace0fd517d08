//! Rules about bundles as a whole.

use super::Court;
use crate::{BundleFact, Judgement, Severity, Subject, VoteFact};
use sovai_manifest::{ApprovalRule, Policy, RollbackRule};

/// Judges a bundle before anything of it is brought in.
pub fn judge_bundle(policy: &Policy, fact: &BundleFact) -> Judgement {
    let mut out = Judgement::default();
    let subject = Subject::Bundle(format!("{}-{}", fact.stack, fact.sequence));
    let mut court = Court { policy, subject: &subject, out: &mut out };
    signatures(fact, &mut court);
    border(fact, &mut court);
    age(fact, &mut court);
    out
}

fn signatures(fact: &BundleFact, court: &mut Court<'_>) {
    let (code, key) = ("SOV1100", "spec.trust.roles.bundle");
    let vote = &fact.signed;
    if vote.is_enough() {
        court.allow(code, key, format!("{} signed it", keys(vote.counted)));
        return;
    }
    let message = format!("{} that count{}", lacking("signature", vote), reasons(vote));
    let hint = "trust the signer's key, if that is right: sovai trust add FILE.pub --role bundle".to_owned();
    court.decide(code, Severity::Refuse, key, message, hint);
}

fn border(fact: &BundleFact, court: &mut Court<'_>) {
    let (code, key) = ("SOV1101", "spec.bundle.approval");
    for who in &fact.rejected {
        court.decide(code, Severity::Refuse, key, format!("held back at the border: {who}"), None);
    }
    let vote = &fact.approved;
    if vote.counted > 0 && vote.is_enough() {
        court.allow(code, key, format!("{} let it pass", keys(vote.counted)));
    } else if court.policy.bundle.approval == ApprovalRule::Required {
        let message = format!("{} that count{}", lacking("approval", vote), reasons(vote));
        let hint = "take it to whoever decides at the border: sovai bundle approve".to_owned();
        court.decide(code, Severity::Refuse, key, message, hint);
    }
}

fn age(fact: &BundleFact, court: &mut Court<'_>) {
    let (code, key) = ("SOV1102", "spec.bundle.rollback");
    let Some((newest, digest)) = fact.installed else { return };
    let message = if fact.sequence < newest {
        format!("it is older than {}-{newest}, which was brought in", fact.stack)
    } else if fact.sequence == newest && fact.digest != digest {
        format!("another bundle with the number {newest} was brought in: its index is {digest}")
    } else {
        return;
    };
    match court.policy.bundle.rollback {
        RollbackRule::Allow => court.decide(code, Severity::Warn, key, message, None),
        RollbackRule::Refuse => {
            let hint = "ask for the newest bundle; a policy may say `bundle: { rollback: allow }`".to_owned();
            court.decide(code, Severity::Refuse, key, message, hint);
        }
    }
}

fn keys(count: u32) -> String {
    format!("{count} key{}", if count == 1 { "" } else { "s" })
}

fn lacking(what: &str, vote: &VoteFact) -> String {
    let plural = if vote.needed == 1 { "" } else { "s" };
    format!("{} of {} {what}{plural}", vote.counted, vote.needed)
}

fn reasons(vote: &VoteFact) -> String {
    if vote.uncounted.is_empty() { String::new() } else { format!("; {}", vote.uncounted.join("; ")) }
}
