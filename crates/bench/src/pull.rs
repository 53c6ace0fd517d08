//! A pull from nginx on this host, against `curl` and `sync`.

use crate::error::{BenchError, io};
use crate::gateway::{free_port, proxies::start};
use crate::process::{Finished, first_line, run};
use crate::report::{Bar, Figure, Unit};
use crate::stats::{float, length, median, ratios};
use crate::verify::{LIMIT, write_random};
use crate::{Measured, Setting, say};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// This part's name.
pub(crate) const PART: &str = "pull";

/// As many files as connections, so that both programs have eight requests under way.
const FILES: usize = 8;
const FILE_MIB: u64 = 256;
const COMMIT: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
const MIN_CURL: f64 = 0.9;
/// Bytes written against bytes of the files: journals, receipts and folders are some hundred kilobytes.
const MAX_WRITTEN: f64 = 1.02;
const BASE_MIB: f64 = 64.0;
const CONNECTION_MIB: f64 = 8.0;

/// Measures.
pub(crate) fn measure(setting: &Setting) -> Result<Measured, BenchError> {
    let work = setting.temp()?;
    let size = if setting.quick { 4 } else { FILE_MIB } << 20;
    let total = size * FILES as u64;
    say(&format!("{PART}: writing {FILES} files of {} MiB", size >> 20));
    let files = publish(work.path(), size)?;
    let address = free_port()?;
    let config = work.path().join("nginx.conf");
    fs_err::write(&config, nginx_config(work.path(), address)).map_err(io("the configuration of nginx"))?;
    let args = ["-c", &config.to_string_lossy(), "-p", &work.path().to_string_lossy()];
    let _nginx = start("nginx", &args, address, &work.path().join("nginx.log"))?;

    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let (mut written, mut peaks) = (Vec::new(), Vec::new());
    for round in 0..setting.rounds {
        setting.begin(PART, round)?;
        let mut sovai = || {
            let done = pull(setting, work.path(), address)?;
            written.push(float(done.written) / float(total));
            peaks.push(done.peak_mib);
            Ok::<_, BenchError>(done.wall.as_secs_f64())
        };
        if round % 2 == 0 {
            theirs.push(curl(work.path(), address, &files)?);
            ours.push(sovai()?);
        } else {
            ours.push(sovai()?);
            theirs.push(curl(work.path(), address, &files)?);
        }
    }
    let speed = |seconds: &[f64]| float(total) / 1e9 / median(seconds);
    let version = first_line(Command::new("curl").arg("--version"));
    let version = version.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    let max_peak = length(FILES).mul_add(CONNECTION_MIB, BASE_MIB);
    Ok((
        vec![
            Figure::new(PART, "`sovai pull` : `curl` and `sync`, speed", Unit::Ratio, ratios(&theirs, &ours))
                .bar(Bar::AtLeast(MIN_CURL))
                .detail(format!(
                    "{FILES} files of {} MiB from nginx on loopback, {FILES} connections each, all on the disk at the end; sovai {:.2} GB/s with SHA-256, {version} {:.2} GB/s without",
                    size >> 20,
                    speed(&ours),
                    speed(&theirs)
                )),
            Figure::new(PART, "`sovai pull`: bytes written : bytes of the files", Unit::Ratio, written)
                .bar(Bar::AtMost(MAX_WRITTEN))
                .detail("`write_bytes` of /proc/PID/io"),
            Figure::new(PART, "`sovai pull`: peak memory", Unit::Mebibytes, peaks)
                .bar(Bar::AtMost(max_peak))
                .detail(format!("64 MiB and 8 MiB for each of {FILES} connections are allowed")),
        ],
        Vec::new(),
    ))
}

/// Files where a hub would have them, and a manifest with a lock that pins them.
fn publish(work: &Path, size: u64) -> Result<Vec<String>, BenchError> {
    let folder = format!("acme/bench/resolve/{COMMIT}");
    let www = work.join("www").join(&folder);
    fs_err::create_dir_all(&www).map_err(io("the folder that nginx serves"))?;
    let mut lock = format!(
        "apiVersion: sovai/v1\nkind: Lock\nmodels:\n  bench:\n    revision: {COMMIT}\n    license: Apache-2.0\n    files:\n"
    );
    let mut paths = Vec::new();
    for at in 0..FILES {
        let name = format!("part-{at}.safetensors");
        let path = www.join(&name);
        write_random(&path, size)?;
        let sha256 = digest(&path)?;
        let _ = writeln!(
            lock,
            "      - path: {name}\n        size: {size}\n        sha256: \"{sha256}\"\n        source: hf:acme/bench@{COMMIT}"
        );
        paths.push(format!("{folder}/{name}"));
    }
    lock.push_str("images: {}\n");
    let manifest = format!(
        "apiVersion: sovai/v1
kind: Stack
metadata: {{ name: bench }}
spec:
  models:
    bench:
      source: hf:acme/bench@{COMMIT}
  services:
    engine:
      engine: llama.cpp
      image: example/engine:1@sha256:{}
      model: bench
",
        "0".repeat(64)
    );
    fs_err::write(work.join("bench.yaml"), manifest).map_err(io("the manifest"))?;
    fs_err::write(work.join("bench.lock.yaml"), lock).map_err(io("the lock"))?;
    Ok(paths)
}

fn digest(path: &Path) -> Result<String, BenchError> {
    let done = run(Command::new("sha256sum").arg(path), LIMIT)?;
    let digest = done.stdout.split_whitespace().next().unwrap_or_default().to_owned();
    if digest.len() == 64 {
        return Ok(digest);
    }
    Err(BenchError::Answer { what: "sha256sum should give a digest".to_owned(), found: done.stdout })
}

/// Into a new store; gone afterwards.
fn pull(setting: &Setting, work: &Path, address: SocketAddr) -> Result<Finished, BenchError> {
    let store = tempfile::Builder::new().prefix("store-").tempdir_in(work).map_err(io("a store"))?;
    let root = store.path().join("store");
    let mut command = setting.sovai(&root);
    command
        .env("HF_ENDPOINT", format!("http://{address}"))
        .arg("pull")
        .arg(work.join("bench.yaml"))
        .args(["--model", "bench", "-q", "-j"])
        .arg(FILES.to_string());
    let done = run(&mut command, LIMIT)?;
    writable(&root.join("trees"))?;
    Ok(done)
}

/// Read-only folders cannot be emptied, but by root.
fn writable(folder: &Path) -> Result<(), BenchError> {
    run(Command::new("chmod").args(["-R", "u+w"]).arg(folder), LIMIT).map(drop)
}

/// `curl`, and `sync` of its files; gone afterwards.
fn curl(work: &Path, address: SocketAddr, files: &[String]) -> Result<f64, BenchError> {
    let folder = tempfile::Builder::new().prefix("curl-").tempdir_in(work).map_err(io("a folder"))?;
    let mut command = Command::new("curl");
    command
        .args(["--silent", "--fail", "--parallel", "--parallel-immediate", "--parallel-max"])
        .arg(FILES.to_string());
    let mut targets: Vec<PathBuf> = Vec::new();
    for (at, file) in files.iter().enumerate() {
        let target = folder.path().join(at.to_string());
        command.arg("--output").arg(&target).arg(format!("http://{address}/{file}"));
        targets.push(target);
    }
    let got = run(&mut command, LIMIT)?;
    let synced = run(Command::new("sync").args(&targets), LIMIT)?;
    Ok((got.wall + synced.wall).as_secs_f64())
}

fn nginx_config(folder: &Path, listen: SocketAddr) -> String {
    let folder = folder.display();
    // A worker that changes its user could not enter the temporary folder.
    let user = if rustix::process::geteuid().is_root() { "user root;\n" } else { "" };
    format!(
        "{user}daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    sendfile on;
    server {{
        listen {listen};
        root {folder}/www;
    }}
}}
"
    )
}
