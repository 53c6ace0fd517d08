//! `sovai keys`: key pairs.

use crate::args::{KeyKind, KeysArgs, KeysCommand};
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;
use crate::keys::passphrase;
use crate::output::{Outcome, safe_line};
use serde::Serialize;
use sovai_signing::{Algorithm, KeyId, PrivateKey};
use std::path::{Path, PathBuf};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    private_key: String,
    public_key: String,
    algorithm: String,
    key_id: KeyId,
    encrypted: bool,
}

/// Runs the command.
pub(crate) fn run(args: &KeysArgs, ctx: &Ctx) -> Result<Exit, CliError> {
    let KeysCommand::Generate { out, algorithm, passphrase_file } = &args.command;
    let algorithm = match algorithm {
        KeyKind::Ed25519 => Algorithm::Ed25519,
        KeyKind::P256 => Algorithm::P256,
    };
    let secret = passphrase_file.as_deref().map(passphrase).transpose()?;
    let public = public_path(out);
    for path in [out, &public] {
        // A link that leads nowhere is something too.
        if fs_err::symlink_metadata(path).is_ok() {
            return Err(taken(path));
        }
    }
    let key = PrivateKey::generate(algorithm)
        .map_err(|error| CliError::new(Exit::Internal, "no key can be made").source(&error))?;
    let text = key
        .to_pkcs8_pem(secret.as_ref().map(|line| line.as_slice()))
        .map_err(|error| CliError::new(Exit::Internal, "the key cannot be written").source(&error))?;
    write_new(out, text.as_bytes(), 0o600)?;
    write_new(&public, key.public().to_pem().as_bytes(), 0o644)?;
    let body = Body {
        private_key: out.display().to_string(),
        public_key: public.display().to_string(),
        algorithm: algorithm.to_string(),
        key_id: key.public().id(),
        encrypted: secret.is_some(),
    };
    let kept = if body.encrypted { "encrypted" } else { "not encrypted: only its mode 0600 guards it" };
    let text = format!(
        "private key: {} ({algorithm}, {kept})\npublic key: {}\nkey id: {}\n",
        safe_line(&body.private_key),
        safe_line(&body.public_key),
        body.key_id,
    );
    ctx.finish(Outcome { exit: Exit::Done, findings: Vec::new(), body, text })
}

/// `K.pub` beside `K`.
fn public_path(private: &Path) -> PathBuf {
    let mut name = private.as_os_str().to_owned();
    name.push(".pub");
    name.into()
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), CliError> {
    if sovai_store::atomic::write_new(path, bytes, mode)? { Ok(()) } else { Err(taken(path)) }
}

fn taken(path: &Path) -> CliError {
    CliError::new(
        Exit::Usage,
        format!("{} is there already; a key is never overwritten", safe_line(&path.display().to_string())),
    )
    .hint("name another file with --out, or move the old key away")
}
