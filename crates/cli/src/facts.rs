//! Facts for a policy, gathered from a manifest, from what the verifier found, and from the files themselves.

use sovai_catalog::identify_license_text;
use sovai_core::{FilePin, Name};
use sovai_formats::{CodeEntry, Severity, SurfaceItem, SurfaceKind};
use sovai_manifest::{LockedModel, Manifest, Model};
use sovai_policy::{
    CodeFact, FileFact, ImageFact, LicenseFact, ModelFacts, ProblemFact, Subject, TemplateFact, UnseenFact,
};
use sovai_verifier::{CARD, Examination, Options, Scope, VerifyError, examine_scope, model_card};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Which files of a model have a digest that somebody pinned or signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pinned {
    /// All of them, as if: nobody asked for pins.
    All,
    /// None: nothing says which files are the model's, and each is one but the notes of a hub's tool.
    Nothing,
    /// These paths, and no other file is one of the model.
    Paths(BTreeSet<String>),
}

impl Pinned {
    /// The files of pins.
    pub(crate) fn of(pins: &[FilePin]) -> Self {
        Self::Paths(pins.iter().map(|pin| pin.path.as_str().to_owned()).collect())
    }

    fn has(&self, path: &str) -> bool {
        match self {
            Self::All => true,
            Self::Nothing => false,
            Self::Paths(paths) => paths.contains(path),
        }
    }

    /// Whether what a file says counts for the model.
    fn covers(&self, path: &str) -> bool {
        match self {
            Self::All | Self::Nothing => true,
            Self::Paths(paths) => paths.contains(path),
        }
    }

    /// What the files of a source are; only those that are pinned or signed count, where something is.
    pub(crate) fn examine(
        &self,
        source: &Path,
        is_model: bool,
        options: &Options,
    ) -> Result<Examination, VerifyError> {
        let covered = match self {
            Self::All | Self::Nothing => None,
            Self::Paths(paths) => Some(paths),
        };
        examine_scope(source, Scope { covered, is_model }, options)
    }
}

/// What a manifest and its lock declare of a model.
pub(crate) fn declared(name: &Name, model: &Model, locked: Option<&LockedModel>) -> ModelFacts {
    ModelFacts {
        source: Some(model.source.to_string()),
        publisher: model.publisher.clone(),
        declared_license: model.license.clone(),
        hub_license: locked.and_then(|locked| locked.license.clone()),
        usage: model.usage.clone(),
        lineage: model.lineage.clone().unwrap_or_default(),
        ..ModelFacts::new(Subject::Model(name.as_str().to_owned()))
    }
}

/// The revision that a level is judged by, and whether the pins are those that a hub listed for it.
///
/// The word is the lock's: its files came from this very source, at a full commit, which `sovai lock` writes only when it
/// took them from the hub's list. Whoever can write the lock can write that; but he could write the manifest as well.
pub(crate) fn at_hub<'a>(
    model: Option<&'a Model>,
    locked: Option<&'a LockedModel>,
    pins: &[FilePin],
) -> (Option<&'a str>, bool) {
    let wanted = model.and_then(Model::wanted_revision);
    let (Some(model), Some(locked)) = (model, locked) else { return (wanted, false) };
    let Some(commit) = locked.revision.as_deref() else { return (wanted, false) };
    let origin = model.source.to_string();
    let is_commit = commit.len() == 40 && commit.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let by_path: BTreeMap<_, _> = locked.files.iter().map(|file| (&file.path, file)).collect();
    let listed = model.source.is_hub()
        && is_commit
        && !pins.is_empty()
        && pins.iter().all(|pin| {
            by_path.get(&pin.path).is_some_and(|file| {
                file.source == origin && file.sha256 == pin.sha256 && file.size == pin.size
            })
        });
    if listed { (Some(commit), true) } else { (wanted.or(Some(commit)), false) }
}

/// The images of a manifest's services, each once, by name.
pub(crate) fn images(manifest: &Manifest) -> Vec<ImageFact> {
    let names: BTreeSet<&str> =
        manifest.services.values().map(|service| service.image.name.as_str()).collect();
    names.into_iter().map(|name| ImageFact { name: name.to_owned() }).collect()
}

/// Adds what an examination found in the files of a model.
pub(crate) fn add_examination(facts: &mut ModelFacts, examination: &Examination, pinned: &Pinned) {
    facts.examined = true;
    facts.unseen.extend(
        examination
            .findings
            .iter()
            .map(|found| UnseenFact { path: found.subject().to_owned(), why: crate::findings::what(found) }),
    );
    facts.files.extend(
        examination
            .files
            .iter()
            // What is wrong with a file counts whether somebody vouches for it or not.
            .chain(&examination.outside)
            .map(|file| FileFact { path: file.path.clone(), content: file.content.word() }),
    );
    facts.problems.extend(examination.problems.iter().map(|found| ProblemFact {
        code: found.code,
        path: found.path.clone(),
        message: found.message.clone(),
        warning: found.severity == Severity::Warning,
    }));
    facts.code.extend(examination.surface.iter().filter_map(|item| code(item, pinned)));
    let templates = examination.templates.iter().chain(&examination.outside_templates);
    facts.templates.extend(templates.map(|template| TemplateFact {
        path: template.path.clone(),
        place: match &template.name {
            Some(name) => format!("{name}, {}", template.place.words()),
            None => template.place.words().to_owned(),
        },
        sha256: template.sha256,
        pinned: pinned.has(&template.path),
    }));
    facts.licenses.extend(
        examination
            .licenses
            .iter()
            .map(|text| LicenseFact { path: text.path.clone(), text: identify_license_text(&text.text) }),
    );
}

/// An item of the executable surface that is code an engine imports. Pickles, programs and archives are kinds of
/// content, which have rules of their own.
fn code(item: &SurfaceItem, pinned: &Pinned) -> Option<CodeFact> {
    let list = |what: &str, entries: &[CodeEntry]| {
        let named: Vec<String> =
            entries.iter().take(8).map(|entry| format!("{} = {}", entry.key, entry.value)).collect();
        let more = if entries.len() > named.len() { ", ..." } else { "" };
        format!("{what} ({}{more})", named.join(", "))
    };
    // `ORG/NAME--module.Class` is code of another repository, which no pin of this model covers.
    let elsewhere = |entries: &[CodeEntry]| entries.iter().any(|entry| entry.value.contains("--"));
    let (what, here) = match &item.kind {
        SurfaceKind::PythonFile => ("Python source".to_owned(), true),
        SurfaceKind::AutoMap { entries } => (list("auto_map", entries), !elsewhere(entries)),
        SurfaceKind::CustomPipelines { entries } => (list("custom_pipelines", entries), !elsewhere(entries)),
        SurfaceKind::TrustRemoteCode => ("trust_remote_code".to_owned(), true),
        _ => return None,
    };
    Some(CodeFact { path: item.path.clone(), what, pinned: here && pinned.has(&item.path) })
}

/// The licence that the front matter of a model card (`README.md`) states: a hub's label. `None` where there is no card
/// in the source, no label in it, or where nobody vouches for it although somebody does for other files.
pub(crate) fn hub_label(source: &Path, pinned: &Pinned) -> Option<String> {
    let card = pinned.covers(CARD).then(|| model_card(source)).flatten()?;
    label_of(&card)
}

/// `license`, or `license_name` where that is `other`, of the lines between the first two `---`.
fn label_of(card: &str) -> Option<String> {
    let mut lines = card.trim_start_matches('\u{feff}').lines();
    if lines.next()?.trim_end() != "---" {
        return None;
    }
    let matter: Vec<&str> = lines.take_while(|line| line.trim_end() != "---").collect();
    let value = |key: &str| {
        let line = matter.iter().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
        // A comment begins with a space; labels have none.
        let value = line.split(" #").next().unwrap_or(line).trim().trim_matches(['"', '\'']);
        (1..=128).contains(&value.len()).then(|| value.to_owned())
    };
    match value("license") {
        Some(label) if label == "other" => value("license_name").or(Some(label)),
        label => label,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_cards_label_is_read_from_its_front_matter_alone() {
        for (card, expected) in [
            ("---\nlicense: mit\n---\n# M\n", Some("mit")),
            ("---\r\nlanguage: en\r\nlicense: \"apache-2.0\" # yes\r\n---\r\n", Some("apache-2.0")),
            ("---\nlicense: other\nlicense_name: minimax-community\n---\n", Some("minimax-community")),
            ("---\nlicense: other\n---\n", Some("other")),
            ("# M\nlicense: mit\n", None),
            ("---\ntags:\n  license: mit\n---\nlicense: mit\n", None),
            ("---\nlicense:\n---\n", None),
            ("", None),
        ] {
            assert_eq!(label_of(card).as_deref(), expected, "{card:?}");
        }
        assert_eq!(label_of(&format!("---\nlicense: {}\n", "x".repeat(1000))), None);
    }

    #[test]
    fn code_of_another_place_is_never_pinned() {
        let item = |kind| SurfaceItem { path: "config.json".into(), kind, sha256: None, bytes: 1 };
        let map = |value: &str| SurfaceKind::AutoMap {
            entries: vec![CodeEntry { key: "AutoModel".into(), value: value.into() }],
        };
        let pinned = Pinned::Paths(["config.json".to_owned()].into());
        assert!(code(&item(map("modeling_x.XModel")), &pinned).unwrap().pinned);
        assert!(!code(&item(map("org/name--modeling_x.XModel")), &pinned).unwrap().pinned);
        assert!(!code(&item(map("modeling_x.XModel")), &Pinned::Paths(BTreeSet::new())).unwrap().pinned);
        assert_eq!(code(&item(SurfaceKind::Pickle), &pinned), None);
    }
}
