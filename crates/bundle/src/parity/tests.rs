use super::*;
use fs_err::File;
use std::io::Write as _;

/// Arithmetic of docs/bundle-format.md, slowly: 16-bit numbers in the Cantor basis of GF(2)[x] / 0x1002D.
struct Field {
    log: Vec<u32>,
    exp: Vec<u16>,
}

const BASIS: [u16; 16] = [
    0x0001, 0xACCA, 0x3C0E, 0x163E, 0xC582, 0xED2E, 0x914C, 0x4012, 0x6C98, 0x10D8, 0x6A72, 0xB900, 0xFDB8,
    0xFB34, 0xFF38, 0x991E,
];

impl Field {
    fn new() -> Self {
        let mut powers = vec![0_u32; 65536];
        let mut state = 1_u32;
        for power in 0..65535 {
            powers[state as usize] = power;
            state <<= 1;
            if state >> 16 != 0 {
                state ^= 0x1002D;
            }
        }
        let element = |number: usize| {
            (0..16).filter(|bit| number >> bit & 1 == 1).fold(0_u16, |sum, bit| sum ^ BASIS[bit])
        };
        let mut log = vec![0; 65536];
        let mut exp = vec![0; 65535];
        for number in 1..65536 {
            log[number] = powers[usize::from(element(number))];
            exp[log[number] as usize] = u16::try_from(number).unwrap();
        }
        Self { log, exp }
    }

    fn multiply(&self, a: u16, b: u16) -> u16 {
        if a == 0 || b == 0 {
            return 0;
        }
        self.exp[((self.log[usize::from(a)] + self.log[usize::from(b)]) % 65535) as usize]
    }

    fn divide(&self, a: u16, b: u16) -> u16 {
        if a == 0 {
            return 0;
        }
        self.exp[((self.log[usize::from(a)] + 65535 - self.log[usize::from(b)]) % 65535) as usize]
    }

    /// The factor of payload of data `data` in payload of parity `parity`, both from 0.
    fn factor(&self, volumes: usize, count: usize, data: usize, parity: usize) -> u16 {
        let (data_power, parity_power) = (volumes.next_power_of_two(), count.next_power_of_two());
        let high = data_power > parity_power || (data_power == parity_power && volumes <= count);
        let number = |number: usize| u16::try_from(number).unwrap();
        let (over, under) = if high {
            ((parity_power + data) >> parity_power.ilog2(), parity ^ (parity_power + data))
        } else {
            ((data_power + parity) >> data_power.ilog2(), (data_power + parity) ^ data)
        };
        self.divide(number(over), number(under))
    }

    /// A payload of parity, of whole blocks.
    fn parity(&self, payloads: &[Vec<u8>], count: usize, parity: usize) -> Vec<u8> {
        let width = usize::try_from(parity_size(payloads.iter().map(|one| one.len() as u64))).unwrap();
        let mut out = vec![0; width];
        for (data, payload) in payloads.iter().enumerate() {
            let factor = self.factor(payloads.len(), count, data, parity);
            let byte = |at: usize| payload.get(at).copied().unwrap_or(0);
            for block in (0..width).step_by(64) {
                for low in block..block + 32 {
                    let product = self.multiply(factor, u16::from_le_bytes([byte(low), byte(low + 32)]));
                    let [a, b] = product.to_le_bytes();
                    out[low] ^= a;
                    out[low + 32] ^= b;
                }
            }
        }
        out
    }
}

/// Numbers that look random and are the same each time (splitmix64).
struct Seeded(u64);

impl Seeded {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next().to_le_bytes()[0]).collect()
    }
}

struct Case {
    dir: tempfile::TempDir,
    payloads: Vec<Vec<u8>>,
    data: Vec<File>,
    parity: Vec<Vec<u8>>,
    encoded: Vec<Encoded>,
}

fn file(dir: &tempfile::TempDir, name: &str, bytes: &[u8]) -> File {
    let path = dir.path().join(name);
    let mut file =
        fs_err::OpenOptions::new().create(true).truncate(true).read(true).write(true).open(path).unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn run(threads: usize, cancel: &Cancel) -> Run<'_> {
    Run { threads: NonZeroUsize::new(threads).unwrap(), cancel, progress: &|_| {} }
}

const CHUNK: u32 = 4096;

fn case(sizes: &[usize], count: usize, threads: usize, seed: u64) -> Case {
    let mut seeded = Seeded(seed);
    encoded(sizes.iter().map(|size| seeded.bytes(*size)).collect(), count, threads)
}

fn encoded(payloads: Vec<Vec<u8>>, count: usize, threads: usize) -> Case {
    let dir = tempfile::tempdir().unwrap();
    let data: Vec<_> =
        payloads.iter().enumerate().map(|(at, bytes)| file(&dir, &format!("v{at}"), bytes)).collect();
    let out: Vec<_> = (0..count).map(|at| file(&dir, &format!("p{at}"), b"")).collect();
    let shards: Vec<_> =
        data.iter().zip(&payloads).map(|(file, bytes)| Shard { file, size: bytes.len() as u64 }).collect();
    let encoded = encode(&shards, &out, CHUNK, &run(threads, &Cancel::default())).unwrap();
    let parity = (0..count).map(|at| fs_err::read(dir.path().join(format!("p{at}"))).unwrap()).collect();
    Case { dir, payloads, data, parity, encoded }
}

#[test]
fn parity_is_what_the_formulas_of_the_format_give() {
    let field = Field::new();
    // Both forms of the code, and each edge between them.
    for (volumes, count) in
        [(1, 1), (1, 2), (1, 5), (2, 1), (2, 2), (3, 3), (3, 4), (4, 3), (5, 2), (9, 1), (5, 8), (17, 3)]
    {
        let sizes: Vec<_> = (0..volumes).map(|at| 130 - 7 * at).collect();
        let made = case(&sizes, count, 2, volumes as u64);
        for (at, bytes) in made.parity.iter().enumerate() {
            assert_eq!(*bytes, field.parity(&made.payloads, count, at), "{volumes} + {count}: {at}");
            assert_eq!(bytes.len(), 192);
        }
    }
}

/// Made by another program: tests/vectors/parity.py.
#[test]
fn parity_is_what_another_program_made_of_the_same_page() {
    #[derive(serde::Deserialize)]
    struct Vector {
        data: Vec<String>,
        parity: Vec<String>,
    }
    let unhex = |text: &String| -> Vec<u8> {
        let digits = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
        digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
    };
    let vectors: Vec<Vector> = serde_json::from_str(include_str!("../../tests/vectors/parity.json")).unwrap();
    assert!(vectors.len() >= 9);
    for vector in vectors {
        let made = encoded(vector.data.iter().map(unhex).collect(), vector.parity.len(), 2);
        assert_eq!(made.parity, vector.parity.iter().map(unhex).collect::<Vec<_>>());
    }
}

#[test]
fn one_volume_of_parity_is_the_exclusive_or() {
    let made = case(&[5000, 4999, 1], 1, 1, 7);
    for (at, byte) in made.parity[0].iter().enumerate() {
        let sum = made.payloads.iter().fold(0, |sum, payload| sum ^ payload.get(at).copied().unwrap_or(0));
        assert_eq!(*byte, sum, "{at}");
    }
}

#[test]
fn what_is_told_of_a_payload_is_what_lies_there_however_many_threads_made_it() {
    let sizes = [700_001, 300_000, 1, 699_999, 262_144];
    let one = case(&sizes, 3, 1, 3);
    let many = case(&sizes, 3, 5, 3);
    assert_eq!(one.parity, many.parity);
    assert_eq!(one.encoded, many.encoded);
    for (bytes, encoded) in many.parity.iter().zip(&many.encoded) {
        use sha2::Digest as _;
        assert_eq!(encoded.payload.size, bytes.len() as u64);
        let sha256: [u8; 32] = sha2::Sha256::digest(bytes).into();
        assert_eq!(*encoded.payload.sha256.as_bytes(), sha256);
        let chunks: Vec<_> =
            bytes.chunks(CHUNK as usize).map(|chunk| *blake3::hash(chunk).as_bytes()).collect();
        assert_eq!(encoded.chunks, chunks);
    }
}

/// Rebuilds what is not in `good` and compares it with what it was.
fn restore(made: &Case, bad: &[Rebuilt], column: Range<u64>) -> Result<(), ParityError> {
    let sizes: Vec<_> = made.payloads.iter().map(|payload| payload.len() as u64).collect();
    let parity: Vec<_> = (0..made.parity.len())
        .map(|at| File::open(made.dir.path().join(format!("p{at}"))).unwrap())
        .collect();
    let data =
        made.data.iter().enumerate().map(|(at, file)| (!bad.contains(&Rebuilt::Data(at))).then_some(file));
    let shards =
        parity.iter().enumerate().map(|(at, file)| (!bad.contains(&Rebuilt::Parity(at))).then_some(file));
    let column = Column { sizes: &sizes, range: column, data: data.collect(), parity: shards.collect() };
    let mut seen = std::collections::BTreeMap::<String, Vec<u8>>::new();
    rebuild(&column, &run(1, &Cancel::default()), &mut |which, offset, bytes| {
        let so_far = seen.entry(format!("{which:?}")).or_default();
        assert_eq!(column.range.start + so_far.len() as u64, offset);
        so_far.extend_from_slice(bytes);
        Ok(())
    })?;
    for which in bad {
        let whole = match which {
            Rebuilt::Data(at) => &made.payloads[*at],
            Rebuilt::Parity(at) => &made.parity[*at],
        };
        let from = usize::try_from(column.range.start).unwrap().min(whole.len());
        let to = usize::try_from(column.range.end).unwrap().min(whole.len());
        let found = seen.remove(&format!("{which:?}")).unwrap_or_default();
        assert!(found == whole[from..to], "{which:?} of {:?}", column.range);
    }
    assert!(seen.is_empty(), "nothing else is computed");
    Ok(())
}

use std::ops::Range;

#[test]
fn any_as_many_lost_shards_as_there_is_parity_come_back_and_one_more_does_not() {
    let mut seeded = Seeded(11);
    for count in 1..=4_usize {
        for volumes in [1_usize, 2, 3, 4, 5, 9] {
            let sizes: Vec<_> = (0..volumes).map(|_| 1 + seeded.below(20_000)).collect();
            let made = case(&sizes, count, 2, seeded.next());
            let mut all: Vec<_> =
                (0..volumes).map(Rebuilt::Data).chain((0..count).map(Rebuilt::Parity)).collect();
            for _ in 0..6 {
                for at in 0..all.len() {
                    let other = seeded.below(all.len());
                    all.swap(at, other);
                }
                let start = (seeded.below(5) as u64) * u64::from(CHUNK);
                restore(&made, &all[..count], start..start + u64::from(CHUNK)).unwrap();
                restore(&made, &all[..count], 0..u64::MAX / 2).unwrap();
                if volumes > 1 {
                    let error = restore(&made, &all[..=count], 0..64).unwrap_err();
                    assert!(matches!(error, ParityError::TooMany { .. }), "{error}");
                }
            }
        }
    }
}

#[test]
fn slices_keep_memory_bounded_for_any_counts() {
    for (data, parity) in [(1, 1), (2, 1), (200, 2), (999, 255), (1, 255), (300, 255)] {
        let shards = encode::work_shards(data, parity);
        let slice = slice_bytes(shards, WORK, MAX_SLICE);
        assert!(slice.is_multiple_of(64));
        // The work space, the read buffer, and the results of two slices under way for each thread.
        let bytes = shards * slice + slice + 2 * parity * slice;
        assert!(bytes <= 7 << 20, "{data} + {parity}: {bytes}");
    }
}

#[test]
fn counts_that_no_bundle_has_are_refused() {
    for (data, parity) in [(0, 1), (1, 0), (1000, 1), (1, 256)] {
        assert!(check_counts(data, parity).is_err(), "{data} + {parity}");
    }
    assert!(check_counts(999, 255).is_ok());
}

#[test]
fn a_payload_that_is_shorter_than_it_was_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let short = file(&dir, "short", b"abc");
    let out = [file(&dir, "out", b"")];
    let shards = [Shard { file: &short, size: 4 }];
    let error = encode(&shards, &out, CHUNK, &run(3, &Cancel::default())).unwrap_err();
    assert!(error.to_string().contains("short"), "{error}");
}

#[test]
fn a_run_is_stopped_from_outside() {
    let cancel = Cancel::default();
    cancel.cancel();
    let dir = tempfile::tempdir().unwrap();
    let data = file(&dir, "data", &[1; 100]);
    let error =
        encode(&[Shard { file: &data, size: 100 }], &[file(&dir, "out", b"")], CHUNK, &run(2, &cancel));
    assert!(matches!(error, Err(ParityError::Cancelled)));
}
