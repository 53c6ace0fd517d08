//! What keys there are and what stands behind them: the one table behind validator, JSON Schema and reference page.

mod policy;
mod tables;

pub(crate) use policy::POLICY;
pub(crate) use tables::{LOCK, MANIFEST};

/// What a value looks like.
#[derive(Debug)]
pub(crate) enum Shape {
    /// A mapping with known keys (and free `x-` ones).
    Object(&'static Object),
    /// A mapping whose keys the author chooses.
    Map {
        key: Format,
        value: &'static Self,
        /// Fewest entries.
        min: usize,
    },
    /// A list.
    List {
        item: &'static Self,
        /// Fewest items.
        min: usize,
    },
    /// One value.
    Scalar(Format),
    /// One value in short form, or a mapping.
    Either(Format, &'static Object),
}

/// A mapping with known keys.
#[derive(Debug)]
pub(crate) struct Object {
    /// Its name in the schema.
    pub(crate) name: &'static str,
    /// How a message calls it: `a model`.
    pub(crate) noun: &'static str,
    /// One sentence for the reference page.
    pub(crate) doc: &'static str,
    pub(crate) fields: &'static [Field],
}

/// A known key.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) required: bool,
    pub(crate) shape: Shape,
    /// What it is, for schema and reference page.
    pub(crate) doc: &'static str,
}

/// What one value may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Just this text; breaking it has a rule of its own.
    Const { text: &'static str, code: &'static str },
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// Text for people.
    Text,
    /// Any text, also none: an environment value or an argument.
    Raw,
    /// Name of a stack, model or service.
    Name,
    /// Model name that clients use.
    PublicName,
    /// Name of an environment variable.
    EnvKey,
    /// Path inside a model.
    FilePath,
    /// Path on the host, relative to the manifest unless absolute.
    HostPath,
    /// 64 hexadecimal digits.
    Sha256,
    /// `sha256:` and 64 hexadecimal digits.
    Digest,
    /// Length of a file in bytes.
    Length,
    /// Amount of memory with at least so many bytes.
    Size(u64),
    /// Whole number.
    Count { min: u32, max: u32 },
    /// CPUs with at most three decimals.
    Cpus,
    /// `YYYY-MM-DD`.
    Date,
    /// Where bytes come from.
    Source,
    /// Reference of an image.
    Image,
    /// Address and port.
    Listen,
    /// Commit, tag or branch.
    Revision,
    /// SPDX expression or catalogue id.
    License,
    /// One SPDX id or one `LicenseRef-...`.
    LicenseId,
    /// Text in which `*` stands for any text.
    Pattern,
    /// Which files of a model: a path in which `*` and `?` stand for text.
    Glob,
    /// Where an image comes from.
    ImageSource,
    /// What a lock names: a commit, or the digest of a registry's manifest.
    LockedRevision,
    /// Name of an engine profile.
    Engine,
    /// Id of an accelerator vendor.
    Vendor,
}
