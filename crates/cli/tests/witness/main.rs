//! Against the reference implementation of OpenSSF Model Signing: what it signs we verify, what we sign it verifies, and
//! what it wrongly accepts we refuse.
//!
//! `SOVAI_WITNESS` names the Python that has it; `scripts/witness.sh` makes one and prints its path. Without it each test
//! here says so and ends, except in CI, where that is a failure.

#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "what a test cannot do is a failed test")]

mod certificate;
mod export;
mod key;
mod verify;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The Python of the reference implementation.
#[derive(Debug)]
struct Witness {
    python: PathBuf,
}

impl Witness {
    /// `None`, and a loud word, when none was named.
    fn find() -> Option<Self> {
        if let Some(python) = std::env::var_os("SOVAI_WITNESS") {
            return Some(Self { python: python.into() });
        }
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "CI must name the witness");
        eprintln!("SKIPPED: SOVAI_WITNESS is not set; see scripts/witness.sh");
        None
    }

    /// `python -m model_signing ARGS...`
    fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Output {
        Command::new(&self.python).args(["-m", "model_signing"]).args(args).output().unwrap()
    }

    /// The same, and it must say yes.
    fn must<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) {
        let output = self.run(args);
        assert!(output.status.success(), "the witness said no: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// `openssl ARGS...` in `folder`; it must succeed.
fn openssl(folder: &Path, args: &[&str]) {
    let output = Command::new("openssl").current_dir(folder).args(args).output().unwrap();
    assert!(output.status.success(), "openssl {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}
