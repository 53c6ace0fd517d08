//! `sovai man`: manual pages, printed or written into a folder.

use crate::args::{self, ManArgs};
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{Outcome, safe_line};
use serde_json::json;
use std::fmt::Write as _;
use std::path::Path;

/// Permission bits of a page.
const MODE: u32 = 0o644;

/// Runs the command.
pub(crate) fn run(args: &ManArgs, ctx: &Ctx) -> Result<Exit, CliError> {
    if let Some(dir) = &args.dir {
        return write(dir, ctx);
    }
    // `trust witness`, `"trust witness"` and `trust-witness` are the same page.
    let words: Vec<&str> = args.command.iter().flat_map(|word| word.split_whitespace()).collect();
    let joined = words.join("-");
    let name = (!words.is_empty()).then_some(joined.as_str());
    let Some(page) = args::man(name) else {
        let name = name.unwrap_or_default();
        let names = args::man_names();
        let error = CliError::new(Exit::Usage, format!("no command `{}`", safe_line(&words.join(" "))));
        return Err(match sovai_catalog::suggest(name, names.iter().map(String::as_str)) {
            Some(near) => error.hint(format!("did you mean `{}`?", near.replace('-', " "))),
            None => error.hint(format!("the commands are {}", names.join(", "))),
        });
    };
    let page = String::from_utf8(page.map_err(CliError::internal)?).map_err(CliError::internal)?;
    let body = json!({ "command": name, "page": page });
    ctx.finish(Outcome { exit: Exit::Done, findings: Vec::new(), body, text: page })
}

fn write(dir: &Path, ctx: &Ctx) -> Result<Exit, CliError> {
    let shown = safe_line(&dir.display().to_string());
    fs_err::create_dir_all(dir).map_err(|error| {
        CliError::new(Exit::Usage, format!("folder {shown} cannot be made")).source(&error)
    })?;
    let mut files = Vec::new();
    let mut text = String::new();
    for (name, page) in args::man_pages().map_err(CliError::internal)? {
        let path = dir.join(name);
        sovai_store::atomic::write(&path, &page, MODE)?;
        let path = path.display().to_string();
        let _ = writeln!(text, "{}", safe_line(&path));
        files.push(path);
    }
    ctx.finish(Outcome { exit: Exit::Done, findings: Vec::new(), body: json!({ "files": files }), text })
}
