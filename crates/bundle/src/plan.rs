//! Which file lies where: a bundle's files are laid onto volumes of a bounded size before a byte is written.

mod place;

use crate::chunk::ChunkTable;
use crate::index::{Base, Image, Index, Item, Model, Parity, Part, Payload, Role, Tool, Volume, VolumeFile};
use crate::media::{self, VolumeSize};
use crate::volume::{VolumeId, names};
use crate::{chunk_size, parity, readme, sums};
use sovai_core::{Name, Platform, RelPath, Sha256};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Bytes that are left on each volume for signatures and decisions that come later.
const SIGNATURE_ROOM: u64 = 128 << 10;

/// What a bundle is to hold.
#[derive(Debug, Clone)]
pub struct Contents {
    /// The stack.
    pub stack: Name,
    /// Its place in the row of the stack's bundles.
    pub sequence: u64,
    /// When it is made: seconds since 1970, UTC.
    pub created: u64,
    /// What its images run on.
    pub platform: Platform,
    /// What makes it.
    pub tool: Tool,
    /// Path of the manifest among the files.
    pub manifest: RelPath,
    /// The models.
    pub models: BTreeMap<Name, Model>,
    /// The images.
    pub images: BTreeMap<String, Image>,
    /// What the other side must have.
    pub base: Option<Base>,
    /// The files, in any order.
    pub items: Vec<NewItem>,
}

/// A file that a bundle is to hold.
#[derive(Debug, Clone)]
pub struct NewItem {
    /// Where it lies when all payloads were unpacked into one folder.
    pub path: RelPath,
    /// What it is for; only blobs are split over volumes.
    pub role: Role,
    /// Its bytes.
    pub size: u64,
    /// Its SHA-256.
    pub sha256: Sha256,
    /// Where its bytes are read.
    pub origin: Origin,
    /// Which of its bytes are carried, and which the other side has, in order; together they are `size` bytes. Empty where all
    /// are carried.
    pub runs: Vec<Run>,
}

/// Where the bytes of a file are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Here they are.
    Bytes(Vec<u8>),
    /// In the store, under the file's digest.
    Blob,
}

/// A row of bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Run {
    /// Carried by this bundle.
    Carried {
        /// How many bytes.
        length: u64,
    },
    /// In a blob that the other side has.
    Based {
        /// The blob.
        base: Sha256,
        /// Where in it, in bytes.
        offset: u64,
        /// How many bytes.
        length: u64,
    },
}

/// The program that goes along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Where it is read.
    pub path: PathBuf,
    /// Its bytes.
    pub size: u64,
    /// Its SHA-256.
    pub sha256: Sha256,
}

/// What was decided before a byte is written.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What the bundle holds; its files are sorted by path.
    pub contents: Contents,
    /// The program, on the first volume and on each of parity.
    pub program: Option<Program>,
    /// How many volumes of parity there will be.
    pub parity: u16,
    /// Bytes of a chunk.
    pub chunk_size: u32,
    /// The bound of a volume, if there is one.
    pub limit: Option<VolumeSize>,
    /// The volumes of data.
    pub volumes: Vec<PlannedVolume>,
    /// What each file is made of, in the order of the files.
    pub parts: Vec<Vec<Part>>,
}

/// The payload of a volume of data.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlannedVolume {
    /// Its bytes.
    pub size: u64,
    /// Its entries, in order.
    pub entries: Vec<Entry>,
}

/// An entry of a payload: a file, or a piece of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name in the archive.
    pub name: String,
    /// Which file it is of.
    pub item: usize,
    /// Where in the file it begins, in bytes.
    pub from: u64,
    /// How many bytes it has.
    pub length: u64,
    /// Where they begin in the payload.
    pub offset: u64,
}

/// What came out of writing: the digests that the index needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Made {
    /// The payloads of data, in order.
    pub payloads: Vec<Payload>,
    /// The payloads of parity, in order.
    pub parity: Vec<Payload>,
    /// The chunks of all of them.
    pub chunks: ChunkTable,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The bundle does not fit onto volumes of this size.
    #[error("volumes of {limit} bytes are too small for this bundle; at least {minimum} bytes are needed")]
    TooSmall {
        /// The bound that was asked for, in bytes.
        limit: u64,
        /// The smallest that does, in bytes.
        minimum: u64,
    },
    /// What it is to hold does not fit together.
    #[error("no bundle can hold this: {0}")]
    Contents(String),
}

/// Lays the files onto volumes. Without a limit there is one volume.
pub fn plan(
    mut contents: Contents,
    limit: Option<VolumeSize>,
    parity: u16,
    program: Option<Program>,
) -> Result<Plan, PlanError> {
    contents.items.sort_by(|a, b| a.path.as_str().cmp(b.path.as_str()));
    let mut plan = Plan {
        contents,
        program,
        parity,
        chunk_size: chunk_size(0),
        limit,
        volumes: Vec::new(),
        parts: Vec::new(),
    };
    let bounds = plan.limit.as_ref().map(|limit| (limit.limit(), limit.file_limit()));
    let (bytes, file) = bounds.unwrap_or((u64::MAX, u64::MAX));
    if !place::onto(&mut plan, bytes, file) {
        return Err(PlanError::TooSmall { limit: bytes, minimum: place::minimum(&mut plan, bytes) });
    }
    let index = plan.index(&plan.unmade());
    // Whatever a reader would refuse is said before anything is written.
    Index::parse(index.to_json().as_bytes()).map_err(|error| PlanError::Contents(error.to_string()))?;
    Ok(plan)
}

impl Plan {
    /// Name of the bundle: `STACK-SEQUENCE`.
    pub fn name(&self) -> String {
        format!("{}-{}", self.contents.stack, self.contents.sequence)
    }

    /// All volumes, those of data first.
    pub fn ids(&self) -> impl Iterator<Item = VolumeId> {
        let data = (1..).map(VolumeId::Data).take(self.volumes.len());
        data.chain((1..=self.parity).map(VolumeId::Parity))
    }

    /// Bytes of a volume's payload.
    pub fn payload_size(&self, id: VolumeId) -> u64 {
        match id {
            VolumeId::Data(number) => {
                let at = usize::from(number).wrapping_sub(1);
                self.volumes.get(at).map_or(0, |volume| volume.size)
            }
            VolumeId::Parity(_) => parity::parity_size(self.volumes.iter().map(|volume| volume.size)),
        }
    }

    /// Bytes of the largest payload of data.
    pub fn largest_payload(&self) -> u64 {
        self.volumes.iter().map(|volume| volume.size).max().unwrap_or(0)
    }

    /// Whether the program lies on this volume.
    pub fn has_program(&self, id: VolumeId) -> bool {
        self.program.is_some() && (id.is_parity() || id == VolumeId::Data(1))
    }

    /// Bytes of each volume's folder, in order, without signatures.
    pub fn folder_sizes(&self) -> Vec<u64> {
        let common = self.common_size(&self.unmade());
        self.ids().map(|id| common + self.own_size(id) + self.payload_size(id)).collect()
    }

    /// Bytes of all volumes' folders, without signatures.
    pub fn total(&self) -> u64 {
        self.folder_sizes().iter().sum()
    }

    /// What volumes to have at hand, for people: `3 x 2TB exFAT`.
    pub fn media(&self) -> String {
        let largest = self.largest_payload();
        let count = self.volumes.len() + usize::from(self.parity);
        match &self.limit {
            Some(limit) => limit.media(count, largest),
            None if count == 1 => media::unbounded(self.total(), largest),
            None => {
                let most = self.folder_sizes().into_iter().max().unwrap_or(0);
                VolumeSize::bytes(most).media(count, largest)
            }
        }
    }

    /// The plan that a bundle was made by, as far as its index tells: enough for the README of its volumes.
    pub(crate) fn of(index: &Index) -> Self {
        let item = |item: &Item| NewItem {
            path: item.path.clone(),
            role: item.role,
            size: item.size,
            sha256: item.sha256,
            origin: Origin::Blob,
            runs: Vec::new(),
        };
        let program = index.all_volumes().find_map(|(_, volume)| volume.files.get(names::PROGRAM));
        let parity = index.parity.as_ref().map_or(0, |parity| parity.volumes.len());
        let volume = |volume: &Volume| PlannedVolume { size: volume.payload.size, entries: Vec::new() };
        Self {
            contents: Contents {
                stack: index.stack.clone(),
                sequence: index.sequence,
                created: index.created,
                platform: index.platform.clone(),
                tool: index.tool.clone(),
                manifest: index.manifest.clone(),
                models: index.models.clone(),
                images: index.images.clone(),
                base: index.base.clone(),
                items: index.items.iter().map(item).collect(),
            },
            program: program.map(|file| Program {
                path: PathBuf::new(),
                size: file.size,
                sha256: file.sha256,
            }),
            parity: u16::try_from(parity).unwrap_or(u16::MAX),
            chunk_size: index.chunk_size,
            limit: None,
            volumes: index.volumes.iter().map(volume).collect(),
            parts: index.items.iter().map(|item| item.parts.clone()).collect(),
        }
    }

    /// The index, once the payloads are written.
    pub fn index(&self, made: &Made) -> Index {
        let contents = &self.contents;
        let volume =
            |(id, payload): (VolumeId, &Payload)| Volume { payload: *payload, files: self.files(id) };
        let lost: Vec<Volume> = (1..).map(VolumeId::Parity).zip(&made.parity).map(volume).collect();
        let item = |(item, parts): (&NewItem, &Vec<Part>)| Item {
            path: item.path.clone(),
            role: item.role,
            size: item.size,
            sha256: item.sha256,
            parts: parts.clone(),
        };
        Index {
            stack: contents.stack.clone(),
            sequence: contents.sequence,
            created: contents.created,
            platform: contents.platform.clone(),
            tool: contents.tool.clone(),
            manifest: contents.manifest.clone(),
            models: contents.models.clone(),
            images: contents.images.clone(),
            base: contents.base.clone(),
            chunk_size: self.chunk_size,
            chunks: sums::sha256(made.chunks.to_text().as_bytes()),
            volumes: (1..).map(VolumeId::Data).zip(&made.payloads).map(volume).collect(),
            parity: (!lost.is_empty()).then(|| Parity { code: parity::CODE.to_owned(), volumes: lost }),
            items: contents.items.iter().zip(&self.parts).map(item).collect(),
        }
    }

    /// The text of the index with zeros for the digests of what is not written yet.
    pub(crate) fn planned_index(&self) -> String {
        self.index(&self.unmade()).to_json()
    }

    /// The files of a volume that the index speaks for.
    fn files(&self, id: VolumeId) -> BTreeMap<String, VolumeFile> {
        let text = readme::text(self, id);
        let readme = VolumeFile { size: text.len() as u64, sha256: sums::sha256(text.as_bytes()) };
        let program = self.program.as_ref().filter(|_| self.has_program(id));
        let program = program.map(|program| {
            (names::PROGRAM.to_owned(), VolumeFile { size: program.size, sha256: program.sha256 })
        });
        [(names::README.to_owned(), readme)].into_iter().chain(program).collect()
    }

    /// What writing will come to, with zeros for digests: the sizes are the same.
    fn unmade(&self) -> Made {
        let payload = |size| Payload { size, sha256: Sha256::from_bytes([0; 32]) };
        let mut made = Made::default();
        for id in self.ids() {
            let size = self.payload_size(id);
            let list = if id.is_parity() { &mut made.parity } else { &mut made.payloads };
            list.push(payload(size));
            let chunks = size.div_ceil(u64::from(self.chunk_size.max(1)));
            made.chunks.insert(id, vec![[0; 32]; usize::try_from(chunks).unwrap_or(usize::MAX)]);
        }
        made
    }

    /// Bytes of the index and the table of chunks, which are the same on each volume.
    fn common_size(&self, made: &Made) -> u64 {
        self.index(made).to_json().len() as u64 + made.chunks.to_text().len() as u64
    }

    /// Bytes of the README, the sums and the program of a volume.
    fn own_size(&self, id: VolumeId) -> u64 {
        let files = self.files(id);
        let listed = sums::size(self, id);
        files.values().map(|file| file.size).sum::<u64>() + listed
    }
}

/// The path of a blob among the files.
pub fn blob_path(digest: &Sha256) -> Result<RelPath, sovai_core::PathError> {
    RelPath::new(&format!("blobs/sha256/{}", digest.hex()))
}
