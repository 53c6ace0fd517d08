//! Which options go together.

use crate::args::VerifyArgs;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::safe_line;
use std::path::Path;

/// Refuses what makes no sense together.
pub(super) fn check(args: &VerifyArgs, is_manifest: bool) -> Result<(), CliError> {
    let signed = &args.signed;
    let passport = &args.passport;
    let usage = |what: &str, hint: &str| Err(CliError::new(Exit::Usage, what).hint(hint));
    if is_manifest {
        for (given, option, instead) in [
            (args.pins.is_some(), "--pins", "a manifest has its own pins"),
            (signed.signature.is_some(), "--signature", "a manifest names its own: `signatures` of a model"),
            (
                signed.key.is_some(),
                "--key",
                "a manifest's signatures are by keys that the store trusts: `sovai trust add`",
            ),
            (
                !signed.ca.is_empty(),
                "--ca",
                "`trust.certificates` of the policy says whose certificates are taken",
            ),
            (passport.against.is_some(), "--against", "name the model's folder with it"),
        ] {
            if given {
                return usage(&format!("{option} is for folders and files"), instead);
            }
        }
        return Ok(());
    }
    if signed.signature.is_some() && passport.against.is_some() {
        return usage("--signature and --against cannot be used together", "verify twice, once with each");
    }
    if signed.signature.is_none() && !signed.ca.is_empty() {
        return usage(
            "--ca says whose certificate a signature is by, and there is no --signature",
            "add --signature S",
        );
    }
    if signed.key.is_some() && signed.signature.is_none() && passport.passport_signature.is_none() {
        return usage(
            "--key says by whom a signature is, and there is none",
            "add --signature S, or --against PASSPORT --passport-signature FILE",
        );
    }
    let compared = args.pins.is_some() || signed.signature.is_some() || passport.against.is_some();
    if args.summary.vsa.is_some() && !compared {
        return usage(
            "--vsa signs what a comparison came to, and there is nothing to compare with",
            "add --pins MANIFEST#MODEL, --signature S or --against PASSPORT, or name a manifest",
        );
    }
    if passport.out.is_some() && passport.against.is_some() {
        return usage(
            "--passport and --against cannot be used together",
            "the passport that it is compared with says the same",
        );
    }
    if !signed.ca.is_empty() && signed.subject.is_none() && signed.san.is_none() && signed.spki.is_none() {
        return usage(
            "--ca alone takes a certificate of anybody whom these anchors vouch for",
            "say whose it must be with --subject, --san or --spki",
        );
    }
    for (option, out) in [("--passport", &passport.out), ("--vsa", &args.summary.vsa)] {
        if out.as_deref().is_some_and(|out| is_inside(&args.target, out)) {
            return usage(
                &format!(
                    "{option} would write into the model's folder {}",
                    safe_line(&args.target.display().to_string())
                ),
                "name a file elsewhere: in the folder it would be one file too many",
            );
        }
    }
    Ok(())
}

/// Whether `file`, which need not be there, lies in `folder`.
fn is_inside(folder: &Path, file: &Path) -> bool {
    let parent = file.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
    match (fs_err::canonicalize(folder), fs_err::canonicalize(parent)) {
        (Ok(folder), Ok(parent)) => folder.is_dir() && parent.starts_with(&folder),
        _ => false,
    }
}
