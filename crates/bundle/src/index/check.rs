//! Whether an index contradicts itself. Everything that the readers rely on is asked here, once.

use super::{Index, Part, Role};
use crate::chunk::MAX_CHUNKS;
use crate::volume::{MAX_VOLUMES, names};
use sovai_core::PathSet;
use std::collections::BTreeSet;

/// Most bytes that are believed of any size: 8 EiB would overflow sums.
const MAX_BYTES: u64 = 1 << 60;

/// Longest path of an item in bytes: what a tar header of the oldest form holds.
const MAX_PATH: usize = 100;

impl Index {
    pub(super) fn check(&self) -> Result<(), String> {
        if !self.chunk_size.is_power_of_two() || !(4096..=Self::largest_chunk()).contains(&self.chunk_size) {
            return Err(format!("chunks of {} bytes", self.chunk_size));
        }
        let based = self.base.as_ref().map_or(&[][..], |base| &base.blobs);
        if based.windows(2).any(|pair| matches!(pair, [a, b] if a.digest >= b.digest)) {
            return Err("the blobs of the base are not sorted".to_owned());
        }
        self.check_volumes()?;
        self.check_items()?;
        self.check_contents()
    }

    fn check_volumes(&self) -> Result<(), String> {
        let parity = self.parity.as_ref().map_or(0, |parity| parity.volumes.len());
        let most = usize::from(MAX_VOLUMES);
        if self.volumes.is_empty() || self.volumes.len() > most || parity > most {
            return Err(format!("{} volumes of data and {parity} of parity", self.volumes.len()));
        }
        if self.parity.is_some() && parity == 0 {
            return Err("parity without a volume".to_owned());
        }
        let mut chunks = 0_u64;
        for (id, volume) in self.all_volumes() {
            if volume.payload.size == 0 || volume.payload.size > MAX_BYTES {
                return Err(format!("the payload of {id} has {} bytes", volume.payload.size));
            }
            chunks = chunks.saturating_add(self.chunk_count(&volume.payload));
            for name in volume.files.keys() {
                if ![names::README, names::PROGRAM].contains(&name.as_str()) {
                    return Err(format!("{id} has a file `{}`", name.escape_debug()));
                }
            }
            if volume.files.values().any(|file| file.size > MAX_BYTES) {
                return Err(format!("a file of {id} is too large"));
            }
        }
        if chunks > MAX_CHUNKS {
            return Err(format!("{chunks} chunks; a bundle has at most {MAX_CHUNKS}"));
        }
        Ok(())
    }

    fn check_items(&self) -> Result<(), String> {
        let mut paths = PathSet::default();
        let mut carried = Vec::new();
        for pair in self.items.windows(2) {
            if let [first, second] = pair
                && first.path.as_str() >= second.path.as_str()
            {
                return Err(format!("the files are not sorted at `{}`", second.path));
            }
        }
        for item in &self.items {
            paths.insert(&item.path)?;
            if item.path.as_str().len() > MAX_PATH || !item.path.as_str().is_ascii() {
                return Err(format!("`{}`: a path has at most {MAX_PATH} ASCII characters", item.path));
            }
            let is_blob = item.path.as_str() == format!("blobs/sha256/{}", item.sha256.hex());
            if is_blob != (item.role == Role::Blob) {
                return Err(format!("`{}` has the role of another file", item.path));
            }
            let mut size = 0_u64;
            for part in &item.parts {
                if part.length() == 0 {
                    return Err(format!("`{}` has a part of no bytes", item.path));
                }
                size = size.saturating_add(part.length());
                self.check_part(part).map_err(|why| format!("`{}`: {why}", item.path))?;
                if let Part::Carried { volume, offset, length } = *part {
                    carried.push((volume, offset, length));
                }
            }
            if size != item.size || size > MAX_BYTES {
                return Err(format!("`{}` has {} bytes and parts of {size}", item.path, item.size));
            }
        }
        // No byte of a payload belongs to two files: a reader may take each payload from its start to its end.
        carried.sort_unstable();
        for pair in carried.windows(2) {
            if let [(volume, offset, length), (next, start, _)] = *pair
                && volume == next
                && offset + length > start
            {
                return Err(format!("two files share bytes of volume {volume} at {start}"));
            }
        }
        Ok(())
    }

    fn check_part(&self, part: &Part) -> Result<(), String> {
        let fits = |offset: u64, length: u64, size: u64| {
            offset.checked_add(length).is_some_and(|end| end <= size && size <= MAX_BYTES)
        };
        match *part {
            Part::Carried { volume, offset, length } => {
                let known = usize::from(volume).checked_sub(1).and_then(|at| self.volumes.get(at));
                let volume_size = known.ok_or_else(|| format!("there is no volume {volume}"))?.payload.size;
                if !fits(offset, length, volume_size) {
                    return Err(format!("a part reaches beyond the end of volume {volume}"));
                }
            }
            Part::Based { base, offset, length } => {
                let blobs = self.base.as_ref().map_or(&[][..], |base| &base.blobs);
                let known = blobs.binary_search_by_key(&base, |blob| blob.digest).ok();
                let blob = known.and_then(|at| blobs.get(at));
                let size = blob.ok_or_else(|| format!("the base has no blob {base}"))?.size;
                if !fits(offset, length, size) {
                    return Err(format!("a part reaches beyond the end of {base} of the base"));
                }
            }
        }
        Ok(())
    }

    /// Whether what is said of the stack is among the files.
    fn check_contents(&self) -> Result<(), String> {
        let manifest = self.item(self.manifest.as_str());
        if manifest.is_none_or(|item| item.role != Role::Manifest) {
            return Err(format!("the manifest `{}` is not among the files", self.manifest));
        }
        let blobs: BTreeSet<_> =
            self.items.iter().filter(|item| item.role == Role::Blob).map(|item| item.sha256).collect();
        for (name, model) in &self.models {
            if !blobs.contains(&model.digest) {
                return Err(format!("model {name} ({}) is not among the files", model.digest));
            }
        }
        for (name, image) in &self.images {
            if let Some(lacking) = [Some(image.manifest), image.index]
                .into_iter()
                .flatten()
                .find(|digest| !blobs.contains(digest))
            {
                return Err(format!("image {}: {lacking} is not among the files", name.escape_debug()));
            }
        }
        Ok(())
    }
}
