//! What all tests share: the programs under test, and an image made of the test server.

use crate::docker::{docker, lines, try_docker};
use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};

/// The label of images that sovai makes of itself.
const OWN_IMAGES: &str = "label=sovai.image";
/// Repository of the test server's images; the tag is the process that made it.
const STUB: &str = "sovai-e2e/stub";

static SHARED: Mutex<Weak<Shared>> = Mutex::new(Weak::new());
static ORDER: RwLock<()> = RwLock::new(());

/// Programs and images under test.
pub(crate) struct Shared {
    /// The release binary.
    pub(crate) sovai: PathBuf,
    /// The test server.
    pub(crate) stub: PathBuf,
    /// Its image: name and ID.
    pub(crate) stub_image: (String, String),
    /// The real engine's image: name and ID.
    pub(crate) engine_image: (String, String),
    /// The real weights.
    pub(crate) weights: PathBuf,
    before: BTreeSet<String>,
}

/// A test's hold on what is shared. The last one takes away what was made.
pub(crate) struct Setup {
    pub(crate) shared: Arc<Shared>,
    _order: Order,
}

#[expect(dead_code, reason = "held for its drop")]
enum Order {
    Beside(RwLockReadGuard<'static, ()>),
    Alone(RwLockWriteGuard<'static, ()>),
}

/// What a test needs, beside others; `None`: say so and skip.
pub(crate) fn beside() -> Option<Setup> {
    let missing = missing();
    skip(missing.as_deref())?;
    let order = Order::Beside(ORDER.read().unwrap_or_else(PoisonError::into_inner));
    Some(Setup { shared: shared(), _order: order })
}

/// The same, while no other test runs.
pub(crate) fn alone() -> Option<Setup> {
    let missing = missing();
    skip(missing.as_deref())?;
    let order = Order::Alone(ORDER.write().unwrap_or_else(PoisonError::into_inner));
    Some(Setup { shared: shared(), _order: order })
}

/// Whether the long counts are asked for.
pub(crate) fn soak() -> bool {
    std::env::var_os("SOVAI_SOAK").is_some_and(|value| !value.is_empty())
}

/// A line that libtest does not swallow.
pub(crate) fn say(line: &str) {
    let _closed = writeln!(std::io::stderr().lock(), "{line}");
}

fn skip(missing: Option<&str>) -> Option<()> {
    let Some(missing) = missing else { return Some(()) };
    let ci = std::env::var_os("CI").is_some_and(|value| value == "true");
    assert!(!ci, "{missing} is not set, and CI must run this test");
    let name = std::thread::current().name().unwrap_or("a test").to_owned();
    say(&format!("SKIPPED: {missing} is not set; scripts/test.sh sets it: {name}"));
    None
}

fn missing() -> Option<String> {
    ["SOVAI_BIN", "SOVAI_STUB_ENGINE", "SOVAI_ENGINE_IMAGE", "SOVAI_WEIGHTS"]
        .into_iter()
        .find(|name| std::env::var_os(name).is_none_or(|value| value.is_empty()))
        .map(str::to_owned)
}

fn shared() -> Arc<Shared> {
    let mut slot = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(shared) = slot.upgrade() {
        return shared;
    }
    let shared = Arc::new(Shared::make());
    *slot = Arc::downgrade(&shared);
    shared
}

impl Shared {
    fn make() -> Self {
        let path = |name: &str| {
            let path = PathBuf::from(std::env::var_os(name).unwrap_or_default());
            fs_err::canonicalize(&path).unwrap_or_else(|error| panic!("{name}: {error}"))
        };
        sweep();
        let stub = path("SOVAI_STUB_ENGINE");
        let engine = std::env::var("SOVAI_ENGINE_IMAGE").unwrap_or_default();
        let engine_id = docker(&["image", "inspect", "--format", "{{.Id}}", &engine]);
        Self {
            sovai: path("SOVAI_BIN"),
            stub_image: import(&stub, &[]),
            stub,
            engine_image: (engine, engine_id),
            weights: path("SOVAI_WEIGHTS"),
            before: own_images(),
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let _in_use = try_docker(&["image", "rm", &self.stub_image.0]);
        for image in own_images().difference(&self.before) {
            let _in_use = try_docker(&["image", "rm", image]);
        }
    }
}

/// Makes an image of the test server alone, in the engine that `docker` with these options talks to.
pub(crate) fn import(stub: &Path, options: &[&str]) -> (String, String) {
    let name = format!("{STUB}:{}", std::process::id());
    let id = import_as(stub, options, &name);
    (name, id)
}

/// The same under another name; gives the ID. No two images have one ID: the time at which it was made is in it.
pub(crate) fn import_as(stub: &Path, options: &[&str], name: &str) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let tar = folder.path().join("stub.tar");
    crate::process::run(
        Command::new("tar")
            .args(["--create", "--mode=0755", "--transform=s,.*,stub,", "--file"])
            .arg(&tar)
            .arg("--directory")
            .arg(stub.parent().expect("a file in a folder"))
            .arg(stub.file_name().expect("a file")),
    )
    .expect(0);
    let tar = tar.to_str().expect("a plain path");
    let mut args = options.to_vec();
    args.extend(["import", "--change", "ENTRYPOINT [\"/stub\"]", "--change", "USER 65532:65532", tar, name]);
    docker(&args)
}

/// Images that a killed test run left.
fn sweep() {
    for tag in lines(&["image", "ls", STUB, "--format", "{{.Tag}}"]) {
        if tag.parse::<u32>().is_ok_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            let _in_use = try_docker(&["image", "rm", &format!("{STUB}:{tag}")]);
        }
    }
}

fn own_images() -> BTreeSet<String> {
    lines(&["image", "ls", "--no-trunc", "--quiet", "--filter", OWN_IMAGES]).into_iter().collect()
}
