use super::*;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};

/// Bytes that look like weights: the same number always gives the same.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

fn file(bytes: &[u8]) -> (File, BaseBlob) {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    let digest = Sha256::from_bytes(sha2::Sha256::digest(bytes).into());
    (file, BaseBlob { digest, size: bytes.len() as u64 })
}

/// A safetensors file of these tensors, in this order.
fn model(tensors: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut entries = Vec::new();
    let mut end = 0;
    for (name, bytes) in tensors {
        let begin = end;
        end += bytes.len();
        let length = bytes.len();
        entries
            .push(format!(r#""{name}":{{"dtype":"U8","shape":[{length}],"data_offsets":[{begin},{end}]}}"#));
    }
    let header = format!("{{{}}}", entries.join(","));
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(tensors.iter().flat_map(|(_, bytes)| bytes));
    bytes
}

/// The new bytes again, from the old ones and what is carried.
fn rebuilt(segments: &[Segment], old: &[u8], new: &[u8]) -> Vec<u8> {
    let run = |bytes: &[u8], at: u64, length: u64| {
        let (at, length) = (usize::try_from(at).unwrap(), usize::try_from(length).unwrap());
        bytes[at..at + length].to_vec()
    };
    let bytes = segments.iter().flat_map(|segment| match *segment {
        Segment::Carried { from, length } => run(new, from, length),
        Segment::Based { offset, length, .. } => run(old, offset, length),
    });
    bytes.collect()
}

fn split(how: Cutting, old: &[u8], new: &[u8]) -> Vec<Segment> {
    let mut reuse = Reuse::new(how, 8 << 10);
    let (base, blob) = file(old);
    reuse.add(blob, &base).unwrap();
    let (new_file, blob) = file(new);
    let segments = reuse.split(blob, &new_file).unwrap();
    assert!(rebuilt(&segments, old, new) == new, "{how:?}");
    segments
}

#[test]
fn what_did_not_change_is_not_carried() {
    let tensors: Vec<_> = (0..40).map(|n| noise(n, 30_000)).collect();
    let named = |tensors: &[Vec<u8>]| {
        let names: Vec<String> = (0..tensors.len()).map(|n| format!("t{n:02}")).collect();
        let pairs: Vec<_> = names.iter().map(String::as_str).zip(tensors.iter().cloned()).collect();
        model(&pairs)
    };
    let old = named(&tensors);
    let mut changed = tensors.clone();
    // Two of forty, and the header gets longer, so that everything moves.
    changed[7] = noise(1007, 30_000);
    changed[30] = noise(1030, 31_000);
    let new = named(&changed);
    for how in [Cutting::Tensors, Cutting::Content, Cutting::Both] {
        let segments = split(how, &old, &new);
        let share = carried(&segments) * 1000 / new.len() as u64;
        let most = if how == Cutting::Content { 90 } else { 54 };
        assert!(share < most, "{how:?}: {share} of 1000");
    }
    // A few bytes of one tensor: only content tells.
    let mut touched = tensors;
    touched[3][10_000] ^= 1;
    let new = named(&touched);
    let shares = [Cutting::Tensors, Cutting::Both].map(|how| carried(&split(how, &old, &new)));
    assert!(shares[0] >= 30_000 && shares[1] < 25_000, "{shares:?}");
}

#[test]
fn the_same_file_is_one_run_and_another_one_is_carried() {
    let old = noise(1, 300_000);
    for how in [Cutting::Tensors, Cutting::Content, Cutting::Both] {
        let segments = split(how, &old, &old);
        assert!(matches!(segments[..], [Segment::Based { offset: 0, length: 300_000, .. }]), "{segments:?}");
        let segments = split(how, &old, &noise(2, 100_000));
        assert!(matches!(segments[..], [Segment::Carried { from: 0, length: 100_000 }]), "{segments:?}");
        assert_eq!(split(how, &old, b""), []);
    }
}

#[test]
fn files_that_are_not_what_they_are_called_are_found() {
    let (mut old, blob) = file(&noise(1, 100_000));
    let mut reuse = Reuse::new(Cutting::Both, 8 << 10);
    reuse.add(blob, &old).unwrap();
    let mut byte = [0];
    old.seek(SeekFrom::Start(5)).unwrap();
    old.read_exact(&mut byte).unwrap();
    old.seek(SeekFrom::Start(5)).unwrap();
    old.write_all(&[byte[0] ^ 1]).unwrap();
    assert!(matches!(reuse.split(blob, &old), Err(DeltaError::Changed { .. })));
    let longer = BaseBlob { size: blob.size + 1, ..blob };
    assert!(matches!(reuse.add(longer, &old), Err(DeltaError::Read { .. })));
}

#[test]
fn there_are_never_too_many_segments() {
    let segments: Vec<_> = (0..20_000_u64)
        .map(|n| {
            if n % 2 == 0 {
                Segment::Carried { from: n * 5000, length: 5000 }
            } else {
                Segment::Based { base: Sha256::from_bytes([1; 32]), offset: n, length: 5000 + n }
            }
        })
        .collect();
    let total = |segments: &[Segment]| -> u64 {
        segments
            .iter()
            .map(|segment| match segment {
                Segment::Carried { length, .. } | Segment::Based { length, .. } => *length,
            })
            .sum()
    };
    let bytes = total(&segments);
    let fewer = simplify(segments);
    assert!(fewer.len() <= MAX_SEGMENTS + 1 && fewer.len() > MAX_SEGMENTS / 2, "{}", fewer.len());
    assert_eq!(total(&fewer), bytes);
}
