//! What a log tells, gathered in one walk for the auditor's page. Memory is bounded whatever the log holds: of each kind of
//! thing the newest are kept, and the rest is counted.

use crate::log::Entry;
use crate::run::{Decided, ModelRun, Run};
use crate::time::parse_rfc3339;
use crate::vsa;
use serde_json::Value;
use sovai_core::Sha256;
use sovai_signing::KeyId;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Most lines of the log that the page lists.
pub(crate) const LINES: usize = 200;
/// Most stacks, and most models.
const STACKS: usize = 30;
const MODELS: usize = 100;
/// Most decisions, runs that did not end well, summaries and witnesses.
const NEWEST: usize = 100;
/// Most hosts and signers.
const NAMES: usize = 50;
/// Predicate type of what was seen at a source, as `sovai-trust` writes it.
const WITNESS: &str = "https://sovai.dev/witness/v1";

/// What a line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// A run of a command.
    Run(&'static str),
    /// An SLSA verification summary.
    Summary,
    /// What was seen at a source.
    Witness,
    /// Something else.
    Other,
}

impl Kind {
    /// The name of its reports.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Run(command) => command,
            Self::Summary => "verification-summary",
            Self::Witness => "witness",
            Self::Other => "other",
        }
    }
}

/// One line, with what it says as far as it is understood.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) kind: Kind,
    pub(crate) run: Option<Run>,
}

impl Told {
    pub(crate) fn of(entry: &Entry) -> Self {
        if let Some((command, run)) = Run::read(&entry.statement) {
            return Self { kind: Kind::Run(command), run: Some(run) };
        }
        let kind = match entry.statement.predicate_type.as_str() {
            vsa::PREDICATE_TYPE => Kind::Summary,
            WITNESS => Kind::Witness,
            _ => Kind::Other,
        };
        Self { kind, run: None }
    }

    /// The stack, as far as one is named.
    pub(crate) fn stack(&self) -> Option<&str> {
        self.run.as_ref().and_then(|run| run.stack.as_deref())
    }
}

/// A run with the number of its line and the keys that signed the line.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) seq: u64,
    pub(crate) command: &'static str,
    pub(crate) run: Run,
    pub(crate) by: BTreeSet<KeyId>,
}

/// One line of the table of the chain.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) seq: u64,
    pub(crate) digest: Sha256,
    pub(crate) kind: Kind,
    pub(crate) time: Option<u64>,
    pub(crate) stack: Option<String>,
    pub(crate) result: Option<String>,
}

/// A run that compared the bytes of a model.
#[derive(Debug, Clone)]
pub(crate) struct Compared {
    pub(crate) seq: u64,
    pub(crate) command: &'static str,
    pub(crate) time: String,
    pub(crate) place: String,
    /// Who signed the line.
    pub(crate) by: BTreeSet<KeyId>,
    pub(crate) matches: bool,
}

/// A model, by its digest, with what the runs say of it together; the newest word counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct ModelStory {
    pub(crate) names: BTreeSet<String>,
    pub(crate) facts: ModelRun,
    /// The newest run that compared its bytes.
    pub(crate) verified: Option<Compared>,
    pub(crate) last: u64,
}

/// What was seen elsewhere, or summed up.
#[derive(Debug, Clone, Default)]
pub(crate) struct Said {
    pub(crate) seq: u64,
    pub(crate) time: String,
    pub(crate) what: String,
    pub(crate) how: String,
    pub(crate) place: String,
}

/// What runs of one stack is known.
#[derive(Debug, Clone, Default)]
pub(crate) struct StackStory {
    /// The newest deploy that ended well.
    pub(crate) deployed: Option<Seen>,
    /// The newest `down` that ended well.
    pub(crate) down: Option<Seen>,
    /// The newest run of any kind.
    pub(crate) last: u64,
}

impl StackStory {
    /// The deploy that serves, as far as the log knows.
    pub(crate) fn serves(&self) -> Option<&Seen> {
        let deployed = self.deployed.as_ref()?;
        self.down.as_ref().is_none_or(|down| down.seq < deployed.seq).then_some(deployed)
    }
}

/// Everything that the page tells.
#[derive(Debug, Default)]
pub(crate) struct Story {
    pub(crate) lines: u64,
    pub(crate) first: Option<u64>,
    pub(crate) last: Option<u64>,
    pub(crate) counts: BTreeMap<Kind, u64>,
    pub(crate) hosts: BTreeSet<String>,
    pub(crate) versions: BTreeSet<String>,
    pub(crate) signers: BTreeMap<KeyId, u64>,
    pub(crate) newest: VecDeque<Line>,
    pub(crate) runs: VecDeque<Seen>,
    pub(crate) bundles: VecDeque<Seen>,
    pub(crate) bad: VecDeque<Seen>,
    pub(crate) decisions: VecDeque<(u64, String, Option<String>, Decided)>,
    pub(crate) said: VecDeque<(Kind, Said)>,
    pub(crate) stacks: BTreeMap<String, StackStory>,
    pub(crate) models: BTreeMap<String, ModelStory>,
    /// What was counted and is not shown.
    pub(crate) left_out: BTreeMap<&'static str, u64>,
}

impl Story {
    /// Takes in the next line; `wanted` says whether what it tells is to be shown, or only its place in the chain.
    pub(crate) fn add(&mut self, entry: &Entry, told: Told, wanted: bool) {
        self.lines += 1;
        for signer in &entry.signers {
            if self.signers.len() < NAMES || self.signers.contains_key(signer) {
                *self.signers.entry(*signer).or_default() += 1;
            }
        }
        let predicate = &entry.statement.predicate;
        let written = predicate["time"].as_str().or_else(|| predicate["timeVerified"].as_str());
        let time = written.and_then(|text| parse_rfc3339(text).ok());
        self.first = self.first.or(time);
        self.last = time.or(self.last);
        let line = Line {
            seq: entry.seq,
            digest: entry.digest,
            kind: told.kind,
            time,
            stack: told.stack().map(short),
            result: told.run.as_ref().map(|run| short(&run.result)),
        };
        keep(&mut self.newest, line, LINES);
        if !wanted {
            return;
        }
        *self.counts.entry(told.kind).or_default() += 1;
        match told {
            Told { kind: Kind::Run(command), run: Some(run) } => {
                let by = entry.signers.clone();
                self.run(Seen { seq: entry.seq, command, run, by });
            }
            Told { kind: kind @ (Kind::Summary | Kind::Witness), .. } => {
                let said = said(entry, kind);
                let dropped = keep(&mut self.said, (kind, said), NEWEST);
                self.forgot("summaries and sightings", dropped);
            }
            _ => {}
        }
    }

    fn forgot(&mut self, what: &'static str, one: bool) {
        if one {
            *self.left_out.entry(what).or_default() += 1;
        }
    }

    fn run(&mut self, seen: Seen) {
        let run = &seen.run;
        name(&mut self.hosts, &run.place);
        name(&mut self.versions, &run.version);
        for (model, facts) in &run.models {
            self.model(&seen, model, facts);
        }
        for made in &run.decisions {
            let entry = (seen.seq, seen.command.to_owned(), run.stack.as_deref().map(short), made.clone());
            let dropped = keep(&mut self.decisions, entry, NEWEST);
            self.forgot("decisions", dropped);
        }
        if let Some(stack) = &run.stack {
            self.stack(stack, &seen);
        }
        // What a long list repeats is not kept once more.
        let slim = Seen {
            run: Run { decisions: Vec::new(), services: BTreeMap::new(), ..seen.run.clone() },
            ..seen
        };
        if slim.run.exit_code != 0 {
            let dropped = keep(&mut self.bad, slim.clone(), NEWEST);
            self.forgot("runs that did not end well", dropped);
        }
        if slim.run.bundle.is_some() {
            let dropped = keep(&mut self.bundles, slim.clone(), NEWEST);
            self.forgot("runs about bundles", dropped);
        }
        let dropped = keep(&mut self.runs, slim, NEWEST);
        self.forgot("runs", dropped);
    }

    fn stack(&mut self, stack: &str, seen: &Seen) {
        if !self.stacks.contains_key(stack) && self.stacks.len() >= STACKS {
            let oldest = self.stacks.iter().min_by_key(|(_, story)| story.last).map(|(name, _)| name.clone());
            oldest.map(|name| self.stacks.remove(&name));
            self.forgot("stacks", true);
        }
        let story = self.stacks.entry(short(stack)).or_default();
        story.last = seen.seq;
        match (seen.command, seen.run.exit_code) {
            ("deploy", 0) => story.deployed = Some(seen.clone()),
            ("down", 0) => story.down = Some(seen.clone()),
            _ => {}
        }
    }

    fn model(&mut self, seen: &Seen, name_of: &str, facts: &ModelRun) {
        let Some(digest) = facts.digest.as_deref().filter(|digest| digest.len() < 100) else { return };
        if !self.models.contains_key(digest) && self.models.len() >= MODELS {
            let oldest = self.models.iter().min_by_key(|(_, story)| story.last).map(|(name, _)| name.clone());
            oldest.map(|name| self.models.remove(&name));
            self.forgot("models", true);
        }
        let story = self.models.entry(digest.to_owned()).or_default();
        story.last = seen.seq;
        name(&mut story.names, name_of);
        let known = &mut story.facts;
        let newer = |known: &mut Option<String>, said: &Option<String>| {
            if said.is_some() {
                known.clone_from(said);
            }
        };
        known.digest = Some(digest.to_owned());
        newer(&mut known.source, &facts.source);
        newer(&mut known.revision, &facts.revision);
        newer(&mut known.endpoint, &facts.endpoint);
        newer(&mut known.license, &facts.license);
        newer(&mut known.trust, &facts.trust);
        (known.files, known.bytes) = (facts.files.or(known.files), facts.bytes.or(known.bytes));
        if !facts.signers.is_empty() {
            known.signers.clone_from(&facts.signers);
        }
        if let Some(matches) = facts.matches {
            let run = &seen.run;
            story.verified = Some(Compared {
                seq: seen.seq,
                command: seen.command,
                time: short(&run.time),
                place: short(&run.place),
                by: seen.by.clone(),
                matches,
            });
        }
    }
}

/// Puts the newest at the end; says whether the oldest had to go for it.
fn keep<T>(all: &mut VecDeque<T>, one: T, most: usize) -> bool {
    let full = all.len() >= most;
    if full {
        all.pop_front();
    }
    all.push_back(one);
    full
}

fn name(all: &mut BTreeSet<String>, one: &str) {
    if !one.is_empty() && (all.len() < NAMES || all.contains(one)) {
        all.insert(short(one));
    }
}

/// Names are short; one that is not is cut.
fn short(text: &str) -> String {
    text.chars().take(255).collect()
}

fn said(entry: &Entry, kind: Kind) -> Said {
    let predicate = &entry.statement.predicate;
    let text = |value: &Value| value.as_str().map(short).unwrap_or_default();
    let files = entry.statement.subject.len();
    match kind {
        Kind::Witness => Said {
            seq: entry.seq,
            time: text(&predicate["time"]),
            what: text(&predicate["source"]),
            how: format!("{files} files, by {}", text(&predicate["list"]["kind"])),
            place: text(&predicate["place"]),
        },
        _ => Said {
            seq: entry.seq,
            time: text(&predicate["timeVerified"]),
            what: entry.statement.subject.first().map(|subject| short(&subject.name)).unwrap_or_default(),
            how: format!(
                "{} {}",
                text(&predicate["verificationResult"]),
                text(&predicate["verifiedLevels"][0])
            ),
            place: String::new(),
        },
    }
}
