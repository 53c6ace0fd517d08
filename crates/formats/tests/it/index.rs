//! Indexes of shards against the shards.

use sovai_formats::index::{Check, Index, missing_parts, numbered};
use sovai_formats::{TensorMap, safetensors};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// Tensors of no bytes with these names.
fn shard<'a>(names: impl Iterator<Item = &'a String>) -> TensorMap {
    let mut header = String::from("{");
    for name in names {
        let comma = if header.len() == 1 { "" } else { "," };
        write!(header, r#"{comma}"{name}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}"#).unwrap();
    }
    header.push('}');
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    safetensors::parse(&bytes, bytes.len() as u64).unwrap().tensors
}

fn check(index: &str) -> Check {
    Check::new(Index::parse(index.as_bytes()).unwrap()).unwrap()
}

#[test]
fn each_mismatch_is_told_by_its_code() {
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let codes = |first: &[&str], second: &[&str], others: &[&str]| {
        let mut check = check(r#"{"weight_map": {"a": "1", "b": "1", "c": "2"}}"#);
        check.shard("1", &shard(names(first).iter()));
        check.shard("2", &shard(names(second).iter()));
        let problems = check.finish(|_| false, others.iter().copied());
        problems.iter().map(sovai_formats::FormatError::code).collect::<Vec<_>>()
    };
    assert_eq!(codes(&["a", "b"], &["c"], &["1", "2"]), [""; 0]);
    assert_eq!(codes(&["a"], &["c"], &[]), ["SOV2105"]);
    assert_eq!(codes(&["a"], &["b", "c"], &[]), ["SOV2106"]);
    assert_eq!(codes(&["a", "b", "x"], &["c"], &[]), ["SOV2107"]);
    assert_eq!(codes(&["a", "b"], &["b", "c"], &[]), ["SOV2108"]);
    assert_eq!(codes(&["a", "b"], &["c"], &["3"]), ["SOV2109"]);
    assert_eq!(codes(&["a", "b", "c"], &[], &[]), ["SOV2106"]);
    let missing = check(r#"{"weight_map": {"a": "1", "b": "2"}}"#).finish(|file| file == "1", []);
    assert_eq!(
        missing.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["shard `2` is in the index and not in the folder"]
    );
}

#[test]
fn the_order_of_the_shards_does_not_matter() {
    let files = [("1", ["a", "c"]), ("2", ["c", "a"]), ("3", ["a", "d"])];
    let told = |order: [usize; 3]| {
        let mut check = check(r#"{"weight_map": {"a": "1", "b": "1", "c": "3", "d": "3"}}"#);
        for at in order {
            let (file, names) = files[at];
            check.shard(file, &shard(names.map(str::to_owned).iter()));
        }
        check.finish(|_| false, []).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let first = told([0, 1, 2]);
    assert!(!first.is_empty());
    for order in [[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        assert_eq!(told(order), first, "{order:?}");
    }
}

#[test]
fn many_tensors_in_many_shards_take_no_square_of_time() {
    let names: Vec<String> = (0..50_000).map(|n| format!("model.layers.{n}.weight")).collect();
    let mut index = String::from(r#"{"weight_map": {"#);
    for (n, name) in names.iter().enumerate() {
        write!(index, r#"{}"{name}": "{:05}""#, if n == 0 { "" } else { "," }, n % 200).unwrap();
    }
    index.push_str("}}");
    let begin = Instant::now();
    let mut check = check(&index);
    for file in 0..200 {
        let map = shard(names.iter().skip(file).step_by(200));
        check.shard(&format!("{file:05}"), &map);
    }
    assert_eq!(check.finish(|_| false, []), []);
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
}

#[test]
fn numbers_in_names_are_read() {
    assert_eq!(numbered("model-00003-of-00046.safetensors"), Some(("model", 3, 46, ".safetensors")));
    assert_eq!(numbered("a-b-00001-of-00002.gguf"), Some(("a-b", 1, 2, ".gguf")));
    for name in ["model.safetensors", "x-of-y", "m-00000-of-00002", "m-00003-of-00002", "one-of-two", "-of-"]
    {
        assert_eq!(numbered(name), None, "{name}");
    }
    let parts = missing_parts(["m-00001-of-00004.gguf", "m-00004-of-00004.gguf", "other"]);
    assert_eq!(parts.len(), 1);
    assert_eq!(
        parts[0].to_string(),
        "2 of 4 numbered parts are missing, the first is `m-00002-of-00004.gguf`"
    );
    let last = missing_parts(["m-00001-of-00002.gguf"]);
    assert!(last[0].to_string().ends_with("`m-00002-of-00002.gguf`"), "{}", last[0]);
    assert_eq!(missing_parts(["m-00001-of-999999999.gguf"]).len(), 1);
}
