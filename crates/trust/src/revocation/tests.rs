use super::*;
use serde_json::json;

fn source() -> serde_json::Value {
    json!({
        "number": 3,
        "issued": "2025-11-25T00:00:00Z",
        "keys": [
            { "id": format!("sha256:{}", "22".repeat(32)), "reason": "lost" },
            { "id": format!("sha256:{}", "11".repeat(32)), "reason": "stolen", "since": "2025-11-01T00:00:00Z" },
        ],
        "models": [{ "digest": format!("sha256:{}", "33".repeat(32)), "name": "m", "reason": "poisoned" }],
    })
}

fn parse(value: &serde_json::Value) -> Result<RevocationList, RevocationError> {
    RevocationList::parse_source(value.to_string().as_bytes())
}

#[test]
fn the_order_of_entries_does_not_matter() {
    let list = parse(&source()).unwrap();
    let mut other = source();
    other["keys"].as_array_mut().unwrap().reverse();
    assert_eq!(parse(&other).unwrap().to_statement().unwrap(), list.to_statement().unwrap());
    assert_eq!(list.keys[0].since, Some(1_761_955_200));
    let statement = list.to_statement().unwrap();
    assert_eq!(statement.predicate_type, "https://sovai.dev/revocations/v1");
    assert_eq!(
        statement.predicate["keys"][1],
        json!({ "id": format!("sha256:{}", "22".repeat(32)), "reason": "lost" })
    );
    assert_eq!(serde_json::from_value::<RevocationList>(statement.predicate).unwrap(), list);
}

#[test]
fn bad_sources_are_refused() {
    let with = |pointer: &str, value: serde_json::Value| {
        let mut source = source();
        *source.pointer_mut(pointer).unwrap() = value;
        parse(&source).unwrap_err().to_string()
    };
    for (pointer, value, part) in [
        ("/number", json!(0), "is 1 to"),
        ("/number", json!(u64::MAX), "no later list"),
        ("/number", json!(-1), "malformed"),
        ("/number", json!(1.5), "malformed"),
        ("/issued", json!("yesterday"), "RFC 3339"),
        ("/keys/0/id", json!("sha256:00"), "64"),
        ("/keys/0/id", json!(format!("sha256:{}", "11".repeat(32))), "twice"),
        ("/keys/0/reason", json!(""), "reason"),
        ("/models/0/reason", json!("a\nb"), "reason"),
        ("/models/0/name", json!("x".repeat(501)), "reason"),
        ("/models/0/digest", json!("md5:00"), "sha256:"),
    ] {
        let error = with(pointer, value.clone());
        assert!(error.contains(part), "{pointer} {value}: {error}");
    }
    let mut unknown = source();
    unknown["serial"] = json!(1);
    assert!(parse(&unknown).is_err());
    assert!(matches!(
        RevocationList::parse_source(b"{\"number\":1,\"number\":2}"),
        Err(RevocationError::Json(_))
    ));
    assert!(matches!(
        RevocationList::parse_envelope(&vec![b' '; MAX_LIST + 1]),
        Err(RevocationError::TooLong(_))
    ));
}
