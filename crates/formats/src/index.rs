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
    /// Place of its file. There are at most [`MAX_SHARDS`].
    shard: u16,
    /// Of the other files that it was seen in, the one that the index names first.
    stray: u16,
    seen: Seen,
}

/// Where a tensor was seen so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Nowhere,
    /// In the file that the index names.
    AtHome,
    /// In one other file.
    Astray,
    /// In two files or more.
    Twice,
}

impl Entry {
    /// Sees it in a file, so that the order of the files does not matter.
    fn see(&mut self, shard: u16) {
        let first = matches!(self.seen, Seen::Nowhere | Seen::AtHome);
        if shard != self.shard {
            self.stray = if first { shard } else { self.stray.min(shard) };
        }
        self.seen = match self.seen {
            Seen::Nowhere if shard == self.shard => Seen::AtHome,
            Seen::Nowhere => Seen::Astray,
            _ => Seen::Twice,
        };
    }
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
    /// Of each shard, the tensors that the index does not name.
    unknown: Vec<Tally>,
    bytes: u64,
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
        let unknown = vec![Tally::default(); index.shards.len()];
        Ok(Self { index, hasher, given, unknown, bytes: 0 })
    }

    /// The files that the index names.
    pub fn shards(&self) -> &[String] {
        self.index.shards()
    }

    /// Takes a shard, by the name of its file. A file that was given before, or is not of the index, is passed over.
    pub fn shard(&mut self, file: &str, tensors: &TensorMap) {
        let Some(place) = self.index.shards.iter().position(|known| known == file) else { return };
        let Ok(shard) = u16::try_from(place) else { return };
        if std::mem::replace(&mut self.given[place], true) {
            return;
        }
        self.bytes = self.bytes.saturating_add(tensors.bytes());
        let mut unknown = Tally::default();
        for tensor in tensors.iter() {
            let name = tensor.name();
            match self.find(name) {
                None => unknown.add(name),
                Some(entry) => entry.see(shard),
            }
        }
        self.unknown[place] = unknown;
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
        self,
        broken: impl Fn(&str) -> bool,
        others: impl IntoIterator<Item = &'a str>,
    ) -> Vec<FormatError> {
        let none = || vec![Tally::default(); self.index.shards.len()];
        let (mut missing, mut wrong, mut twice) = (none(), none(), none());
        for entry in &self.index.entries {
            let (tallies, shard) = match entry.seen {
                Seen::AtHome => continue,
                Seen::Nowhere => (&mut missing, entry.shard),
                Seen::Astray => (&mut wrong, entry.stray),
                Seen::Twice => (&mut twice, entry.stray),
            };
            if let Some(tally) = tallies.get_mut(usize::from(shard)) {
                tally.add(name_at(&self.index.names, entry));
            }
        }
        let mut problems = Vec::new();
        let mut whole = true;
        let tallies = missing.into_iter().zip(wrong).zip(self.unknown).zip(twice);
        for ((file, given), (((missing, wrong), unknown), twice)) in
            self.index.shards.iter().zip(&self.given).zip(tallies)
        {
            let file = || Quoted::new(file);
            problems.extend(wrong.told(|count, first| IndexError::WrongShard { file: file(), count, first }));
            problems.extend(unknown.told(|count, first| IndexError::NotIndexed {
                file: file(),
                count,
                first,
            }));
            problems.extend(twice.told(|count, first| IndexError::InTwoShards {
                file: file(),
                count,
                first,
            }));
            if *given {
                let told =
                    missing.told(|count, first| IndexError::MissingTensors { file: file(), count, first });
                problems.extend(told);
            } else {
                whole = false;
            }
        }
        for (file, _) in self.index.shards.iter().zip(&self.given).filter(|(_, given)| !**given) {
            if !broken(file) {
                problems.push(IndexError::MissingShard { file: Quoted::new(file) });
            }
        }
        for file in others {
            if !self.index.shards.iter().any(|known| known == file) {
                problems.push(IndexError::Orphan { file: Quoted::new(file) });
            }
        }
        if let Some(expected) = self.index.total_size.filter(|&size| whole && size != self.bytes) {
            problems.push(IndexError::TotalSize { expected, found: self.bytes });
        }
        problems.into_iter().map(FormatError::from).collect()
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
    places: BTreeMap<String, u16>,
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
                    let place = u16::try_from(index.shards.len()).unwrap_or(u16::MAX);
                    index.shards.push(file.clone());
                    places.insert(file, place);
                    place
                }
            };
            // The bound on the whole index is far below 4 GiB.
            let at = u32::try_from(index.names.len()).unwrap_or(u32::MAX);
            let name_len = u32::try_from(name.len()).unwrap_or(u32::MAX);
            index.names.push_str(&name);
            index.entries.push(Entry {
                hash: 0,
                name: at,
                name_len,
                shard: place,
                stray: 0,
                seen: Seen::Nowhere,
            });
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
