//! The hub as a process: a folder of repositories, with faults by options.
//!
//! ```text
//! sovai-test-hub --root DIR [--listen 127.0.0.1:PORT] [--throttle BYTES/S] [--close-after BYTES] [--close-times N]
//!                [--close-random BYTES] [--seed N] [--faults GLOB]
//! ```
//!
//! `DIR/ORG/NAME/...` are repositories with one commit, made from the content; `main` and `master` name it. The same files
//! are plain files under `/files/ORG/NAME/...`. Files of 1 MiB and more are in LFS. The first line of its output is its
//! address. It ends when it is killed, or when its standard input ends with `--until-eof`.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for tests: its output is its result"
)]

use sovai_test_hub::{Content, Fault, Hub, Repo, RepoFile};
use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// From this size on a file is in LFS.
const LFS: u64 = 1 << 20;

fn main() -> ExitCode {
    match run(std::env::args().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

#[derive(Debug, Default)]
struct Options {
    root: PathBuf,
    listen: Option<String>,
    faults: Option<String>,
    throttle: Option<u64>,
    close_after: Option<u64>,
    close_random: Option<u64>,
    close_times: Option<u64>,
    seed: u64,
    until_eof: bool,
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options::default();
    while let Some(name) = args.next() {
        if name == "--until-eof" {
            options.until_eof = true;
            continue;
        }
        let value = args.next().ok_or_else(|| format!("{name} needs a value"))?;
        let number = || value.parse::<u64>().map_err(|error| format!("{name} {value}: {error}"));
        match name.as_str() {
            "--root" => options.root = value.into(),
            "--listen" => options.listen = Some(value),
            "--faults" => options.faults = Some(value),
            "--throttle" => options.throttle = Some(number()?),
            "--close-after" => options.close_after = Some(number()?),
            "--close-random" => options.close_random = Some(number()?),
            "--close-times" => options.close_times = Some(number()?),
            "--seed" => options.seed = number()?,
            _ => return Err(format!("no option {name}")),
        }
    }
    if options.root.as_os_str().is_empty() {
        return Err("--root DIR is missing".to_owned());
    }
    Ok(options)
}

fn run(args: impl Iterator<Item = String>) -> Result<(), String> {
    let options = parse(args)?;
    let hub = Hub::start_on(options.listen.as_deref().unwrap_or("127.0.0.1:0"));
    fill(&hub, &options.root).map_err(|error| error.to_string())?;
    let glob = options.faults.as_deref().unwrap_or("**");
    if let Some(rate) = options.throttle {
        hub.fault(glob, Fault::Throttle(rate));
    }
    let close = [
        options.close_after.map(Fault::CloseAfter),
        options.close_random.map(|below| Fault::CloseAtRandom { seed: options.seed, below }),
    ];
    for fault in close.into_iter().flatten() {
        hub.fault(glob, fault).times(options.close_times.unwrap_or(u64::MAX));
    }
    println!("{}", hub.url());
    io::stdout().flush().map_err(|error| error.to_string())?;
    if options.until_eof {
        let mut rest = Vec::new();
        io::stdin().read_to_end(&mut rest).map_err(|error| error.to_string())?;
        eprintln!("bytes sent: {}", hub.bytes_sent());
        return Ok(());
    }
    loop {
        std::thread::park();
    }
}

/// Every `ORG/NAME` below the root.
fn fill(hub: &Hub, root: &Path) -> io::Result<()> {
    let mut repos: BTreeMap<String, BTreeMap<String, RepoFile>> = BTreeMap::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs_err::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(root).map_err(io::Error::other)?.to_string_lossy().into_owned();
            let content = Content::file(&path)?;
            hub.add_plain(name.as_str(), content.clone());
            let mut parts = name.splitn(3, '/');
            if let (Some(org), Some(repo), Some(file)) = (parts.next(), parts.next(), parts.next()) {
                let lfs = content.size() >= LFS;
                let files = repos.entry(format!("{org}/{repo}")).or_default();
                files.insert(file.to_owned(), RepoFile { content, lfs });
            }
        }
    }
    for (id, files) in repos {
        let mut repo = Repo::new(id, Repo::commit_of(&files));
        repo.files = files;
        hub.add(repo);
    }
    Ok(())
}
