//! A stack of a test's own: name, folder, store, port, manifest. All of it is gone when the test ends, also when it fails.

use crate::docker::{lines, objects, try_docker};
use crate::http::{Reply, chat, curl};
use crate::process::{Ran, Running, run, start};
use crate::setup::{Setup, Shared};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// File name of the small model that the test server is given.
pub(crate) const MODEL: &str = "model.gguf";
/// Name of the manifest in the stack's folder.
pub(crate) const MANIFEST: &str = "stack.yaml";

pub(crate) struct Stack {
    pub(crate) name: String,
    pub(crate) port: u16,
    pub(crate) shared: Arc<Shared>,
    folder: tempfile::TempDir,
}

impl Stack {
    /// A place of its own. Nothing is written but a small model.
    pub(crate) fn new(setup: &Setup) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("e2e-{}-{count}", std::process::id());
        let folder = tempfile::Builder::new().prefix("sovai-e2e-").tempdir().unwrap();
        fs_err::create_dir(folder.path().join("home")).unwrap();
        let stack = Self { name, port: free_port(), shared: Arc::clone(&setup.shared), folder };
        fs_err::write(stack.path(MODEL), model()).unwrap();
        stack
    }

    /// A path in the stack's folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.path("store")
    }

    /// One engine, which is the test server, behind a gateway.
    pub(crate) fn manifest(&self) -> Value {
        let (image, id) = &self.shared.stub_image;
        json!({
            "apiVersion": "sovai/v1",
            "kind": "Stack",
            "metadata": { "name": self.name },
            "spec": {
                "models": { "assistant": {
                    "source": format!("file:./{MODEL}"),
                    "license": "Apache-2.0",
                    "files": [pin(MODEL, &model())],
                } },
                "services": { "engine": {
                    "engine": "llama.cpp",
                    "image": { "name": image, "id": id },
                    "model": "assistant",
                    "resources": { "memory": "64MiB" },
                } },
                "gateway": {
                    "listen": format!("127.0.0.1:{}", self.port),
                    "routes": { "assistant": "engine" },
                },
            },
        })
    }

    /// The same with variables for the test server.
    pub(crate) fn manifest_with(&self, env: &[(&str, &str)]) -> Value {
        let mut manifest = self.manifest();
        for (name, value) in env {
            manifest["spec"]["services"]["engine"]["env"][name] = json!(value);
        }
        manifest
    }

    /// Writes the manifest. JSON is YAML.
    pub(crate) fn write(&self, manifest: &Value) -> &Self {
        fs_err::write(self.path(MANIFEST), format!("{manifest:#}\n")).unwrap();
        self
    }

    /// `sovai` with nothing of the outside but PATH and the engine's address, in the stack's folder and store.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.shared.sovai);
        self.surround(command.args(args));
        command
    }

    /// Gives a command the surroundings of this stack.
    pub(crate) fn surround(&self, command: &mut Command) {
        command
            .env_clear()
            .envs(
                ["PATH", "DOCKER_HOST"].into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))),
            )
            .env("HOME", self.path("home"))
            .env("SOVAI_STORE", self.store())
            .current_dir(self.folder.path());
    }

    #[track_caller]
    pub(crate) fn sovai(&self, args: &[&str]) -> Ran {
        run(&mut self.command(args))
    }

    pub(crate) fn start(&self, args: &[&str]) -> Running {
        start(&mut self.command(args))
    }

    /// `sovai deploy` of the manifest.
    #[track_caller]
    pub(crate) fn deploy(&self) -> Ran {
        self.sovai(&["deploy", MANIFEST])
    }

    /// Writes the manifest and deploys it.
    #[track_caller]
    pub(crate) fn up(&self, manifest: &Value) -> Ran {
        self.write(manifest).deploy().expect(0)
    }

    /// The key that the first deploy made.
    #[track_caller]
    pub(crate) fn key(&self) -> String {
        let path = self.store().join("stacks").join(&self.name).join("keys/default.key");
        fs_err::read_to_string(path).unwrap().trim().to_owned()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// A request with the stack's key.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Reply {
        curl(&["--header", &self.bearer(), &self.url(path)])
    }

    #[track_caller]
    pub(crate) fn bearer(&self) -> String {
        format!("Authorization: Bearer {}", self.key())
    }

    /// A chat completion through the gateway.
    #[track_caller]
    pub(crate) fn ask(&self, prompt: &str) -> Reply {
        let body = chat("assistant", prompt, false);
        let url = self.url("/v1/chat/completions");
        curl(&[
            "--header",
            &self.bearer(),
            "--header",
            "Content-Type: application/json",
            "--data",
            &body,
            &url,
        ])
    }

    /// Fails unless the stack answers through its gateway.
    #[track_caller]
    pub(crate) fn answers(&self) -> String {
        self.ask("What is the capital of Malaysia?").expect(200).answer()
    }

    /// The container of a service of this stack that runs; there must be just one, running or not.
    #[track_caller]
    pub(crate) fn container(&self, service: &str) -> String {
        let found = lines(&[
            "ps",
            "--all",
            "--no-trunc",
            "--filter",
            &format!("label=sovai.stack={}", self.name),
            "--filter",
            &format!("label=sovai.service={service}"),
            "--format",
            "{{.ID}}",
        ]);
        assert_eq!(found.len(), 1, "containers of {service}: {found:?}; {:?}", objects(&self.name));
        found[0].clone()
    }

    /// What of this stack is in the engine.
    #[track_caller]
    pub(crate) fn objects(&self) -> Vec<String> {
        objects(&self.name)
    }

    /// Fails unless the engine holds nothing of this stack.
    #[track_caller]
    pub(crate) fn gone(&self) {
        assert_eq!(self.objects(), Vec::<String>::new(), "something is left");
    }

    /// Fails unless there is one container for each service and one network for each role.
    #[track_caller]
    pub(crate) fn whole(&self) {
        let objects = self.objects();
        let count = |kind: &str| objects.iter().filter(|object| object.starts_with(kind)).count();
        assert_eq!((count("container"), count("network"), count("volume")), (2, 2, 0), "{objects:?}");
        self.container("engine");
        self.container("gateway");
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        for object in objects(&self.name) {
            let Some((kind, name)) = object.split_once(' ') else { continue };
            let _gone = match kind {
                "container" => try_docker(&["rm", "--force", "--volumes", name]),
                kind => try_docker(&[kind, "rm", name]),
            };
        }
    }
}

/// Bytes of the small model: no two blocks of it alike.
pub(crate) fn model() -> Vec<u8> {
    model_of(4096)
}

/// A model of so many blocks of 16 bytes.
pub(crate) fn model_of(blocks: u32) -> Vec<u8> {
    let text = |bytes: &mut Vec<u8>, text: &str| {
        bytes.extend((text.len() as u64).to_le_bytes());
        bytes.extend(text.as_bytes());
    };
    // Version 3, one tensor, one key; https://github.com/ggml-org/ggml/blob/master/docs/gguf.md has the layout.
    let mut bytes = b"GGUF".to_vec();
    bytes.extend(3_u32.to_le_bytes());
    bytes.extend(1_u64.to_le_bytes());
    bytes.extend(1_u64.to_le_bytes());
    text(&mut bytes, "general.architecture");
    bytes.extend(8_u32.to_le_bytes());
    text(&mut bytes, "stub");
    text(&mut bytes, "blob");
    bytes.extend(1_u32.to_le_bytes());
    bytes.extend((u64::from(blocks) * 16).to_le_bytes());
    // 8-bit integers, from the first byte behind the header on, which ends at a multiple of 32.
    bytes.extend(24_u32.to_le_bytes());
    bytes.extend(0_u64.to_le_bytes());
    bytes.resize(bytes.len().next_multiple_of(32), 0);
    for block in 0..blocks {
        bytes.extend_from_slice(&Sha256::digest(block.to_le_bytes())[..16]);
    }
    bytes
}

/// An entry of `files`.
pub(crate) fn pin(path: &str, bytes: &[u8]) -> Value {
    json!({ "path": path, "size": bytes.len(), "sha256": sha256(bytes) })
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut hex, byte| {
        let _infallible = write!(hex, "{byte:02x}");
        hex
    })
}

/// A port of the loopback address that nobody listens on. The kernel does not give the same one out again soon.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr()).unwrap().port()
}

/// Every file and folder under a folder, relative to it, sorted.
pub(crate) fn tree(folder: &Path) -> Vec<String> {
    let mut all = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs_err::read_dir(&next).unwrap() {
            let entry = entry.unwrap();
            all.push(entry.path().strip_prefix(folder).unwrap().display().to_string());
            if entry.file_type().unwrap().is_dir() {
                open.push(entry.path());
            }
        }
    }
    all.sort();
    all
}
