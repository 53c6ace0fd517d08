//! Why a file is not what it claims to be. Each refusal has a code of [`crate::rules()`].

use crate::content::ContentType;
use std::fmt;

/// A name from inside a file, for messages: shortened to 200 characters, and what could drive a terminal escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quoted(pub String);

/// Longest name that a message shows, in characters.
const SHOWN: usize = 200;

impl Quoted {
    /// Keeps the beginning of a name.
    pub fn new(name: &str) -> Self {
        Self(name.chars().take(SHOWN + 1).collect())
    }
}

impl fmt::Display for Quoted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`")?;
        for c in self.0.chars().take(SHOWN) {
            if c.is_alphanumeric() || c == ' ' || c.is_ascii_graphic() {
                write!(f, "{c}")?;
            } else {
                write!(f, "{}", c.escape_default())?;
            }
        }
        f.write_str(if self.0.chars().nth(SHOWN).is_some() { "...`" } else { "`" })
    }
}

impl From<&str> for Quoted {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

/// A file that breaks a rule of its format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// A safetensors file.
    #[error(transparent)]
    Safetensors(#[from] SafetensorsError),
    /// An index of shards.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// A GGUF file.
    #[error(transparent)]
    Gguf(#[from] GgufError),
    /// Any file.
    #[error(transparent)]
    Content(#[from] ContentError),
}

impl FormatError {
    /// The rule that is broken: `SOV2xxx`.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Safetensors(error) => error.code(),
            Self::Index(error) => error.code(),
            Self::Gguf(error) => error.code(),
            Self::Content(error) => error.code(),
        }
    }
}

/// A safetensors header that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what its variant means")]
pub enum SafetensorsError {
    #[error("a safetensors file has at least 8 bytes, found {len}")]
    TooShort { len: u64 },
    #[error("a safetensors header has at most {limit} bytes, found {len}")]
    HeaderTooLong { len: u64, limit: u64 },
    #[error("the header ends at byte {end}, the file at byte {len}")]
    HeaderPastEnd { end: u64, len: u64 },
    #[error("the header is not the JSON of a safetensors file: {reason}")]
    Json { reason: String },
    #[error("the header has {name} twice")]
    Duplicate { name: Quoted },
    #[error("`__metadata__` is a map of texts: {reason}")]
    Metadata { reason: String },
    #[error("tensor {name} has the unknown type {dtype}")]
    Dtype { name: Quoted, dtype: Quoted },
    #[error("tensor {name} is larger than a number of 64 bits can say")]
    Overflow { name: Quoted },
    #[error("tensor {name} ends inside a byte: {bits} bits")]
    Bits { name: Quoted, bits: u64 },
    #[error("tensor {name} has more than {limit} dimensions")]
    Dimensions { name: Quoted, limit: usize },
    #[error("tensor {name} ends before it starts: {begin} to {end}")]
    Backwards { name: Quoted, begin: u64, end: u64 },
    #[error("{bytes} bytes before tensor {name} belong to no tensor (from byte {from} of the data)")]
    Gap { name: Quoted, from: u64, bytes: u64 },
    #[error("tensor {name} overlaps tensor {with}")]
    Overlap { name: Quoted, with: Quoted },
    #[error("tensor {name} needs {expected} bytes by its shape and type, and has {found}")]
    Size { name: Quoted, expected: u64, found: u64 },
    #[error("the file is truncated: its tensors end at byte {expected}, the file at byte {found}")]
    Truncated { expected: u64, found: u64 },
    #[error("{} bytes follow the last tensor: expected {expected} bytes, found {found}", .found - .expected)]
    Trailing { expected: u64, found: u64 },
    #[error("the header cannot be read: {error}")]
    Read { error: String },
}

impl SafetensorsError {
    /// The rule that is broken.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooShort { .. } => "SOV2001",
            Self::HeaderTooLong { .. } => "SOV2002",
            Self::HeaderPastEnd { .. } => "SOV2003",
            Self::Json { .. } => "SOV2004",
            Self::Duplicate { .. } => "SOV2005",
            Self::Metadata { .. } => "SOV2006",
            Self::Dtype { .. } => "SOV2007",
            Self::Overflow { .. } | Self::Bits { .. } => "SOV2008",
            Self::Dimensions { .. } => "SOV2009",
            Self::Gap { .. } => "SOV2010",
            Self::Overlap { .. } => "SOV2011",
            Self::Size { .. } | Self::Backwards { .. } => "SOV2012",
            Self::Truncated { .. } => "SOV2013",
            Self::Trailing { .. } => "SOV2014",
            Self::Read { .. } => "SOV2304",
        }
    }
}

/// An index of shards that does not fit them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what its variant means")]
pub enum IndexError {
    #[error("the index is not the JSON of an index of shards: {reason}")]
    Json { reason: String },
    #[error("the index has {name} twice")]
    Duplicate { name: Quoted },
    #[error("the index has more than {limit} {what}")]
    TooMany { what: &'static str, limit: usize },
    #[error("the index names {file}, which is not a file beside it")]
    Path { file: Quoted },
    #[error("shard {file} is in the index and not in the folder")]
    MissingShard { file: Quoted },
    #[error("{} of the index {} not in shard {file}, the first is {first}", tensors(*.count), are(*.count))]
    MissingTensors { file: Quoted, count: u64, first: Quoted },
    #[error("{} {} in shard {file} and not where the index says, the first is {first}", tensors(*.count), are(*.count))]
    WrongShard { file: Quoted, count: u64, first: Quoted },
    #[error("{} of shard {file} {} not in the index, the first is {first}", tensors(*.count), are(*.count))]
    NotIndexed { file: Quoted, count: u64, first: Quoted },
    #[error("{} of shard {file} {} in another shard too, the first is {first}", tensors(*.count), are(*.count))]
    InTwoShards { file: Quoted, count: u64, first: Quoted },
    #[error("shard {file} is in the folder and not in the index")]
    Orphan { file: Quoted },
    #[error("the index says {expected} bytes of tensors, the shards have {found}")]
    TotalSize { expected: u64, found: u64 },
    #[error("{} of {count} numbered parts {} missing, the first is {first}", .missing, are(*.missing))]
    MissingParts { missing: u64, count: u64, first: Quoted },
}

fn tensors(count: u64) -> String {
    if count == 1 { "1 tensor".to_owned() } else { format!("{count} tensors") }
}

const fn are(count: u64) -> &'static str {
    if count == 1 { "is" } else { "are" }
}

impl IndexError {
    /// The rule that is broken.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Json { .. } | Self::TooMany { .. } => "SOV2101",
            Self::Duplicate { .. } => "SOV2102",
            Self::Path { .. } => "SOV2103",
            Self::MissingShard { .. } => "SOV2104",
            Self::MissingTensors { .. } => "SOV2105",
            Self::WrongShard { .. } => "SOV2106",
            Self::NotIndexed { .. } => "SOV2107",
            Self::InTwoShards { .. } => "SOV2108",
            Self::Orphan { .. } => "SOV2109",
            Self::TotalSize { .. } => "SOV2110",
            Self::MissingParts { .. } => "SOV2111",
        }
    }
}

/// A GGUF header that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what its variant means")]
pub enum GgufError {
    #[error("a GGUF file starts with `GGUF`")]
    Magic,
    #[error("GGUF versions 2 and 3 are read, found {version}")]
    Version { version: u32 },
    #[error("a GGUF file has at most {limit} {what}, found {found}")]
    TooMany { what: &'static str, limit: u64, found: u64 },
    #[error("{what} has at most {limit} bytes, found {found}")]
    TooLong { what: &'static str, limit: u64, found: u64 },
    #[error("{key}: an array has at most {limit} elements, found {found}")]
    Array { key: Quoted, limit: u64, found: u64 },
    #[error("{key}: arrays are nested deeper than {limit}")]
    Nesting { key: Quoted, limit: usize },
    #[error("the file ends inside its header, which needs {needed} bytes at byte {at} and finds {left}")]
    HeaderPastEnd { at: u64, needed: u64, left: u64 },
    #[error("{key} has a value of the unknown kind {kind}")]
    ValueKind { key: Quoted, kind: u32 },
    #[error("{key} is {expected}, found {found}")]
    ValueType { key: Quoted, expected: &'static str, found: String },
    #[error("{what} {name} is there twice")]
    Duplicate { what: &'static str, name: Quoted },
    #[error("{what} is not UTF-8 at byte {at}")]
    Utf8 { what: &'static str, at: u64 },
    #[error("`general.alignment` is a power of two of at most {limit}, found {found}")]
    Alignment { found: u64, limit: u64 },
    #[error("tensor {name} has {found} dimensions, at most {limit} can be")]
    Dimensions { name: Quoted, found: u32, limit: u32 },
    #[error("tensor {name} has the unknown type {kind}")]
    Type { name: Quoted, kind: u32 },
    #[error("tensor {name} is larger than a number of 64 bits can say")]
    Overflow { name: Quoted },
    #[error("rows of tensor {name} have {row} elements, its type needs a multiple of {block}")]
    Block { name: Quoted, row: u64, block: u64 },
    #[error("tensor {name} starts at byte {offset} of the data, which is no multiple of {alignment}")]
    Unaligned { name: Quoted, offset: u64, alignment: u64 },
    #[error("tensor {name} overlaps tensor {with}")]
    Overlap { name: Quoted, with: Quoted },
    #[error("{bytes} bytes before tensor {name} belong to no tensor (from byte {from} of the file)")]
    Gap { name: Quoted, from: u64, bytes: u64 },
    #[error("the file is truncated: its tensors end at byte {expected}, the file at byte {found}")]
    Truncated { expected: u64, found: u64 },
    #[error("{} bytes follow the last tensor and its padding: expected {expected} bytes, found {found}", .found - .expected)]
    Trailing { expected: u64, found: u64 },
    #[error("`split.no` is {no} and `split.count` is {count}")]
    Split { no: u64, count: u64 },
    #[error("the name says part {by_name}, `split.no` and `split.count` say {by_header}")]
    SplitName { by_name: String, by_header: String },
    #[error("the header cannot be read: {error}")]
    Read { error: String },
}

impl GgufError {
    /// The rule that is broken.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Magic | Self::Version { .. } => "SOV2201",
            Self::TooMany { .. } => "SOV2202",
            Self::TooLong { .. } => "SOV2203",
            Self::Array { .. } | Self::Nesting { .. } => "SOV2204",
            Self::HeaderPastEnd { .. } => "SOV2205",
            Self::ValueKind { .. } | Self::ValueType { .. } => "SOV2206",
            Self::Duplicate { .. } => "SOV2207",
            Self::Utf8 { .. } => "SOV2208",
            Self::Alignment { .. } => "SOV2209",
            Self::Dimensions { .. } => "SOV2210",
            Self::Type { .. } => "SOV2211",
            Self::Overflow { .. } | Self::Block { .. } => "SOV2212",
            Self::Unaligned { .. } => "SOV2213",
            Self::Overlap { .. } => "SOV2214",
            Self::Gap { .. } => "SOV2215",
            Self::Truncated { .. } => "SOV2216",
            Self::Trailing { .. } => "SOV2217",
            Self::Split { .. } | Self::SplitName { .. } => "SOV2218",
            Self::Read { .. } => "SOV2304",
        }
    }
}

/// A file that is not what its name says, or that cannot be judged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what its variant means")]
pub enum ContentError {
    #[error("the name says {expected}, the bytes are {found}")]
    Disguised { expected: &'static str, found: ContentType },
    #[error("a git-lfs pointer lies where the file itself should be")]
    LfsPointer,
    #[error("the file is not valid JSON: {reason}")]
    Json { reason: String },
    #[error("the file cannot be read: {error}")]
    Unreadable { error: String },
    #[error("{what} has at most {limit} bytes, found {found}")]
    TooLarge { what: &'static str, limit: u64, found: u64 },
    #[error("{place} is not UTF-8 text")]
    NotText { place: &'static str },
}

impl ContentError {
    /// The rule that is broken.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Disguised { .. } => "SOV2301",
            Self::LfsPointer => "SOV2302",
            Self::Json { .. } | Self::NotText { .. } => "SOV2303",
            Self::Unreadable { .. } => "SOV2304",
            Self::TooLarge { .. } => "SOV2305",
        }
    }
}
