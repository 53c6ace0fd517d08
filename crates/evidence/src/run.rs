//! Runs of commands, as the log has them: one statement a run, of type `https://sovai.dev/COMMAND/v1`.
//!
//! All commands share one shape, in which each fills in what it has to say. It is written and read here alone, so that the
//! auditor's page and the documentation in `docs/evidence.md` follow from one place.

use crate::time::rfc3339;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sovai_core::Sha256;
use sovai_signing::statement::{Statement, Subject};
use std::collections::BTreeMap;

/// Predicate types of runs begin with this, and end with [`PREDICATE_END`].
pub const PREDICATE_BEGIN: &str = "https://sovai.dev/";
/// See [`PREDICATE_BEGIN`].
pub const PREDICATE_END: &str = "/v1";
/// Most models, images, services, decisions and signers that one statement lists; the rest is counted.
pub const MAX_LISTED: usize = 200;
/// Most characters of a message.
const MAX_MESSAGE: usize = 1000;

/// The commands whose runs are recorded, as their predicate types name them.
pub const COMMANDS: [&str; 10] = [
    "lock",
    "pull",
    "verify",
    "bundle-create",
    "bundle-verify",
    "bundle-approve",
    "bundle-reject",
    "bundle-import",
    "deploy",
    "down",
];

/// One run of a command. What a command has nothing to say of is left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Run {
    /// The stack.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
    /// When it ended, RFC 3339, UTC, by the host's own clock.
    pub time: String,
    /// How long it took.
    pub milliseconds: u64,
    /// Name of the host.
    pub place: String,
    /// Version of sovai.
    pub version: String,
    /// `done`, `failed`, `refused` or `interrupted`.
    pub result: String,
    /// The exit code.
    pub exit_code: u8,
    /// Why it did not end well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// How many findings of each type.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub findings: BTreeMap<String, u64>,
    /// The policy that judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyRef>,
    /// What it and the rules of trust decided, what refuses first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub decisions: Vec<Decided>,
    /// Models by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub models: BTreeMap<String, ModelRun>,
    /// Images by the name that the manifest has.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub images: BTreeMap<String, ImageRun>,
    /// Services by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub services: BTreeMap<String, ServiceRun>,
    /// The stack's one door.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<GatewayRun>,
    /// The generation that serves after a deploy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<u32>,
    /// Whether a deploy changed anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed: Option<bool>,
    /// How many containers, networks and images were taken away.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub removed: BTreeMap<String, u64>,
    /// The bundle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bundle: Option<BundleRun>,
    /// What the run is about besides models, images and bundle.
    #[serde(skip)]
    pub subjects: Vec<Subject>,
}

/// A policy by address and digest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PolicyRef {
    /// Its file, or `sovai:policy/built-in`.
    pub uri: String,
    /// SHA-256 of its text.
    pub sha256: String,
}

/// One decision.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default)]
pub struct Decided {
    /// `refuse`, `warn` or `note`.
    pub severity: String,
    /// The rule: `SOV1011`.
    pub code: String,
    /// What it is about, in words.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// What was expected and what was found.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// A model in a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ModelRun {
    /// The model digest, `sha256:...`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Where it comes from, as the manifest writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The commit, or the digest of a manifest in a registry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The address that stood in for the hub's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Licence as the manifest or the lock has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// How many files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<u64>,
    /// Their length together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// How many of those bytes were read and hashed in this run; receipts answered for the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hashed: Option<u64>,
    /// How many files a lock hashed here, since their source named no SHA-256.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hashed_here: Option<u64>,
    /// How many bytes came over the network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fetched: Option<u64>,
    /// What it was compared with: `pins`, `signature`, `passport`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub against: Option<String>,
    /// Whether every byte was as expected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matches: Option<bool>,
    /// The trust level.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trust: Option<String>,
    /// Key ids of the signatures that hold.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub signers: Vec<String>,
}

/// An image in a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageRun {
    /// Its ID, `sha256:...`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Where it came from, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// How many bytes came over the network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fetched: Option<u64>,
}

/// A service of a deployed stack.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceRun {
    /// The engine profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
    /// The image, as under `images`.
    pub image: String,
    /// The model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// The gateway of a deployed stack.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GatewayRun {
    /// Address and port.
    pub listen: String,
    /// Whether it speaks TLS.
    pub tls: bool,
    /// Whether clients need a key.
    pub keys: bool,
    /// The name that clients use: the service behind it.
    pub routes: BTreeMap<String, String>,
}

/// A bundle in a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BundleRun {
    /// Its place in the row of the stack's bundles.
    pub sequence: u64,
    /// SHA-256 of its index, `sha256:...`.
    pub index: String,
    /// How many data volumes it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volumes: Option<u64>,
    /// How many parity volumes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parity: Option<u64>,
    /// Length of its content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Key ids of the signatures over the index that hold.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub signers: Vec<String>,
    /// A border officer's decision: `approved` or `rejected`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<String>,
    /// The officer's reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Run {
    /// Says when it ended, in seconds since 1970, UTC.
    pub fn ended(&mut self, seconds: u64) {
        self.time = rfc3339(seconds);
    }

    /// Names something that the run is about.
    pub fn about(&mut self, name: impl Into<String>, digest: &Sha256) {
        let (name, hex) = (name.into(), digest.hex());
        if !self.subjects.iter().any(|known| known.name == name) {
            self.subjects.push(Subject { name, digest: [("sha256".to_owned(), hex)].into() });
        }
    }

    /// The statement about this run of `command`; `None` where it is about nothing that has a digest.
    ///
    /// Lists are cut at [`MAX_LISTED`] and messages at 1000 characters, so that a line stays readable.
    pub fn statement(mut self, command: &str) -> Option<Statement> {
        self.bound();
        let mut subject = std::mem::take(&mut self.subjects);
        let mut add = |kind: &str, name: &str, digest: Option<&String>| {
            let hex = digest.and_then(|digest| digest.strip_prefix("sha256:"));
            if let Some(hex) = hex {
                subject.push(Subject {
                    name: format!("{kind}{name}"),
                    digest: [("sha256".to_owned(), hex.to_owned())].into(),
                });
            }
        };
        for (name, model) in &self.models {
            add("model ", name, model.digest.as_ref());
        }
        for (name, image) in &self.images {
            add("image ", name, image.id.as_ref());
        }
        if let Some(bundle) = &self.bundle {
            let stack = self.stack.as_deref().unwrap_or("bundle");
            add("", &format!("{stack}-{}", bundle.sequence), Some(&bundle.index));
        }
        if subject.is_empty() {
            return None;
        }
        Some(Statement {
            subject,
            predicate_type: format!("{PREDICATE_BEGIN}{command}{PREDICATE_END}"),
            // Strings, numbers and maps with text as keys can always be written.
            predicate: serde_json::to_value(&self).unwrap_or_default(),
        })
    }

    fn bound(&mut self) {
        let cut = |text: &mut String| {
            if let Some((at, _)) = text.char_indices().nth(MAX_MESSAGE) {
                text.truncate(at);
                text.push('…');
            }
        };
        self.decisions.sort_by_key(|made| match made.severity.as_str() {
            "refuse" => 0,
            "warn" => 1,
            _ => 2,
        });
        self.decisions.truncate(MAX_LISTED);
        self.decisions.iter_mut().for_each(|made| cut(&mut made.message));
        self.message.iter_mut().for_each(cut);
        let mut left = MAX_LISTED;
        self.models.retain(|_, _| take(&mut left));
        left = MAX_LISTED;
        self.images.retain(|_, _| take(&mut left));
        left = MAX_LISTED;
        self.services.retain(|_, _| take(&mut left));
        for model in self.models.values_mut() {
            model.signers.truncate(MAX_LISTED);
        }
    }

    /// Reads the run out of a statement, and which command it was; `None` where it is about something else, or of another
    /// shape. Unknown members are ignored.
    pub fn read(statement: &Statement) -> Option<(&'static str, Self)> {
        let name = statement.predicate_type.strip_prefix(PREDICATE_BEGIN)?.strip_suffix(PREDICATE_END)?;
        let command = COMMANDS.into_iter().find(|command| *command == name)?;
        let mut run: Self = serde_json::from_value(statement.predicate.clone()).ok()?;
        run.bound();
        Some((command, run))
    }

    /// Counts findings by their type, and takes over decisions.
    pub fn found(&mut self, findings: &[Value]) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        for finding in findings {
            let kind = text(&finding["type"]);
            let kind = if kind.is_empty() { "other".to_owned() } else { kind };
            let count = self.findings.entry(kind).or_default();
            *count = count.saturating_add(1);
            if !finding["code"].is_string() || self.decisions.len() >= 10 * MAX_LISTED {
                continue;
            }
            let subject = match (&finding["subject"], &finding["model"]) {
                (Value::Object(of), _) => {
                    let part = |name: &str| of.get(name).map(text).unwrap_or_default();
                    format!("{} {}", part("kind"), part("name")).trim().to_owned()
                }
                (_, Value::String(model)) => format!("model {model}"),
                _ => String::new(),
            };
            self.decisions.push(Decided {
                severity: text(&finding["severity"]),
                code: text(&finding["code"]),
                subject,
                message: text(&finding["message"]),
            });
        }
    }
}

fn take(left: &mut usize) -> bool {
    let there = *left > 0;
    *left = left.saturating_sub(1);
    there
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_run_survives_its_statement_and_leaves_out_what_it_does_not_say() {
        let digest = Sha256::from_bytes([7; 32]);
        let mut run = Run { stack: Some("demo".to_owned()), exit_code: 5, ..Run::default() };
        run.ended(1_764_028_800);
        run.about("demo.yaml", &digest);
        run.about("demo.yaml", &digest);
        run.models.insert(
            "m".to_owned(),
            ModelRun { digest: Some(digest.to_string()), bytes: Some(3), ..ModelRun::default() },
        );
        run.found(&[
            json!({ "type": "decision", "severity": "warn", "code": "SOV1003", "subject": { "kind": "model", "name": "m" },
                    "message": "look" }),
            json!({ "type": "digest", "path": "a" }),
            json!({ "type": "decision", "severity": "refuse", "code": "SOV1001", "model": "m", "message": "x".repeat(5000) }),
        ]);
        let statement = run.clone().statement("deploy").unwrap();
        assert_eq!(statement.predicate_type, "https://sovai.dev/deploy/v1");
        let names: Vec<_> = statement.subject.iter().map(|subject| subject.name.as_str()).collect();
        assert_eq!(names, ["demo.yaml", "model m"]);
        assert_eq!(statement.predicate["findings"], json!({ "decision": 2, "digest": 1 }));
        assert_eq!(statement.predicate["decisions"][0]["code"], "SOV1001", "what refuses comes first");
        assert_eq!(statement.predicate["decisions"][1]["subject"], "model m");
        assert!(statement.predicate.get("gateway").is_none());
        let (command, back) = Run::read(&statement).unwrap();
        assert_eq!((command, back.models), ("deploy", run.models));
        assert_eq!(back.decisions[0].message.chars().count(), MAX_MESSAGE + 1);
    }

    #[test]
    fn what_is_about_nothing_is_no_statement_and_lists_are_bounded() {
        assert!(Run::default().statement("verify").is_none());
        let digest = Some(Sha256::from_bytes([7; 32]).to_string());
        let model = |at: usize| (at.to_string(), ModelRun { digest: digest.clone(), ..ModelRun::default() });
        let run = Run { models: (0..900).map(model).collect(), ..Run::default() };
        assert_eq!(run.statement("verify").unwrap().subject.len(), MAX_LISTED);
    }

    #[test]
    fn a_statement_of_another_shape_is_no_run() {
        let statement = |kind: &str, predicate| Statement {
            subject: Vec::new(),
            predicate_type: kind.to_owned(),
            predicate,
        };
        for (kind, predicate) in [
            ("https://sovai.dev/other/v1", json!({})),
            ("https://slsa.dev/verification_summary/v1", json!({})),
            ("https://sovai.dev/deploy/v1", json!({ "models": [1] })),
            ("https://sovai.dev/deploy/v1", json!(null)),
        ] {
            assert!(Run::read(&statement(kind, predicate)).is_none(), "{kind}");
        }
        assert!(Run::read(&statement("https://sovai.dev/deploy/v1", json!({ "new": 1 }))).is_some());
    }
}
