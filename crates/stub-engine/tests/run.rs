//! The program as it is started in an image.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const BOUND: Duration = Duration::from_secs(10);

/// A running server; killed when dropped.
struct Stub {
    child: Child,
    port: u16,
}

impl Drop for Stub {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

fn command(args: &[&str], env: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sovai-stub-engine"));
    command.args(args).envs(env.iter().copied()).stderr(Stdio::piped()).stdout(Stdio::piped());
    command
}

fn start(env: &[(&str, &str)]) -> Stub {
    let mut child =
        command(&["-m", "/proc/self/status", "--port", "0", "--alias", "m"], env).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let line = lines.next().unwrap().unwrap();
    let port = line.rsplit(':').next().unwrap().parse().unwrap();
    Stub { child, port }
}

/// One request on a connection of its own; gives the whole answer.
fn ask(port: u16, request: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(BOUND)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn get(port: u16, path: &str) -> String {
    ask(port, &format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"))
}

fn post(port: u16, path: &str, body: &str) -> String {
    let length = body.len();
    ask(
        port,
        &format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        ),
    )
}

#[test]
fn it_answers_like_the_server_that_it_stands_for() {
    let stub = start(&[("STUB_CHUNKS", "2")]);
    assert!(get(stub.port, "/health").ends_with("{\"status\":\"ok\"}"));
    assert!(get(stub.port, "/v1/models").contains("\"id\":\"m\""));
    assert!(get(stub.port, "/slots").contains("prompt"));
    assert!(get(stub.port, "/metrics").starts_with("HTTP/1.1 404"), "without --metrics it is not there");
    let whole = post(stub.port, "/v1/chat/completions", r#"{"model":"m"}"#);
    assert!(whole.contains("\"content\":\"stub: m 0\""), "{whole}");
    let events = post(stub.port, "/v1/chat/completions", r#"{"model":"m","stream":true}"#);
    assert_eq!(events.matches("data: ").count(), 3, "{events}");
    assert!(events.contains("text/event-stream") && events.contains("data: [DONE]"));
    assert!(post(stub.port, "/v1/completions", "nonsense").starts_with("HTTP/1.1 400"));
}

#[test]
fn it_loads_for_a_time_or_for_ever() {
    let stub = start(&[("STUB_MODE", "never-ready")]);
    let answer = get(stub.port, "/health");
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("Loading model"), "{answer}");
    let stub = start(&[("STUB_DELAY_MS", "300")]);
    assert!(get(stub.port, "/health").starts_with("HTTP/1.1 503"));
    let end = Instant::now() + BOUND;
    while !get(stub.port, "/health").starts_with("HTTP/1.1 200") {
        assert!(Instant::now() < end, "never ready");
    }
}

#[test]
fn it_dies_as_it_is_told() {
    let run = |args: &[&str], env: &[(&str, &str)]| {
        let output = command(args, env).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let model = ["-m", "/proc/self/status", "--port", "0"];
    let (code, said) = run(&model, &[("STUB_MODE", "die-at-start")]);
    assert_eq!(code, Some(3));
    assert!(said.lines().count() == 3 && said.contains("model loading error"), "{said}");
    assert_eq!(run(&model, &[("STUB_MODE", "die-after-ready"), ("STUB_DIE_MS", "10")]).0, Some(4));
    assert_eq!(run(&["-m", "/does/not/exist"], &[]).0, Some(3));
    let (code, said) = run(&["-m", "x", "--nonsense"], &[]);
    assert_eq!(code, Some(2));
    assert!(said.contains("invalid argument: --nonsense"), "{said}");
    assert_eq!(run(&model, &[("STUB_MODE", "nonsense")]).0, Some(2));
}

#[test]
fn it_ends_at_once_on_sigterm() {
    let mut stub = start(&[]);
    let start = Instant::now();
    assert!(Command::new("kill").arg(stub.child.id().to_string()).status().unwrap().success());
    let status = stub.child.wait().unwrap();
    // Its own exit code, not death by the signal: as process 1 only a handler ends it.
    assert_eq!(status.code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

#[test]
fn it_looks_around() {
    let say = |args: &[&str]| {
        let output = command(args, &[]).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let open = listener.local_addr().unwrap().to_string();
    let found = say(&["probe-net", &open, "127.0.0.1:1"]);
    let lines: Vec<serde_json::Value> = found.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines[0]["connected"], true);
    assert_eq!((&lines[1]["connected"], &lines[1]["error"]["errno"]), (&false.into(), &111.into()));
    let who: serde_json::Value = serde_json::from_str(&say(&["id"])).unwrap();
    assert!(who["uid"].is_u64() && who["capEffective"].as_str().unwrap().len() == 16);
    assert!(say(&["ls", "/proc/self/task"]).contains("\"folder\":true"));
    assert!(say(&["write", "/proc/self/nothing"]).contains("\"written\":false"));
    assert!(say(&["dns", "127.0.0.1"]).contains("127.0.0.1"));
}
