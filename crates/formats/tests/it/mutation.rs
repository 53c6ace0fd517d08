//! Seeded random damage to valid headers: no panic, no hang, and nothing damaged is accepted.
//!
//! A change may leave a header valid (a letter of a name, a blank for a blank): "never accepted" is judged by a second
//! reader. For safetensors that is the reference implementation: what is accepted here it must accept too, with the same
//! names, types, shapes and ranges. For GGUF it is the plain reader of this file, which shares no code with the crate and
//! must find the same tensors, each in the file, in order, with nothing but padding between and behind.

use crate::{gguf, safetensors};
use std::time::{Duration, Instant};

/// xorshift64*: the same damage in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let value = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(value).unwrap() % limit.max(1)
    }

    /// One to four changes to the first `header` bytes: bits, bytes, digits, numbers, cuts, insertions, copies, swaps.
    fn damage(&mut self, valid: &[u8], header: usize) -> Vec<u8> {
        let mut bytes = valid.to_vec();
        for _ in 0..=self.below(4) {
            let header = header.min(bytes.len());
            let at = self.below(header);
            match self.below(9) {
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at] = u8::try_from(self.below(256)).unwrap(),
                2 => bytes[at] = b"0123456789"[self.below(10)],
                3 => bytes.truncate(at.max(1)),
                4 => bytes.insert(at, u8::try_from(self.below(256)).unwrap()),
                5 => drop(bytes.remove(at)),
                6 => {
                    let end = (at + self.below(40)).min(header);
                    let copy = bytes[at..end].to_vec();
                    let to = self.below(header);
                    bytes.splice(to..to, copy);
                }
                7 => {
                    let end = (at + 8).min(bytes.len());
                    bytes[at..end].fill([0, 0xff, 0x7f, 0x80][self.below(4)]);
                }
                _ => {
                    let other = self.below(header);
                    bytes.swap(at, other);
                }
            }
            if bytes.is_empty() {
                bytes.push(0);
            }
        }
        bytes
    }
}

/// Damages each valid seed of a target 1,000 times in all; gives how many were accepted, and judged valid.
fn damaged(target: &str, header: impl Fn(&[u8]) -> usize, accepted: impl Fn(&[u8]) -> bool) -> usize {
    let seeds: Vec<_> =
        crate::corpus::seeds(target).into_iter().filter(|(name, _)| name.starts_with("ok")).collect();
    let mut random = Random(0x005e_ed50_5641_4921);
    let mut count = 0;
    for round in 0..1_000 {
        // The richest seed gets most of it.
        let several = seeds.iter().find(|(name, _)| name == "ok-several").unwrap();
        let (_, valid) = if round % 4 == 0 { &seeds[random.below(seeds.len())] } else { several };
        let bytes = random.damage(valid, header(valid));
        if bytes == *valid {
            continue;
        }
        let begin = Instant::now();
        count += usize::from(accepted(&bytes));
        assert!(begin.elapsed() < Duration::from_secs(1), "{target}: {:?} for {bytes:?}", begin.elapsed());
    }
    count
}

#[test]
fn damaged_safetensors_headers_are_refused() {
    let header =
        |bytes: &[u8]| 8 + usize::try_from(u64::from_le_bytes(*bytes.first_chunk().unwrap())).unwrap();
    let count = damaged("safetensors", header, |bytes| {
        let Some(ours) = safetensors::ours(bytes) else { return false };
        assert_eq!(Some(ours), safetensors::reference(bytes), "{:?}", String::from_utf8_lossy(bytes));
        true
    });
    // The judge had something to judge, and most damage is no valid file.
    assert!((1..300).contains(&count), "{count}");
}

#[test]
fn damaged_gguf_headers_are_refused() {
    let header = |bytes: &[u8]| usize::try_from(gguf::ours(bytes).unwrap().tensors.header().end).unwrap();
    let count = damaged("gguf", header, |bytes| {
        let Ok(found) = gguf::ours(bytes) else { return false };
        let ours: Vec<_> = found
            .tensors
            .iter()
            .map(|tensor| (tensor.name().to_owned(), tensor.range().start, tensor.range().end))
            .collect();
        assert_eq!(Some(ours), plain(bytes), "{bytes:?}");
        true
    });
    assert!((1..600).contains(&count), "{count}");
}

/// A value of the metadata: a number, or nothing of interest. Arrays are gone through.
fn value(
    kind: u128,
    at: &mut usize,
    number: &dyn Fn(&mut usize, usize) -> Option<u128>,
    text: &dyn Fn(&mut usize) -> Option<Vec<u8>>,
) -> Option<u128> {
    let widths = [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8];
    match kind {
        8 => text(at).map(|_| 0),
        9 => {
            let (kind, count) = (number(at, 4)?, number(at, 8)?);
            for _ in 0..count {
                value(kind, at, number, text)?;
            }
            Some(0)
        }
        kind => number(at, *widths.get(usize::try_from(kind).ok()?)?),
    }
}

/// A plain reader of GGUF headers. Block sizes are those of the types that the seeds use, and of what damage makes of
/// them: from the tables of gguf 0.19.0.
fn plain(bytes: &[u8]) -> Option<Vec<(String, u64, u64)>> {
    let big = bytes.get(4) == Some(&0);
    let mut at = 4usize;
    let number = |at: &mut usize, width: usize| {
        let mut part = bytes.get(*at..*at + width)?.to_vec();
        *at += width;
        if !big {
            part.reverse();
        }
        Some(part.into_iter().fold(0u128, |sum, byte| sum * 256 + u128::from(byte)))
    };
    let text = |at: &mut usize| {
        let len = usize::try_from(number(at, 8)?).ok()?;
        let text = bytes.get(*at..at.checked_add(len)?)?;
        *at += len;
        Some(text)
    };
    number(&mut at, 4)?;
    let (tensors, keys) = (number(&mut at, 8)?, number(&mut at, 8)?);
    let mut alignment = 32u128;
    for _ in 0..keys {
        let key = text(&mut at)?.to_vec();
        let kind = number(&mut at, 4)?;
        let found = value(kind, &mut at, &number, &|at| text(at).map(<[u8]>::to_vec))?;
        if key == b"general.alignment" {
            alignment = found;
        }
    }
    let mut told = Vec::new();
    for _ in 0..tensors {
        let name = String::from_utf8(text(&mut at)?.to_vec()).ok()?;
        let rank = number(&mut at, 4)?;
        let mut elements = 1u128;
        for _ in 0..rank {
            elements *= number(&mut at, 8)?;
        }
        let (block, size) = match number(&mut at, 4)? {
            0 | 26 => (1, 4),
            1 | 25 | 30 => (1, 2),
            2 | 20 => (32, 18),
            3 => (32, 20),
            6 => (32, 22),
            7 => (32, 24),
            8 => (32, 34),
            9 => (32, 40),
            10 => (256, 84),
            16 | 35 => (256, 66),
            18 => (256, 98),
            24 => (1, 1),
            27 | 28 => (1, 8),
            34 => (256, 54),
            other => panic!("the plain reader needs a size for type {other}"),
        };
        let offset = number(&mut at, 8)?;
        told.push((name, offset, offset + elements / block * size));
    }
    let data = (at as u128).next_multiple_of(alignment);
    told.sort_by_key(|tensor| (tensor.1, tensor.2));
    let mut end = 0u128;
    for tensor in &told {
        (tensor.1 == end.next_multiple_of(alignment)).then_some(())?;
        end = tensor.2;
    }
    let len = bytes.len() as u128;
    let least = if told.is_empty() { at as u128 } else { data + end };
    (least <= len && len <= data + end.next_multiple_of(alignment)).then_some(())?;
    let place = |at: u128| u64::try_from(data + at).unwrap();
    Some(told.into_iter().map(|(name, start, end)| (name, place(start), place(end))).collect())
}
