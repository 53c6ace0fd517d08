//! Model signatures, and the statements in them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sovai_signing::oms::{Bundle, Compat};
use std::sync::OnceLock;

fuzz_target!(|bytes: &[u8]| {
    static KEY: OnceLock<sovai_signing::PublicKey> = OnceLock::new();
    let key = KEY.get_or_init(|| {
        let text = include_bytes!("../../crates/signing/tests/vectors/golden.pub");
        sovai_signing::PublicKey::from_pem(text).expect("the vector's key is read")
    });
    for compat in [Compat::Strict, Compat::Compat] {
        let Ok(bundle) = Bundle::parse(bytes, compat) else { continue };
        let Ok(signed) = bundle.verify_key(key) else { continue };
        // Nobody can sign with this key any more: what holds is the vector.
        assert_eq!(signed.model_name, "m");
        assert_eq!(signed.resources.len(), 5);
    }
});
