//! safetensors: bounds, and agreement with the reference.

use proptest::prelude::*;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use sovai_formats::safetensors::{MAX_HEADER, parse, read};
use std::fmt::Write as _;
use std::io::Read;
use std::time::{Duration, Instant};

/// A tensor as both readers say it: name, type, shape, range relative to the data.
pub(crate) type Told = (String, String, Vec<u64>, u64, u64);

pub(crate) fn ours(bytes: &[u8]) -> Option<Vec<Told>> {
    let map = parse(bytes, bytes.len() as u64).ok()?.tensors;
    let header = map.header().end;
    let mut told: Vec<Told> = map
        .iter()
        .map(|tensor| {
            let range = tensor.range();
            let (start, end) = (range.start - header, range.end - header);
            (tensor.name().to_owned(), tensor.dtype().to_owned(), tensor.shape(), start, end)
        })
        .collect();
    told.sort();
    Some(told)
}

/// What the reference implementation says of the same bytes.
pub(crate) fn reference(bytes: &[u8]) -> Option<Vec<Told>> {
    let (_, metadata) = SafeTensors::read_metadata(bytes).ok()?;
    let mut told: Vec<Told> = metadata
        .tensors()
        .into_iter()
        .map(|(name, info)| {
            let shape = info.shape.iter().map(|&side| side as u64).collect();
            let (start, end) = info.data_offsets;
            (name, info.dtype.to_string(), shape, start as u64, end as u64)
        })
        .collect();
    told.sort();
    Some(told)
}

#[test]
fn what_the_reference_refuses_is_refused() {
    for (name, bytes) in crate::corpus::seeds("safetensors") {
        match (ours(&bytes), reference(&bytes)) {
            (Some(ours), reference) => assert_eq!(Some(ours), reference, "{name}"),
            (None, _) => assert!(!name.starts_with("ok"), "{name}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// What the reference writes is accepted, and understood as it understands it.
    #[test]
    fn what_the_reference_writes_is_accepted(
        shapes in prop::collection::btree_map("[a-z.\\PC]{1,12}", prop::collection::vec(0usize..5, 0..4), 0..8)
    ) {
        let data = vec![1u8; 5 * 5 * 5 * 4];
        let views: Vec<(String, TensorView<'_>)> = shapes
            .into_iter()
            .filter(|(name, _)| name != "__metadata__")
            .map(|(name, shape)| {
                let len = shape.iter().product::<usize>() * 4;
                (name, TensorView::new(Dtype::F32, shape, &data[..len]).unwrap())
            })
            .collect();
        let bytes = safetensors::serialize(views, None).unwrap();
        let told = ours(&bytes);
        prop_assert!(told.is_some());
        prop_assert_eq!(told, reference(&bytes));
    }
}

/// The largest header, of the smallest tensors: memory is bounded by the format, and time by this test. Its own bound is
/// for a build without optimisation.
#[test]
fn the_largest_header_is_read_in_bounded_time() {
    let mut header = String::with_capacity(1 << 24);
    header.push('{');
    let mut number = 0u32;
    while header.len() < 10_000_000 {
        let comma = if number == 0 { "" } else { "," };
        write!(header, r#"{comma}"{number:x}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}"#).unwrap();
        number += 1;
    }
    header.push('}');
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    let begin = Instant::now();
    let map = parse(&bytes, bytes.len() as u64).unwrap().tensors;
    assert_eq!(map.len(), number as usize);
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
}

#[test]
fn a_reader_is_asked_for_no_more_than_the_header() {
    /// Fails when it is read beyond its end.
    struct Bounded(Vec<u8>, usize);
    impl Read for Bounded {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            assert!(self.1 < self.0.len(), "read beyond the header");
            let count = buffer.len().min(self.0.len() - self.1);
            buffer[..count].copy_from_slice(&self.0[self.1..self.1 + count]);
            self.1 += count;
            Ok(count)
        }
    }
    let json = br#"{"a":{"dtype":"U8","shape":[1000000000000],"data_offsets":[0,1000000000000]}}"#;
    let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
    bytes.extend(json);
    let len = bytes.len() as u64 + 1_000_000_000_000;
    assert_eq!(read(Bounded(bytes.clone(), 0), len).unwrap().tensors.bytes(), 1_000_000_000_000);
    let error = read(Bounded(bytes, 0), len - 1).unwrap_err();
    assert_eq!(error.code(), "SOV2013");
    assert!(
        read(&(MAX_HEADER + 1).to_le_bytes()[..], u64::MAX).unwrap_err().to_string().contains("100000001")
    );
}
