use crate::env::TestEnv;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;

fn config(listen: &str) -> String {
    json!({
        "apiVersion": "sovai/v1", "kind": "GatewayConfig", "listen": listen, "keys": null,
        "routes": { "assistant": { "upstream": "http://127.0.0.1:1", "model": "assistant" } }
    })
    .to_string()
}

/// A server that gives every request the same answer.
fn server(body: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
                head.push(byte[0]);
            }
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            drop(stream.write_all(answer.as_bytes()));
        }
    });
    format!("http://{address}")
}

#[test]
fn it_serves_until_sigterm_and_logs_json_lines() {
    let env = TestEnv::new();
    env.write("gateway.json", config("127.0.0.1:0"));
    let mut child = env
        .process(env!("CARGO_BIN_EXE_sovai"), &["gateway", "--config", "gateway.json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    let started = next();
    assert_eq!(started["type"], "started");
    assert!(started["time"].as_str().unwrap().ends_with('Z'));
    let mut stream = TcpStream::connect(started["listen"].as_str().unwrap()).unwrap();
    stream.write_all(b"GET /secret-path HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    let access = next();
    assert_eq!((&access["type"], &access["status"]), (&"access".into(), &404.into()));
    assert!(!access.to_string().contains("secret-path"));
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let rest: Vec<Value> = lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    assert_eq!(rest.last().unwrap()["type"], "stopped");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let env = TestEnv::new();
    env.write("gateway.json", config("127.0.0.1:0"));
    let mut child = env
        .process(env!("CARGO_BIN_EXE_sovai"), &["gateway", "--config", "gateway.json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = Pid::from_child(&child);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    let started = next();
    // A request that is never finished keeps it draining.
    let mut stream = TcpStream::connect(started["listen"].as_str().unwrap()).unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    assert_eq!(next()["type"], "access");
    // Told that it may go on, we know that the gateway waits for the body, and does not take the connection for an idle one.
    let head =
        "POST /v1/completions HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let mut answers = BufReader::new(stream.try_clone().unwrap()).lines();
    assert!(answers.any(|line| line.unwrap().contains("100 Continue")));
    kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(next()["type"], "draining");
    kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn a_port_that_is_taken_is_exit_7_and_a_wrong_configuration_exit_3() {
    let env = TestEnv::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    env.write("taken.json", config(&taken.local_addr().unwrap().to_string()));
    let ran = env.run("gateway --config taken.json");
    assert_eq!(ran.code, 7, "{ran}");
    assert!(ran.stderr.contains("cannot listen on 127.0.0.1:"), "{ran}");
    env.write("bad.json", config("127.0.0.1:0").replace("routes", "rutes"));
    assert_eq!(env.run("gateway --config bad.json").code, 3);
    assert_eq!(env.run("gateway --config none.json").code, 2);
    assert_eq!(env.run("gateway").code, 2);
}

#[test]
fn probe_writes_each_state_and_ends_when_it_is_ready() {
    let env = TestEnv::new();
    let url = server("{\"status\":\"ok\"}");
    let request =
        json!({ "url": url, "status": 200, "bodyContains": "ok", "deadlineMs": 20_000, "intervalMs": 10 });
    let ran = env.finish(env.command(&["gateway", "probe"]).write_stdin(request.to_string()));
    let last: Value = serde_json::from_str(ran.stdout.lines().last().unwrap()).unwrap();
    assert_eq!((ran.code, &last["state"]), (0, &"ready".into()), "{ran}");
    assert!(last["detail"].as_str().unwrap().starts_with("ready after"));

    let request = json!({ "url": "http://127.0.0.1:1", "status": 200, "deadlineMs": 50, "intervalMs": 10 });
    let ran = env.finish(env.command(&["gateway", "probe"]).write_stdin(request.to_string()));
    let lines: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((ran.code, &lines[0]["state"]), (1, &"refused".into()), "{ran}");
    assert!(lines.last().unwrap()["error"].as_str().unwrap().starts_with("not ready after"), "{ran}");
}

#[test]
fn ask_gives_the_answer_and_never_the_key() {
    let env = TestEnv::new();
    let url = server(r#"{"choices":[{"message":{"content":"Kuala Lumpur"},"finish_reason":"stop"}]}"#);
    let request = |url: &str| {
        json!({ "url": url, "key": "sk-secret", "model": "m", "prompt": "?", "maxTokens": 8, "deadlineMs": 20_000 })
            .to_string()
    };
    let ran = env.finish(env.command(&["gateway", "ask"]).write_stdin(request(&url)));
    let answer: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((ran.code, &answer["text"]), (0, &"Kuala Lumpur".into()));
    let down = env.finish(env.command(&["gateway", "ask"]).write_stdin(request("http://127.0.0.1:1")));
    let broken = env.finish(env.command(&["gateway", "ask"]).write_stdin("{\"key\":\"sk-secret\",\"x\":1}"));
    for ran in [&down, &broken] {
        assert_eq!(ran.code, 1, "{ran}");
        assert!(serde_json::from_str::<Value>(&ran.stdout).unwrap()["error"].is_string());
        assert!(!ran.to_string().contains("sk-secret"), "{ran}");
    }
}

#[test]
fn nonce_prints_a_small_file_and_idle_waits_for_the_end() {
    let env = TestEnv::new();
    env.write("nonce", "0123456789abcdef").write("long", "x".repeat(1000));
    assert_eq!(env.run("gateway nonce nonce").stdout, "0123456789abcdef");
    assert_eq!(env.run("gateway nonce long").stdout, "x".repeat(128));
    assert_eq!(env.run("gateway nonce none").code, 2);

    let mut child = env.process(env!("CARGO_BIN_EXE_sovai"), &["gateway", "idle"]).spawn().unwrap();
    let pid = Pid::from_child(&child);
    // Until its handler stands, a signal would end it with another status: wait until the kernel says that it does.
    let status = format!("/proc/{}/status", child.id());
    let caught = |text: &str| {
        let mask = text.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap().trim().to_owned();
        u64::from_str_radix(&mask, 16).unwrap() & (1 << (libc_sigterm() - 1)) != 0
    };
    while !caught(&fs_err::read_to_string(&status).unwrap()) {
        std::thread::yield_now();
    }
    kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

const fn libc_sigterm() -> i32 {
    Signal::TERM.as_raw()
}
