//! Key files that a person names.

use crate::error::CliError;
use crate::exit::Exit;
use crate::input::read_bounded;
use crate::output::safe_line;
use sovai_signing::{KeyError, PrivateKey, PublicKey};
use std::path::Path;
use zeroize::Zeroizing;

/// Most bytes of a key file: the longest key that is read has some hundred, comments before it some more.
const MAX_KEY: usize = 64 << 10;
/// Most bytes of a passphrase.
const MAX_PASSPHRASE: usize = 4096;

/// Reads a private key, with the passphrase in the first line of a file where one is named.
pub(crate) fn private(path: &Path, passphrase_file: Option<&Path>) -> Result<PrivateKey, CliError> {
    let text = Zeroizing::new(read_bounded(path, MAX_KEY, "private key")?);
    let passphrase = passphrase_file.map(passphrase).transpose()?;
    PrivateKey::from_pem(&text, passphrase.as_ref().map(|line| line.as_slice()))
        .map_err(|error| refuse(path, "private key", &error))
}

/// Reads a public key.
pub(crate) fn public(path: &Path) -> Result<PublicKey, CliError> {
    let text = read_bounded(path, MAX_KEY, "public key")?;
    PublicKey::from_pem(&text).map_err(|error| refuse(path, "public key", &error))
}

/// The first line of a file, without its end.
pub(crate) fn passphrase(path: &Path) -> Result<Zeroizing<Vec<u8>>, CliError> {
    let mut text = Zeroizing::new(read_bounded(path, MAX_PASSPHRASE, "passphrase file")?);
    let end = text.iter().position(|byte| *byte == b'\n').unwrap_or(text.len());
    text.truncate(end);
    if text.last() == Some(&b'\r') {
        text.pop();
    }
    if text.is_empty() || text.len() > MAX_PASSPHRASE {
        let shown = safe_line(&path.display().to_string());
        let what = format!("the first line of {shown} is no passphrase: it has {} bytes", text.len());
        return Err(CliError::new(Exit::Usage, what)
            .hint(format!("write a passphrase of 1 to {MAX_PASSPHRASE} bytes into its first line")));
    }
    Ok(text)
}

fn refuse(path: &Path, what: &str, error: &KeyError) -> CliError {
    let exit = match error {
        // A key of a kind that nothing here can trust.
        KeyError::Algorithm { .. } | KeyError::Weak => Exit::Refused,
        _ => Exit::Usage,
    };
    let new =
        CliError::new(exit, format!("{what} {} cannot be used", safe_line(&path.display().to_string())))
            .source(error);
    match error {
        KeyError::Encrypted => new.hint("name the file that has the passphrase with --passphrase-file FILE"),
        KeyError::Passphrase => new.hint("check the first line of the file that --passphrase-file names"),
        KeyError::Label { found, .. } if found.ends_with("PRIVATE KEY") => {
            new.hint("name the public key; `sovai keys generate --out K` writes it to K.pub")
        }
        KeyError::Label { found, .. } if found == "PUBLIC KEY" => new.hint(
            "name the private key; `sovai keys generate --out K` writes it to K, and the public one to K.pub",
        ),
        KeyError::Algorithm { .. } => new.hint("sovai keys generate --algorithm p256 --out K"),
        _ => new,
    }
}
