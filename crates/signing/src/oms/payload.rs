//! What was signed: the statement and its predicate. Read only after the signature held.

use super::names::Names;
use super::resource::{Reader, Shape};
use super::{HashAlgorithm, Leniency, Method, OmsError, PREDICATE_TYPE, PREDICATE_TYPE_V0_1, Signed, ignore};
use crate::json::{self, Limits, Object};
use crate::statement::STATEMENT_TYPE;
use crate::text::shorten;
use serde::Deserialize;
use serde_json::value::RawValue;
use sovai_core::Sha256;
use std::borrow::Cow;
use std::collections::BTreeMap;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawStatement<'a> {
    #[serde(rename = "_type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    subject: &'a RawValue,
    #[serde(borrow)]
    predicate_type: Cow<'a, str>,
    #[serde(borrow)]
    predicate: &'a RawValue,
}

#[derive(Deserialize)]
struct RawSubject<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    digest: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
}

#[derive(Deserialize)]
struct RawPredicate<'a> {
    #[serde(borrow)]
    resources: &'a RawValue,
    #[serde(borrow)]
    serialization: &'a RawValue,
}

#[derive(Deserialize)]
struct RawSerialization<'a> {
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow)]
    hash_type: Cow<'a, str>,
    allow_symlinks: bool,
    shard_size: Option<serde_json::Number>,
    ignore_paths: Option<Vec<String>>,
}

/// Most bytes of a model's name.
const MAX_NAME: usize = 4096;

/// Reads the payload of a signature that holds.
pub(super) fn read(payload: &[u8], mut leniency: Leniency) -> Result<Signed, OmsError> {
    let Object(statement): Object<RawStatement<'_>> =
        json::from_slice(payload, Limits::BUNDLE).map_err(OmsError::json("the statement"))?;
    if statement.kind != STATEMENT_TYPE {
        let what = format!("expected `_type` `{STATEMENT_TYPE}`, found `{}`", shown(&statement.kind));
        return Err(OmsError::malformed("the statement", what));
    }
    match &*statement.predicate_type {
        PREDICATE_TYPE => read_v1(payload, &statement, leniency),
        PREDICATE_TYPE_V0_1 => {
            leniency.allow("predicate-v0.1", || {
                "the predicate is v0.1 of model-signing 0.2.0: files are subjects, nothing says what was left out"
                    .to_owned()
            })?;
            read_v0_1(&statement, leniency)
        }
        other => Err(OmsError::PredicateType(shorten(other, 80))),
    }
}

fn read_v1(payload: &[u8], statement: &RawStatement<'_>, mut leniency: Leniency) -> Result<Signed, OmsError> {
    let all = std::str::from_utf8(payload).unwrap_or_default();
    no_others("the statement", all, &["_type", "subject", "predicateType", "predicate"], &mut leniency)?;
    no_others("the predicate", statement.predicate.get(), &["resources", "serialization"], &mut leniency)?;
    let (model_name, stated) = subject(statement.subject)?;
    let Object(predicate): Object<RawPredicate<'_>> = from_raw("the predicate", statement.predicate)?;
    let known = ["method", "hash_type", "allow_symlinks", "shard_size", "ignore_paths"];
    no_others("the serialization", predicate.serialization.get(), &known, &mut leniency)?;
    let Object(serialization): Object<RawSerialization<'_>> =
        from_raw("the serialization", predicate.serialization)?;
    let hash = HashAlgorithm::from_id(&serialization.hash_type)
        .ok_or_else(|| OmsError::Hash(shorten(&serialization.hash_type, 80)))?;
    let method = method(&serialization, &mut leniency)?;
    let read =
        Reader::new(method, hash, &model_name, &mut leniency).read(predicate.resources, Shape::Resources)?;
    if read.root != stated {
        return Err(OmsError::Root { expected: stated, found: read.root });
    }
    let names = Names::check(&read.resources, &mut leniency)?;
    let ignore_paths = serialization.ignore_paths.unwrap_or_default();
    ignore::check(&ignore_paths, &names, &mut leniency)?;
    Ok(Signed {
        model_name,
        method,
        hash,
        allow_symlinks: serialization.allow_symlinks,
        ignore_paths,
        root: read.root,
        single_file: read.single_file,
        resources: read.resources,
        tolerated: leniency.tolerated,
    })
}

fn read_v0_1(statement: &RawStatement<'_>, mut leniency: Leniency) -> Result<Signed, OmsError> {
    let (method, hash) = (Method::Files, HashAlgorithm::Sha256);
    let read = Reader::new(method, hash, "", &mut leniency).read(statement.subject, Shape::Subjects)?;
    Names::check(&read.resources, &mut leniency)?;
    Ok(Signed {
        model_name: String::new(),
        method,
        hash,
        allow_symlinks: false,
        ignore_paths: Vec::new(),
        root: read.root,
        single_file: read.single_file,
        resources: read.resources,
        tolerated: leniency.tolerated,
    })
}

/// The one subject: the model's name and its root digest.
fn subject(list: &RawValue) -> Result<(String, Sha256), OmsError> {
    let subjects: Vec<&RawValue> = from_raw("the subject", list)?;
    let [subject] = &*subjects else { return Err(OmsError::Subjects(subjects.len())) };
    let Object(subject): Object<RawSubject<'_>> = from_raw("the subject", subject)?;
    if subject.name.is_empty() || subject.name.len() > MAX_NAME {
        let what = format!("its name has 1 to {MAX_NAME} bytes, found {}", subject.name.len());
        return Err(OmsError::malformed("the subject", what));
    }
    let root = subject
        .digest
        .get("sha256")
        .ok_or_else(|| OmsError::malformed("the subject", "it has no `sha256` digest"))?;
    let root =
        Sha256::from_hex(root).map_err(|error| OmsError::malformed("the subject", error.to_string()))?;
    Ok((subject.name.into_owned(), root))
}

fn method(raw: &RawSerialization<'_>, leniency: &mut Leniency) -> Result<Method, OmsError> {
    match (&*raw.method, &raw.shard_size) {
        ("files", None) => Ok(Method::Files),
        ("files", Some(_)) => {
            Err(OmsError::malformed("the serialization", "`files` has no `shard_size`, found one"))
        }
        ("shards", None) => Err(OmsError::malformed("the serialization", "`shards` needs a `shard_size`")),
        ("shards", Some(size)) => Ok(Method::Shards { size: shard_size(size, leniency)? }),
        (other, _) => Err(OmsError::Method(shorten(other, 80))),
    }
}

fn shard_size(number: &serde_json::Number, leniency: &mut Leniency) -> Result<u64, OmsError> {
    let bad = || {
        OmsError::malformed(
            "the serialization",
            format!("`shard_size` is a positive integer, found {number}"),
        )
    };
    if let Some(size) = number.as_u64() {
        return if size == 0 { Err(bad()) } else { Ok(size) };
    }
    // model-signing 1.1.1 writes it as a floating-point number. Below 2^53 those name integers exactly.
    let float = number.as_f64().filter(|size| (1.0..9e15).contains(size) && size.fract() == 0.0);
    let float = float.ok_or_else(bad)?;
    leniency.allow("float-shard-size", || format!("`shard_size` is written as {number}"))?;
    format!("{float:.0}").parse().map_err(|_| bad())
}

/// Refuses members that the schema does not have, or notes them.
fn no_others(
    place: &'static str,
    text: &str,
    known: &[&str],
    leniency: &mut Leniency,
) -> Result<(), OmsError> {
    let members = json::members(text).map_err(OmsError::json(place))?;
    match members.iter().find(|name| !known.contains(&&***name)) {
        None => Ok(()),
        Some(other) => {
            leniency.allow("unknown-member", || format!("{place} has a member `{}`", shown(other)))
        }
    }
}

fn from_raw<'a, T: Deserialize<'a>>(place: &'static str, raw: &'a RawValue) -> Result<T, OmsError> {
    serde_json::from_str(raw.get()).map_err(|error| OmsError::Json { place, error: error.into() })
}

fn shown(text: &str) -> String {
    shorten(text, 80).escape_debug().to_string()
}
