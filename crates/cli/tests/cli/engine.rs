//! A container engine that answers the few questions that `lock` and `doctor` ask.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

const ARCH: &str = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };

/// Listens until the process ends.
pub(crate) struct FakeEngine {
    pub(crate) host: String,
    /// Image name to its ID's digit, repeated.
    images: Arc<Mutex<BTreeMap<String, char>>>,
    exports: Exports,
}

/// An ID and what `docker save` gives for it, by the reference under which it is known.
type Exports = Arc<Mutex<BTreeMap<String, (String, Vec<u8>)>>>;

impl FakeEngine {
    pub(crate) fn start(folder: &Path, api_version: &'static str) -> Self {
        let socket: PathBuf = folder.join("engine.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let images: Arc<Mutex<BTreeMap<String, char>>> = Arc::default();
        let exports = Exports::default();
        let (known, saved) = (Arc::clone(&images), Arc::clone(&exports));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (known, saved) = (Arc::clone(&known), Arc::clone(&saved));
                std::thread::spawn(move || answer(stream, api_version, &known, &saved));
            }
        });
        Self { host: format!("unix://{}", socket.display()), images, exports }
    }

    pub(crate) fn image(&self, name: &str, digit: char) {
        self.images.lock().unwrap().insert(name.to_owned(), digit);
    }

    /// An image that can be saved: the engine says that it has it under this reference, and by its ID, in hex.
    pub(crate) fn exports(&self, reference: &str, id: &str, archive: Vec<u8>) {
        self.exports.lock().unwrap().insert(reference.to_owned(), (format!("sha256:{id}"), archive));
    }
}

fn answer(
    mut stream: UnixStream,
    api_version: &str,
    images: &Mutex<BTreeMap<String, char>>,
    exports: &Exports,
) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default();
    // The version in front, when the client sends one.
    let path = path.strip_prefix("/v1.41").unwrap_or(path);
    let path = path.replace("%2F", "/").replace("%3A", ":").replace("%40", "@");
    let (status, body) = exported(&path, &exports.lock().unwrap()).map_or_else(
        || {
            let (status, body) = reply(&path, api_version, &images.lock().unwrap());
            (status, body.to_string().into_bytes())
        },
        |body| (200, body),
    );
    let answer = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    // The client may have gone.
    drop(stream.write_all(answer.as_bytes()).and_then(|()| stream.write_all(&body)));
}

/// What is known of an image that can be saved, or its archive.
fn exported(path: &str, exports: &BTreeMap<String, (String, Vec<u8>)>) -> Option<Vec<u8>> {
    let rest = path.strip_prefix("/images/")?;
    let of = |name: &str| exports.iter().find(|(reference, (id, _))| *reference == name || id == name);
    if let Some((_, (_, archive))) = rest.strip_suffix("/get").and_then(of) {
        return Some(archive.clone());
    }
    let (reference, (id, archive)) = rest.strip_suffix("/json").and_then(of)?;
    let known = json!({
        "Id": id, "RepoTags": [], "RepoDigests": [reference], "Os": "linux", "Architecture": ARCH, "Size": archive.len(),
    });
    Some(known.to_string().into_bytes())
}

fn reply(path: &str, api_version: &str, images: &BTreeMap<String, char>) -> (u16, Value) {
    let arch = ARCH;
    match path {
        "/version" => (
            200,
            json!({ "Version": "20.10.24", "ApiVersion": api_version, "MinAPIVersion": "1.12", "Os": "linux", "Arch": arch }),
        ),
        "/info" => (
            200,
            json!({ "ID": "x", "NCPU": 2, "MemTotal": 8_u64 << 30, "DockerRootDir": "/var/lib/docker", "Driver": "overlay2",
                "OSType": "linux", "Architecture": "x86_64", "ServerVersion": "20.10.24",
                "SecurityOptions": ["name=seccomp,profile=default"], "Runtimes": { "runc": { "path": "runc" } } }),
        ),
        _ => {
            let name = path.strip_prefix("/images/").and_then(|rest| rest.strip_suffix("/json"));
            match name.and_then(|name| images.get_key_value(name)) {
                Some((name, digit)) => {
                    let id = format!("sha256:{}", digit.to_string().repeat(64));
                    (
                        200,
                        json!({ "Id": id, "RepoTags": [name], "RepoDigests": [], "Os": "linux", "Architecture": arch }),
                    )
                }
                None => (404, json!({ "message": format!("No such image: {path}") })),
            }
        }
    }
}
