//! `sovai bundle request`: what must be sent again; and `bundle create --only`, the answer to it.

use super::{grouped, open, open_paths, repair, verify};
use crate::args::{BundleCreateArgs, VolumesArgs};
use crate::commands::trust::qr::Qr;
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{Outcome, hint_line, safe_line, style};
use serde::Serialize;
use sovai_bundle::repair::{lost_chunks, still_lost};
use sovai_bundle::request::{AnswerError, Request, RequestError, answer};
use sovai_bundle::{Repair, VolumeSet};
use sovai_core::{Name, Sha256, format_bytes};
use std::fmt::Write as _;
use std::io::Read as _;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// Longest request that is read, in bytes.
const MAX_TEXT: u64 = 1 << 20;
/// What a QR code of medium error correction holds of capital letters and digits.
const MAX_QR: usize = 3391;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    action: &'static str,
    bundle: String,
    stack: &'a Name,
    sequence: u64,
    index: Sha256,
    /// Whether something must be sent.
    needed: bool,
    /// How many chunks.
    chunks: u64,
    /// The request, line by line as it is read out; nothing when nothing must be sent.
    text: Option<String>,
    request: &'a Request,
    repair: &'a Repair,
}

/// Runs the command.
pub(super) fn run(
    volumes: &VolumesArgs,
    svg: Option<&Path>,
    threads: Option<NonZeroUsize>,
    ctx: &Ctx,
) -> Result<Exit, CliError> {
    let set = open(volumes)?;
    let checked = verify::check(&set, threads, ctx)?;
    let patches = repair::patches(&set, &volumes.volumes, &[])?;
    let request = Request::of(&set, &checked.report, &patches);
    let index = set.index();
    let lost = lost_chunks(index, &checked.report.missing, &checked.report.bad);
    let parity_does = still_lost(index, &lost, &[]).beyond.is_empty();
    let count = |id| index.volume(id).map_or(0, |volume| index.chunk_count(&volume.payload));
    let chunks: u64 =
        request.volumes.iter().map(|(id, wanted)| wanted.numbers(count(*id)).count() as u64).sum();
    let lines = (!request.is_empty()).then(|| request.to_text());
    let mut text = String::new();
    if let Some(lines) = &lines {
        text.push_str(lines);
        let flat = lines.split_whitespace().collect::<Vec<_>>().join(" ");
        if flat.len() <= MAX_QR {
            let code = Qr::new(&flat)?;
            let _ = write!(text, "\n{}", code.terminal());
            if let Some(path) = svg {
                sovai_store::atomic::write(path, code.svg().as_bytes(), 0o644)?;
            }
        } else if svg.is_some() {
            return Err(CliError::new(
                Exit::Resources,
                format!("the request has {} characters; a QR code holds {MAX_QR}", flat.len()),
            )
            .hint("leave --svg out and send the text; or have the whole disks sent again"));
        }
        let _ = writeln!(text, "{} chunks are to be sent", grouped(chunks));
        text.push_str(&hint_line(
            "read it out, or send it; the other side runs `sovai bundle create MANIFEST --out DIR --only REQUEST`, and the patch goes beside the volumes",
        ));
    } else if lost.is_empty() && checked.report.weight().is_none() {
        let _ = writeln!(text, "{}nothing must be sent: all is whole{}", style::OK, style::RESET);
    } else {
        let by = if parity_does { "parity" } else { "parity and the patches that are here" };
        let _ = writeln!(
            text,
            "{}nothing must be sent: {by} can make good what is lost{}",
            style::OK,
            style::RESET
        );
        text.push_str(&hint_line("`sovai bundle repair FOLDER` does that"));
    }
    let body = Body {
        action: "request",
        bundle: index.name(),
        stack: &index.stack,
        sequence: index.sequence,
        index: set.digest(),
        needed: !request.is_empty(),
        chunks,
        text: lines,
        request: &request,
        repair: &checked.report.repair,
    };
    ctx.finish(Outcome { exit: Exit::Done, findings: Vec::new(), body, text })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AnswerBody<'a> {
    action: &'static str,
    bundle: String,
    request: &'a Request,
    folder: String,
    chunks: u64,
    bytes: u64,
}

/// `bundle create --only`: writes a patch with what a request names.
pub(super) fn only(args: &BundleCreateArgs, path: &Path, ctx: &Ctx) -> Result<Exit, CliError> {
    let text = read(path)?;
    let request = Request::parse(&text).map_err(|error| misheard(&error, path))?;
    let set = find(args, &request)?;
    let cancel = ctx.interrupt()?.cancel();
    let done = answer(&set, &request, &args.out, &cancel).map_err(failed)?;
    let folder = done.folder.display().to_string();
    let text = format!(
        "{}: {} chunks, {}\nput this folder beside the volumes on the other side, and there: sovai bundle repair FOLDER\n",
        safe_line(&folder),
        grouped(done.chunks),
        format_bytes(done.bytes)
    );
    let body = AnswerBody {
        action: "answer",
        bundle: set.index().name(),
        request: &request,
        folder,
        chunks: done.chunks,
        bytes: done.bytes,
    };
    ctx.finish(Outcome { exit: Exit::Done, findings: Vec::new(), body, text })
}

fn read(path: &Path) -> Result<String, CliError> {
    let unreadable = |error: &std::io::Error| {
        CliError::new(Exit::Usage, format!("the request `{}` cannot be read", path.display())).source(error)
    };
    let mut text = String::new();
    if path == Path::new("-") {
        std::io::stdin().take(MAX_TEXT).read_to_string(&mut text).map_err(|error| unreadable(&error))?;
    } else {
        let file = fs_err::File::open(path).map_err(|error| unreadable(&error))?;
        file.take(MAX_TEXT).read_to_string(&mut text).map_err(|error| unreadable(&error))?;
    }
    Ok(text)
}

/// The volumes of the bundle of a request in the folder of `--out`.
fn find(args: &BundleCreateArgs, request: &Request) -> Result<VolumeSet, CliError> {
    let bundle = format!("{}-{}.", request.stack, request.sequence);
    let again = format!(
        "make the bundle again there with the same options, --sequence {} and the same SOURCE_DATE_EPOCH; or name the folder that it lies in with --out",
        request.sequence
    );
    let mut paths: Vec<PathBuf> = Vec::new();
    if let Ok(entries) = fs_err::read_dir(&args.out) {
        for entry in entries.flatten() {
            let name = entry.file_name();
            let rest = name.to_str().and_then(|name| name.strip_prefix(&bundle));
            if rest.is_some_and(|rest| rest.parse::<sovai_bundle::VolumeId>().is_ok()) {
                paths.push(entry.path());
            }
        }
    }
    if paths.is_empty() {
        let place = args.out.display();
        let message = format!("`{place}` has no volume of {}-{}", request.stack, request.sequence);
        return Err(CliError::new(Exit::Usage, message).hint(again));
    }
    paths.sort();
    open_paths(&paths)
}

fn misheard(error: &RequestError, path: &Path) -> CliError {
    let new =
        CliError::new(Exit::Usage, format!("`{}` holds no request that can be answered", path.display()))
            .source(error);
    match error {
        RequestError::Line { .. } => new.hint("have that line read out once more, its check words too"),
        RequestError::End => new.hint("have all lines read out once more"),
        _ => new.hint("a request begins with SOVAI REQUEST and ends with END CHECK and four words"),
    }
}

fn failed(error: AnswerError) -> CliError {
    let exit = match error {
        AnswerError::Store(error) => return error.into(),
        AnswerError::Cancelled => return crate::signals::interrupted().hint("run the same command again"),
        AnswerError::Other { .. } | AnswerError::Unknown { .. } | AnswerError::Full { .. } => Exit::Usage,
        AnswerError::Lacking { .. } => Exit::Resources,
        AnswerError::Io(ref error) if error.kind() == std::io::ErrorKind::StorageFull => Exit::Resources,
        AnswerError::Io(_) => Exit::Internal,
    };
    let new = CliError::wrap(exit, &error);
    match error {
        AnswerError::Other { .. } => {
            new.hint("the volumes in --out are of another run: look for those that were carried across")
        }
        AnswerError::Lacking { .. } => new.hint("`sovai bundle repair` may make it again here, too"),
        AnswerError::Full { .. } => new.hint("remove patches that were carried across"),
        _ => new,
    }
}
