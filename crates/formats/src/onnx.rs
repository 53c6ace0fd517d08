//! ONNX models that take weights from other files.

/// Most locations that are listed.
const MAX_LOCATIONS: usize = 1000;
/// Longest location in bytes.
const MAX_LOCATION: usize = 1024;

/// The files that the bytes of an ONNX model name as the places of its weights, raw, each once.
///
/// Looks for the entry itself (`StringStringEntryProto` with the key `location`, onnx.proto 1.17) and not for the whole
/// message: a model that hides it from a parser of ours would hide it from no reader that finds it.
pub fn external_data(bytes: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\x0a\x08location\x12";
    let mut found: Vec<String> = Vec::new();
    let mut rest = bytes;
    while let Some(at) = position(rest, KEY) {
        rest = rest.get(at + KEY.len()..).unwrap_or_default();
        let mut length = 0usize;
        let mut used = 0;
        for (index, byte) in rest.iter().take(3).enumerate() {
            length |= usize::from(byte & 0x7f) << (7 * index);
            used = index + 1;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let text = rest.get(used..).map(|rest| rest.get(..length.min(MAX_LOCATION)).unwrap_or(rest));
        let text = String::from_utf8_lossy(text.unwrap_or_default()).into_owned();
        if !found.contains(&text) {
            found.push(text);
        }
        if found.len() == MAX_LOCATIONS {
            break;
        }
    }
    found
}

fn position(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_location_is_found_once() {
        let entry = |path: &str| {
            [b"\x0a\x08location\x12", &[u8::try_from(path.len()).unwrap()][..], path.as_bytes()].concat()
        };
        let bytes =
            [b"\x08\x07".to_vec(), entry("w.bin"), entry("../../etc/passwd"), entry("w.bin")].concat();
        assert_eq!(external_data(&bytes), ["w.bin", "../../etc/passwd"]);
        assert_eq!(external_data(&bytes[..10]), [""; 0]);
        assert_eq!(external_data(b"\x0a\x08location\x12\xff\xff\xff"), [""]);
    }
}
