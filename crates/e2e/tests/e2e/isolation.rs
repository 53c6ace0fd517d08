//! Engines reach neither the outside nor the host.

use crate::docker::{docker, inspect, lines};
use crate::setup::beside;
use crate::stack::Stack;
use serde_json::Value;
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

/// Addresses for documentation (RFC 5737, RFC 3849): nobody has them.
const NOBODY: [&str; 3] = ["198.51.100.1:80", "203.0.113.1:443", "[2001:db8::1]:80"];

#[test]
fn an_engine_reaches_neither_the_outside_nor_the_host() {
    let Some(setup) = beside() else { return };
    let stack = Stack::new(&setup);
    stack.up(&stack.manifest());
    connects_nowhere(&stack, stub_probe);
    // The gateway answers on the host; the engine publishes nothing.
    stack.answers();
    let engine = inspect("container", &stack.container("engine"));
    assert_eq!(engine["HostConfig"]["PortBindings"].as_object().map(serde_json::Map::len), Some(0));
    let gateway = inspect("container", &stack.container("gateway"));
    let published = &gateway["NetworkSettings"]["Ports"]["8080/tcp"];
    assert_eq!(published[0]["HostIp"], "127.0.0.1");
    assert_eq!(published.as_array().map(Vec::len), Some(1));
    assert!(gateway["NetworkSettings"]["Ports"]["9090/tcp"].is_null(), "metrics are not published");
}

#[test]
fn two_stacks_do_not_see_each_other() {
    let Some(setup) = beside() else { return };
    let (one, other) = (Stack::new(&setup), Stack::new(&setup));
    one.up(&one.manifest());
    other.up(&other.manifest());
    let addresses: Vec<String> = ["engine", "gateway"]
        .iter()
        .flat_map(|service| {
            let container = inspect("container", &other.container(service));
            let networks = container["NetworkSettings"]["Networks"].as_object().unwrap().clone();
            networks.values().map(|n| n["IPAddress"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        })
        .flat_map(|address| [format!("{address}:8080"), format!("{address}:8081"), format!("{address}:9090")])
        .collect();
    assert_eq!(addresses.len(), 9, "{addresses:?}");
    for finding in stub_probe(&one, &addresses) {
        assert_eq!(finding["connected"], false, "{finding}");
    }
}

/// How to connect from inside a stack's engine: one finding for each target.
type Probe = fn(&Stack, &[String]) -> Vec<Value>;

/// By the test server; all targets at once, since each may take the whole time that a connection is tried.
pub(crate) fn stub_probe(stack: &Stack, targets: &[String]) -> Vec<Value> {
    let engine = stack.container("engine");
    let one = |target: &String| docker(&["exec", &engine, "/stub", "probe-net", target]);
    std::thread::scope(|scope| {
        let all: Vec<_> = targets.iter().map(|target| scope.spawn(move || one(target))).collect();
        all.into_iter().map(|probe| serde_json::from_str(&probe.join().unwrap()).unwrap()).collect()
    })
}

/// By Python, in the image of the real engine.
pub(crate) fn python_probe(stack: &Stack, targets: &[String]) -> Vec<Value> {
    let script = r#"
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor
def probe(target):
    host, port = target.rsplit(":", 1)
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=4).close()
        return {"target": target, "connected": True}
    except OSError as error:
        return {"target": target, "connected": False, "error": {"errno": error.errno, "message": str(error)}}
with ThreadPoolExecutor(64) as pool:
    for finding in pool.map(probe, sys.argv[1:]):
        print(json.dumps(finding))
"#;
    let engine = stack.container("engine");
    let mut args = vec!["exec", &engine, "python3", "-c", script];
    args.extend(targets.iter().map(String::as_str));
    docker(&args).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Tries to get out of a stack's engine in every direction.
pub(crate) fn connects_nowhere(stack: &Stack, probe: Probe) {
    // The look-around itself works: the gateway is reached by its name.
    let inside = probe(stack, &["gateway:8080".to_owned(), "engine:8080".to_owned()]);
    assert!(inside.iter().all(|finding| finding["connected"] == true), "{inside:?}");

    // Outside: there is no way, so that nobody can even refuse.
    for finding in probe(stack, &NOBODY.map(str::to_owned)) {
        unreachable(&finding);
    }

    // A service of the host that listens on all addresses. Connecting from the host itself shows that it does.
    let listener = TcpListener::bind(("::", 0)).or_else(|_| TcpListener::bind(("0.0.0.0", 0))).unwrap();
    let port = listener.local_addr().unwrap().port();
    let host = host_addresses();
    assert!(host.iter().any(|address| address.starts_with("172.") || address.contains('.')), "{host:?}");
    for address in &host {
        let target: std::net::SocketAddr = socket(address, port).parse().unwrap();
        TcpStream::connect_timeout(&target, Duration::from_secs(5))
            .unwrap_or_else(|e| panic!("{target}: {e}"));
        drop(listener.accept().unwrap());
    }
    let mut targets: Vec<String> = host.iter().map(|address| socket(address, port)).collect();
    // Where its network would have the host.
    for network in lines(&["network", "ls", "-q", "--filter", &format!("label=sovai.stack={}", stack.name)]) {
        for part in inspect("network", &network)["IPAM"]["Config"].as_array().unwrap() {
            if let Some(gateway) = part["Gateway"].as_str() {
                targets.push(socket(gateway, port));
            }
        }
    }
    // What the host has published: the gateway of this stack too.
    targets.extend(host.iter().map(|address| socket(address, stack.port)));
    targets.sort();
    targets.dedup();
    for finding in probe(stack, &targets) {
        unreachable(&finding);
    }
    listener.set_nonblocking(true).unwrap();
    let came = listener.accept().map(|(_, from)| from);
    assert!(came.is_err(), "somebody reached the host's service: {came:?}");
}

/// Not connected, and not refused: a refusal is a packet that came back.
#[track_caller]
fn unreachable(finding: &Value) {
    assert_eq!(finding["connected"], false, "{finding}");
    let (refused, reset) = (111, 104);
    let errno = finding["error"]["errno"].as_i64();
    assert!(errno != Some(refused) && errno != Some(reset), "something answered: {finding}");
}

/// All addresses of this host but loopback and link-local ones, which mean the asker itself or need an interface.
fn host_addresses() -> Vec<String> {
    let ran =
        crate::process::run(Command::new("ip").args(["-oneline", "address", "show", "scope", "global"]))
            .expect(0);
    ran.stdout
        .lines()
        .filter_map(|line| line.split_whitespace().nth(3))
        .filter_map(|address| address.split('/').next())
        .map(str::to_owned)
        .collect()
}

fn socket(address: &str, port: u16) -> String {
    if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
}
