//! Chains, revocation lists and time stamps that OpenSSL made (`tests/fixtures/make.sh`), judged at fixed times.
//!
//! A test whose name starts with `python_accepts` is of something that the Python reference implementation of model
//! signing 1.1.1 takes for good.

#![expect(clippy::unwrap_used, reason = "what a test cannot do is a failed test")]

mod chain;
mod crl;
mod hostile;
mod stamp;

use sovai_pki::{Judged, Pin, PkiError, Request, verify};

/// 2026-07-01T00:00:00Z: the leaves are valid.
const SUMMER: u64 = 1_782_864_000;

fn fixture(name: &str) -> Vec<u8> {
    fs_err::read(format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn der(name: &str) -> Vec<u8> {
    fixture(&format!("{name}.der"))
}

fn ders(names: &[&str]) -> Vec<Vec<u8>> {
    names.iter().map(|name| der(name)).collect()
}

/// A case by the names of its fixtures; each field can be changed.
struct Case {
    chain: Vec<Vec<u8>>,
    anchors: Vec<Vec<u8>>,
    intermediates: Vec<Vec<u8>>,
    pin: Pin,
    crls: Vec<Vec<u8>>,
    timestamps: Vec<Vec<u8>>,
    tsa_anchors: Vec<Vec<u8>>,
    signature: Vec<u8>,
    signed_at: Option<u64>,
    now: u64,
    waive_code_signing: bool,
}

impl Case {
    fn new(chain: &[&str], anchors: &[&str]) -> Self {
        Self {
            chain: ders(chain),
            anchors: ders(anchors),
            intermediates: Vec::new(),
            pin: Pin::waived(),
            crls: Vec::new(),
            timestamps: Vec::new(),
            tsa_anchors: Vec::new(),
            signature: fixture("signature.bin"),
            signed_at: None,
            now: SUMMER,
            waive_code_signing: false,
        }
    }

    /// The good one.
    fn good() -> Self {
        Self::new(&["leaf", "sub"], &["root"])
    }

    fn judge(&self) -> Result<Judged, PkiError> {
        verify(&Request {
            chain: &self.chain,
            anchors: &self.anchors,
            intermediates: &self.intermediates,
            pin: &self.pin,
            crls: &self.crls,
            timestamps: &self.timestamps,
            tsa_anchors: &self.tsa_anchors,
            signature: &self.signature,
            signed_at: self.signed_at,
            now: self.now,
            waive_code_signing: self.waive_code_signing,
        })
    }

    fn refused(&self) -> PkiError {
        self.judge().unwrap_err()
    }
}

/// The chain is refused, with a reason of this form.
macro_rules! assert_refused {
    ($case:expr, $pattern:pat) => {{
        let error = $case.refused();
        assert!(matches!(error, $pattern), "refused for another reason: {error:?}: {error}");
    }};
}
pub(crate) use assert_refused;
