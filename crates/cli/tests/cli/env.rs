//! A place of its own for each test: home, working folder, store; no engine, no settings from outside.

use assert_cmd::Command;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Far beyond what any command here takes, also on a busy machine: a command that hangs is a failed test.
const LIMIT: Duration = Duration::from_mins(1);

/// Bytes of the model that the tests use, a GGUF header of version 3 without tensors and keys, and their SHA-256.
pub(crate) const WEIGHTS: &[u8] = b"GGUF\x03\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
/// The same with another last byte.
pub(crate) const FLIPPED: &[u8] = b"GGUF\x03\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01";
/// As many other bytes.
pub(crate) const OTHER: &[u8] = b"GGUF other bytes, so man";
pub(crate) const WEIGHTS_SHA256: &str = "a4e5e156ddec27e286f75328784d7106b60a4eb1d246e950a001a3f944fbda99";

pub(crate) struct TestEnv {
    folder: tempfile::TempDir,
}

/// What a command did.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl TestEnv {
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("sovai-cli-").tempdir().unwrap();
        for sub in ["home", "work"] {
            fs_err::create_dir(folder.path().join(sub)).unwrap();
        }
        Self { folder }
    }

    /// A path in the working folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("work").join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.path(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, content).unwrap();
        self
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs_err::read_to_string(self.path(name)).unwrap()
    }

    /// A command with nothing of the outside but PATH.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sovai"));
        command.args(args).env_clear().timeout(LIMIT);
        self.surround(|name, value| {
            command.env(name, value);
        });
        command.current_dir(self.path(""));
        command
    }

    /// As [`Self::command`], for what needs pipes of its own.
    pub(crate) fn process(&self, program: &str, args: &[&str]) -> std::process::Command {
        let mut command = std::process::Command::new(program);
        command.args(args).env_clear().current_dir(self.path(""));
        self.surround(|name, value| {
            command.env(name, value);
        });
        command
    }

    fn surround(&self, mut set: impl FnMut(&str, &str)) {
        let root = self.folder.path().display();
        set("HOME", &format!("{root}/home"));
        set("XDG_CONFIG_HOME", &format!("{root}/home/.config"));
        set("XDG_DATA_HOME", &format!("{root}/home/.local/share"));
        set("SOVAI_STORE", &format!("{root}/store"));
        set("DOCKER_HOST", &format!("unix://{root}/no-engine.sock"));
        set("PATH", &std::env::var("PATH").unwrap_or_default());
        set("LC_ALL", "C.UTF-8");
    }

    /// Runs a command line; words are separated by single spaces.
    pub(crate) fn run(&self, line: &str) -> Ran {
        let words: Vec<&str> = line.split(' ').filter(|word| !word.is_empty()).collect();
        self.finish(&mut self.command(&words))
    }

    pub(crate) fn finish(&self, command: &mut Command) -> Ran {
        let output = command.output().unwrap();
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: self.filter(&String::from_utf8(output.stdout).unwrap()),
            stderr: self.filter(&String::from_utf8(output.stderr).unwrap()),
        }
    }

    /// Runs a command line with `-o json`; its one object.
    pub(crate) fn json(&self, line: &str) -> serde_json::Value {
        let ran = self.run(&format!("-o json {line}"));
        let value: serde_json::Value = serde_json::from_str(&ran.stdout)
            .unwrap_or_else(|error| panic!("{line}: {error}: {:?} {:?}", ran.stdout, ran.stderr));
        assert_eq!(value["apiVersion"], "sovai/v1", "{line}");
        assert_eq!(value["exitCode"], ran.code, "{line}");
        assert_eq!(value["ok"], ran.code == 0, "{line}");
        assert!(value["findings"].is_array() && value["kind"].is_string(), "{line}");
        assert_eq!(value["error"].is_object(), value.get("error").is_some(), "{line}");
        value
    }

    fn filter(&self, text: &str) -> String {
        text.replace(&self.folder.path().display().to_string(), "[ROOT]")
    }

    /// A stack with one model of one small file, all files and the image pinned.
    pub(crate) fn pinned(&self) -> &Self {
        self.write("weights/m.gguf", WEIGHTS).write("stack.yaml", manifest("", FILES, IMAGE_PIN))
    }

    pub(crate) fn everything_below(&self, name: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.folder.path().join(name)];
        while let Some(folder) = folders.pop() {
            let Ok(entries) = fs_err::read_dir(&folder) else { continue };
            for entry in entries {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path.clone());
                }
                found.push(path);
            }
        }
        found
    }

    pub(crate) fn root(&self) -> &Path {
        self.folder.path()
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit {}\n--- stdout\n{}--- stderr\n{}", self.code, self.stdout, self.stderr)
    }
}

/// The pins of [`WEIGHTS`].
pub(crate) const FILES: &str = "
      files:
        - path: m.gguf
          size: 24
          sha256: a4e5e156ddec27e286f75328784d7106b60a4eb1d246e950a001a3f944fbda99";

pub(crate) const IMAGE_PIN: &str = "@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// A manifest with further lines at its end, pins of its model, and a pin of its image.
pub(crate) fn manifest(more: &str, files: &str, image_pin: &str) -> String {
    format!(
        "apiVersion: sovai/v1
kind: Stack
metadata: {{ name: demo }}
spec:
  models:
    assistant:
      source: file:./weights/m.gguf
      license: Apache-2.0{files}
  services:
    engine:
      engine: llama.cpp
      image: example/engine:1{image_pin}
      model: assistant
{more}"
    )
}
