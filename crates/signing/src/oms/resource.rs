//! The list of resources, read one by one: a list of 31 MB is never held as a tree.

use super::{Digest, HashAlgorithm, Leniency, MAX_RESOURCES, Method, OmsError, Piece, Resource};
use crate::json::Object;
use crate::text::{from_hex, shorten};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, SeqAccess, Visitor};
use serde_json::value::RawValue;
use sha2::Digest as _;
use sovai_core::{RelPath, Sha256};
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

/// What the list is read into.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    method: Method,
    hash: HashAlgorithm,
    /// The name that a resource called `.` gets.
    model: &'a str,
    leniency: &'a mut Leniency,
    resources: Vec<Resource>,
    /// For shards: where a path is in `resources`.
    places: HashMap<RelPath, usize>,
    pieces: usize,
    root: sha2::Sha256,
    single_file: bool,
    error: Option<OmsError>,
}

/// One entry as it stands. Further members are allowed by the schema, and have no meaning here.
#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    digest: Cow<'a, str>,
    #[serde(borrow)]
    algorithm: Cow<'a, str>,
}

/// An entry of the subjects of predicate v0.1.
#[derive(Deserialize)]
struct RawSubject<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    digest: Object<RawDigest<'a>>,
    #[serde(borrow, default)]
    annotations: Option<Object<RawAnnotations<'a>>>,
}

#[derive(Deserialize)]
struct RawDigest<'a> {
    #[serde(borrow)]
    sha256: Cow<'a, str>,
}

#[derive(Deserialize)]
struct RawAnnotations<'a> {
    #[serde(borrow, default)]
    actual_hash_algorithm: Option<Cow<'a, str>>,
}

/// The list, read.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) resources: Vec<Resource>,
    pub(super) root: Sha256,
    pub(super) single_file: bool,
}

/// Which shape the entries have.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    /// `resources` of predicate v1.0.
    Resources,
    /// `subject` of predicate v0.1.
    Subjects,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        method: Method,
        hash: HashAlgorithm,
        model: &'a str,
        leniency: &'a mut Leniency,
    ) -> Self {
        Self {
            method,
            hash,
            model,
            leniency,
            resources: Vec::new(),
            places: HashMap::new(),
            pieces: 0,
            root: sha2::Sha256::new(),
            single_file: false,
            error: None,
        }
    }

    /// Reads the list, which [`crate::json::check`] has seen.
    pub(super) fn read(mut self, list: &RawValue, shape: Shape) -> Result<Read, OmsError> {
        let mut reader = serde_json::Deserializer::from_str(list.get());
        let outcome = List { reader: &mut self, shape }.deserialize(&mut reader);
        if let Some(error) = self.error {
            return Err(error);
        }
        outcome.map_err(|error| OmsError::Json { place: "the resources", error: error.into() })?;
        if self.resources.is_empty() {
            return Err(OmsError::NoResources);
        }
        if self.single_file && self.resources.len() > 1 {
            return Err(OmsError::malformed("resources", "`.` stands beside other names"));
        }
        if let Method::Shards { size } = self.method {
            for resource in &mut self.resources {
                join(resource, size)?;
            }
        }
        let root = Sha256::from_bytes(self.root.finalize().into());
        Ok(Read { resources: self.resources, root, single_file: self.single_file })
    }

    fn add(&mut self, name: &str, algorithm: &str, digest: &str) -> Result<(), OmsError> {
        self.pieces += 1;
        if self.pieces > MAX_RESOURCES {
            return Err(OmsError::TooManyResources);
        }
        self.check_algorithm(name, algorithm)?;
        let expected = self.hash.digest_len();
        let bad = || OmsError::DigestText { name: shorten(name, 200), expected };
        let (bytes, upper) = from_hex(digest).filter(|(bytes, _)| bytes.len() == expected).ok_or_else(bad)?;
        if upper {
            self.leniency.allow("upper-case-digest", || {
                format!("the digest of `{}` is in upper case", shorten(name, 200).escape_debug())
            })?;
        }
        self.root.update(&bytes);
        let digest = Digest { algorithm: self.hash, bytes };
        match self.method {
            Method::Files => {
                let name = self.path(name)?;
                self.resources.push(Resource { name, pieces: vec![Piece { start: 0, end: None, digest }] });
            }
            Method::Shards { .. } => {
                let (path, start, end) = split(name)?;
                let path = self.path(path)?;
                let piece = Piece { start, end: Some(end), digest };
                if let Some(resource) = self.places.get(&path).and_then(|&at| self.resources.get_mut(at)) {
                    resource.pieces.push(piece);
                } else {
                    self.places.insert(path.clone(), self.resources.len());
                    self.resources.push(Resource { name: path, pieces: vec![piece] });
                }
            }
        }
        Ok(())
    }

    fn check_algorithm(&mut self, name: &str, algorithm: &str) -> Result<(), OmsError> {
        if algorithm == self.hash.id() {
            return Ok(());
        }
        // model-signing 1.1.1 writes the size into the algorithm's name.
        if let Method::Shards { size } = self.method
            && algorithm == format!("{}-sharded-{size}", self.hash)
        {
            return self.leniency.allow("sharded-algorithm", || {
                format!("resources have the algorithm `{algorithm}` instead of `{}`", self.hash)
            });
        }
        let (name, found) = (shorten(name, 200), shorten(algorithm, 80));
        Err(OmsError::HashMismatch { name, expected: self.hash, found })
    }

    fn path(&mut self, name: &str) -> Result<RelPath, OmsError> {
        let refuse = |error| OmsError::Name { name: shorten(name, 200), error };
        if name != "." {
            return RelPath::new(name).map_err(refuse);
        }
        // What model-signing writes for a model of one file. That file's name is not part of what is signed, so that
        // any fitting name will do.
        self.single_file = true;
        match RelPath::new(self.model) {
            Ok(path) if !self.model.contains('/') => Ok(path),
            _ => RelPath::new("model").map_err(refuse),
        }
    }
}

/// Takes `path:start:end` apart. The path may have colons of its own.
fn split(name: &str) -> Result<(&str, u64, u64), OmsError> {
    let refuse = |what: &str| OmsError::Shard { name: shorten(name, 200), what: what.to_owned() };
    let mut parts = name.rsplitn(3, ':');
    let (Some(end), Some(start), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(refuse("expected `path:start:end`"));
    };
    let number = |text: &str| {
        let plain =
            text.bytes().all(|digit| digit.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
        text.parse::<u64>().ok().filter(|_| plain).ok_or_else(|| refuse("its range is not two plain numbers"))
    };
    let (start, end) = (number(start)?, number(end)?);
    if start >= end {
        return Err(refuse("its range is empty"));
    }
    Ok((path, start, end))
}

/// Sorts the pieces of a file; they must lie gapless from byte 0, each `size` bytes long but the last.
fn join(resource: &mut Resource, size: u64) -> Result<(), OmsError> {
    resource.pieces.sort_by_key(|piece| piece.start);
    let refuse = |what: String| OmsError::Shard { name: resource.name.to_string(), what };
    let mut expected = 0;
    let last = resource.pieces.len().saturating_sub(1);
    for (number, piece) in resource.pieces.iter().enumerate() {
        let end = piece.end.unwrap_or(piece.start);
        if piece.start < expected {
            return Err(refuse(format!("bytes from {} on are covered twice", piece.start)));
        }
        if piece.start > expected {
            return Err(refuse(format!("bytes {expected} to {} are not covered", piece.start)));
        }
        let length = end.saturating_sub(piece.start);
        if length > size || (length < size && number < last) {
            let what = format!("the piece at {} has {length} bytes instead of {size}", piece.start);
            return Err(refuse(what));
        }
        expected = end;
    }
    Ok(())
}

struct List<'r, 'a> {
    reader: &'r mut Reader<'a>,
    shape: Shape,
}

impl<'de> DeserializeSeed<'de> for List<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for List<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of resources")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        loop {
            let added = match self.shape {
                Shape::Resources => match list.next_element::<Object<Raw<'_>>>()? {
                    Some(Object(raw)) => self.reader.add(&raw.name, &raw.algorithm, &raw.digest),
                    None => return Ok(()),
                },
                Shape::Subjects => match list.next_element::<Object<RawSubject<'_>>>()? {
                    Some(Object(raw)) => {
                        let algorithm = raw.annotations.and_then(|all| all.0.actual_hash_algorithm);
                        // The one that this predicate was ever written with.
                        let algorithm = match algorithm.as_deref() {
                            None | Some("file-sha256") => "sha256",
                            Some(other) => other,
                        };
                        self.reader.add(&raw.name, algorithm, &raw.digest.0.sha256)
                    }
                    None => return Ok(()),
                },
            };
            if let Err(error) = added {
                self.reader.error = Some(error);
                return Err(A::Error::custom("refused"));
            }
        }
    }
}
