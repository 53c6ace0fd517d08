//! Engine profiles: how an inference server is run, probed and measured.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// One inference server, as data: how it is started, probed and measured.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineProfile {
    /// What a manifest writes after `engine:`.
    pub name: String,
    /// One line for people.
    pub summary: String,
    /// Main source of the facts below.
    pub source: String,
    /// When they were gathered (`YYYY-MM-DD`).
    pub date: String,
    /// Where this profile has been run.
    pub tested: Tested,
    /// What kind of model it reads.
    pub model: ModelShape,
    /// Replaces the image's entrypoint; `None` keeps it.
    pub entrypoint: Option<Vec<String>>,
    /// Arguments, in order; see [`EngineProfile::render_args`].
    pub args: Vec<ArgGroup>,
    /// Port on which it listens in its container.
    pub port: u16,
    /// How its readiness is asked.
    pub health: Health,
    /// Path of its Prometheus metrics on the same port.
    pub metrics: Option<String>,
    /// Environment; what keeps it offline and its caches in `/tmp`.
    pub env: BTreeMap<String, String>,
    /// tmpfs mounts: path to mount options.
    pub tmpfs: BTreeMap<String, String>,
    /// `uid:gid`, numeric.
    pub user: String,
    /// Size of `/dev/shm` in bytes; `None` keeps the container engine's default.
    pub shm: Option<u64>,
    /// Memory limit in bytes when the manifest gives none.
    pub memory: Option<u64>,
    /// Limit on processes and threads.
    pub pids: u32,
    /// Seconds in which a failing probe means nothing.
    pub start_period_s: u32,
    /// Seconds after which an engine that is not ready has failed.
    pub deadline_s: u32,
    /// Seconds between SIGTERM and SIGKILL.
    pub stop_timeout_s: u32,
    /// Facts with their own sources.
    #[serde(default)]
    pub facts: Vec<Fact>,
}

/// Where a profile has been run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tested {
    /// By this project's own tests.
    Here,
    /// By others, as its sources say.
    Elsewhere,
    /// Not known to have been run as written here.
    Never,
}

impl Tested {
    /// As it is written in the data.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Here => "here",
            Self::Elsewhere => "elsewhere",
            Self::Never => "never",
        }
    }
}

/// What kind of model an engine reads.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "shape", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ModelShape {
    /// One file (or the parts of a split one) whose name ends in `suffix`.
    File {
        /// With its dot: `.gguf`.
        suffix: String,
    },
    /// A folder with weights, configuration and tokenizer.
    Folder,
}

/// Why a model's files do not fit what an engine reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShapeError {
    /// No file with the suffix.
    NoneWithSuffix(String),
    /// Several files with the suffix that are not the parts of one split file.
    SeveralWithSuffix {
        /// The suffix wanted.
        suffix: String,
        /// Two of them.
        found: [String; 2],
    },
}

impl std::fmt::Display for ShapeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoneWithSuffix(suffix) => write!(f, "no file ends in `{suffix}`"),
            Self::SeveralWithSuffix { suffix, found: [a, b] } => {
                write!(f, "more than one file ends in `{suffix}`: `{a}` and `{b}`")
            }
        }
    }
}

impl std::error::Error for ShapeError {}

/// How readiness is asked: `GET http://SERVICE:PORT{path}`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// Path with its leading `/`.
    pub path: String,
    /// Status that means ready.
    pub status: u16,
    /// What the body must contain.
    pub body: Option<String>,
}

/// Arguments that stand or fall together: left out when a placeholder in them has no value.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct ArgGroup(pub Vec<String>);

/// A fact with its own source.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fact {
    /// The fact.
    pub what: String,
    /// Where it was found.
    pub source: String,
    /// When (`YYYY-MM-DD`).
    pub date: String,
}

/// Values for the placeholders of a profile's arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ArgContext<'a> {
    /// `{model_path}`: the model file or folder, inside the container.
    pub model_path: &'a str,
    /// `{model_name}`: the name that the engine answers to.
    pub model_name: &'a str,
    /// `{port}`.
    pub port: u16,
    /// `{context}`: context window in tokens.
    pub context: Option<u32>,
    /// `{tensor}`: tensor parallel size.
    pub tensor: Option<u32>,
    /// `{pipeline}`: pipeline parallel size.
    pub pipeline: Option<u32>,
    /// `{data}`: data parallel size.
    pub data: Option<u32>,
    /// `{sequences}`: sequences served at once.
    pub sequences: Option<u32>,
    /// `{threads}`: CPU threads.
    pub threads: Option<u32>,
}

impl ArgContext<'_> {
    /// The value of one placeholder, named without its braces.
    fn value(&self, placeholder: &str) -> Option<String> {
        let number = |value: Option<u32>| value.map(|number| number.to_string());
        match placeholder {
            "model_path" => Some(self.model_path.to_owned()),
            "model_name" => Some(self.model_name.to_owned()),
            "port" => Some(self.port.to_string()),
            "context" => number(self.context),
            "tensor" => number(self.tensor),
            "pipeline" => number(self.pipeline),
            "data" => number(self.data),
            "sequences" => number(self.sequences),
            "threads" => number(self.threads),
            _ => None,
        }
    }
}

impl ModelShape {
    /// The file that is given to the engine, or `None` where it is given the folder.
    ///
    /// Of a split file (`NAME-00001-of-00003.gguf`) it is the first part.
    pub fn main_file<'a>(
        &self,
        paths: impl IntoIterator<Item = &'a str>,
    ) -> Result<Option<&'a str>, ShapeError> {
        let Self::File { suffix } = self else { return Ok(None) };
        let mut found: Vec<&str> = paths.into_iter().filter(|path| path.ends_with(suffix.as_str())).collect();
        found.sort_unstable();
        let Some((first, rest)) = found.split_first() else {
            return Err(ShapeError::NoneWithSuffix(suffix.clone()));
        };
        let family = split_family(first, suffix);
        match rest.iter().find(|path| family.is_none() || split_family(path, suffix) != family) {
            None => Ok(Some(first)),
            Some(other) => Err(ShapeError::SeveralWithSuffix {
                suffix: suffix.clone(),
                found: [(*first).to_owned(), (*other).to_owned()],
            }),
        }
    }
}

/// What all parts of one split file share, for `NAME-00001-of-00003.gguf`: `NAME` and `00003`.
fn split_family<'a>(path: &'a str, suffix: &str) -> Option<(&'a str, &'a str)> {
    let (rest, count) = path.strip_suffix(suffix)?.rsplit_once("-of-")?;
    let (name, part) = rest.rsplit_once('-')?;
    let digits = |text: &str| text.len() == 5 && text.bytes().all(|b| b.is_ascii_digit());
    (digits(count) && digits(part)).then_some((name, count))
}

impl EngineProfile {
    /// The arguments with their placeholders filled in; groups with a placeholder that has no value are left out.
    pub fn render_args(&self, context: &ArgContext<'_>) -> Vec<String> {
        self.args.iter().filter_map(|group| group.render(context)).flatten().collect()
    }

    /// The options that the profile itself sets (`-m`, `--port`), which a manifest's `args` must not repeat.
    pub fn options(&self) -> impl Iterator<Item = &str> {
        self.args
            .iter()
            .filter_map(|group| group.0.first())
            .map(String::as_str)
            .filter(|word| word.starts_with('-'))
    }
}

impl ArgGroup {
    fn render(&self, context: &ArgContext<'_>) -> Option<Vec<String>> {
        self.0
            .iter()
            .map(|word| match word.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
                Some(placeholder) => context.value(placeholder),
                None => Some(word.clone()),
            })
            .collect()
    }
}

/// Every engine profile, in the order of the data files.
pub fn engines() -> &'static [EngineProfile] {
    static ENGINES: OnceLock<Vec<EngineProfile>> = OnceLock::new();
    ENGINES.get_or_init(|| {
        [
            include_str!("../data/engines/llama.cpp.toml"),
            include_str!("../data/engines/vllm.toml"),
            include_str!("../data/engines/sglang.toml"),
        ]
        .iter()
        // The texts are part of the binary and a test reads them, so this cannot fail on a user's machine.
        .map(|text| toml::from_str(text).unwrap_or_else(|error| unreachable!("engine profile: {error}")))
        .collect()
    })
}

/// The profile of that name.
pub fn engine(name: &str) -> Option<&'static EngineProfile> {
    engines().iter().find(|profile| profile.name == name)
}

#[cfg(test)]
mod tests;
