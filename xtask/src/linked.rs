//! What is linked into the program, for sovai's own bill of materials: `crates/sbom/data/linked.tsv`.

use crate::problem::XtaskError;
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package, PackageId, TargetKind};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

/// Where it lies.
pub(crate) const PATH: &str = "crates/sbom/data/linked.tsv";
/// The target that is released.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The file's text.
pub(crate) fn table(root: &Path) -> Result<String, XtaskError> {
    let metadata = MetadataCommand::new()
        .manifest_path(root.join("Cargo.toml"))
        .other_options(vec!["--locked".to_owned(), "--filter-platform".to_owned(), TARGET.to_owned()])
        .exec()
        .map_err(|error| XtaskError::Metadata(Box::new(error)))?;
    let lock = fs_err::read_to_string(root.join("Cargo.lock"))?;
    Ok(render(&metadata, &checksums(&lock)))
}

/// The checksums of Cargo.lock, by name and version. Its form is cargo's own: one `key = "value"` a line.
fn checksums(lock: &str) -> BTreeMap<(String, String), String> {
    let value = |block: &str, key: &str| {
        let line = block.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \""))?;
        Some(line.trim_end_matches('"').to_owned())
    };
    lock.split("[[package]]")
        .filter_map(|block| {
            Some(((value(block, "name")?, value(block, "version")?), value(block, "checksum")?))
        })
        .collect()
}

fn render(metadata: &Metadata, checksums: &BTreeMap<(String, String), String>) -> String {
    let packages: BTreeMap<&PackageId, &Package> =
        metadata.packages.iter().map(|package| (&package.id, package)).collect();
    // What a procedural macro needs runs in the compiler and is not in the program.
    let is_macro = |id: &PackageId| {
        packages.get(id).is_some_and(|package| {
            package.targets.iter().any(|target| target.kind.contains(&TargetKind::ProcMacro))
        })
    };
    let nodes = metadata.resolve.iter().flat_map(|resolve| &resolve.nodes);
    let needs: BTreeMap<&PackageId, Vec<&PackageId>> = nodes
        .map(|node| {
            let ordinary = node.deps.iter().filter(|dependency| {
                dependency.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal)
                    && !is_macro(&dependency.pkg)
            });
            (&node.id, ordinary.map(|dependency| &dependency.pkg).collect())
        })
        .collect();
    let mut reached = BTreeSet::new();
    let mut open: Vec<&PackageId> = packages
        .values()
        .filter(|package| package.name.as_str() == "sovai")
        .map(|package| &package.id)
        .collect();
    while let Some(id) = open.pop() {
        if reached.insert(id) {
            open.extend(needs.get(id).into_iter().flatten());
        }
    }
    let mut lines: Vec<(bool, String)> = reached
        .iter()
        .filter_map(|id| {
            let package = packages.get(id)?;
            let (name, version) = (package.name.to_string(), package.version.to_string());
            let mut needed: Vec<String> = needs
                .get(id)
                .into_iter()
                .flatten()
                .filter_map(|id| packages.get(id))
                .map(|package| format!("{}@{}", package.name, package.version))
                .collect();
            needed.sort();
            needed.dedup();
            let checksum = checksums.get(&(name.clone(), version.clone())).map_or("-", String::as_str);
            // Before SPDX expressions, authors wrote a stroke for "or".
            let license =
                package.license.as_deref().unwrap_or_default().replace('/', " OR ").replace("  ", " ");
            let needed = needed.join(" ");
            Some((name != "sovai", format!("{name}\t{version}\t{license}\t{checksum}\t{needed}")))
        })
        .collect();
    lines.sort();
    let mut text = format!(
        "# What is linked into sovai for {TARGET}, as cargo resolves it: name, version, licence, SHA-256 of the package,\n\
         # what it needs. Features are those of the whole workspace. Written by `cargo xtask generate`; do not edit.\n"
    );
    for (_, line) in lines {
        let _ = writeln!(text, "{line}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_linked_is_listed_and_what_only_builds_is_not() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let text = table(root).unwrap();
        let names: BTreeSet<&str> =
            text.lines().filter_map(|line| line.split_once('\t')).map(|(name, _)| name).collect();
        for linked in ["sovai", "sovai-store", "serde_json", "bollard", "rustls", "ring"] {
            assert!(names.contains(linked), "{linked}");
        }
        for other in ["serde_derive", "syn", "cc", "insta", "proptest", "tempfile", "xtask", "windows-sys"] {
            assert!(!names.contains(other), "{other}");
        }
        assert!(text.lines().nth(2).unwrap().starts_with("sovai\t"));
        let serde = text.lines().find(|line| line.starts_with("serde\t")).unwrap();
        assert_eq!(serde.split('\t').nth(3).unwrap().len(), 64);
    }
}
