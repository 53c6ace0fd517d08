//! Small bundles for tests, made without the code that makes real ones: the two are compared by what reads them.

use sha2::Digest as _;
use sovai_bundle::tar::{entry_name, padding, tar_header};
use sovai_bundle::{
    ChunkTable, Index, Item, Model, Parity, Part, Payload, Role, Tool, Volume, VolumeFile, VolumeId,
    envelope_name, names, sign_bundle,
};
use sovai_core::{FilePin, Name, Platform, RelPath, Sha256, TrustLevel};
use sovai_signing::{Algorithm, PrivateKey};
use sovai_store::ModelArtifact;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Bytes of a chunk: small, so that a small bundle has many.
pub(crate) const CHUNK: u32 = 4096;

pub(crate) fn sha256(bytes: &[u8]) -> Sha256 {
    Sha256::from_bytes(sha2::Sha256::digest(bytes).into())
}

/// The same bytes for the same seed, on every machine (xorshift64*).
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut random = Random::new(seed);
    (0..length).map(|_| random.next().to_be_bytes()[2]).collect()
}

/// Numbers that are the same on every machine.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 11) % bound.max(1)
    }
}

/// Where in a payload.
pub(crate) type Place = fn(&[u8]) -> usize;

/// What goes into a bundle.
pub(crate) struct Builder {
    pub(crate) stack: &'static str,
    pub(crate) sequence: u64,
    /// Bytes of the payload of a volume after which the next one begins.
    pub volume_bytes: u64,
    /// Volumes of parity.
    pub(crate) parity: u16,
    /// Files, the small ones first; a blob may be cut over volumes.
    pub(crate) files: Vec<(String, Role, Vec<u8>)>,
    /// The model: digest of its manifest, which is one of the files.
    pub(crate) model: Sha256,
    /// Who signs.
    pub(crate) keys: Vec<PrivateKey>,
    /// Bytes that are written over the first payload before it is hashed, and where.
    pub(crate) hide: Option<(Place, &'static [u8])>,
    /// Whether the parity that is hashed and signed is not that of the data.
    pub(crate) forge_parity: bool,
    /// The last word on the index before it is written and signed.
    pub(crate) change: fn(&mut Index),
}

/// A bundle that was written.
pub(crate) struct Made {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) index: Index,
    pub(crate) digest: Sha256,
    pub(crate) keys: Vec<PrivateKey>,
}

impl Made {
    /// The folder that holds the volumes.
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn folder(&self, id: VolumeId) -> PathBuf {
        self.path().join(id.folder(&self.index.stack, self.index.sequence))
    }

    pub(crate) fn payload(&self, id: VolumeId) -> PathBuf {
        self.folder(id).join(id.payload(&self.index.stack, self.index.sequence))
    }

    /// All volumes, those of data first.
    pub(crate) fn ids(&self) -> Vec<VolumeId> {
        self.index.all_volumes().map(|(id, _)| id).collect()
    }
}

impl Default for Builder {
    /// Three volumes of data with a manifest and one blob that lies on all of them, one signature.
    fn default() -> Self {
        let weights = noise(1, 100_000);
        let path = RelPath::new("weights.gguf").unwrap();
        let pin = FilePin { path, size: weights.len() as u64, sha256: sha256(&weights) };
        let model = ModelArtifact::new(&[pin]);
        Self {
            stack: "demo",
            sequence: 7,
            volume_bytes: 40_000,
            parity: 0,
            files: vec![
                ("stack/demo.yaml".to_owned(), Role::Manifest, b"apiVersion: sovai/v1\n".to_vec()),
                ("docs/empty.txt".to_owned(), Role::Document, Vec::new()),
                blob(model.manifest),
                blob(model.config),
                blob(weights),
                blob(noise(2, 5_000)),
            ],
            model: model.digest,
            keys: vec![PrivateKey::generate(Algorithm::Ed25519).unwrap()],
            hide: None,
            forge_parity: false,
            change: |_| {},
        }
    }
}

/// A blob with these bytes.
pub(crate) fn blob(bytes: Vec<u8>) -> (String, Role, Vec<u8>) {
    (format!("blobs/sha256/{}", sha256(&bytes).hex()), Role::Blob, bytes)
}

impl Builder {
    pub(crate) fn with_parity(parity: u16) -> Self {
        Self { parity, ..Self::default() }
    }

    /// Writes the volumes.
    pub(crate) fn make(self) -> Made {
        let dir = tempfile::tempdir().unwrap();
        let (items, mut payloads) = self.lay_out();
        if let Some((place, bytes)) = self.hide {
            let at = place(&payloads[0]);
            payloads[0][at..at + bytes.len()].copy_from_slice(bytes);
        }
        let mut parity = encode(&payloads, self.parity);
        if self.forge_parity {
            parity[0][100] ^= 1;
        }
        let mut table = ChunkTable::default();
        let volume = |id: VolumeId, payload: &[u8], table: &mut ChunkTable| {
            let chunks =
                payload.chunks(CHUNK as usize).map(|chunk| *blake3::hash(chunk).as_bytes()).collect();
            table.insert(id, chunks);
            let file = |bytes: &[u8]| VolumeFile { size: bytes.len() as u64, sha256: sha256(bytes) };
            let mut files = BTreeMap::from([(names::README.to_owned(), file(readme(id).as_bytes()))]);
            if has_program(id) {
                files.insert(names::PROGRAM.to_owned(), file(PROGRAM));
            }
            Volume { payload: Payload { size: payload.len() as u64, sha256: sha256(payload) }, files }
        };
        let ids = |parity: bool, count: usize| {
            (1..=u16::try_from(count).unwrap())
                .map(move |number| if parity { VolumeId::Parity(number) } else { VolumeId::Data(number) })
        };
        let data: Vec<Volume> = ids(false, payloads.len())
            .zip(&payloads)
            .map(|(id, payload)| volume(id, payload, &mut table))
            .collect();
        let parity_volumes: Vec<Volume> = ids(true, parity.len())
            .zip(&parity)
            .map(|(id, payload)| volume(id, payload, &mut table))
            .collect();
        let text = table.to_text();
        let mut index = Index {
            stack: Name::new(self.stack).unwrap(),
            sequence: self.sequence,
            created: 1_700_000_000,
            platform: Platform::new("linux", "amd64", None).unwrap(),
            tool: Tool { name: "sovai".to_owned(), version: "0.1.0".to_owned() },
            manifest: RelPath::new("stack/demo.yaml").unwrap(),
            models: BTreeMap::from([(
                Name::new("assistant").unwrap(),
                Model {
                    digest: self.model,
                    bytes: 100_000,
                    source: "file:./weights.gguf".to_owned(),
                    license: Some("Apache-2.0".to_owned()),
                    trust: TrustLevel::Digest,
                },
            )]),
            images: BTreeMap::new(),
            base: None,
            chunk_size: CHUNK,
            chunks: sha256(text.as_bytes()),
            volumes: data,
            parity: (!parity_volumes.is_empty())
                .then(|| Parity { code: "reed-solomon-leopard-gf16".to_owned(), volumes: parity_volumes }),
            items,
        };
        (self.change)(&mut index);
        let json = index.to_json();
        let digest = sha256(json.as_bytes());
        let made = Made { dir, index, digest, keys: self.keys };
        let payloads = payloads.iter().chain(&parity);
        for (id, payload) in made.ids().into_iter().zip(payloads) {
            let folder = made.folder(id);
            fs_err::create_dir_all(folder.join(names::SIGNATURES)).unwrap();
            fs_err::write(made.payload(id), payload).unwrap();
            fs_err::write(folder.join(names::INDEX), &json).unwrap();
            fs_err::write(folder.join(names::CHUNKS), &text).unwrap();
            fs_err::write(folder.join(names::README), readme(id)).unwrap();
            let mut sums = String::new();
            let payload_name = id.payload(&made.index.stack, made.index.sequence);
            let mut all = vec![names::README, names::INDEX, names::CHUNKS, payload_name.as_str()];
            if has_program(id) {
                fs_err::write(folder.join(names::PROGRAM), PROGRAM).unwrap();
                all.push(names::PROGRAM);
            }
            for name in all {
                let digest = sha256(&fs_err::read(folder.join(name)).unwrap());
                writeln!(sums, "{}  {name}", digest.hex()).unwrap();
            }
            fs_err::write(folder.join(names::SUMS), sums).unwrap();
            for key in &made.keys {
                let envelope = sign_bundle(&made.index, digest, key);
                let path = folder.join(names::SIGNATURES).join(envelope_name(key.public().id()));
                fs_err::write(path, envelope.to_json()).unwrap();
            }
        }
        made
    }

    /// The payloads, and where in them the files lie.
    fn lay_out(&self) -> (Vec<Item>, Vec<Vec<u8>>) {
        let mut items = Vec::new();
        let mut payloads: Vec<Vec<u8>> = vec![Vec::new()];
        for (path, role, bytes) in &self.files {
            let mut item = Item {
                path: RelPath::new(path).unwrap(),
                role: *role,
                size: bytes.len() as u64,
                sha256: sha256(bytes),
                parts: Vec::new(),
            };
            let mut cuts = Vec::new();
            let mut rest = bytes.len() as u64;
            let mut room = self.volume_bytes.saturating_sub(payloads.last().unwrap().len() as u64 + 1536);
            while rest > 0 {
                let piece = rest.min(if *role == Role::Blob { room } else { rest });
                cuts.extend((piece > 0).then_some(piece));
                rest -= piece;
                room = self.volume_bytes - 1536;
            }
            // Lengths first: the names of the entries depend on how many parts there are.
            item.parts =
                cuts.iter().map(|length| Part::Carried { volume: 1, offset: 0, length: *length }).collect();
            if bytes.is_empty() {
                payloads.last_mut().unwrap().extend(tar_header(path, 0));
            }
            let mut from = 0;
            for (at, length) in cuts.into_iter().enumerate() {
                let last = payloads.last().unwrap().len() as u64;
                if last + 1536 + length > self.volume_bytes && last > 0 {
                    payloads.push(Vec::new());
                }
                let volume = u16::try_from(payloads.len()).unwrap();
                let payload = payloads.last_mut().unwrap();
                payload.extend(tar_header(&entry_name(&item, at + 1), length));
                item.parts[at] = Part::Carried { volume, offset: payload.len() as u64, length };
                let to = from + usize::try_from(length).unwrap();
                payload.extend(&bytes[from..to]);
                payload.resize(payload.len() + usize::try_from(padding(length)).unwrap(), 0);
                from = to;
            }
            items.push(item);
        }
        for payload in &mut payloads {
            payload.resize(payload.len() + 1024, 0);
        }
        items.sort_by(|a, b| a.path.as_str().cmp(b.path.as_str()));
        (items, payloads)
    }
}

const PROGRAM: &[u8] = b"#!/bin/sh\necho the program\n";

fn has_program(id: VolumeId) -> bool {
    id.is_parity() || id.number() == 1
}

fn readme(id: VolumeId) -> String {
    format!("This is volume {id} of a bundle.\n")
}

/// Payloads of parity: as long as the longest payload, rounded up to 64 bytes.
fn encode(payloads: &[Vec<u8>], count: u16) -> Vec<Vec<u8>> {
    if count == 0 {
        return Vec::new();
    }
    let longest = payloads.iter().map(Vec::len).max().unwrap().next_multiple_of(64);
    let padded = payloads.iter().map(|payload| {
        let mut payload = payload.clone();
        payload.resize(longest, 0);
        payload
    });
    reed_solomon_simd::encode(payloads.len(), usize::from(count), padded).unwrap()
}
