//! Against a socket that says what a test wants an engine to say, and records what it was asked.

use super::*;
use crate::engine::{BindMount, DeviceRequest, Restart};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::error::Error as _;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

/// Status, and body of an answer.
type Answer = (u16, String);

struct Engine {
    folder: tempfile::TempDir,
    host: String,
    asked: Arc<Mutex<Vec<(String, String)>>>,
}

impl Engine {
    /// Answers each request (`METHOD PATH`, how often something was asked before) as `script` says.
    fn new(script: impl Fn(&str, usize) -> Answer + Send + Sync + 'static) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("e.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (line, body) = request(&mut stream).await;
                let nth = log.lock().unwrap().iter().filter(|(before, _)| *before == line).count();
                log.lock().unwrap().push((line.clone(), body));
                let (status, body) = if line == "GET /version" && nth < 2 {
                    (200, json!({"ApiVersion": "1.41", "Version": "20.10", "Arch": "amd64"}).to_string())
                } else {
                    script(&line, nth)
                };
                let head = format!(
                    "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                    body.len()
                );
                // A test that has dropped its side has seen enough.
                drop(stream.write_all(format!("{head}{body}").as_bytes()).await);
            }
        });
        let host = format!("unix://{}", path.display());
        Self { folder, host, asked }
    }

    async fn connect(&self) -> Docker {
        let short = Duration::from_secs(10);
        let deadlines = Deadlines { read: short, write: short, start: short, load: short };
        Docker::connect_with(Some(&self.host), deadlines).await.unwrap()
    }

    /// What was asked after connecting.
    fn asked(&self) -> Vec<(String, String)> {
        self.asked.lock().unwrap().iter().filter(|(line, _)| line != "GET /version").cloned().collect()
    }

    fn lines(&self) -> Vec<String> {
        self.asked().into_iter().map(|(line, _)| line).collect()
    }
}

/// Reads one request; gives `METHOD PATH` and the body.
async fn request(stream: &mut UnixStream) -> (String, String) {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0);
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_ascii_lowercase();
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
    while bytes.len() < end + length {
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0);
    }
    let line = std::str::from_utf8(&bytes).unwrap_or_default().lines().next().unwrap_or_default().to_owned();
    let line = line.trim_end_matches(" HTTP/1.1").to_owned();
    (line, String::from_utf8_lossy(&bytes[end..]).into_owned())
}

/// A spec with every field set.
pub(crate) fn full_spec() -> ContainerSpec {
    ContainerSpec {
        name: "sovai-x-g1-engine".to_owned(),
        image: format!("sha256:{}", "a".repeat(64)).parse().unwrap(),
        hostname: "engine".to_owned(),
        entrypoint: Some(vec!["/serve".to_owned()]),
        args: vec!["--port".to_owned(), "8080".to_owned()],
        env: BTreeMap::from([("A".to_owned(), "1".to_owned())]),
        labels: BTreeMap::from([("sovai.stack".to_owned(), "x".to_owned())]),
        user: "65532:65532".to_owned(),
        groups: vec!["44".to_owned()],
        mounts: vec![BindMount { source: "/srv/weights".into(), target: "/models/m".to_owned() }],
        tmpfs: BTreeMap::from([("/tmp".to_owned(), "size=64m".to_owned())]),
        memory: 1 << 30,
        millicpus: Some(1500),
        pids: 100,
        shm: Some(1 << 20),
        restart: Restart::UnlessStopped,
        log_rotation: (10_000_000, 3),
        network: Some("sovai-x-g1".to_owned()),
        aliases: vec!["engine".to_owned()],
        publish: BTreeMap::from([(8080, "127.0.0.1:18080".parse().unwrap())]),
        gpus: Some(DeviceRequest {
            driver: "nvidia".to_owned(),
            count: None,
            ids: vec!["0".to_owned()],
            capabilities: vec!["gpu".to_owned()],
        }),
        stop_timeout: 20,
    }
}

#[tokio::test]
async fn all_hardening_is_on_the_wire() {
    let engine = Engine::new(|_, _| (201, json!({"Id": "ab", "Warnings": []}).to_string()));
    assert_eq!(engine.connect().await.create_container(&full_spec()).await.unwrap(), "ab");
    let asked = engine.asked();
    assert_eq!(asked.len(), 1);
    // The client library sends no version. One that does must send what was negotiated, never its own newest.
    assert_eq!(asked[0].0, "POST /containers/create?name=sovai-x-g1-engine&platform=");
    let body: Value = serde_json::from_str(&asked[0].1).unwrap();
    let host = json!({
        "ReadonlyRootfs": true,
        "Tmpfs": {"/tmp": "size=64m"},
        "CapDrop": ["ALL"], "CapAdd": [],
        "SecurityOpt": ["no-new-privileges"],
        "Privileged": false,
        "GroupAdd": ["44"],
        "Devices": [],
        "IpcMode": "private", "PidMode": "", "UTSMode": "",
        "NetworkMode": "sovai-x-g1", "Dns": ["127.0.0.1"],
        "Memory": 1 << 30, "MemorySwap": 1 << 30,
        "NanoCpus": 1_500_000_000,
        "PidsLimit": 100,
        "OomKillDisable": false,
        "ShmSize": 1 << 20,
        "Mounts": [{
            "Type": "bind", "Source": "/srv/weights", "Target": "/models/m", "ReadOnly": true,
            "BindOptions": {"Propagation": "rprivate"}
        }],
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "10000000", "max-file": "3"}},
        "RestartPolicy": {"Name": "unless-stopped"},
        "AutoRemove": false, "Init": false, "PublishAllPorts": false,
        "PortBindings": {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": "18080"}]},
        "DeviceRequests": [{"Driver": "nvidia", "DeviceIDs": ["0"], "Capabilities": [["gpu"]]}]
    });
    let expected = json!({
        "Hostname": "engine",
        "User": "65532:65532",
        "AttachStdin": false, "AttachStdout": false, "AttachStderr": false, "OpenStdin": false, "Tty": false,
        "ExposedPorts": {"8080/tcp": {}},
        "Env": ["A=1"],
        "Cmd": ["--port", "8080"],
        "Entrypoint": ["/serve"],
        "Image": format!("sha256:{}", "a".repeat(64)),
        "Healthcheck": {"Test": ["NONE"]},
        "Labels": {"sovai.stack": "x"},
        "StopTimeout": 20,
        "HostConfig": host,
        "NetworkingConfig": {"EndpointsConfig": {"sovai-x-g1": {"Aliases": ["engine"]}}}
    });
    assert_eq!(body, expected);
}

#[tokio::test]
async fn what_breaks_a_rule_is_never_asked_for() {
    let engine = Engine::new(|_, _| (201, json!({"Id": "ab", "Warnings": []}).to_string()));
    let docker = engine.connect().await;
    let mut root = full_spec();
    root.user = "0:0".to_owned();
    assert!(matches!(docker.create_container(&root).await, Err(EngineError::Refused { .. })));
    // The engine's own socket, by its folder.
    let mut socket = full_spec();
    socket.mounts[0].source = engine.folder.path().to_owned();
    assert!(matches!(docker.create_container(&socket).await, Err(EngineError::Refused { .. })));
    for name in ["x?force=1", "../networks/x", "x#", "x%2f", "", "a b"] {
        assert!(matches!(docker.container(name).await, Err(EngineError::Refused { .. })), "{name}");
        assert!(matches!(docker.remove_container(name).await, Err(EngineError::Refused { .. })), "{name}");
        assert!(matches!(docker.image(name).await, Err(EngineError::Refused { .. })), "{name}");
        assert!(matches!(docker.remove_network(name).await, Err(EngineError::Refused { .. })), "{name}");
    }
    assert_eq!(engine.lines(), [""; 0]);
}

#[tokio::test]
async fn a_network_is_found_by_its_whole_name_and_label() {
    let list = json!([
        {"Name": "sovai-x", "Id": "1", "Labels": {"sovai.stack": "x"}, "Internal": true},
        {"Name": "sovai-x-g1", "Id": "2", "Labels": {"sovai.stack": "x-g1"}},
        {"Name": "sovai-x", "Id": "3", "Labels": null},
        {"Name": "bridge", "Id": "4"}
    ]);
    let engine = Engine::new(move |_, _| (200, list.to_string()));
    let docker = engine.connect().await;
    let ids = |found: Vec<NetworkState>| found.into_iter().map(|network| network.id).collect::<Vec<_>>();
    assert_eq!(ids(docker.networks_named("sovai-x").await.unwrap()), ["1", "3"]);
    assert_eq!(ids(docker.networks(Some("x")).await.unwrap()), ["1"]);
    assert_eq!(ids(docker.networks(None).await.unwrap()), ["1", "2"]);
    assert_eq!(ids(docker.networks_named("ovai").await.unwrap()), [""; 0]);
}

fn network_spec() -> NetworkSpec {
    NetworkSpec {
        name: "sovai-x".to_owned(),
        labels: BTreeMap::from([("sovai.stack".to_owned(), "x".to_owned())]),
        internal: true,
        options: BTreeMap::from([("com.docker.network.bridge.inhibit_ipv4".to_owned(), "true".to_owned())]),
    }
}

#[tokio::test]
async fn a_network_is_made_as_asked_and_never_twice() {
    let engine = Engine::new(|line, nth| match (line, nth) {
        ("GET /networks", 0) => (200, "[]".to_owned()),
        ("GET /networks", _) => (200, json!([{"Name": "sovai-x", "Id": "1"}]).to_string()),
        _ => (201, json!({"Id": "1", "Warning": ""}).to_string()),
    });
    let docker = engine.connect().await;
    assert_eq!(docker.create_network(&network_spec()).await.unwrap(), "1");
    let asked = engine.asked();
    let body: Value = serde_json::from_str(&asked[1].1).unwrap();
    assert_eq!(
        body,
        json!({
            "Name": "sovai-x", "Driver": "bridge", "Internal": true, "Attachable": false, "Ingress": false,
            "EnableIPv6": false, "Options": {"com.docker.network.bridge.inhibit_ipv4": "true"},
            "Labels": {"sovai.stack": "x"}
        })
    );
    // Now it is there, so that the engine is not asked for a second one.
    assert!(matches!(docker.create_network(&network_spec()).await, Err(EngineError::NameTaken { .. })));
    let lines = engine.lines();
    assert_eq!(lines, ["GET /networks", "POST /networks/create", "GET /networks", "GET /networks"]);
}

#[tokio::test]
async fn when_two_make_one_network_at_once_ours_is_taken_back() {
    let engine = Engine::new(|line, nth| match (line, nth) {
        ("GET /networks", 0) => (200, "[]".to_owned()),
        ("GET /networks", _) => {
            (200, json!([{"Name": "sovai-x", "Id": "1"}, {"Name": "sovai-x", "Id": "2"}]).to_string())
        }
        ("POST /networks/create", _) => (201, json!({"Id": "2", "Warning": ""}).to_string()),
        _ => (204, String::new()),
    });
    let result = engine.connect().await.create_network(&network_spec()).await;
    assert!(matches!(result, Err(EngineError::NameTaken { .. })));
    assert_eq!(engine.lines().last().unwrap(), "DELETE /networks/2");
}

#[tokio::test]
async fn an_engine_that_is_too_old_is_named() {
    for version in ["1.40", "1.9", "nonsense"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("e.sock");
        let listener = UnixListener::bind(&path).unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                request(&mut stream).await;
                let body = json!({ "ApiVersion": version }).to_string();
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                stream.write_all(head.as_bytes()).await.unwrap();
            }
        });
        let error = Docker::connect(Some(&format!("unix://{}", path.display()))).await.unwrap_err();
        assert!(error.to_string().contains("1.41") || version == "nonsense", "{error}");
        assert!(!matches!(error, EngineError::Unreachable { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn no_engine_at_the_other_end_is_told_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("e.sock");
    let host = format!("unix://{}", path.display());
    let error = Docker::connect(Some(&host)).await.unwrap_err();
    assert!(matches!(error, EngineError::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains(&host));
    // A socket that nobody listens on any more.
    drop(UnixListener::bind(&path).unwrap());
    let error = Docker::connect(Some(&host)).await.unwrap_err();
    assert!(matches!(error, EngineError::Unreachable { .. }), "{error:?}");
    assert!(error.source().unwrap().to_string().contains("refused"), "{error:?}");
    for host in ["ssh://h", "tcp://192.0.2.1:2375"] {
        let error = Docker::connect(Some(host)).await.unwrap_err();
        assert!(matches!(error, EngineError::Unreachable { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn an_engine_that_hangs_is_found_by_the_deadline() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("e.sock");
    // Connections wait in its queue; none is ever taken.
    let _listener = UnixListener::bind(&path).unwrap();
    let deadlines = Deadlines { read: Duration::from_millis(50), ..Deadlines::default() };
    let host = format!("unix://{}", path.display());
    let connect = Docker::connect_with(Some(&host), deadlines);
    let error = tokio::time::timeout(Duration::from_secs(20), connect).await.unwrap().unwrap_err();
    assert!(matches!(error, EngineError::NoAnswer { .. }), "{error:?}");
    assert_eq!(error.source().unwrap().to_string(), "no answer within 0.05 s");
}

#[tokio::test]
async fn a_connection_that_breaks_in_mid_answer_is_no_answer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("e.sock");
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            request(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n{\"Api").await.unwrap();
        }
    });
    let error = Docker::connect(Some(&format!("unix://{}", path.display()))).await.unwrap_err();
    assert!(matches!(error, EngineError::NoAnswer { .. }), "{error:?}");
}

#[tokio::test]
async fn an_error_in_the_stream_of_a_load_is_an_error() {
    let lines =
        [json!({"stream": "Loading"}), json!({"errorDetail": {"message": "bad tar"}, "error": "bad tar"})];
    let body = lines.map(|line| format!("{line}\r\n")).concat();
    let engine = Engine::new(move |_, _| (200, body.clone()));
    let error =
        engine.connect().await.load_image(crate::engine::whole_archive(b"x".to_vec())).await.unwrap_err();
    assert_eq!(error.to_string(), "load an image: the container engine answered 200: bad tar");
}

#[tokio::test]
async fn removing_waits_for_one_who_removes_already() {
    let engine = Engine::new(|line, nth| match line {
        "GET /containers/x/json?size=false" | "GET /containers/x/json" if nth == 0 => (200, "{}".to_owned()),
        "GET /containers/x/json?size=false" | "GET /containers/x/json" => {
            (404, json!({"message": "No such container: x"}).to_string())
        }
        _ => (409, json!({"message": "removal of container x is already in progress"}).to_string()),
    });
    engine.connect().await.remove_container("x").await.unwrap();
    assert_eq!(engine.lines().len(), 3);
}

#[tokio::test]
async fn what_is_not_there_or_in_use_is_no_error_where_the_trait_says_so() {
    let engine = Engine::new(|line, _| {
        let status = if line.starts_with("DELETE /images/used") { 409 } else { 404 };
        (status, json!({"message": "no"}).to_string())
    });
    let docker = engine.connect().await;
    assert_eq!(docker.container("x").await.unwrap(), None);
    assert_eq!(docker.image("x").await.unwrap(), None);
    assert!(!docker.remove_image("x").await.unwrap());
    assert!(!docker.remove_image("used").await.unwrap());
    docker.remove_container("x").await.unwrap();
    docker.remove_network("x").await.unwrap();
    let error = docker.start_container("x").await.unwrap_err();
    assert!(matches!(error, EngineError::Answer { status: 404, .. }), "{error:?}");
}
