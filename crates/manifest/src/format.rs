//! One value: does its text fit its format, and which rule does it break when not.

mod image;
mod number;
mod source;

use number::{date, parse_number};

pub(crate) use image::{parse_image, parse_image_source};
pub(crate) use number::{parse_cpus, parse_size};
pub(crate) use source::{file_name_of, parse_source};

use crate::diagnostic::{Sink, quoted};
use crate::node::{Node, ScalarType, Value};
use crate::shape::Format;
use sovai_catalog::{LicenseCheck, suggest};
use sovai_core::{Name, NameError, PathError, RelPath, Sha256};
use std::net::SocketAddr;

/// A rule that a text breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl Problem {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Longest text for people, in bytes.
const MAX_TEXT: usize = 4096;
/// Longest argument or environment value, in bytes: Linux's `MAX_ARG_STRLEN` is 128 KiB for one string.
const MAX_RAW: usize = 65_536;

/// Checks a value against its format.
pub(crate) fn check(format: Format, node: &Node, sink: &mut Sink<'_>) {
    let wanted = expected(format);
    let Value::Scalar(scalar) = &node.value else {
        sink.error("SOV0022", &node.span, format!("expected {wanted}, found {}", node.describe()));
        return;
    };
    let found = scalar.scalar_type();
    let fits = match format {
        Format::Length | Format::Count { .. } => found == ScalarType::Int,
        Format::Cpus => matches!(found, ScalarType::Int | ScalarType::Float),
        Format::Size(_) => matches!(found, ScalarType::Int | ScalarType::Text),
        _ => found == ScalarType::Text,
    };
    if !fits {
        let hint = match (format, found) {
            (_, ScalarType::Null) => Some("give a value, or delete the key".to_owned()),
            (Format::Length | Format::Count { .. } | Format::Cpus, ScalarType::Text) if !scalar.plain => {
                Some("write the number without quotes".to_owned())
            }
            (Format::Length | Format::Count { .. } | Format::Cpus, _) => None,
            (Format::Sha256 | Format::Digest, _) if scalar.text.len() < 64 => {
                Some("`sha256sum FILE` prints it".to_owned())
            }
            _ => Some(format!("put it in quotes: \"{}\"", scalar.text.chars().take(80).collect::<String>())),
        };
        let message = format!("expected {wanted}, found {} {}", node.describe(), quoted(&scalar.text));
        let message =
            if found == ScalarType::Null { format!("expected {wanted}, found nothing") } else { message };
        sink.error_hint("SOV0022", &node.span, message, hint);
        return;
    }
    let outcome = check_text(format, &scalar.text);
    let outcome = match outcome {
        Err(problem) if format == Format::License => {
            sink.warning(problem.code, &node.span, problem.message, problem.hint);
            return;
        }
        other => other,
    };
    if let Err(problem) = outcome {
        sink.error_hint(problem.code, &node.span, problem.message, problem.hint);
    }
}

/// What a message calls the format.
fn expected(format: Format) -> String {
    match format {
        Format::Const { text, .. } => format!("`{text}`"),
        Format::OneOf(texts) => texts.iter().map(|text| format!("`{text}`")).collect::<Vec<_>>().join(" or "),
        Format::Text | Format::Raw | Format::License => "text".to_owned(),
        Format::LicenseId => "the id of a licence".to_owned(),
        Format::Pattern => "a text, in which `*` stands for any text,".to_owned(),
        Format::Glob => "a pattern of paths, as in `*.safetensors`".to_owned(),
        Format::ImageSource => "a source of images, as in `registry`".to_owned(),
        Format::LockedRevision => "a commit or a digest".to_owned(),
        Format::Name => "a name".to_owned(),
        Format::PublicName => "a model name".to_owned(),
        Format::EnvKey => "the name of a variable".to_owned(),
        Format::FilePath | Format::HostPath => "a path".to_owned(),
        Format::Sha256 => "64 hexadecimal digits".to_owned(),
        Format::Digest => "`sha256:` and 64 hexadecimal digits".to_owned(),
        Format::Length | Format::Count { .. } => "a whole number".to_owned(),
        Format::Size(_) => "a size, as in `4GiB`".to_owned(),
        Format::Cpus => "a number of CPUs, as in `1.5`".to_owned(),
        Format::Date => "a date, as in `2026-11-24`".to_owned(),
        Format::Source => "a source, as in `file:./weights`".to_owned(),
        Format::Image => "an image".to_owned(),
        Format::Listen => "an address and port, as in `127.0.0.1:8080`".to_owned(),
        Format::Revision => "a revision".to_owned(),
        Format::Engine => "the name of an engine".to_owned(),
        Format::Vendor => "the id of a vendor".to_owned(),
    }
}

/// Checks a text whose YAML type fits already.
pub(crate) fn check_text(format: Format, text: &str) -> Result<(), Problem> {
    match format {
        Format::Const { text: wanted, code } => constant(code, wanted, text),
        Format::OneOf(texts) => one_of("SOV0024", "value", text, texts.iter().copied()),
        Format::Text => plain_text(text, MAX_TEXT, true),
        Format::Raw => plain_text(text, MAX_RAW, false),
        Format::Glob => glob(text),
        Format::ImageSource => parse_image_source(text).map(drop),
        Format::LockedRevision if text.starts_with("sha256:") => parse_digest(text).map(drop),
        Format::Name => parse_name(text).map(drop),
        Format::PublicName => public_name(text),
        Format::EnvKey => env_key(text),
        Format::FilePath => parse_path(text).map(drop),
        Format::HostPath => host_path(text),
        Format::Sha256 => parse_sha256(text).map(drop),
        Format::Digest => parse_digest(text).map(drop),
        Format::Length => parse_number(text, 0, u64::MAX >> 1).map(drop),
        Format::Size(min) => parse_size(text, min).map(drop),
        Format::Count { min, max } => parse_number(text, min.into(), max.into()).map(drop),
        Format::Cpus => parse_cpus(text).map(drop),
        Format::Date => date(text),
        Format::Source => parse_source(text).map(drop),
        Format::Image => parse_image(text).map(drop),
        Format::Listen => parse_listen(text).map(drop),
        Format::LockedRevision | Format::Revision => revision(text),
        Format::License => license(text),
        Format::LicenseId => license_id(text),
        Format::Pattern => pattern(text),
        Format::Engine => {
            let names = sovai_catalog::engines().iter().map(|engine| engine.name.as_str());
            one_of("SOV0073", "engine", text, names)
        }
        Format::Vendor => {
            let ids = sovai_catalog::vendors().iter().map(|vendor| vendor.id.as_str());
            one_of("SOV0075", "accelerator vendor", text, ids)
        }
    }
}

fn constant(code: &'static str, wanted: &str, text: &str) -> Result<(), Problem> {
    if text == wanted {
        return Ok(());
    }
    let problem = Problem::new(code, format!("expected `{wanted}`, found {}", quoted(text)));
    Err(match (wanted, text) {
        ("Stack", "Lock") => problem.hint("this is a lock: name the manifest that it belongs to"),
        ("Policy", "Stack") => problem.hint("this is a manifest: its policy is another file"),
        ("Stack", "Policy") => problem.hint("this is a policy: `sovai policy check --policy FILE` checks it"),
        ("Lock", "Stack") => problem.hint("this is a manifest: its lock is made by `sovai lock`"),
        _ => problem.hint(format!("write `{wanted}`")),
    })
}

fn one_of<'a>(
    code: &'static str,
    noun: &str,
    text: &str,
    known: impl Iterator<Item = &'a str> + Clone,
) -> Result<(), Problem> {
    if known.clone().any(|candidate| candidate == text) {
        return Ok(());
    }
    let hint = suggest(text, known.clone()).map_or_else(
        || format!("known: {}", known.map(|text| format!("`{text}`")).collect::<Vec<_>>().join(", ")),
        |near| format!("did you mean `{near}`?"),
    );
    Err(Problem::new(code, format!("unknown {noun} {}", quoted(text))).hint(hint))
}

fn plain_text(text: &str, max: usize, for_people: bool) -> Result<(), Problem> {
    if for_people && text.trim().is_empty() {
        return Err(Problem::new("SOV0025", "the text is empty").hint("give a text, or delete the key"));
    }
    if text.len() > max {
        return Err(Problem::new(
            "SOV0028",
            format!("a text has at most {max} bytes here, found {}", text.len()),
        ));
    }
    match text.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\t')) {
        Some(c) => {
            Err(Problem::new("SOV0028", format!("found the control character U+{:04X}", u32::from(c))))
        }
        None => Ok(()),
    }
}

/// Reads a name.
pub(crate) fn parse_name(text: &str) -> Result<Name, Problem> {
    Name::new(text).map_err(|error| {
        let problem = Problem::new("SOV0030", format!("{error}: {}", quoted(text)));
        // What is nearly a name is offered as one.
        let near: String = text
            .to_lowercase()
            .chars()
            .map(|c| if matches!(c, '_' | '.' | ' ' | '/') { '-' } else { c })
            .collect();
        match (&error, Name::new(near.trim_matches('-'))) {
            (NameError::Character(_) | NameError::Edge, Ok(near)) => problem.hint(format!("write `{near}`")),
            _ => problem.hint("1 to 63 of a-z, 0-9 and `-`, a letter or digit first and last"),
        }
    })
}

fn public_name(text: &str) -> Result<(), Problem> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | ':' | '/');
    if text.is_empty() || text.len() > 128 || !text.chars().all(allowed) {
        return Err(Problem::new("SOV0035", format!("{} cannot be a model name for clients", quoted(text)))
            .hint("1 to 128 of A-Z, a-z, 0-9 and `. _ - : /`"));
    }
    Ok(())
}

fn env_key(text: &str) -> Result<(), Problem> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if text.is_empty()
        || text.len() > 128
        || text.starts_with(|c: char| c.is_ascii_digit())
        || !text.chars().all(allowed)
    {
        return Err(Problem::new("SOV0036", format!("{} cannot be the name of a variable", quoted(text)))
            .hint("1 to 128 of A-Z, a-z, 0-9 and `_`, no digit first"));
    }
    Ok(())
}

/// Reads a path inside a model; each rule of such paths has its own code.
pub(crate) fn parse_path(text: &str) -> Result<RelPath, Problem> {
    RelPath::new(text).map_err(|error| {
        let (code, hint) = match error {
            PathError::Empty => ("SOV0040", "name the file"),
            PathError::Absolute => ("SOV0041", "delete the `/` at its start"),
            PathError::EmptyPart => ("SOV0042", "delete the superfluous `/`"),
            PathError::Dot => ("SOV0043", "delete the `.` part"),
            PathError::DotDot => ("SOV0044", "a path cannot leave the model's folder"),
            PathError::Backslash => ("SOV0045", "separate parts with `/`"),
            PathError::Control(_) => ("SOV0046", "rename the file"),
            PathError::Bidi(_) => ("SOV0047", "rename the file: people would read another name"),
            PathError::NotNfc => ("SOV0048", "rename the file to its composed form"),
            PathError::PartTooLong(_) => ("SOV0049", "shorten the name"),
            PathError::TooLong(_) | PathError::TooDeep(_) => ("SOV0050", "shorten the path"),
        };
        Problem::new(code, format!("{error}: {}", quoted(text))).hint(hint)
    })
}

fn host_path(text: &str) -> Result<(), Problem> {
    let bad = |what: String| {
        Err(Problem::new("SOV0052", what).hint("name a file, relative to this one or absolute"))
    };
    if text.is_empty() {
        return bad("a path cannot be empty".to_owned());
    }
    // Linux's PATH_MAX, with its final NUL.
    if text.len() > 4095 {
        return bad(format!("a path has at most 4095 bytes, found {}", text.len()));
    }
    if let Some(c) = text.chars().find(|c| c.is_control()) {
        return bad(format!("a path cannot have the control character U+{:04X}", u32::from(c)));
    }
    if let Some((scheme, _)) = text.split_once("://") {
        return bad(format!("a path has no scheme, found {}", quoted(scheme)));
    }
    Ok(())
}

/// Reads bare hexadecimal digits.
pub(crate) fn parse_sha256(text: &str) -> Result<Sha256, Problem> {
    Sha256::from_hex(text).map_err(|error| {
        let problem = Problem::new("SOV0031", error.to_string());
        match text.strip_prefix("sha256:").map(Sha256::from_hex) {
            Some(Ok(digest)) => {
                problem.hint(format!("the key names the algorithm already: write `{}`", digest.hex()))
            }
            _ => digest_hint(problem, text),
        }
    })
}

/// Reads `sha256:` and digits.
pub(crate) fn parse_digest(text: &str) -> Result<Sha256, Problem> {
    text.parse::<Sha256>().map_err(|error| {
        let problem = Problem::new("SOV0031", error.to_string());
        match Sha256::from_hex(text) {
            Ok(digest) => problem.hint(format!("write `{digest}`")),
            Err(_) => digest_hint(problem, text),
        }
    })
}

fn digest_hint(problem: Problem, text: &str) -> Problem {
    if text.chars().any(|c| c.is_ascii_uppercase())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == ':')
    {
        problem.hint("write it in lower case")
    } else {
        problem.hint("`sha256sum FILE` prints it")
    }
}

/// Reads address and port.
pub(crate) fn parse_listen(text: &str) -> Result<SocketAddr, Problem> {
    let problem = || Problem::new("SOV0039", format!("{} is not an address and port", quoted(text)));
    let address: SocketAddr = text.parse().map_err(|_| {
        let hint = match text.rsplit_once(':') {
            Some(("", port)) => format!("write `127.0.0.1:{port}`, or `0.0.0.0:{port}` for every address"),
            Some(("localhost", port)) => format!("write `127.0.0.1:{port}`"),
            _ => "as in `127.0.0.1:8080` or `[::1]:8080`; names are not looked up".to_owned(),
        };
        problem().hint(hint)
    })?;
    if address.port() == 0 {
        return Err(problem().hint("port 0 is any free port; clients need a fixed one"));
    }
    Ok(address)
}

fn revision(text: &str) -> Result<(), Problem> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/');
    let bad = text.is_empty()
        || text.len() > 200
        || !text.chars().all(allowed)
        || text.starts_with(['-', '/', '.']);
    if bad || text.contains("..") || text.contains("//") {
        return Err(Problem::new("SOV0037", format!("{} is not a revision", quoted(text)))
            .hint("a commit, tag or branch; a commit is best, the others move"));
    }
    Ok(())
}

fn license(text: &str) -> Result<(), Problem> {
    plain_text(text, MAX_TEXT, true)?;
    match sovai_catalog::license(text) {
        LicenseCheck::Spdx | LicenseCheck::Known(_) => Ok(()),
        LicenseCheck::Unknown { suggestion } => {
            let problem = Problem::new("SOV0100", format!("unknown licence {}", quoted(text)));
            Err(match suggestion {
                Some(near) => problem.hint(format!("did you mean `{near}`?")),
                None => {
                    problem.hint("an SPDX expression, or `LicenseRef-NAME` for a licence outside its list")
                }
            })
        }
    }
}

/// A list of a policy that names nothing real would refuse or allow nothing, in silence; so this is an error.
fn license_id(text: &str) -> Result<(), Problem> {
    plain_text(text, MAX_TEXT, true)?;
    sovai_catalog::license_id(text).map_err(|near| {
        let problem = Problem::new("SOV0110", format!("{} is not the id of a licence", quoted(text)));
        match near {
            Some(near) => problem.hint(format!("did you mean `{near}`?")),
            None => problem.hint("one SPDX id, or `LicenseRef-NAME` for a licence outside its list"),
        }
    })
}

/// Signs for any text that one pattern of paths may have; a matcher's work grows with them.
const MAX_WILDCARDS: usize = 16;

/// A path in which `*` is any text and `?` one character. Classes and braces, which readers disagree on, are refused.
fn glob(text: &str) -> Result<(), Problem> {
    let bad = |why: String| {
        Err(Problem::new("SOV0053", format!("{} is not a pattern of paths: {why}", quoted(text)))
            .hint("as in `*.safetensors`, `tokenizer*` or `onnx/*`; `*` is any text, `?` one character"))
    };
    if text.is_empty() || text.len() > MAX_PATTERN {
        return bad(format!("it has {} bytes; 1 to {MAX_PATTERN} are allowed", text.len()));
    }
    if let Some(c) = text.chars().find(|c| c.is_control() || matches!(c, '[' | ']' | '{' | '}' | '\\')) {
        return bad(format!("it has the character U+{:04X}", u32::from(c)));
    }
    if text.matches(['*', '?']).count() > MAX_WILDCARDS {
        return bad(format!("it has more than {MAX_WILDCARDS} `*` and `?`"));
    }
    if text.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return bad("it has an empty, `.` or `..` part, and no path has".to_owned());
    }
    Ok(())
}

/// Longest pattern in bytes.
const MAX_PATTERN: usize = 256;

fn pattern(text: &str) -> Result<(), Problem> {
    plain_text(text, MAX_PATTERN, true)?;
    if text.chars().any(char::is_whitespace) && text.trim() != text {
        return Err(Problem::new(
            "SOV0111",
            format!("the pattern {} begins or ends with a space", quoted(text)),
        )
        .hint("delete it"));
    }
    if text.matches('*').count() > 8 || text.contains(['?', '[', ']', '{', '}']) {
        return Err(Problem::new("SOV0111", format!("{} is not a pattern", quoted(text)))
            .hint("at most 8 `*`, each for any text; there are no other signs"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
