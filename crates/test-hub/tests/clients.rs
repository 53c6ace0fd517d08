//! The hubs' own clients download from the test hub: it answers as they expect.
//!
//! `SOVAI_WITNESS` names the Python that has them; `scripts/witness.sh` makes one and prints its path. Without it each test
//! here says so and ends, except in CI, where that is a failure.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "what a test cannot do is a failed test")]

use sovai_test_hub::{Content, Fault, Hub, Place, Repo};
use std::path::Path;
use std::process::Command;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// Run a script in the witness's Python, with the hub as both hubs; its output. `None` where there is no witness.
fn python(hub: &Hub, folder: &Path, script: &str, more: &[(&str, &str)]) -> Option<String> {
    let Some(python) = std::env::var_os("SOVAI_WITNESS") else {
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "CI must name the witness");
        eprintln!("SKIPPED: SOVAI_WITNESS is not set; see scripts/witness.sh");
        return None;
    };
    let output = Command::new(python)
        .args(["-c", script])
        .current_dir(folder)
        .env("HOME", folder)
        .env("HF_HOME", folder.join("hf"))
        .env("HF_ENDPOINT", hub.url())
        .env("HF_HUB_DISABLE_TELEMETRY", "1")
        .env("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        .env("MODELSCOPE_ENDPOINT", hub.url())
        .env("MODELSCOPE_DOMAIN", hub.url())
        .env_remove("HF_TOKEN")
        .envs(more.iter().copied())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    Some(text)
}

fn tiny() -> (Hub, Repo) {
    let repo = Repo::new("acme/tiny", COMMIT)
        .license("mit")
        .lfs("model-00001-of-00002.safetensors", Content::pattern(1, 3_000_000))
        .lfs("sub/deep/model.gguf", Content::pattern(2, 70_001))
        .file("config.json", "{\"a\": 1}")
        .file("a name+with%signs #1.txt", "odd")
        .file("empty", "");
    let hub = Hub::start();
    hub.add(repo.clone());
    (hub, repo)
}

/// Everything that was added is in the folder, byte for byte.
fn same(repo: &Repo, folder: &Path) {
    for (path, file) in &repo.files {
        assert_eq!(fs_err::read(folder.join(path)).unwrap(), file.content.read_all().unwrap(), "{path}");
    }
}

#[test]
fn hugging_face_downloads_a_commit_and_a_branch() {
    for revision in [COMMIT, "main"] {
        let (hub, repo) = tiny();
        let folder = tempfile::tempdir().unwrap();
        let script = format!(
            "import huggingface_hub as h\nprint(h.snapshot_download('acme/tiny', revision='{revision}', local_dir='here'))"
        );
        let token = [("HF_TOKEN", "hf_secret")];
        if python(&hub, folder.path(), &script, &token).is_none() {
            return;
        }
        same(&repo, &folder.path().join("here"));
        let requests = hub.requests();
        assert!(
            requests.iter().any(|seen| seen.place == Place::Cdn),
            "files in LFS come from the other host"
        );
        assert!(requests.iter().any(|seen| seen.authorization.as_deref() == Some("Bearer hf_secret")));
        assert!(!hub.cdn_saw_authorization());
    }
}

#[test]
fn hugging_face_reads_listings_of_several_pages() {
    let (hub, repo) = tiny();
    hub.set_page_size(2);
    let folder = tempfile::tempdir().unwrap();
    let script = "
import huggingface_hub as h, json
api = h.HfApi()
info = api.model_info('acme/tiny', revision='main', files_metadata=True)
tree = [e for e in api.list_repo_tree('acme/tiny', recursive=True) if isinstance(e, h.hf_api.RepoFile)]
print(json.dumps({
    'sha': info.sha, 'license': info.card_data.license,
    'info': {s.rfilename: [s.size, s.blob_id, s.lfs.sha256 if s.lfs else None] for s in info.siblings},
    'tree': {e.path: [e.size, e.blob_id, e.lfs.sha256 if e.lfs else None] for e in tree},
}))";
    let Some(text) = python(&hub, folder.path(), script, &[]) else { return };
    let said: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((said["sha"].as_str(), said["license"].as_str()), (Some(COMMIT), Some("mit")));
    let mut want = serde_json::json!({});
    for (path, file) in &repo.files {
        let sha256 = file.lfs.then(|| file.content.sha256());
        want[path] = serde_json::json!([file.content.size(), file.oid(), sha256]);
    }
    assert_eq!(said["info"], want);
    assert_eq!(said["tree"], want);
    let pages = hub.requests().iter().filter(|seen| seen.path.contains("/tree/")).count();
    assert_eq!(pages, 4, "five files and two folders, two a page");
}

#[test]
fn hugging_face_knows_what_is_refused() {
    let (hub, repo) = tiny();
    hub.add(Repo { id: "acme/gated".to_owned(), ..repo.clone() }.gated("right"));
    hub.add(Repo { id: "acme/private".to_owned(), ..repo }.private("right"));
    let folder = tempfile::tempdir().unwrap();
    let script = "
import huggingface_hub as h
def name(repo, token=False, revision='main', path='config.json'):
    try:
        h.hf_hub_download(repo, path, revision=revision, token=token)
        return 'ok'
    except Exception as error:
        return type(error).__name__
print(name('acme/gated'), name('acme/gated', 'wrong'), name('acme/gated', 'right'),
      name('acme/private'), name('acme/private', 'right'), name('acme/none'),
      name('acme/tiny', revision='none'), name('acme/tiny', path='none'))";
    let Some(text) = python(&hub, folder.path(), script, &[]) else { return };
    let want = "GatedRepoError GatedRepoError ok RepositoryNotFoundError ok RepositoryNotFoundError \
                RevisionNotFoundError RemoteEntryNotFoundError";
    assert_eq!(text.trim(), want);
}

#[test]
fn hugging_face_goes_on_after_a_break_and_a_refusal() {
    let hub = Hub::start();
    // The client writes in pieces of 10 MB: a break inside the first one leaves nothing to go on from.
    let weights = Content::pattern(3, 24_000_000);
    let repo = Repo::new("acme/tiny", COMMIT).lfs("model.safetensors", weights).file("config.json", "{}");
    hub.add(repo.clone());
    let breaks = hub.fault("model.safetensors", Fault::CloseAfter(15_000_000)).times(1);
    let refusals = hub.fault("config.json", Fault::too_many(0)).times(1);
    let folder = tempfile::tempdir().unwrap();
    let script =
        "import huggingface_hub as h\nh.snapshot_download('acme/tiny', local_dir='here', max_workers=1)";
    if python(&hub, folder.path(), script, &[]).is_none() {
        return;
    }
    assert_eq!((breaks.hits(), refusals.hits()), (1, 1));
    same(&repo, &folder.path().join("here"));
    assert!(
        hub.requests()
            .iter()
            .any(|seen| seen.range.as_deref().is_some_and(|range| range.starts_with("bytes=")))
    );
}

#[test]
fn modelscope_downloads_and_walks_past_the_cut() {
    let (hub, repo) = tiny();
    let mut many = Repo::new("acme/many", COMMIT);
    for number in 0..3500 {
        many = many.file(format!("part-{}/{number}.txt", number % 7), format!("{number}"));
    }
    hub.add(many);
    let folder = tempfile::tempdir().unwrap();
    let script = "
from modelscope_hub.compat.snapshot_download import snapshot_download
from modelscope_hub import HubApi
import sys
print(snapshot_download('acme/tiny', cache_dir='cache'))
files = HubApi().list_repo_files('acme/many', 'model')
print(len(files))";
    let Some(text) = python(&hub, folder.path(), script, &[]) else { return };
    let mut lines = text.lines();
    same(&repo, &folder.path().join(lines.next().unwrap()));
    assert_eq!(lines.next(), Some("3507"), "files and folders");
    hub.set_modelscope_cdn(true);
    let script = "
from modelscope_hub.compat.snapshot_download import snapshot_download
print(snapshot_download('acme/tiny', cache_dir='again'))";
    let again = python(&hub, folder.path(), script, &[]).unwrap();
    same(&repo, &folder.path().join(again.trim()));
    assert!(hub.requests().iter().any(|seen| seen.place == Place::Cdn), "the other host");
    let listings = hub.requests().iter().filter(|seen| seen.query.contains("Root=")).count();
    assert!(listings >= 7, "{listings}");
}
