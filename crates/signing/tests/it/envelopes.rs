use crate::support::key;
use sovai_signing::dsse::{Envelope, EnvelopeError, pae};
use sovai_signing::statement::{PAYLOAD_TYPE, Statement, StatementError, Subject};
use sovai_signing::{Algorithm, PrivateKey};
use std::collections::BTreeMap;

#[test]
fn the_signed_encoding_is_that_of_the_dsse_specification() {
    let encoded = pae("http://example.com/HelloWorld", b"hello world");
    assert_eq!(encoded, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    assert_eq!(pae("é", b""), "DSSEv1 2 é 0 ".as_bytes());
}

#[test]
fn one_key_counts_once() {
    let second = PrivateKey::generate(Algorithm::Ed25519).unwrap();
    let stranger = PrivateKey::generate(Algorithm::P384).unwrap();
    let envelope = Envelope::sign("text/plain", b"x".to_vec(), &[key(), &second, key(), &second]);
    let read = Envelope::parse(envelope.to_json().as_bytes()).unwrap();
    assert_eq!(read, envelope);
    let [first, other, third] = [key(), &second, &stranger].map(|key| key.public().clone());
    let signers = read.verified_by(&[first.clone(), first.clone(), other.clone(), third.clone()]);
    assert_eq!(signers, [first.id(), other.id()].into());
    assert!(read.verified_by(&[third]).is_empty());
    // What a signature calls its key does not matter.
    let mut renamed = read.clone();
    for signature in &mut renamed.signatures {
        signature.keyid = Some(second.public().id().to_string());
    }
    assert_eq!(renamed.verified_by(&[first.clone(), other]).len(), 2);
    // Type and payload are signed.
    for change in [|e: &mut Envelope| e.payload_type.push('x'), |e: &mut Envelope| e.payload.push(b'x')] {
        let mut changed = read.clone();
        change(&mut changed);
        assert!(changed.verified_by(std::slice::from_ref(&first)).is_empty());
    }
    assert!(read.payload_of(PAYLOAD_TYPE).is_err());
}

#[test]
fn malformed_envelopes_are_refused() {
    let good = Envelope::sign(PAYLOAD_TYPE, b"{}".to_vec(), &[key()]).to_json();
    let refused = |from: &str, to: &str| Envelope::parse(good.replacen(from, to, 1).as_bytes()).unwrap_err();
    assert!(matches!(refused("e30=", "e30"), EnvelopeError::Base64("payload")));
    assert!(matches!(refused("e30=", "e31="), EnvelopeError::Base64("payload")));
    assert!(matches!(refused("{\"payload\"", "{\"more\":1,\"payload\""), EnvelopeError::Json(_)));
    assert!(matches!(refused("{\"payload\"", "{\"payload\":\"e30=\",\"payload\""), EnvelopeError::Json(_)));
    assert!(matches!(refused("\"keyid\"", "\"keyID\""), EnvelopeError::Json(_)));
    let none = r#"{"payload":"e30=","payloadType":"x","signatures":[]}"#;
    assert_eq!(Envelope::parse(none.as_bytes()), Err(EnvelopeError::NoSignature));
    let many: Vec<&PrivateKey> = std::iter::repeat_n(key(), 65).collect();
    let many = Envelope::sign("x", Vec::new(), &many).to_json();
    assert_eq!(Envelope::parse(many.as_bytes()), Err(EnvelopeError::TooMany(65)));
}

#[test]
fn a_statement_is_written_the_same_each_time_and_read_strictly() {
    let statement = Statement {
        subject: vec![Subject {
            name: "m".to_owned(),
            digest: BTreeMap::from([("sha256".to_owned(), "00".to_owned())]),
        }],
        predicate_type: "https://example.org/x".to_owned(),
        predicate: serde_json::json!({ "b": 1, "a": [true, null] }),
    };
    let text = statement.to_json();
    assert_eq!(
        text,
        r#"{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"m","digest":{"sha256":"00"}}],"predicateType":"https://example.org/x","predicate":{"a":[true,null],"b":1}}"#
    );
    assert_eq!(Statement::parse(text.as_bytes()).unwrap(), statement);
    let refused = |from: &str, to: &str| Statement::parse(text.replacen(from, to, 1).as_bytes()).unwrap_err();
    assert!(matches!(refused("Statement/v1", "Statement/v0.1"), StatementError::Type(_)));
    assert!(matches!(refused("\"b\":1", "\"a\":1"), StatementError::Json(_)));
    let none = text.replacen(r#"[{"name":"m","digest":{"sha256":"00"}}]"#, "[]", 1);
    assert_eq!(Statement::parse(none.as_bytes()), Err(StatementError::Subjects(0)));
}
