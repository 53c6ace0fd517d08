//! What each test on a real engine stands on: a connection, an image of its own, and names that are cleaned up.

use futures_util::FutureExt as _;
use serde_json::Value;
use sovai_core::ImageId;
use sovai_deployer::archive::{GatewayImage, gateway_archive};
use sovai_deployer::docker::Docker;
use sovai_deployer::engine::{
    ContainerEngine as _, ContainerSpec, EngineError, ExecResult, NetworkSpec, Restart, whole_archive,
};
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

/// Stacks of these tests; the number of the process follows.
const PREFIX: &str = "test-deployer-";

/// A test that takes longer hangs: some calls last as long as what they watch.
const LONGEST: Duration = Duration::from_mins(3);

/// This machine, as image platforms name it.
pub(crate) const ARCH: &str = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };

pub(crate) struct Bench {
    pub(crate) docker: Docker,
    pub(crate) image: GatewayImage,
    pub(crate) stack: String,
}

/// Runs a test on the engine, and takes away all it made, also when it fails.
pub(crate) fn on_engine(test: &str, body: impl AsyncFnOnce(&Bench)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let docker = match Docker::connect(None).await {
            Ok(docker) => docker,
            Err(EngineError::Unreachable { .. }) if !required() => {
                // Past the capture of output, so that it is seen also when the test passes.
                writeln!(std::io::stderr(), "NOT TESTED: no container engine here; `{test}` did nothing")
                    .unwrap();
                return;
            }
            Err(error) => panic!("{error}: {:?}", std::error::Error::source(&error)),
        };
        remove_leftovers(&docker).await;
        let image = gateway_archive(&program(test), ARCH);
        let stack = format!("{PREFIX}{}-{test}", std::process::id());
        let bench = Bench { docker, image, stack };
        bench.docker.load_image(whole_archive(bench.image.archive.clone())).await.unwrap();
        let outcome = AssertUnwindSafe(tokio::time::timeout(LONGEST, body(&bench))).catch_unwind().await;
        remove(&bench.docker, &bench.stack).await;
        bench.docker.remove_image(&bench.image.tag).await.unwrap();
        match outcome {
            Ok(done) => done.expect("the test took too long"),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    });
}

/// Whether a missing engine is a failure.
fn required() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
        || std::env::var_os("SOVAI_REQUIRE_DOCKER").is_some()
}

async fn remove(docker: &Docker, stack: &str) {
    for container in docker.containers(Some(stack)).await.unwrap() {
        docker.remove_container(&container.id).await.unwrap();
    }
    for network in docker.networks(Some(stack)).await.unwrap() {
        docker.remove_network(&network.id).await.unwrap();
    }
}

/// Takes away what tests that were killed have left.
async fn remove_leftovers(docker: &Docker) {
    let containers = docker.containers(None).await.unwrap();
    let networks = docker.networks(None).await.unwrap();
    let labels = containers.into_iter().map(|c| c.labels).chain(networks.into_iter().map(|n| n.labels));
    for stack in labels.filter_map(|labels| labels.get("sovai.stack").cloned()) {
        let Some(rest) = stack.strip_prefix(PREFIX) else { continue };
        let pid = rest.split('-').next().unwrap_or_default();
        if !Path::new("/proc").join(pid).exists() {
            remove(docker, &stack).await;
        }
    }
}

/// The program that runs inside, with the test's name behind it so that each test has an image of its own.
fn program(test: &str) -> Vec<u8> {
    static BUILT: OnceLock<Vec<u8>> = OnceLock::new();
    let mut bytes = BUILT.get_or_init(build).clone();
    bytes.extend_from_slice(format!("{}-{test}", std::process::id()).as_bytes());
    bytes
}

fn build() -> Vec<u8> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/inside.rs");
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let made: PathBuf = folder.path().join("inside");
    let done = Command::new("rustc")
        .args(["--edition=2024", "-Ctarget-feature=+crt-static", "-Copt-level=1", "-Cstrip=symbols", "-o"])
        .arg(&made)
        .arg(&source)
        .status()
        .unwrap();
    assert!(done.success());
    fs_err::read(made).unwrap()
}

impl Bench {
    pub(crate) fn name(&self, service: &str) -> String {
        format!("sovai-{}-{service}", self.stack)
    }

    pub(crate) fn labels(&self) -> BTreeMap<String, String> {
        BTreeMap::from([("sovai.stack".to_owned(), self.stack.clone())])
    }

    pub(crate) fn spec(&self, service: &str, args: &[&str]) -> ContainerSpec {
        ContainerSpec {
            name: self.name(service),
            image: self.image.id,
            hostname: service.to_owned(),
            entrypoint: None,
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            env: BTreeMap::new(),
            labels: self.labels(),
            user: "65532:65532".to_owned(),
            groups: Vec::new(),
            mounts: Vec::new(),
            tmpfs: BTreeMap::from([("/tmp".to_owned(), "size=1m,mode=1777".to_owned())]),
            memory: 64 << 20,
            millicpus: Some(500),
            pids: 32,
            shm: None,
            restart: Restart::No,
            log_rotation: (1_000_000, 2),
            network: None,
            aliases: Vec::new(),
            publish: BTreeMap::new(),
            gpus: None,
            stop_timeout: 1,
        }
    }

    pub(crate) fn network(&self, name: &str, internal: bool) -> NetworkSpec {
        let option = if internal {
            ("com.docker.network.bridge.inhibit_ipv4".to_owned(), "true".to_owned())
        } else {
            ("com.docker.network.bridge.enable_ip_masquerade".to_owned(), "false".to_owned())
        };
        NetworkSpec {
            name: self.name(name),
            labels: self.labels(),
            internal,
            options: BTreeMap::from([option]),
        }
    }

    /// Creates and starts.
    pub(crate) async fn run(&self, spec: &ContainerSpec) {
        self.docker.create_container(spec).await.unwrap();
        self.docker.start_container(&spec.name).await.unwrap();
    }

    pub(crate) async fn exec(&self, name: &str, words: &[&str], stdin: &[u8]) -> (Vec<String>, ExecResult) {
        let mut command = vec!["/sovai".to_owned()];
        command.extend(words.iter().map(|word| (*word).to_owned()));
        let mut lines = Vec::new();
        let mut keep = |line: &str| lines.push(line.to_owned());
        let result = self.docker.exec(name, &command, stdin.to_vec(), &mut keep).await.unwrap();
        (lines, result)
    }

    /// What the engine itself says of something, past the code under test.
    pub(crate) fn raw(path: &str) -> Value {
        let mut socket = std::os::unix::net::UnixStream::connect("/var/run/docker.sock").unwrap();
        write!(socket, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(" 200 "), "{answer}");
        serde_json::from_str(body).unwrap()
    }

    pub(crate) fn id(&self) -> ImageId {
        self.image.id
    }
}

/// An image with two layers that the engine made itself, and its ID.
pub(crate) fn build_image(bench: &Bench, tag: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    fs_err::write(folder.path().join("file"), bench.name("content")).unwrap();
    let text = "FROM scratch\nCOPY file /one\nCOPY file /two\nVOLUME /data\nLABEL made=here\n";
    fs_err::write(folder.path().join("Dockerfile"), text).unwrap();
    let built = std::process::Command::new("docker")
        .args(["build", "--quiet", "--tag", tag])
        .arg(folder.path())
        .env("DOCKER_BUILDKIT", "0")
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    String::from_utf8(built.stdout).unwrap().trim().to_owned()
}
