//! `model.safetensors.index.json`: which tensor is in which shard, compared with the shards themselves.

use crate::error::{FormatError, IndexError, Quoted};
use crate::safetensors::short;
use crate::tensors::TensorMap;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};

/// Longest index in bytes that is read. That of a model of 1,000,000 tensors has some 80 MB.
pub const MAX_INDEX: u64 = 100_000_000;
/// Most tensors of an index.
pub const MAX_TENSORS: usize = 1_000_000;
/// Most shards of an index.
pub const MAX_SHARDS: usize = 10_000;

/// What an index says. Takes 24 bytes for each tensor, and its name.
#[derive(Debug, Clone, Default)]
pub struct Index {
    /// All names, one after the other.
    names: String,
    entries: Vec<Entry>,
    /// The files, in the order in which they were first named.
    shards: Vec<String>,
    total_size: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    hash: u64,
    name: u32,
    name_len: u32,
    shard: u32,
    /// In which shard it was seen: 0 for none, else the number that [`Check`] gave it.
    seen: u32,
}

impl Index {
    /// Reads the JSON of an index.
    pub fn parse(json: &[u8]) -> Result<Self, FormatError> {
        if json.len() as u64 > MAX_INDEX {
            return Err(IndexError::TooMany { what: "bytes", limit: 100_000_000 }.into());
        }
        let mut builder =
            Builder { index: Self::default(), places: BTreeMap::new(), failed: None, map: false };
        let mut reader = serde_json::Deserializer::from_slice(json);
        let parsed = Top(&mut builder).deserialize(&mut reader).and_then(|()| reader.end());
        match (builder.failed, parsed) {
            (Some(error), _) => Err(error.into()),
            (None, Err(error)) => Err(IndexError::Json { reason: short(&error.to_string()) }.into()),
            (None, Ok(())) => Ok(builder.index),
        }
    }

    /// The files that it names, in its order.
    pub fn shards(&self) -> &[String] {
        &self.shards
    }

    /// How many tensors it names.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it names none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// Compares an index with its shards, one after the other and in any order.
#[derive(Debug)]
pub struct Check {
    index: Index,
    hasher: RandomState,
    /// Shards of the index that were given.
    given: Vec<bool>,
    next: u32,
    bytes: u64,
    problems: Vec<IndexError>,
}

impl Check {
    /// Begins a comparison. An index that has a name twice, or names what cannot be a file beside it, is refused.
    pub fn new(mut index: Index) -> Result<Self, FormatError> {
        for file in &index.shards {
            if !is_plain(file) {
                return Err(IndexError::Path { file: Quoted::new(file) }.into());
            }
        }
        let hasher = RandomState::new();
        let Index { names, entries, .. } = &mut index;
        for entry in entries.iter_mut() {
            entry.hash = hasher.hash_one(name_at(names, entry));
        }
        entries.sort_unstable_by(|a, b| {
            a.hash.cmp(&b.hash).then_with(|| name_at(names, a).cmp(name_at(names, b)))
        });
        let twice = entries.windows(2).find(|pair| name_at(names, &pair[0]) == name_at(names, &pair[1]));
        if let Some([first, _]) = twice {
            return Err(IndexError::Duplicate { name: Quoted::new(name_at(names, first)) }.into());
        }
        let given = vec![false; index.shards.len()];
        Ok(Self { index, hasher, given, next: 1, bytes: 0, problems: Vec::new() })
    }

    /// The files that the index names.
    pub fn shards(&self) -> &[String] {
        self.index.shards()
    }

    /// Takes a shard, by the name of its file.
    pub fn shard(&mut self, file: &str, tensors: &TensorMap) {
        let Some(shard) = self.index.shards.iter().position(|known| known == file) else { return };
        self.given[shard] = true;
        self.bytes = self.bytes.saturating_add(tensors.bytes());
        let this = self.next;
        let mut wrong = Tally::default();
        let mut unknown = Tally::default();
        let mut twice = Tally::default();
        for tensor in tensors.iter() {
            let name = tensor.name();
            match self.find(name) {
                None => unknown.add(name),
                Some(entry) => {
                    if entry.seen != 0 {
                        twice.add(name);
                    } else if entry.shard as usize != shard {
                        wrong.add(name);
                    }
                    entry.seen = this;
                }
            }
        }
        self.next = self.next.saturating_add(1);
        let file = || Quoted::new(file);
        self.problems.extend(wrong.told(|count, first| IndexError::WrongShard {
            file: file(),
            count,
            first,
        }));
        self.problems.extend(unknown.told(|count, first| IndexError::NotIndexed {
            file: file(),
            count,
            first,
        }));
        self.problems.extend(twice.told(|count, first| IndexError::InTwoShards {
            file: file(),
            count,
            first,
        }));
    }

    fn find(&mut self, name: &str) -> Option<&mut Entry> {
        let hash = self.hasher.hash_one(name);
        let Index { names, entries, .. } = &mut self.index;
        let at = entries
            .binary_search_by(|entry| entry.hash.cmp(&hash).then_with(|| name_at(names, entry).cmp(name)));
        at.ok().and_then(|at| entries.get_mut(at))
    }

    /// Ends the comparison. `broken` says whether a file is there, though it could not be given: it has its own problem.
    /// `others` are the other safetensors files of the folder.
    pub fn finish<'a>(
        mut self,
        broken: impl Fn(&str) -> bool,
        others: impl IntoIterator<Item = &'a str>,
    ) -> Vec<FormatError> {
        let mut missing = vec![Tally::default(); self.index.shards.len()];
        for entry in self.index.entries.iter().filter(|entry| entry.seen == 0) {
            if let Some(tally) = missing.get_mut(entry.shard as usize) {
                tally.add(name_at(&self.index.names, entry));
            }
        }
        let mut whole = true;
        for ((file, given), tally) in self.index.shards.iter().zip(&self.given).zip(missing) {
            let quoted = || Quoted::new(file);
            if *given {
                let told =
                    tally.told(|count, first| IndexError::MissingTensors { file: quoted(), count, first });
                self.problems.extend(told);
            } else {
                whole = false;
                if !broken(file) {
                    self.problems.push(IndexError::MissingShard { file: quoted() });
                }
            }
        }
        for file in others {
            if !self.index.shards.iter().any(|known| known == file) {
                self.problems.push(IndexError::Orphan { file: Quoted::new(file) });
            }
        }
        if let Some(expected) = self.index.total_size.filter(|&size| whole && size != self.bytes) {
            self.problems.push(IndexError::TotalSize { expected, found: self.bytes });
        }
        self.problems.into_iter().map(FormatError::from).collect()
    }
}

/// Counts names and keeps the first in alphabetical order.
#[derive(Debug, Clone, Default)]
struct Tally {
    count: u64,
    first: Option<String>,
}

impl Tally {
    fn add(&mut self, name: &str) {
        self.count += 1;
        if self.first.as_deref().is_none_or(|first| name < first) {
            self.first = Some(name.to_owned());
        }
    }

    fn told(self, error: impl FnOnce(u64, Quoted) -> IndexError) -> Option<IndexError> {
        let first = self.first?;
        Some(error(self.count, Quoted::new(&first)))
    }
}

fn name_at<'a>(names: &'a str, entry: &Entry) -> &'a str {
    let start = entry.name as usize;
    names.get(start..start + entry.name_len as usize).unwrap_or_default()
}

/// Whether a text is the name of a file, and no path.
fn is_plain(file: &str) -> bool {
    sovai_core::RelPath::new(file).is_ok_and(|path| path.parts().count() == 1)
}

struct Builder {
    index: Index,
    /// Place of each file in the list.
    places: BTreeMap<String, u32>,
    failed: Option<IndexError>,
    /// Whether the map was there already.
    map: bool,
}

impl Builder {
    fn fail<E: serde::de::Error>(&mut self, error: IndexError) -> E {
        self.failed.get_or_insert(error);
        E::custom("refused")
    }
}

/// The whole index. Other members than those that are compared are passed over.
struct Top<'a>(&'a mut Builder);

impl<'de> DeserializeSeed<'de> for Top<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Top<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an index with `weight_map`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        #[derive(serde::Deserialize)]
        struct Metadata {
            #[serde(default)]
            total_size: Option<serde_json::Number>,
        }
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "weight_map" => {
                    if std::mem::replace(&mut self.0.map, true) {
                        return Err(self.0.fail(IndexError::Duplicate { name: "weight_map".into() }));
                    }
                    map.next_value_seed(WeightMap(self.0))?;
                }
                "metadata" => {
                    let size = map.next_value::<Option<Metadata>>()?.and_then(|metadata| metadata.total_size);
                    // Some tools write it with a point.
                    self.0.index.total_size = size.and_then(|size| {
                        size.as_u64().or_else(|| size.to_string().strip_suffix(".0")?.parse().ok())
                    });
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        if self.0.map { Ok(()) } else { Err(A::Error::missing_field("weight_map")) }
    }
}

/// The map from tensors to files.
struct WeightMap<'a>(&'a mut Builder);

impl<'de> DeserializeSeed<'de> for WeightMap<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for WeightMap<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`weight_map` as a map from tensors to files")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Builder { index, places, .. } = self.0;
        while let Some((name, file)) = map.next_entry::<String, String>()? {
            if index.entries.len() == MAX_TENSORS {
                return Err(self.0.fail(IndexError::TooMany { what: "tensors", limit: MAX_TENSORS }));
            }
            let place = match places.get(&file) {
                Some(place) => *place,
                None if places.len() == MAX_SHARDS => {
                    return Err(self.0.fail(IndexError::TooMany { what: "files", limit: MAX_SHARDS }));
                }
                None => {
                    let place = u32::try_from(index.shards.len()).unwrap_or(u32::MAX);
                    index.shards.push(file.clone());
                    places.insert(file, place);
                    place
                }
            };
            // The bound on the whole index is far below 4 GiB.
            let at = u32::try_from(index.names.len()).unwrap_or(u32::MAX);
            let name_len = u32::try_from(name.len()).unwrap_or(u32::MAX);
            index.names.push_str(&name);
            index.entries.push(Entry { hash: 0, name: at, name_len, shard: place, seen: 0 });
        }
        Ok(())
    }
}

/// Which part of how many the name of a file says: `model-00003-of-00046.safetensors` is 3 of 46. Gives what stands
/// before the number, the number, the count, and what stands after.
pub fn numbered(name: &str) -> Option<(&str, u64, u64, &str)> {
    let (before, after) = name.rsplit_once("-of-")?;
    let (stem, number) = before.rsplit_once('-')?;
    let digits = after.bytes().take_while(u8::is_ascii_digit).count();
    let (count, end) = after.split_at(digits);
    let parse = |text: &str| (text.len() >= 2 && text.len() <= 9).then(|| text.parse::<u64>().ok()).flatten();
    let (number, count) = (parse(number)?, parse(count)?);
    (number >= 1 && number <= count).then_some((stem, number, count, end))
}

/// Parts that are missing of the numbered sets of a folder, by the names of its files.
pub fn missing_parts<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<FormatError> {
    let mut sets = BTreeMap::<_, Vec<(u64, &str)>>::new();
    for name in names {
        if let Some((stem, number, count, end)) = numbered(name) {
            sets.entry((stem, count, end)).or_default().push((number, name));
        }
    }
    let mut problems = Vec::new();
    for ((stem, count, end), mut parts) in sets {
        parts.sort_unstable();
        parts.dedup_by_key(|part| part.0);
        let missing = count.saturating_sub(parts.len() as u64);
        if missing == 0 {
            continue;
        }
        let first = (1..=count).zip(parts.iter().map(|part| part.0)).find(|(a, b)| a != b).map(|(a, _)| a);
        let first = first.unwrap_or(parts.len() as u64 + 1);
        // As wide as its siblings write it.
        let width = parts.first().map_or(5, |(_, name)| {
            name.get(stem.len() + 1..).map_or(5, |rest| rest.bytes().take_while(u8::is_ascii_digit).count())
        });
        let total = format!("{count:0width$}");
        let first = Quoted::new(&format!("{stem}-{first:0width$}-of-{total}{end}"));
        problems.push(IndexError::MissingParts { missing, count, first }.into());
    }
    problems
}
