//! The fuzz targets' seeds: a name that begins with `ok-` is accepted, one with `refused-` is not.

use sovai_signing::dsse::Envelope;
use sovai_signing::json::{Limits, parse};
use sovai_signing::oms::{Bundle, Compat};
use std::path::PathBuf;

type Accepts = fn(&[u8]) -> bool;

#[test]
fn seeds_are_judged_as_their_names_say() {
    let accepts: [(&str, Accepts); 3] = [
        ("oms", |bytes| Bundle::parse(bytes, Compat::Compat).is_ok()),
        ("dsse", |bytes| Envelope::parse(bytes).is_ok()),
        ("json", |bytes| parse(bytes, Limits::STATEMENT).is_ok()),
    ];
    for (target, accepts) in accepts {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
        let mut seeds = 0;
        for entry in fs_err::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            // What a run of the fuzzer adds has no name of ours; it must not panic.
            let accepted = accepts(&fs_err::read(&path).unwrap());
            if name.starts_with("ok-") || name.starts_with("refused-") {
                assert_eq!(accepted, name.starts_with("ok-"), "{target}/{name}");
                seeds += 1;
            }
        }
        assert!(seeds >= 6, "{target}: {seeds} seeds");
    }
}
