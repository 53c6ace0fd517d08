//! Looks around from inside a container. Each prints one JSON object a line on stdout and exits with 0, also when what it
//! tried did not work: that is its finding.
//!
//! `probe-net HOST:PORT...` tries to connect; `dns NAME...` resolves; `ls PATH...` lists; `write PATH...` tries to write;
//! `id` tells who it is; `sleep` waits for a signal.

use serde_json::{Value, json};
use std::io::{self, Write as _};
use std::net::ToSocketAddrs as _;
use std::process::ExitCode;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long one connection is tried. A dropped packet and a lost one look alike, so there must be an end.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Does the look-around of that name; `None` when there is none.
pub(crate) async fn run(name: &str, args: &[String]) -> Option<ExitCode> {
    match name {
        "probe-net" => {
            for target in args {
                println!("{}", probe(target).await);
            }
        }
        "dns" => args.iter().for_each(|name| println!("{}", dns(name))),
        "ls" => args.iter().for_each(|path| println!("{}", list(path))),
        "write" => args.iter().for_each(|path| println!("{}", write(path))),
        "id" => println!("{}", identity(&fs_err::read_to_string("/proc/self/status").unwrap_or_default())),
        "sleep" => std::future::pending().await,
        _ => return None,
    }
    Some(ExitCode::SUCCESS)
}

// `std::fs` here, not `fs_err`: its errors wrap the system's and lose the number.

/// An error as data: what it is called, its number, and the text.
fn failure(error: &io::Error) -> Value {
    json!({ "kind": format!("{:?}", error.kind()), "errno": error.raw_os_error(), "message": error.to_string() })
}

async fn probe(target: &str) -> Value {
    match timeout(CONNECT_TIMEOUT, TcpStream::connect(target)).await {
        Ok(Ok(_)) => json!({ "target": target, "connected": true }),
        Ok(Err(error)) => json!({ "target": target, "connected": false, "error": failure(&error) }),
        Err(_) => json!({ "target": target, "connected": false, "error": { "kind": "Timeout" } }),
    }
}

fn dns(name: &str) -> Value {
    match (name, 0).to_socket_addrs() {
        Ok(found) => {
            let mut addresses: Vec<String> = found.map(|a| a.ip().to_string()).collect();
            addresses.sort();
            addresses.dedup();
            json!({ "name": name, "addresses": addresses })
        }
        Err(error) => json!({ "name": name, "addresses": [], "error": failure(&error) }),
    }
}

fn list(path: &str) -> Value {
    let entries = std::fs::read_dir(path).and_then(|dir| {
        dir.map(|entry| {
            let entry = entry?;
            let meta = entry.metadata()?;
            let name = entry.file_name().to_string_lossy().into_owned();
            Ok(json!({ "name": name, "folder": meta.is_dir(), "size": meta.len() }))
        })
        .collect::<io::Result<Vec<_>>>()
    });
    match entries {
        Ok(mut entries) => {
            entries.sort_by_key(|e| e["name"].as_str().map(str::to_owned));
            json!({ "path": path, "entries": entries })
        }
        Err(error) => json!({ "path": path, "error": failure(&error) }),
    }
}

/// Opens a file for writing, making it if it is not there, and writes one byte at its end.
fn write(path: &str) -> Value {
    let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
    match file.and_then(|mut file| file.write_all(b"x")) {
        Ok(()) => json!({ "path": path, "written": true }),
        Err(error) => json!({ "path": path, "written": false, "error": failure(&error) }),
    }
}

/// Who this process is, out of the text of `/proc/self/status` (proc(5)).
fn identity(status: &str) -> Value {
    let field = |name: &str| {
        status
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .map(str::trim)
            .unwrap_or_default()
    };
    // Real, effective, saved, file system: the second is what counts.
    let number = |name: &str| field(name).split_whitespace().nth(1).and_then(|n| n.parse::<u32>().ok());
    json!({
        "uid": number("Uid"),
        "gid": number("Gid"),
        "groups": field("Groups").split_whitespace().collect::<Vec<_>>(),
        "capEffective": field("CapEff"),
        "capPermitted": field("CapPrm"),
        "capBounding": field("CapBnd"),
        "noNewPrivileges": field("NoNewPrivs") == "1",
        "seccomp": field("Seccomp"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_file_is_read() {
        let text = "Name:\tstub\nUid:\t0\t65532\t65532\t65532\nGid:\t1\t2\t3\t4\nGroups:\t10 20\n\
                    CapPrm:\t00\nCapEff:\t0000000000000000\nCapBnd:\t00\nNoNewPrivs:\t1\nSeccomp:\t2\n";
        let found = identity(text);
        assert_eq!((&found["uid"], &found["gid"]), (&json!(65532), &json!(2)));
        assert_eq!(found["capEffective"], "0000000000000000");
        assert_eq!(found["noNewPrivileges"], true);
        assert_eq!(found["groups"], json!(["10", "20"]));
    }

    #[test]
    fn what_does_not_work_is_a_finding() {
        assert_eq!(write("/proc/none/x")["error"]["errno"], 2);
        assert!(list("/does/not/exist")["error"]["kind"].is_string());
        assert_eq!(dns("127.0.0.1")["addresses"], json!(["127.0.0.1"]));
    }
}
