//! What happens to a store under faults: `kill -9`, damage, many files; and what the commands say then.

use crate::env::{IMAGE_PIN, TestEnv, WEIGHTS, WEIGHTS_SHA256};
use crate::lock_remote::{repo, stack};
use crate::push::layout;
use crate::store::Place;
use sovai_core::{FilePin, Name, RelPath, Sha256};
use sovai_store::{ModelArtifact, Store};
use sovai_test_hub::{Content, Fault, Hub, Repo};
use std::fmt::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// The program, on its way; killed where it does not end by itself.
fn start(env: &TestEnv, hub: Option<&Hub>, args: &[&str]) -> Child {
    let mut command = env.process(env!("CARGO_BIN_EXE_sovai"), args);
    if let Some(hub) = hub {
        command.env("HF_ENDPOINT", hub.url());
    }
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Kills a command after a time; whether it was still at work.
fn kill_after(mut child: Child, time: Duration) -> bool {
    std::thread::sleep(time);
    child.kill().unwrap();
    child.wait().unwrap().code().is_none()
}

/// Numbers that are the same in each run.
fn moments(seed: u64) -> impl Iterator<Item = u64> {
    let next =
        |n: &u64| Some(n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407));
    std::iter::successors(Some(seed), next).skip(1).map(|n| n >> 33)
}

fn sha256(bytes: &[u8]) -> Sha256 {
    use sha2::Digest as _;
    Sha256::from_bytes(sha2::Sha256::digest(bytes).into())
}

/// Small blobs as they lie in a store, without the waits for the disk.
fn blobs(store: &Store, word: &str, count: usize) -> Vec<FilePin> {
    (0..count)
        .map(|at| {
            let bytes = format!("{word} {at}");
            let sha256 = sha256(bytes.as_bytes());
            let path = store.blob(&sha256);
            fs_err::write(&path, &bytes).unwrap();
            fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o444)).unwrap();
            let path = RelPath::new(&format!("part/{word}-{at:05}")).unwrap();
            FilePin { path, size: bytes.len() as u64, sha256 }
        })
        .collect()
}

/// A model of these files, with its tree, that no manifest names.
fn unnamed(store: &Store, pins: &[FilePin]) -> Sha256 {
    let artifact = ModelArtifact::new(pins);
    store.put(&artifact.config).unwrap();
    store.put(&artifact.manifest).unwrap();
    let lock = store.lock("a test").unwrap();
    store.make_tree(&lock, &artifact.digest, pins).unwrap();
    store.add_to_index(&lock, &artifact.descriptor()).unwrap();
    artifact.digest
}

#[test]
fn a_prune_that_is_killed_leaves_a_store_that_the_next_one_completes() {
    let place = Place::new();
    let kept = place.stack("one", &[("m.gguf", WEIGHTS), ("config.json", b"{}")]);
    let litter = |round: usize| {
        for model in 0..6 {
            let word = format!("r{round}m{model}");
            unnamed(&place.store, &blobs(&place.store, &word, 40));
        }
        blobs(&place.store, &format!("r{round}"), 300);
    };
    let sound = || {
        let ran = place.env.run("store verify");
        assert_eq!(ran.code, 0, "{ran}");
        let list = place.env.json("store list");
        let model = list["models"].as_array().unwrap().iter().find(|it| it["digest"] == kept.to_string());
        assert_eq!(model.unwrap()["state"], "whole", "{list}");
        list
    };
    litter(0);
    let begin = Instant::now();
    assert_eq!(place.env.run("store prune").code, 0);
    let length = begin.elapsed();
    let mut cut = 0;
    for (round, moment) in (1..=7).zip(moments(5)) {
        litter(round);
        let part = u32::try_from(moment % 100).unwrap();
        let child = start(&place.env, None, &["store", "prune"]);
        cut += usize::from(kill_after(child, length * part / 100));
        sound();
    }
    assert!(cut >= 3, "{cut} of 7 prunes were cut off: the moments are badly chosen");
    assert_eq!(place.env.run("store prune").code, 0);
    let list = sound();
    assert_eq!((list["models"].as_array().unwrap().len(), &list["unnamed"]["blobs"]), (1, &0.into()));
    // And what is named is used without being read again.
    assert_eq!(place.admit_again("one", &[("m.gguf", WEIGHTS), ("config.json", b"{}")]), 0);
}

/// Names that begin with a dot are temporary.
fn entries(folder: &Path) -> usize {
    let is_whole = |entry: &fs_err::DirEntry| !entry.file_name().to_string_lossy().starts_with('.');
    let Ok(found) = fs_err::read_dir(folder) else { return 0 };
    found.flatten().filter(is_whole).count()
}

#[test]
fn a_pull_that_is_killed_after_the_last_byte_fetches_nothing_again() {
    const FILES: usize = 120;
    let hub = Hub::start();
    let mut many = Repo::new("acme/tiny", "a".repeat(40)).refs(["main"]);
    for at in 0..FILES {
        many = many.lfs(format!("part/{at:04}.safetensors"), Content::pattern(at as u64, 900));
    }
    hub.add(many);
    let args = ["pull", "stack.yaml", "--model", "assistant"];
    let mut cut = 0;
    for moment in moments(11).take(5) {
        let env = TestEnv::new();
        env.write("stack.yaml", stack("hf:acme/tiny@main", ""));
        assert_eq!(env.at(&hub, "lock stack.yaml").code, 0);
        let child = start(&env, Some(&hub), &args);
        let (blobs, deadline) =
            (env.root().join("store/blobs/sha256"), Instant::now() + Duration::from_secs(30));
        while entries(&blobs) < FILES + 2 {
            assert!(Instant::now() < deadline, "the files did not come");
            std::thread::sleep(Duration::from_micros(200));
        }
        cut += usize::from(kill_after(child, Duration::from_micros(moment % 25_000)));
        hub.forget();
        let value = env.json_at(&hub, &args.join(" "));
        assert_eq!((&value["exitCode"], &value["fetched"]), (&0.into(), &0.into()), "{value}");
        assert!(hub.requests().is_empty(), "{:?}", hub.requests());
        assert_eq!(env.json("store list")["models"][0]["state"], "whole");
        assert_eq!(env.run("store verify").code, 0);
    }
    assert!(cut >= 2, "{cut} of 5 pulls were cut off: the moments are badly chosen");
}

#[test]
fn a_rotted_blob_with_an_old_receipt_is_found_and_not_believed() {
    let (hub, env) = (Hub::start(), TestEnv::new());
    hub.add(repo('a', WEIGHTS.to_vec()).refs(["main"]));
    env.write("stack.yaml", stack("hf:acme/tiny@main", ""));
    assert_eq!(env.at(&hub, "lock stack.yaml").code, 0);
    let pull = "pull stack.yaml --model assistant";
    assert_eq!(env.at(&hub, pull).code, 0);
    // Refused for its licence text, which is none; not for its bytes.
    let verify = |more: &str| env.json(&format!("verify stack.yaml {more}"))["models"][0]["findings"].clone();
    assert_eq!(verify(""), 0);
    let receipts: Vec<(PathBuf, Vec<u8>)> = env
        .everything_below("store/receipts")
        .into_iter()
        .map(|path| (path.clone(), fs_err::read(path).unwrap()))
        .collect();
    assert!(!receipts.is_empty());
    let blob = env.root().join("store/blobs/sha256").join(WEIGHTS_SHA256);
    let restore = || {
        for (path, bytes) in &receipts {
            fs_err::write(path, bytes).unwrap();
            fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
        }
    };
    // Rot in place (the inode stays), and another file under the name (it does not); size and mtime are those of before.
    for in_place in [true, false] {
        let before = fs_err::metadata(&blob).unwrap();
        let mut bytes = fs_err::read(&blob).unwrap();
        bytes[9] ^= 1;
        if !in_place {
            fs_err::remove_file(&blob).unwrap();
        }
        fs_err::write(&blob, &bytes).unwrap();
        let file = std::fs::File::options().append(true).open(&blob).unwrap();
        file.set_modified(before.modified().unwrap()).unwrap();
        fs_err::set_permissions(&blob, std::fs::Permissions::from_mode(0o444)).unwrap();
        restore();
        let after = fs_err::metadata(&blob).unwrap();
        assert_eq!((after.ino() == before.ino(), after.mtime()), (in_place, before.mtime()));
        let value = env.json("store verify");
        assert_eq!((&value["exitCode"], &value["findings"][0]["type"]), (&4.into(), &"blob-damaged".into()));
        restore();
        // What only looks at the tree sees the rot, too; a new file under the blob's name it does not see.
        assert_eq!(verify(""), i32::from(in_place));
        restore();
        let ran = env.at(&hub, pull);
        assert_eq!(ran.code, 0, "{ran}");
        assert_eq!(fs_err::read(&blob).unwrap(), WEIGHTS, "fetched anew");
        assert_eq!(env.run("store verify").code, 0);
        assert_eq!(verify("--full"), 0);
    }
}

/// Runs a command to its end; its exit code, how long it took, and its largest resident size in bytes.
fn measured(env: &TestEnv, args: &[&str]) -> (Option<i32>, Duration, u64) {
    let begin = Instant::now();
    let mut child = start(env, None, args);
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    loop {
        let text = fs_err::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib: Option<u64> = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        most = most.max(kib.unwrap_or(0) << 10);
        if let Some(status) = child.try_wait().unwrap() {
            return (status.code(), begin.elapsed(), most);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn twenty_thousand_blobs_are_no_trouble() {
    const MOST: u64 = (64 + 2 * 8) << 20;
    let (env, half) = (TestEnv::new(), 10_000);
    let store = Store::open(&env.root().join("store")).unwrap();
    let pins = blobs(&store, "kept", half);
    let kept = unnamed(&store, &pins);
    blobs(&store, "litter", half);
    // A lock of ten thousand files is larger than a manifest may be.
    env.write("stack.yaml", stack(&format!("hf:acme/tiny@{}", "a".repeat(40)), ""));
    let mut lock = format!(
        "apiVersion: sovai/v1\nkind: Lock\nmodels:\n  assistant:\n    revision: {}\n    files:\n",
        "a".repeat(40)
    );
    for FilePin { path, size, sha256 } in &pins {
        let source = format!("hf:acme/tiny@{}", "a".repeat(40));
        let _ = writeln!(
            lock,
            "      - {{ path: {path}, size: {size}, sha256: {}, source: '{source}' }}",
            sha256.hex()
        );
    }
    env.write("stack.lock.yaml", lock);
    let root = sovai_store::Root::stack(
        &env.path("stack.yaml"),
        &env.path("stack.lock.yaml"),
        Name::new("demo").unwrap(),
        [(Name::new("assistant").unwrap(), kept)].into(),
        std::collections::BTreeMap::new(),
    );
    store.record_root(&store.hold("a test").unwrap(), &root.unwrap()).unwrap();
    for args in [&["store", "list"][..], &["store", "verify", "--threads", "2"], &["store", "prune"]] {
        let (code, took, most) = measured(&env, args);
        eprintln!("{args:?}: {took:?}, {} MiB", most >> 20);
        assert_eq!(code, Some(0), "{args:?}");
        assert!(took < Duration::from_mins(1), "{args:?} took {took:?}");
        assert!(most < MOST, "{args:?} took {} MiB", most >> 20);
    }
    assert_eq!(entries(&env.root().join("store/blobs/sha256")), half + 2);
    assert_eq!(env.json("store list")["models"][0]["state"], "whole");
}

#[test]
fn a_plan_needs_remote_models_in_the_store() {
    let (hub, env) = (Hub::start(), TestEnv::new());
    hub.add(repo('a', WEIGHTS.to_vec()).refs(["main"]));
    env.write("stack.yaml", stack("hf:acme/tiny@main", ""));
    assert_eq!(env.at(&hub, "lock stack.yaml").code, 0);
    // Before and after the store is there.
    for _ in 0..2 {
        let ran = env.run("plan stack.yaml");
        assert_eq!(ran.code, 6, "{ran}");
        assert!(ran.stderr.contains("is not in the store"), "{ran}");
        assert!(ran.stderr.contains("hint: bring it in: sovai pull stack.yaml"), "{ran}");
        Store::open(&env.root().join("store")).unwrap();
    }
    assert_eq!(env.at(&hub, "pull stack.yaml --model assistant").code, 0);
    // What is missing now is the engine.
    let ran = env.run("plan stack.yaml");
    assert!(ran.code == 6 && ran.stderr.contains("no-engine.sock"), "{ran}");
    assert!(!ran.stderr.contains("sovai pull"), "{ran}");
}

#[test]
fn a_lock_of_models_and_images_is_the_same_twice() {
    let (hub, env) = (Hub::start(), TestEnv::new());
    hub.add(repo('a', WEIGHTS.to_vec()).refs(["main"]));
    let mut other = repo('b', b"GGUF other".to_vec()).refs(["main"]);
    other = other.file("z.txt", "z").file("a.txt", "a");
    hub.add(Repo { id: "acme/other".to_owned(), ..other });
    layout(&env, "layout");
    layout(&env, "second");
    let text = stack("hf:acme/tiny@main", "\n    zeta:\n      source: hf:acme/other@main").replace(
        &format!("image: example/engine:1{IMAGE_PIN}"),
        "image: { name: example/engine:1, source: oci-layout:./layout }",
    );
    let more = "  more:\n      image: { name: example/another:2, source: oci-layout:./second }\n";
    env.write("stack.yaml", format!("{text}  {more}"));
    let ran = env.at(&hub, "lock stack.yaml");
    assert_eq!(ran.code, 0, "{ran}");
    let first = env.read("stack.lock.yaml");
    assert!(first.contains("zeta") && first.contains("example/another:2"), "{first}");
    for jobs in [1, 16] {
        fs_err::remove_file(env.path("stack.lock.yaml")).unwrap();
        assert_eq!(env.at(&hub, &format!("lock -j {jobs} stack.yaml")).code, 0);
        assert_eq!(env.read("stack.lock.yaml"), first, "byte for byte");
    }
    // Elsewhere, too: nothing of the place is in it.
    let elsewhere = TestEnv::new();
    layout(&elsewhere, "layout");
    layout(&elsewhere, "second");
    elsewhere.write("stack.yaml", env.read("stack.yaml"));
    assert_eq!(elsewhere.at(&hub, "lock stack.yaml").code, 0);
    assert_eq!(elsewhere.read("stack.lock.yaml"), first);
}

#[test]
fn lock_says_when_it_waits() {
    let (hub, env) = (Hub::start(), TestEnv::new());
    hub.add(repo('a', WEIGHTS.to_vec()).refs(["main"]));
    env.write("stack.yaml", stack("hf:acme/tiny@main", ""));
    hub.fault("**/api/**", Fault::too_many(1)).times(1);
    hub.fault("**/resolve/**", Fault::too_many(1)).times(1);
    let ran = env.at(&hub, "lock --progress plain stack.yaml");
    assert_eq!(ran.code, 0, "{ran}");
    let waits: Vec<&str> = ran.stderr.lines().filter(|line| line.contains("tried again in 1 s")).collect();
    assert_eq!(waits.len(), 2, "{ran}");
    assert!(waits.iter().all(|line| line.contains("hf:acme/tiny@main") && line.contains("429")), "{ran}");
}
