//! GGUF: agreement with a second reader, what is told of a file, and a real file.

use sovai_formats::gguf::{Gguf, Value, parse};
use sovai_formats::{FormatError, TemplatePlace};
use std::io::{BufReader, Cursor, Seek, SeekFrom};
use std::path::PathBuf;
use std::time::{Duration, Instant};

pub(crate) fn ours(bytes: &[u8]) -> Result<Gguf, FormatError> {
    parse(&mut Cursor::new(bytes), bytes.len() as u64)
}

fn seed(name: &str) -> Vec<u8> {
    crate::corpus::seeds("gguf").into_iter().find(|(seed, _)| seed == name).unwrap().1
}

#[test]
fn a_header_is_told_whole() {
    let found = ours(&seed("ok-several")).unwrap();
    assert_eq!((found.version, found.big_endian, found.alignment, found.split), (3, false, 32, None));
    assert_eq!(found.architecture.as_deref(), Some("llama"));
    assert_eq!(found.templates.len(), 1);
    assert_eq!(found.templates[0].text, "{{ messages }}");
    assert_eq!((found.templates[0].place, &found.templates[0].name), (TemplatePlace::Gguf, &None));
    assert_eq!(found.metadata["tokenizer.ggml.tokens"], Value::Array { elements: 3 });
    assert_eq!(found.metadata["x.i16"], Value::Signed(-1));
    assert_eq!(found.metadata["x.u64"], Value::Unsigned(1 << 63));
    assert_eq!(found.metadata["x.f32"], Value::Float("inf".to_owned()));
    let header = found.tensors.header().end.next_multiple_of(32);
    let tensors: Vec<_> = found.tensors.iter().map(|t| (t.name(), t.dtype(), t.shape(), t.range())).collect();
    assert_eq!(
        tensors,
        [
            ("blk.0.weight", "Q4_0", vec![64, 2], header..header + 72),
            ("output.weight", "F32", vec![4], header + 96..header + 112)
        ]
    );
    assert_eq!(found.tensors.describe(header + 72..header + 96, 3), "padding");
    assert_eq!(ours(&seed("ok-named-template")).unwrap().templates[0].name.as_deref(), Some("rag"));
    assert_eq!(ours(&seed("ok-split")).unwrap().split, Some((1, 3)));
    assert!(ours(&seed("ok-big-endian")).unwrap().big_endian);
}

/// A header that is a sparse file of zeros behind large counts: no list of its texts is kept, and no time is lost.
#[test]
fn large_arrays_are_passed_over() {
    /// Zeros behind some bytes.
    struct Sparse(Cursor<Vec<u8>>, u64, u64);
    impl std::io::Read for Sparse {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.0.set_position(self.1);
            let mut count = self.0.read(buffer)?;
            if count == 0 {
                count =
                    buffer.len().min(usize::try_from(self.2.saturating_sub(self.1)).unwrap_or(usize::MAX));
                buffer[..count].fill(0);
            }
            self.1 += count as u64;
            Ok(count)
        }
    }
    impl Seek for Sparse {
        fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
            let SeekFrom::Start(to) = to else { panic!("{to:?}") };
            self.1 = to;
            Ok(to)
        }
    }
    let mut bytes = b"GGUF\x03\0\0\0".to_vec();
    bytes.extend(0u64.to_le_bytes());
    bytes.extend(1u64.to_le_bytes());
    bytes.extend(1u64.to_le_bytes());
    bytes.extend(b"a");
    bytes.extend(9u32.to_le_bytes());
    bytes.extend(8u32.to_le_bytes());
    bytes.extend(16_000_000u64.to_le_bytes());
    let len = bytes.len() as u64 + 16_000_000 * 8;
    let begin = Instant::now();
    let found = parse(&mut Sparse(Cursor::new(bytes), 0, len), len).unwrap();
    assert_eq!(found.metadata["a"], Value::Array { elements: 16_000_000 });
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
}

/// The quickstart's weights, where `scripts/weights.sh` has brought them. The numbers are those of gguf 0.19.0's
/// reader (Python).
#[test]
fn a_real_file_is_accepted() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../manifests/weights/SmolLM2-135M-Instruct.Q4_1.gguf");
    let Ok(file) = fs_err::File::open(&path) else {
        eprintln!("{} is not there: run scripts/weights.sh for this test", path.display());
        return;
    };
    let len = file.metadata().unwrap().len();
    let found = parse(&mut BufReader::new(file), len).unwrap();
    assert_eq!((found.architecture.as_deref(), found.tensors.len()), (Some("llama"), 272));
    assert_eq!(found.templates.len(), 1);
    let (first, last) = (found.tensors.get(0).unwrap(), found.tensors.get(271).unwrap());
    assert_eq!((first.name(), first.range().start), ("token_embd.weight", 1_785_664));
    assert_eq!((last.name(), last.range()), ("output_norm.weight", 98_360_128..98_362_432));
    assert_eq!(len, 98_362_432);
}
