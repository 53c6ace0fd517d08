//! The adapters against a hub of the tests.

mod hostile;
mod s3;
mod servers;

use super::*;
use crate::{
    Basis, ByteRange, ResolveOptions, ResolvedModel, Selection, Source, SourceError, Wanted, resolve,
};
use futures_util::StreamExt as _;
use sovai_core::{NullReporter, RelPath};
use sovai_http::Options;
use sovai_test_hub::{Content, Fault, Hub, Repo};
use std::num::NonZeroUsize;
use std::time::Duration;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const A: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn surroundings(hub: &Hub, more: &[(&str, &str)]) -> Surroundings {
    let mut variables =
        vec![("HF_ENDPOINT".to_owned(), hub.url()), ("MODELSCOPE_ENDPOINT".to_owned(), hub.url())];
    variables.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let env = Env::new(move |name| {
        variables.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    });
    let retry = Retry { tries: 3, first: Duration::ZERO, most: Duration::ZERO };
    Surroundings { http: Client::new(&Options::default()).unwrap(), env, retry }
}

fn block<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn options() -> ResolveOptions {
    let retry = Retry { tries: 3, first: Duration::ZERO, most: Duration::ZERO };
    ResolveOptions { requests: NonZeroUsize::new(4).unwrap(), retry }
}

fn run(source: &dyn Source, revision: Option<&str>) -> Result<ResolvedModel, SourceError> {
    block(resolve(source, revision, &Selection::default(), &options(), &NullReporter))
}

fn get(hub: &Hub, text: &str, more: &[(&str, &str)]) -> Result<ResolvedModel, SourceError> {
    let (scheme, rest) = text.split_once(':').unwrap();
    run(&*open(scheme, rest, &surroundings(hub, more)).unwrap(), None)
}

fn bytes(source: &dyn Source, path: &str, range: Option<(u64, u64)>) -> Result<(u64, Vec<u8>), SourceError> {
    let path = RelPath::new(path).unwrap();
    let wanted = Wanted { path, size: None, sha256: None, revision: None };
    block(async {
        let range = range.map(|(start, end)| ByteRange { start, end });
        let mut body = source.open(&wanted, range).await?;
        let mut all = Vec::new();
        while let Some(piece) = body.stream.next().await {
            all.extend_from_slice(&piece?);
        }
        Ok((body.start, all))
    })
}

fn refusal(error: &SourceError) -> (String, String) {
    match error {
        SourceError::Refused { reason, hint, .. } => (reason.clone(), hint.clone()),
        other => panic!("{other}"),
    }
}

fn tiny() -> Repo {
    Repo::new("acme/tiny", COMMIT)
        .license("apache-2.0")
        .file("config.json", "{\"a\":1}")
        .file("LICENSE", "text")
        .file("sub dir/ü?#%.txt", "odd")
        .lfs("model.safetensors", Content::pattern(1, 100_000))
}

fn summary(model: &ResolvedModel) -> Vec<(&str, u64, Basis)> {
    model.files.iter().map(|file| (file.pin.path.as_str(), file.pin.size, file.basis)).collect()
}

#[test]
fn both_hubs_give_the_same_pins() {
    let hub = Hub::start();
    hub.add(tiny());
    let hf = get(&hub, "hf:acme/tiny", &[]).unwrap();
    assert_eq!((hf.revision.as_deref(), hf.license.as_deref()), (Some(COMMIT), Some("apache-2.0")));
    let expected = [
        ("LICENSE", 4, Basis::HashedAsGitSays),
        ("config.json", 7, Basis::HashedAsGitSays),
        ("model.safetensors", 100_000, Basis::Listed),
        ("sub dir/ü?#%.txt", 3, Basis::HashedAsGitSays),
    ];
    assert_eq!(summary(&hf), expected);
    assert_eq!(hf.license_files, [hf.files[0].pin.clone()]);
    let modelscope = get(&hub, "modelscope:acme/tiny", &[]).unwrap();
    assert!(modelscope.files.iter().all(|file| file.basis == Basis::Listed));
    assert_eq!(modelscope.pins(), hf.pins());
    assert_eq!((modelscope.revision, modelscope.license.as_deref()), (None, Some("apache-2.0")));
    let pinned = get(&hub, &format!("modelscope:acme/tiny@{COMMIT}"), &[]).unwrap();
    assert_eq!(pinned.revision.as_deref(), Some(COMMIT));
}

#[test]
fn bytes_come_whole_and_in_ranges_from_both_hubs() {
    let hub = Hub::start();
    hub.add(tiny());
    let weights = Content::pattern(1, 100_000).read_all().unwrap();
    for text in ["hf:acme/tiny", "modelscope:acme/tiny"] {
        let (scheme, rest) = text.split_once(':').unwrap();
        let source = open(scheme, rest, &surroundings(&hub, &[])).unwrap();
        assert_eq!(source.origin(), text);
        assert_eq!(bytes(&*source, "model.safetensors", None).unwrap(), (0, weights.clone()));
        let (start, part) = bytes(&*source, "model.safetensors", Some((70_000, 70_010))).unwrap();
        assert_eq!((start, &part[..]), (70_000, &weights[70_000..70_010]));
        assert_eq!(bytes(&*source, "sub dir/ü?#%.txt", None).unwrap(), (0, b"odd".to_vec()));
        hub.fault("model.safetensors", Fault::IgnoreRange);
        assert_eq!(
            bytes(&*source, "model.safetensors", Some((70_000, 70_010))).unwrap(),
            (0, weights.clone())
        );
        hub.clear_faults();
    }
}

#[test]
fn the_token_goes_to_the_hub_and_nowhere_else() {
    let hub = Hub::start();
    hub.add(tiny().private("hf_secret"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    fs_err::write(&file, "hf_secret\n").unwrap();
    let (path, home) = (file.to_str().unwrap(), folder.path().to_str().unwrap());
    let sent = |scheme: &str, more: &[(&str, &str)]| {
        hub.forget();
        let source = open(scheme, "acme/tiny", &surroundings(&hub, more)).unwrap();
        let whole = run(&*source, None).and_then(|_| bytes(&*source, "model.safetensors", None));
        assert!(!hub.cdn_saw_authorization());
        whole.is_ok()
    };
    for more in [("HF_TOKEN", "hf_secret\n"), ("HF_TOKEN_PATH", path), ("HF_HOME", home)] {
        assert!(sent("hf", &[more]), "{more:?}");
        assert!(hub.requests().iter().any(|seen| seen.place == sovai_test_hub::Place::Cdn));
    }
    fs_err::create_dir_all(folder.path().join(".cache/huggingface")).unwrap();
    fs_err::rename(&file, folder.path().join(".cache/huggingface/token")).unwrap();
    assert!(sent("hf", &[("HOME", home)]));
    assert!(!sent("hf", &[("HOME", home), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]));
    assert!(!sent("hf", &[]));
    assert!(sent("modelscope", &[("MODELSCOPE_API_TOKEN", "hf_secret")]));
    assert!(!sent("modelscope", &[]));
    let source = open("hf", "acme/tiny", &surroundings(&hub, &[("HF_TOKEN", "hf_secret")])).unwrap();
    assert!(!format!("{source:?}").contains("hf_secret"));
}

#[test]
fn refusals_say_what_to_do() {
    let hub = Hub::start();
    hub.add(tiny().gated("good"));
    let (reason, hint) = refusal(&get(&hub, "hf:acme/tiny", &[]).unwrap_err());
    assert!(reason.contains("gated") && hint.contains("HF_TOKEN"), "{reason}; {hint}");
    assert!(hint.contains(&format!("{}/acme/tiny", hub.url())), "{hint}");
    let (reason, hint) = refusal(&get(&hub, "hf:acme/tiny", &[("HF_TOKEN", "other")]).unwrap_err());
    assert!(reason.contains("gated") && hint.contains("with the account"), "{reason}; {hint}");
    assert!(get(&hub, "hf:acme/tiny", &[("HF_TOKEN", "good")]).is_ok());
    let (reason, hint) = refusal(&get(&hub, "hf:acme/none", &[]).unwrap_err());
    assert!(reason.contains("no such model") && hint.contains("HF_TOKEN"), "{reason}; {hint}");
    let error = get(&hub, "hf:acme/tiny@none", &[("HF_TOKEN", "good")]).unwrap_err();
    assert!(matches!(&error, SourceError::NoRevision { revision, .. } if revision == "none"), "{error}");
    let (reason, _) = refusal(&get(&hub, "modelscope:acme/none", &[]).unwrap_err());
    assert!(reason.contains("no such model"), "{reason}");
    let error = get(&hub, "modelscope:acme/tiny@none", &[]).unwrap_err();
    assert!(matches!(&error, SourceError::NoRevision { revision, .. } if revision == "none"), "{error}");
    let source = open("hf", "acme/tiny", &surroundings(&hub, &[("HF_TOKEN", "good")])).unwrap();
    let (reason, _) = refusal(&bytes(&*source, "none.json", None).unwrap_err());
    assert!(reason.contains("not in revision"), "{reason}");
}

#[test]
fn what_passes_is_asked_for_again_and_what_does_not_is_not() {
    let hub = Hub::start();
    hub.add(tiny());
    for fault in [Fault::too_many(0), Fault::status(503), Fault::CloseAfter(3)] {
        hub.fault("**", fault).times(2);
        get(&hub, "hf:acme/tiny", &[]).unwrap();
        hub.clear_faults();
    }
    hub.fault("api/**", Fault::too_many(0));
    let (reason, hint) = refusal(&get(&hub, "hf:acme/tiny", &[]).unwrap_err());
    assert!(reason.contains("slow down") && hint.contains("HF_TOKEN"), "{reason}; {hint}");
    hub.clear_faults();
    hub.forget();
    hub.fault("api/**", Fault::status(403));
    get(&hub, "hf:acme/tiny", &[]).unwrap_err();
    assert_eq!(hub.requests().len(), 1);
    hub.clear_faults();
    // Last: of its two requests at once, one may still arrive when the other was refused.
    hub.fault("api/**", Fault::too_many(0));
    assert!(refusal(&get(&hub, "modelscope:acme/tiny", &[]).unwrap_err()).0.contains("slow down"));
    // While a file is fetched, a 429 stays what it is: who fetches waits as long as it says.
    hub.clear_faults();
    hub.fault("config.json", Fault::too_many(7));
    let source = open("hf", "acme/tiny", &surroundings(&hub, &[])).unwrap();
    let error = bytes(&*source, "config.json", None).unwrap_err();
    assert!(error.is_transient(), "{error}");
}

#[test]
fn a_file_that_is_not_what_the_hub_lists_is_a_mismatch() {
    let hub = Hub::start();
    hub.add(tiny());
    hub.fault("config.json", Fault::Flip(2));
    let error = get(&hub, "hf:acme/tiny", &[]).unwrap_err();
    assert!(matches!(&error, SourceError::Mismatch { path, .. } if path == "config.json"), "{error}");
    assert!(error.to_string().contains("git blob"), "{error}");
}

#[test]
fn many_files_come_page_by_page_and_folder_by_folder() {
    let hub = Hub::start();
    let content = Content::listed(7, A);
    let mut repo = Repo::new("acme/many", COMMIT);
    for number in 0..3500 {
        repo = repo.lfs(format!("part{}/deep/{number:05}.bin", number % 3), content.clone());
    }
    for number in 0..10 {
        repo = repo.lfs(format!("top{number}.bin"), content.clone());
    }
    hub.add(repo);
    for text in ["hf:acme/many", "modelscope:acme/many"] {
        hub.forget();
        assert_eq!(get(&hub, text, &[]).unwrap().files.len(), 3510, "{text}");
        assert!(hub.requests().len() > 4, "{text}");
    }
    // A folder that is too long by itself is an error, not a shorter list.
    let mut repo = Repo::new("acme/flat", COMMIT);
    for number in 0..3000 {
        repo = repo.lfs(format!("flat/{number:05}.bin"), content.clone());
    }
    hub.add(repo);
    let error = get(&hub, "modelscope:acme/flat", &[]).unwrap_err().to_string();
    assert!(error.contains("`flat`") && error.contains("3000"), "{error}");
    assert_eq!(get(&hub, "hf:acme/flat", &[]).unwrap().files.len(), 3000);
}

#[test]
fn a_model_of_62_shards_is_resolved_with_few_requests_and_no_byte_of_a_shard() {
    let hub = Hub::start();
    let mut repo =
        Repo::new("acme/big", COMMIT).license("mit").file("config.json", "{}").file("LICENSE", "MIT");
    for number in 1..=62 {
        repo = repo.lfs(format!("model-{number:05}-of-00062.safetensors"), Content::listed(9_596_774_194, A));
    }
    hub.add(repo);
    let model = get(&hub, "hf:acme/big", &[]).unwrap();
    assert_eq!(model.files.len(), 64);
    assert!(model.files.iter().map(|file| file.pin.size).sum::<u64>() > 595_000_000_000);
    // Two lists, two small files with a redirect each.
    assert_eq!(hub.requests().len(), 6);
    assert_eq!(get(&hub, "hf:acme/big", &[]).unwrap(), model);
}
