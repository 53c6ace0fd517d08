//! What can go wrong with images on disk.

use sovai_core::Sha256;
use sovai_store::StoreError;
use sovai_store::image::ImageFault;
use std::io;
use std::path::PathBuf;

/// Why an image cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The archive or layout cannot be read, or ends before its time.
    #[error("cannot read {what}")]
    Read {
        /// What was being read.
        what: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The archive cannot be written.
    #[error("cannot write the archive of an image")]
    Write(#[source] io::Error),
    /// The folder is not an OCI layout.
    #[error("`{}` is not an OCI image layout: {reason}", .path.display())]
    NotALayout {
        /// The folder.
        path: PathBuf,
        /// Which part is missing or strange.
        reason: String,
    },
    /// An entry of an archive that no image has.
    #[error("the archive's entry `{}` is refused", .name.escape_debug())]
    Entry {
        /// Its name in the archive.
        name: String,
        /// Why.
        #[source]
        fault: EntryFault,
    },
    /// A manifest, index or configuration that cannot be one.
    #[error("{what} cannot be used")]
    Document {
        /// Which.
        what: String,
        /// Why.
        #[source]
        fault: ImageFault,
    },
    /// Something that a manifest or index names is not there.
    #[error("{what} is not there, though the image needs it")]
    Missing {
        /// What it is.
        what: String,
    },
    /// Bytes that are not those that their digest names.
    #[error("{what} is not what its digest says: {expected} was expected, the bytes hash to {found}")]
    Digest {
        /// What it is.
        what: String,
        /// The digest that it goes by.
        expected: Sha256,
        /// The digest of the bytes.
        found: Sha256,
    },
    /// Another length than the one that is written down.
    #[error(
        "{what} has another length than its manifest says: {expected} bytes were expected, found {found}"
    )]
    Size {
        /// What it is.
        what: String,
        /// As the manifest has it.
        expected: u64,
        /// As it is.
        found: u64,
    },
    /// A layer that is not the one that the configuration names.
    #[error(
        "layer {number} is not the one that the image's configuration names: {expected} was expected, found {found}"
    )]
    OtherLayer {
        /// Its place, counted from 1.
        number: usize,
        /// What the configuration says.
        expected: Sha256,
        /// The digest of the layer, not compressed.
        found: Sha256,
    },
    /// A compressed layer that grows beyond all measure.
    #[error("{what} grows to more than {limit} bytes when it is decompressed")]
    TooLarge {
        /// What it is.
        what: String,
        /// Where reading ended.
        limit: u64,
    },
    /// Compression that cannot be undone.
    #[error("{what} cannot be decompressed")]
    Compression {
        /// What it is.
        what: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A layer in a form that a docker archive cannot have.
    #[error("layer {number} is compressed with zstd, which engines do not take in a docker archive")]
    Zstd {
        /// Its place, counted from 1.
        number: usize,
    },
    /// Not there, or not under that name.
    #[error("there is no image {wanted}; there is {}", list(.found))]
    NoImage {
        /// What was looked for.
        wanted: String,
        /// What there is, by name and platform.
        found: Vec<String>,
    },
    /// More than one.
    #[error("there are several images, and none is named: {}", list(.found))]
    Several {
        /// What there is, by name and platform.
        found: Vec<String>,
    },
}

/// Why an entry of an archive is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EntryFault {
    /// A name that is not a plain relative path.
    #[error("its name is not one that an image can have")]
    Name(#[source] sovai_core::PathError),
    /// A name that is not text.
    #[error("its name is not UTF-8")]
    NotText,
    /// The same name twice.
    #[error("there are two entries of this name")]
    Twice,
    /// A device, a hard link, a sparse file, or whatever else is no file, folder or symbolic link.
    #[error("it is neither a file nor a folder nor a symbolic link")]
    Kind,
    /// A symbolic link that leads out of the archive, or to another link.
    #[error("it is a link to `{}`, which is not a file of the archive", .0.escape_debug())]
    Link(String),
    /// Too many.
    #[error("the archive has more than {0} entries")]
    TooMany(usize),
    /// A file that an image has, too long.
    #[error("it has {found} bytes; at most {limit} are read")]
    TooLong {
        /// Its length.
        found: u64,
        /// The bound.
        limit: u64,
    },
}

impl ImageError {
    pub(crate) fn read(what: impl Into<String>, source: io::Error) -> Self {
        Self::Read { what: what.into(), source }
    }

    pub(crate) fn missing(what: impl Into<String>) -> Self {
        Self::Missing { what: what.into() }
    }
}

/// At most so many names of images in a message.
const NAMES: usize = 10;

fn list(names: &[String]) -> String {
    let shown: Vec<_> = names.iter().take(NAMES).map(|name| name.escape_debug().to_string()).collect();
    match names.len() {
        0 => "none".to_owned(),
        many if many > NAMES => format!("{} and {} more", shown.join(", "), many - NAMES),
        _ => shown.join(", "),
    }
}
