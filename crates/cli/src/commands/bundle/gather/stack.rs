//! The manifest, and the files beside it that it leads to, at the places where it finds them.

use super::{Items, Source, read};
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::safe_line;
use sovai_bundle::Role;
use sovai_core::RelPath;
use sovai_signing::dsse::Envelope;
use sovai_signing::oms::{Bundle, Compat};
use sovai_verifier::Passport;
use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

/// Folder of all of it among a bundle's files.
const FOLDER: &str = "stack";

/// What came of it.
pub(super) struct StackFiles {
    /// Path of the manifest among the files.
    pub(super) manifest: RelPath,
    /// What the manifest names and a bundle does not carry, in words.
    pub(super) left_out: Vec<String>,
}

/// Adds the manifest, its lock, its policy, and what they name; and what was attached.
pub(super) fn files(
    source: &Source<'_>,
    attach: &[PathBuf],
    items: &mut Items,
) -> Result<StackFiles, CliError> {
    let file = &source.pinned.file;
    let mut named = Vec::new();
    let manifest = &file.manifest;
    named.extend(manifest.policy.clone().map(|path| (path, Role::Policy, "policy")));
    if let (Some(policy), Some(at)) = (&source.judge.policy, &manifest.policy) {
        let folder = at.parent().unwrap_or(Path::new(""));
        for rules in &policy.policy.trust.certificates {
            let lists = [&rules.anchors, &rules.intermediates, &rules.crls, &rules.timestamp_anchors];
            for path in lists.into_iter().flatten() {
                named.push((folder.join(path), Role::Policy, "a file of the policy"));
            }
        }
    }
    for model in manifest.models.values() {
        named.extend(model.signatures.iter().map(|path| (path.clone(), Role::Signature, "signature")));
    }
    let named: Vec<(Vec<String>, usize, Role, &str, PathBuf)> = named
        .into_iter()
        .map(|(path, role, what)| {
            let (up, parts) = relative(&path)?;
            Ok((parts, up, role, what, file.resolve(&path)))
        })
        .collect::<Result<_, CliError>>()?;
    // The manifest lies as deep as the furthest `..` goes up, in folders of the names that it lies in.
    let depth = named.iter().map(|(_, up, ..)| *up).max().unwrap_or(0);
    let folders = own_folders(&file.path, depth)?;
    let place = |up: usize, parts: &[String]| {
        let kept = folders.len().saturating_sub(up);
        let above = folders.iter().take(kept).map(String::as_str);
        let all: Vec<&str> =
            std::iter::once(FOLDER).chain(above).chain(parts.iter().map(String::as_str)).collect();
        all.join("/")
    };
    let name =
        |path: &Path| path.file_name().unwrap_or(OsStr::new("manifest.yaml")).to_string_lossy().into_owned();
    let at = place(0, &[name(&file.path)]);
    items.add(&at, Role::Manifest, read(&file.path, "manifest")?)?;
    if source.pinned.lock.is_some() {
        let lock = file.lock_path()?;
        items.add(&place(0, &[name(&lock)]), Role::Lock, read(&lock, "lock")?)?;
    }
    for (parts, up, role, what, path) in &named {
        items.add(&place(*up, parts), *role, read(path, what)?)?;
    }
    for path in attach {
        let bytes = read(path, "attached file")?;
        let role = role(&bytes).ok_or_else(|| {
            let shown = safe_line(&path.display().to_string());
            CliError::new(
                Exit::Usage,
                format!("{shown} is no passport, no signature over a model and no statement"),
            )
            .hint("sovai inspect FILE says what a file is")
        })?;
        items.add(&format!("{FOLDER}/attached/{}", name(path)), role, bytes)?;
    }
    let manifest = RelPath::new(&at).map_err(|error| CliError::wrap(Exit::Usage, &error))?;
    Ok(StackFiles { manifest, left_out: left_out(source) })
}

/// What an attached file is, by its bytes.
fn role(bytes: &[u8]) -> Option<Role> {
    if Passport::parse(bytes).is_ok() {
        Some(Role::Passport)
    } else if Bundle::parse(bytes, Compat::Compat).is_ok() {
        Some(Role::Signature)
    } else if Envelope::parse(bytes).is_ok() {
        Some(Role::Attestation)
    } else {
        None
    }
}

/// How many folders up a path goes, and the parts after that.
fn relative(path: &Path) -> Result<(usize, Vec<String>), CliError> {
    let shown = safe_line(&path.display().to_string());
    let mut up = 0;
    let mut parts: Vec<String> = Vec::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                if parts.pop().is_none() {
                    up += 1;
                }
            }
            Component::Normal(part) => parts.push(part.to_string_lossy().into_owned()),
            Component::RootDir | Component::Prefix(_) => {
                return Err(CliError::new(
                    Exit::Invalid,
                    format!("`{shown}` is an absolute path: it would lead nowhere on the other side"),
                )
                .hint("name the file relative to the manifest"));
            }
        }
    }
    Ok((up, parts))
}

/// The names of the innermost folders that the manifest lies in, outermost first.
fn own_folders(manifest: &Path, depth: usize) -> Result<Vec<String>, CliError> {
    let folder = match manifest.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let folder = fs_err::canonicalize(folder).map_err(CliError::internal)?;
    let mut names: Vec<String> =
        folder.iter().rev().take(depth).map(|name| name.to_string_lossy().into_owned()).collect();
    names.reverse();
    Ok(names)
}

/// What belongs to one place and its people alone: secrets and keys.
fn left_out(source: &Source<'_>) -> Vec<String> {
    let manifest = source.pinned.manifest();
    let mut left = Vec::new();
    for (service, of) in &manifest.services {
        for secret in &of.secrets {
            left.push(format!("secret {} of service {service}", secret.name));
        }
    }
    if manifest.gateway.as_ref().is_some_and(|gateway| gateway.tls.is_some()) {
        left.push("certificate and key of `gateway.tls`".to_owned());
    }
    left
}
