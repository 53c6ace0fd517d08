//! `sovai trust witness`: what was seen at a source goes into the evidence log.

use super::{now, place};
use crate::args::ReadingArgs;
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;
use crate::input::read_bounded;
use crate::manifest::count;
use crate::output::{Outcome, safe_line};
use serde::Serialize;
use sha2::Digest as _;
use sovai_core::{RelPath, Sha256};
use sovai_evidence::{Log, rfc3339, site_key};
use sovai_trust::{Listing, ListingError, ListingKind, MAX_LISTING, Record, Source};
use sovai_verifier::Passport;
use std::fmt::Write as _;
use std::path::Path;

/// Most bytes of a list or a passport, which carries the values of its chunks.
const MAX_SEEN: usize = 64 << 20;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    action: &'static str,
    source: String,
    group: String,
    time: String,
    place: String,
    form: &'static str,
    files: usize,
    /// Files of which the source has git's id alone.
    git_only: usize,
    /// Files that it names without a digest.
    without: Vec<RelPath>,
    evidence: u64,
}

pub(super) fn run(seen: &Path, at: &str, reading: &ReadingArgs, ctx: &Ctx) -> Result<Exit, CliError> {
    let source: Source = at.parse()?;
    let (listing, list) = look(seen, reading, ctx)?;
    let record = Record { source, time: now(), place: place(), list, listing };
    let store = ctx.open_store()?;
    let appended = Log::open(&store).append(&record.to_statement(), &site_key(&store)?)?;
    if let Some(mended) = &appended.mended {
        let kept = safe_line(&mended.kept.display().to_string());
        ctx.out.warn(&format!(
            "the end of the evidence log was half-written; {} bytes were kept in {kept}",
            mended.bytes
        ));
    }
    let git_only = record.listing.files.values().filter(|seen| seen.sha256.is_none()).count();
    let body = Body {
        action: "witness",
        source: record.source.address().to_owned(),
        group: record.source.group().to_owned(),
        time: rfc3339(record.time),
        place: record.place,
        form: record.listing.kind.as_str(),
        files: record.listing.files.len(),
        git_only,
        without: record.listing.without,
        evidence: appended.seq,
    };
    let mut text = format!(
        "witnessed: {} at {}, recorded on {} as line {} of the evidence log\n",
        count(body.files, "file"),
        safe_line(&body.source),
        safe_line(&body.place),
        body.evidence
    );
    if git_only > 0 {
        let _ = writeln!(
            text,
            "  {} with git's id alone: they count where a passport is at hand",
            count(git_only, "file")
        );
    }
    for path in &body.without {
        let _ = writeln!(text, "  not witnessed, no digest: {}", safe_line(path.as_str()));
    }
    ctx.finish(Outcome { exit: Exit::Done, findings: Vec::new(), body, text })
}

/// The digests of a folder, which is read, or of a list; of a list also its own digest.
fn look(seen: &Path, reading: &ReadingArgs, ctx: &Ctx) -> Result<(Listing, Option<Sha256>), CliError> {
    if seen.is_dir() {
        let options = reading.options(ctx)?;
        let reporter = ctx.reporter();
        let pins = sovai_verifier::digest_source(seen, &options, &*reporter)?;
        return Ok((Listing::of_pins(ListingKind::Folder, &pins)?, None));
    }
    let bytes = read_bounded(seen, MAX_SEEN, "list of digests")?;
    let listing = match Passport::parse(&bytes) {
        Ok(passport) => Listing::of_pins(ListingKind::Passport, &passport.pins())?,
        Err(_) if bytes.len() > MAX_LISTING => {
            return Err(refused(seen, &ListingError::TooLong { most: MAX_LISTING, found: bytes.len() }));
        }
        Err(_) => Listing::parse(&bytes).map_err(|error| refused(seen, &error))?,
    };
    Ok((listing, Some(Sha256::from_bytes(sha2::Sha256::digest(&bytes).into()))))
}

fn refused(seen: &Path, error: &ListingError) -> CliError {
    let shown = safe_line(&seen.display().to_string());
    CliError::new(Exit::Refused, format!("list of digests {shown} is refused"))
        .source(error)
        .hint("docs/trust.md says which lists are read")
}
