//! DSSE envelopes and the statements in them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sovai_signing::dsse::Envelope;
use sovai_signing::passport::SignedPassport;
use sovai_signing::statement::Statement;

fuzz_target!(|bytes: &[u8]| {
    let _ = SignedPassport::parse(bytes);
    let Ok(envelope) = Envelope::parse(bytes) else { return };
    // What is written is read as the same.
    assert_eq!(Envelope::parse(envelope.to_json().as_bytes()).as_ref(), Ok(&envelope));
    if let Ok(statement) = Statement::parse(&envelope.payload) {
        assert!(Statement::parse(statement.to_json().as_bytes()).is_ok());
    }
});
