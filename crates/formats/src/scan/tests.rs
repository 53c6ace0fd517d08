use super::*;
use crate::safetensors;
use std::fmt::Write as _;

/// A safetensors file of tensors with these names, types, shapes and bytes.
fn file(tensors: &[(&str, &str, &str, Vec<u8>)]) -> (Vec<u8>, TensorMap) {
    let mut header = String::from("{");
    let mut data = Vec::<u8>::new();
    for (name, dtype, shape, bytes) in tensors {
        let begin = data.len();
        data.extend(bytes);
        let comma = if header.len() > 1 { "," } else { "" };
        let _ = write!(
            header,
            r#"{comma}"{name}":{{"dtype":"{dtype}","shape":[{shape}],"data_offsets":[{begin},{}]}}"#,
            data.len()
        );
    }
    header.push('}');
    while header.len() % 8 != 0 {
        header.push(' ');
    }
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    let map = safetensors::parse(&bytes, bytes.len() as u64).unwrap().tensors;
    (bytes, map)
}

fn scan(bytes: &[u8], map: &TensorMap, piece: usize) -> ScanReport {
    let mut scan = Scan::new(map);
    let mut at = 0u64;
    for piece in bytes.chunks(piece) {
        scan.update(at, piece);
        at += piece.len() as u64;
    }
    scan.finish()
}

#[test]
fn odd_values_are_counted_by_tensor_whatever_the_pieces() {
    let le = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let (bytes, map) = file(&[
        ("good", "F32", "4", le(&[1.0, 0.0, -0.0, f32::MAX])),
        ("odd", "F32", "4", le(&[f32::NAN, -f32::NAN, f32::INFINITY, 1.0])),
        (
            "half",
            "F16",
            "5",
            [0x7c00u16, 0xfc00, 0x7c01, 0x7bff, 0].iter().flat_map(|x| x.to_le_bytes()).collect(),
        ),
        ("brain", "BF16", "3", [0x7f80u16, 0x7f81, 0x7f7f].iter().flat_map(|x| x.to_le_bytes()).collect()),
        ("e4m3", "F8_E4M3", "4", vec![0x7f, 0xff, 0x7e, 0]),
        ("e5m2", "F8_E5M2", "4", vec![0x7c, 0xfc, 0x7d, 0x7b]),
        ("double", "F64", "2", [f64::NAN, 1.0].iter().flat_map(|x| x.to_le_bytes()).collect()),
        ("bytes", "U8", "2", vec![0xff, 0xff]),
    ]);
    let whole = scan(&bytes, &map, bytes.len());
    let odd: Vec<_> = whole.odd.iter().map(|odd| (odd.name.as_str(), odd.nan, odd.infinite)).collect();
    assert_eq!(
        odd,
        [("odd", 2, 1), ("half", 1, 2), ("brain", 1, 1), ("e4m3", 2, 0), ("e5m2", 1, 2), ("double", 1, 0)]
    );
    assert_eq!(whole.bytes, bytes.len() as u64);
    for piece in [1, 2, 3, 7, 64] {
        assert_eq!(scan(&bytes, &map, piece), whole, "pieces of {piece}");
    }
    assert_eq!(whole.warnings(&map).len(), 10);
}

#[test]
fn runs_of_zero_pages_are_found_with_their_tensor() {
    let mut damaged = vec![7u8; 10 * 4096];
    damaged[4096..5 * 4096 + 100].fill(0);
    damaged[7 * 4096..8 * 4096].fill(0);
    let (bytes, map) = file(&[("good", "U8", "8192", vec![1; 8192]), ("bad", "U8", "40960", damaged)]);
    let whole = scan(&bytes, &map, bytes.len());
    let start = bytes.len() as u64 - 10 * 4096;
    let run = whole.longest_zeros.clone().unwrap();
    // Pages are those of the file, and the header moves the tensors.
    assert_eq!(run, (start + 4096).next_multiple_of(PAGE)..(start + 5 * 4096 + 100) / PAGE * PAGE);
    assert_eq!(
        (whole.zero_pages, whole.longest_in.clone()),
        ((run.end - run.start) / PAGE, vec!["bad".to_owned()])
    );
    assert!(whole.warnings(&map)[0].1.ends_with("in `bad`"), "{:?}", whole.warnings(&map));
    for piece in [100, 4096, 5000] {
        assert_eq!(scan(&bytes, &map, piece), whole, "pieces of {piece}");
    }
}

#[test]
fn constant_tensors_are_told_but_not_norms() {
    let ones = |count: usize| 1.0f32.to_le_bytes().repeat(count);
    let mut almost = ones(1024);
    almost[4095] = 0;
    let (bytes, map) = file(&[
        ("norm", "F32", "1024", ones(1024)),
        ("weight", "F32", "32,32", ones(1024)),
        ("almost", "F32", "32,32", almost),
    ]);
    for piece in [3, 4, 1000, bytes.len()] {
        assert_eq!(scan(&bytes, &map, piece).constant, ["weight"], "pieces of {piece}");
    }
}

#[test]
fn after_a_gap_nothing_is_judged_that_was_not_seen_whole() {
    let (bytes, map) = file(&[
        ("a", "F32", "32,32", f32::NAN.to_le_bytes().repeat(1024)),
        ("b", "F32", "32,32", f32::NAN.to_le_bytes().repeat(1024)),
    ]);
    let header = usize::try_from(map.header().end).unwrap();
    let mut scan = Scan::new(&map);
    scan.update(0, &bytes[..header + 100]);
    scan.update(header as u64 + 200, &bytes[header + 200..]);
    // Bytes that come again are passed over.
    scan.update(0, &bytes[..100]);
    let report = scan.finish();
    assert_eq!(report.odd.len(), 1);
    assert_eq!((report.odd[0].name.as_str(), report.odd[0].nan), ("b", 1024));
}
