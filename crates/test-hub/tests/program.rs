//! The hub as a program, and the faults that never end.
#![expect(clippy::unwrap_used, reason = "what a test cannot do is a failed test")]

use sovai_test_hub::{Content, Fault, Hub, Repo};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

fn send(url: &str, path: &str, more: &str) -> TcpStream {
    let host = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{more}\r\n").unwrap();
    stream
}

fn ask(url: &str, path: &str) -> String {
    let mut all = Vec::new();
    // A connection that is reset has given what it had.
    drop(send(url, path, "").read_to_end(&mut all));
    String::from_utf8_lossy(&all).into_owned()
}

/// Everything up to the end of the head.
fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap().to_lowercase()
}

#[test]
fn a_folder_is_served_with_faults_from_options() {
    let root = tempfile::tempdir().unwrap();
    let repo = root.path().join("acme/tiny");
    fs_err::create_dir_all(repo.join("sub")).unwrap();
    let weights = Content::pattern(1, 2 << 20);
    fs_err::write(repo.join("model.gguf"), weights.read_all().unwrap()).unwrap();
    fs_err::write(repo.join("sub/config.json"), "{}").unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_sovai-test-hub"))
        .arg("--root")
        .arg(root.path())
        .args(["--close-after", "1000", "--close-times", "1", "--faults", "model.gguf", "--until-eof"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut url = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut url).unwrap();
    let url = url.trim();
    let info = ask(url, "/api/models/acme/tiny/revision/main?blobs=true");
    assert!(info.contains(weights.sha256()) && info.contains("sub/config.json"), "{info}");
    let first = ask(url, "/files/acme/tiny/model.gguf");
    assert!(first.len() < 5000, "{}", first.len());
    assert!(ask(url, "/files/acme/tiny/SHA256SUMS").contains(&format!("{}  model.gguf\n", weights.sha256())));
    let mut stream = send(url, "/files/acme/tiny/model.gguf", "");
    head(&mut stream);
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    assert_eq!(all, weights.read_all().unwrap());
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());

    let none = Command::new(env!("CARGO_BIN_EXE_sovai-test-hub")).output().unwrap();
    assert!(!none.status.success());
}

#[test]
fn silence_an_endless_body_and_hostile_answers() {
    let hub = Hub::start();
    hub.add_plain("w.bin", Content::pattern(7, 300_000));
    hub.add(Repo::new("acme/tiny", "a".repeat(40)).file("a.txt", "a"));

    hub.fault("w.bin", Fault::Stall(1000)).times(1);
    let mut stream = send(&hub.url(), "/files/w.bin", "");
    assert!(head(&mut stream).contains("content-length: 300000"));
    let mut some = vec![0; 1000];
    stream.read_exact(&mut some).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    assert!(stream.read(&mut some).is_err(), "nothing more comes, and the connection stays");

    hub.fault("w.bin", Fault::Silence).times(1);
    let mut stream = send(&hub.url(), "/files/w.bin", "");
    stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    assert!(stream.read(&mut some).is_err());

    hub.fault("w.bin", Fault::Endless).times(1);
    let mut stream = send(&hub.url(), "/files/w.bin", "");
    assert!(!head(&mut stream).contains("content-length"));
    let mut much = vec![0; 1_000_000];
    stream.read_exact(&mut much).unwrap();

    let lie =
        Fault::Answer { code: 200, content_type: "application/json".to_owned(), body: b"[[[[".to_vec() };
    hub.fault("api/models/acme/tiny/**", lie).times(1);
    assert!(ask(&hub.url(), "/api/models/acme/tiny/revision/main").ends_with("\r\n\r\n[[[["));
    assert!(ask(&hub.url(), "/api/models/acme/tiny/revision/main").contains("\"sha\":"));

    hub.fault("w.bin", Fault::Header("etag".to_owned(), "\"other\"".to_owned())).times(1);
    assert!(head(&mut send(&hub.url(), "/files/w.bin", "")).contains("etag: \"other\""));
    let delay = hub.fault("w.bin", Fault::Delay(Duration::from_millis(1))).times(1);
    assert!(head(&mut send(&hub.url(), "/files/w.bin", "")).starts_with("http/1.1 200"));
    assert_eq!(delay.hits(), 1);
    let slow = hub.fault("w.bin", Fault::Throttle(10_000_000));
    assert!(head(&mut send(&hub.url(), "/files/w.bin", "")).starts_with("http/1.1 200"));
    assert_eq!(slow.hits(), 1);
}
