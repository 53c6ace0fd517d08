//! What is known of a model and of the images around it: all that a policy judges by.

use serde::Serialize;
use sovai_catalog::TextMatch;
use sovai_core::{Sha256, TrustLevel};
use sovai_manifest::Lineage;

/// What is judged together: the models and images of a stack, or one model.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// Models, in the order in which they are reported.
    pub models: Vec<ModelFacts>,
    /// Images of services.
    pub images: Vec<ImageFact>,
}

/// What a decision is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "kind", content = "name", rename_all = "kebab-case")]
pub enum Subject {
    /// A model of a manifest, by its name there.
    Model(String),
    /// A folder or file with a model, as it was named.
    Folder(String),
    /// An image, as the manifest names it.
    Image(String),
    /// A bundle: `STACK-SEQUENCE`.
    Bundle(String),
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Model(name) => write!(f, "model {name}"),
            Self::Folder(path) => f.write_str(path),
            Self::Image(name) => write!(f, "image {name}"),
            Self::Bundle(name) => write!(f, "bundle {name}"),
        }
    }
}

/// What is known of one model. What nobody looked at is empty, and `examined` says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelFacts {
    /// The model.
    pub subject: Subject,
    /// Where its bytes come from, as the manifest writes it: `hf:ORG/NAME`. `None` for a bare folder.
    pub source: Option<String>,
    /// Who published it, as the manifest says.
    pub publisher: Option<String>,
    /// The licence that the manifest declares.
    pub declared_license: Option<String>,
    /// The licence that a hub's label states: `license` in the front matter of the model card, or the lock's.
    pub hub_license: Option<String>,
    /// Licence texts that lie in the model.
    pub licenses: Vec<LicenseFact>,
    /// Limits of use.
    pub usage: Vec<String>,
    /// Where it descends from.
    pub lineage: Lineage,
    /// How strongly its origin is proven. `None` where there is nothing to judge that by: no pins and no signature.
    pub trust: Option<TrustFact>,
    /// Whether its files were looked into. When not, nothing is known of `licenses` and of all that follows here.
    pub examined: bool,
    /// What lies among its files and was not looked at: links, special files, what cannot be read.
    pub unseen: Vec<UnseenFact>,
    /// Its files.
    pub files: Vec<FileFact>,
    /// What breaks the rules of formats.
    pub problems: Vec<ProblemFact>,
    /// What would run as a program.
    pub code: Vec<CodeFact>,
    /// Chat templates.
    pub templates: Vec<TemplateFact>,
    /// What a signature does not cover; empty where none was asked for.
    pub remainder: Vec<RemainderFact>,
}

impl ModelFacts {
    /// Facts of a model of which nothing is known but what it is.
    pub fn new(subject: Subject) -> Self {
        Self {
            subject,
            source: None,
            publisher: None,
            declared_license: None,
            hub_license: None,
            licenses: Vec::new(),
            usage: Vec::new(),
            lineage: Lineage::default(),
            trust: None,
            examined: false,
            unseen: Vec::new(),
            files: Vec::new(),
            problems: Vec::new(),
            code: Vec::new(),
            templates: Vec::new(),
            remainder: Vec::new(),
        }
    }
}

/// How strongly a model's origin is proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustFact {
    /// The level.
    pub level: TrustLevel,
    /// Why it is this one.
    pub why: Vec<String>,
    /// What is known of revocations.
    pub revocations: RevocationFact,
}

/// What is known of revocations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevocationFact {
    /// The level rests on no key, so that none can be revoked.
    NotNeeded,
    /// There is no list of revocations.
    NoList,
    /// Days since the newest list was made.
    Days(u32),
}

/// A licence text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LicenseFact {
    /// Path in the model.
    pub path: String,
    /// What [`sovai_catalog::identify_license_text`] says of it.
    pub text: TextMatch,
}

/// Something that was not looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnseenFact {
    /// Path in the model.
    pub path: String,
    /// Why not, a fragment.
    pub why: String,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFact {
    /// Path in the model.
    pub path: String,
    /// Word for its content: `ContentType::word`.
    pub content: &'static str,
}

/// Something that breaks the rules of a format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProblemFact {
    /// Rule of the formats: `SOV2xxx`.
    pub code: &'static str,
    /// Path in the model.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// Whether the rule only warns: then the policy can make it less, never more.
    pub warning: bool,
}

/// Something that an engine could run as a program: a Python file, or a key that names one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeFact {
    /// Path in the model.
    pub path: String,
    /// What it is, a fragment: `Python source`, `auto_map names AutoModel`.
    pub what: String,
    /// Whether the file's digest was pinned or signed, and the code is in this model and in no other place.
    pub pinned: bool,
}

/// A chat template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateFact {
    /// Path in the model of the file that holds it.
    pub path: String,
    /// Where in the file: `tokenizer.chat_template`.
    pub place: String,
    /// Digest of the template's text.
    pub sha256: Sha256,
    /// Whether the file's digest was pinned or signed.
    pub pinned: bool,
}

/// Something that a signature does not cover.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemainderFact {
    /// Path in the model.
    pub path: String,
    /// Why it is not covered, a fragment.
    pub reason: String,
}

/// An image of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFact {
    /// As the manifest names it, without digest.
    pub name: String,
}

/// What is known of a bundle that is to be brought in, besides what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleFact {
    /// The stack.
    pub stack: String,
    /// Its number.
    pub sequence: u64,
    /// Digest of its index.
    pub digest: Sha256,
    /// Who signed it.
    pub signed: VoteFact,
    /// Who let it pass at the border.
    pub approved: VoteFact,
    /// Who held it back there: sentences.
    pub rejected: Vec<String>,
    /// The newest bundle of the stack that was brought in: its number, and the digest of its index.
    pub installed: Option<(u64, Sha256)>,
}

/// How many different keys of a role spoke, and why others do not count.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VoteFact {
    /// Keys that count.
    pub counted: u32,
    /// Keys that are needed.
    pub needed: u32,
    /// Keys that do not count, each with the reason.
    pub uncounted: Vec<String>,
}

impl VoteFact {
    /// Whether enough keys spoke.
    pub const fn is_enough(&self) -> bool {
        self.counted >= self.needed
    }
}
