//! Lists the documents that every bundle carries, so that a new one is carried without anybody thinking of it.

use std::fmt::Write as _;
use std::path::Path;

/// Documents for people who change sovai: they stay behind.
const LEFT: [&str; 4] = ["architectures.md", "benchmarks.md", "soak.md", "two-checkers.md"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = Path::new(&std::env::var("CARGO_MANIFEST_DIR")?).join("../../docs");
    println!("cargo:rerun-if-changed={}", folder.display());
    let mut names: Vec<String> = Vec::new();
    for entry in fs_err::read_dir(&folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let is_document = Path::new(&name).extension().is_some_and(|end| end == "md");
        if is_document && !LEFT.contains(&name.as_str()) {
            names.push(name);
        }
    }
    names.sort();
    let mut list = String::from("&[\n");
    for name in names {
        let path = folder.join(&name);
        writeln!(list, "    ({name:?}, include_str!({:?})),", path.display().to_string())?;
    }
    list.push_str("]\n");
    fs_err::write(Path::new(&std::env::var("OUT_DIR")?).join("docs.rs"), list)?;
    Ok(())
}
