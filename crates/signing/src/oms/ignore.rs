//! Paths that a signer left out. They are the signer's own words about what the signature does not cover, so they are
//! held to the same rules as names, and may not hide what is listed.

use super::names::Names;
use super::{Leniency, OmsError};
use sovai_core::RelPath;

/// Most ignored paths.
const MAX_PATHS: usize = 10_000;

/// Checks the paths against the listed names.
pub(super) fn check(paths: &[String], names: &Names, leniency: &mut Leniency) -> Result<(), OmsError> {
    if paths.len() > MAX_PATHS {
        return Err(OmsError::malformed(
            "ignore_paths",
            format!("at most {MAX_PATHS}, found {}", paths.len()),
        ));
    }
    for path in paths {
        let refuse = |what: String| OmsError::IgnoredPath { path: crate::text::shorten(path, 200), what };
        let checked = RelPath::new(path).map_err(|error| refuse(error.to_string()))?;
        if names.has(checked.as_str()) {
            return Err(refuse("it is a signed file".to_owned()));
        }
        if let Some(inside) = names.inside(checked.as_str()) {
            return Err(refuse(format!("it is a folder of the signed file `{}`", inside.escape_debug())));
        }
        if path.contains(['*', '?', '[']) {
            leniency.allow("ignore-pattern", || {
                format!("ignored path `{}` looks like a pattern; it is taken literally", path.escape_debug())
            })?;
        }
    }
    Ok(())
}
