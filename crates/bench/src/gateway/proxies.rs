//! The processes: the server behind, nginx, sovai's gateway.

use super::client::Target;
use super::load::MODEL;
use crate::error::{BenchError, io};
use crate::process::{Background, pause};
use crate::{Setting, say};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a process may take to listen.
const LISTENS: Duration = Duration::from_secs(10);
/// A key that is worth nothing.
const KEY: &str = "sk-sovai-benchmark";

/// A process that answers.
#[derive(Debug)]
pub(crate) struct Server {
    /// Where, and with which key.
    pub(crate) target: Target,
    /// The process.
    pub(crate) process: Background,
}

/// A port that was free just now.
pub(crate) fn free_port() -> Result<SocketAddr, BenchError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(io("a free port"))?;
    listener.local_addr().map_err(io("a free port"))
}

/// Starts a program and waits until it listens.
pub(crate) fn start(
    program: &str,
    args: &[&str],
    address: SocketAddr,
    log: &Path,
) -> Result<Server, BenchError> {
    let out = fs_err::File::create(log).map_err(io("a log"))?.into_parts().0;
    let process = Background::start(program, args, out)?;
    let deadline = Instant::now() + LISTENS;
    while TcpStream::connect(address).is_err() {
        if Instant::now() > deadline {
            say(&fs_err::read_to_string(log).unwrap_or_default());
            return Err(BenchError::Answer {
                what: format!("{program} should listen on {address}"),
                found: format!("nobody does after {} s", LISTENS.as_secs()),
            });
        }
        pause(Duration::from_millis(20))?;
    }
    Ok(Server { target: Target { address, key: KEY.to_owned() }, process })
}

/// The server behind, which is this program.
pub(crate) fn upstream(work: &Path) -> Result<Server, BenchError> {
    let address = free_port()?;
    let program = std::env::current_exe().map_err(io("this program"))?;
    let args = ["upstream", "--listen", &address.to_string()];
    start(&program.to_string_lossy(), &args, address, &work.join("upstream.log"))
}

/// nginx as a plain proxy that passes on at once, with a line in a file for each request.
pub(crate) fn nginx(work: &Path, upstream: SocketAddr) -> Result<Server, BenchError> {
    let address = free_port()?;
    let folder = work.join("nginx");
    fs_err::create_dir(&folder).map_err(io("a folder for nginx"))?;
    let config = folder.join("nginx.conf");
    fs_err::write(&config, nginx_config(&folder, address, upstream))
        .map_err(io("the configuration of nginx"))?;
    let args = ["-c", &config.to_string_lossy(), "-p", &folder.to_string_lossy()];
    start("nginx", &args, address, &folder.join("out.log"))
}

fn nginx_config(folder: &Path, listen: SocketAddr, upstream: SocketAddr) -> String {
    let folder = folder.display();
    // A worker that changes its user could not enter the temporary folder.
    let user = if rustix::process::geteuid().is_root() { "user root;\n" } else { "" };
    format!(
        "{user}daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 2048; }}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 1000000000;
    upstream engine {{
        server {upstream};
        keepalive 512;
        keepalive_requests 1000000000;
    }}
    server {{
        listen {listen} backlog=1024;
        location / {{
            proxy_pass http://engine;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_buffering off;
        }}
    }}
}}
"
    )
}

/// sovai's gateway with a key in force, its log in a file.
pub(crate) fn gateway(setting: &Setting, work: &Path, upstream: SocketAddr) -> Result<Server, BenchError> {
    let address = free_port()?;
    let keys = work.join("keys.sha256");
    let mut digest = String::new();
    for byte in Sha256::digest(KEY.as_bytes()) {
        let _ = write!(digest, "{byte:02x}");
    }
    fs_err::write(&keys, format!("{digest} benchmark\n")).map_err(io("the gateway's keys"))?;
    let config = work.join("gateway.json");
    let text = serde_json::json!({
        "apiVersion": "sovai/v1",
        "kind": "GatewayConfig",
        "listen": address,
        "inner": null,
        "metrics": null,
        "tls": null,
        "keys": keys,
        "routes": { MODEL: { "upstream": format!("http://{upstream}"), "model": MODEL } },
    });
    fs_err::write(&config, text.to_string()).map_err(io("the gateway's configuration"))?;
    let args = ["gateway", "--config", &config.to_string_lossy()];
    start(&setting.sovai.to_string_lossy(), &args, address, &work.join("gateway.log"))
}
