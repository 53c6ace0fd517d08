//! Programs that are run: to their end with a time limit, or in the background until a guard is dropped.

use crate::error::{BenchError, io};
use crate::machine::kibibytes;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

/// How often the memory of a running program is looked at. The kernel keeps the peak, so only what is allocated in the
/// last moments can be missed.
const LOOK_EVERY: Duration = Duration::from_millis(4);
/// How long a background program may take to end.
const END: Duration = Duration::from_secs(5);

static STOP: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// From now on SIGINT and SIGTERM end the current step with an error, so that guards clean up.
pub(crate) fn watch_signals() -> Result<(), BenchError> {
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&STOP)).map_err(io("watching for signals"))?;
    }
    Ok(())
}

/// An error once a signal came.
pub(crate) fn check_signals() -> Result<(), BenchError> {
    if STOP.load(Ordering::Relaxed) { Err(BenchError::Interrupted) } else { Ok(()) }
}

/// Does nothing for a while; ends early with an error when a signal comes.
pub(crate) fn pause(duration: Duration) -> Result<(), BenchError> {
    let end = Instant::now() + duration;
    loop {
        check_signals()?;
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(Duration::from_millis(50)));
    }
}

/// A program that has ended well.
#[derive(Debug)]
pub(crate) struct Finished {
    /// From just before it was started until its end was seen.
    pub(crate) wall: Duration,
    /// What it wrote on standard output.
    pub(crate) stdout: String,
    /// What it wrote on standard error.
    pub(crate) stderr: String,
    /// Its largest resident set, in MiB. 0 when it was too short-lived to be looked at.
    pub(crate) peak_mib: f64,
    /// Bytes that it let the system write to a disk (`write_bytes` of `proc_pid_io(5)`).
    pub(crate) written: u64,
}

/// Runs a program to its end, which must be exit code 0.
pub(crate) fn run(command: &mut Command, limit: Duration) -> Result<Finished, BenchError> {
    check_signals()?;
    let shown = shown(command);
    let failed = || io(format!("running `{shown}`"));
    // Files, so that neither a full pipe nor a reading thread can disturb what is measured.
    let mut files = [tempfile::tempfile().map_err(failed())?, tempfile::tempfile().map_err(failed())?];
    let [out, err] = [files[0].try_clone().map_err(failed())?, files[1].try_clone().map_err(failed())?];
    command.stdin(Stdio::null()).stdout(out).stderr(err);
    let start = Instant::now();
    let mut guard = Background { child: command.spawn().map_err(failed())? };
    let (peak_kib, written) = wait(&guard.child, start, limit).map_err(|how| match how {
        Waited::Interrupted => BenchError::Interrupted,
        Waited::Over => BenchError::Command {
            command: shown.clone(),
            how: format!("did not end within {} s", limit.as_secs()),
            said: String::new(),
        },
        Waited::Failed(source) => BenchError::Io { what: format!("waiting for `{shown}`"), source },
    })?;
    let status = guard.child.wait().map_err(failed())?;
    let wall = start.elapsed();
    let [stdout, stderr] = files.each_mut().map(read);
    if !status.success() {
        let said = if stderr.trim().is_empty() { &stdout } else { &stderr };
        return Err(BenchError::Command { command: shown, how: status.to_string(), said: tail(said) });
    }
    Ok(Finished { wall, stdout, stderr, peak_mib: peak_kib / 1024.0, written })
}

enum Waited {
    Interrupted,
    Over,
    Failed(std::io::Error),
}

/// Waits for a child's end; gives its peak memory in KiB, and the bytes that it wrote.
fn wait(child: &Child, start: Instant, limit: Duration) -> Result<(f64, u64), Waited> {
    let pid = Pid::from_child(child);
    let handle = pidfd_open(pid, PidfdFlags::empty()).map_err(|error| Waited::Failed(error.into()))?;
    let status = format!("/proc/{}/status", child.id());
    let every = Timespec { tv_sec: 0, tv_nsec: i64::from(LOOK_EVERY.subsec_nanos()) };
    let mut peak = 0.0f64;
    loop {
        match poll(&mut [PollFd::new(&handle, PollFlags::IN)], Some(&every)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            // It has ended, and nobody has asked how yet: its figures are still there.
            Ok(_) => return Ok((peak, written(child))),
            Err(error) => return Err(Waited::Failed(error.into())),
        }
        if let Ok(text) = fs_err::read_to_string(&status) {
            peak = peak.max(kibibytes(&text, "VmHWM"));
        }
        if STOP.load(Ordering::Relaxed) {
            return Err(Waited::Interrupted);
        }
        if start.elapsed() > limit {
            return Err(Waited::Over);
        }
    }
}

fn written(child: &Child) -> u64 {
    let text = fs_err::read_to_string(format!("/proc/{}/io", child.id())).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("write_bytes:"));
    line.and_then(|number| number.trim().parse().ok()).unwrap_or_default()
}

fn read(file: &mut File) -> String {
    let mut bytes = Vec::new();
    if file.rewind().is_ok() {
        // What cannot be read is missed by whoever looks for it.
        drop(file.read_to_end(&mut bytes));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The last lines of a text, on one line.
fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(5)..].join(" / ")
}

fn shown(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        text.push(' ');
        text.push_str(&argument.to_string_lossy());
    }
    text
}

/// The first line that a program writes, on standard output or else on standard error; empty when it cannot be run.
pub(crate) fn first_line(command: &mut Command) -> String {
    run(command, Duration::from_secs(20))
        .map(|done| done.stdout.lines().chain(done.stderr.lines()).next().unwrap_or_default().to_owned())
        .unwrap_or_default()
}

/// A program in the background; dropping it ends the program.
#[derive(Debug)]
pub(crate) struct Background {
    child: Child,
}

impl Background {
    /// Starts a program that gets SIGTERM when this one dies, however it dies.
    pub(crate) fn start(program: &str, args: &[&str], out: File) -> Result<Self, BenchError> {
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "TERM", program])
            .args(args)
            .stdin(Stdio::null())
            .stderr(out.try_clone().map_err(io(format!("the output of {program}")))?)
            .stdout(out)
            .spawn()
            .map_err(io(format!("starting {program}")))?;
        Ok(Self { child })
    }

    /// Time that this process and its children have had on a core so far (`proc_pid_stat(5)`; ticks are 10 ms on Linux).
    pub(crate) fn cpu(&self) -> Duration {
        let id = self.child.id();
        let children = fs_err::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        let children = children.split_whitespace().filter_map(|child| child.parse().ok());
        let ticks: u64 = std::iter::once(id).chain(children).map(ticks).sum();
        Duration::from_millis(10 * ticks)
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        // SIGTERM first: nginx ends its workers then.
        let _sent = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let deadline = Instant::now() + END;
        while Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn ticks(id: u32) -> u64 {
    fs_err::read_to_string(format!("/proc/{id}/stat")).map_or(0, |stat| read_ticks(&stat))
}

/// User and system time; the second field, a name in brackets, may hold anything.
fn read_ticks(stat: &str) -> u64 {
    let Some((_, rest)) = stat.rsplit_once(')') else { return 0 };
    rest.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    #[test]
    fn what_a_program_writes_is_kept() {
        let done = run(Command::new("sh").args(["-c", "echo out; echo err >&2"]), LIMIT).unwrap();
        assert_eq!((done.stdout.as_str(), done.stderr.as_str()), ("out\n", "err\n"));
    }

    #[test]
    fn a_program_that_fails_is_an_error_with_its_words() {
        let error = run(Command::new("sh").args(["-c", "echo broken >&2; exit 3"]), LIMIT).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("exit status: 3") && text.contains("broken"), "{text}");
    }

    #[test]
    fn a_program_that_does_not_end_is_ended() {
        let start = Instant::now();
        let error = run(Command::new("sleep").arg("60"), Duration::from_millis(100)).unwrap_err();
        assert!(error.to_string().contains("did not end"), "{error}");
        assert!(start.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn peak_memory_is_seen() {
        // dd holds one block in memory.
        let args = ["if=/dev/zero", "of=/dev/null", "bs=64M", "count=8", "status=none"];
        let done = run(Command::new("dd").args(args), LIMIT).unwrap();
        assert!((60.0..90.0).contains(&done.peak_mib), "{}", done.peak_mib);
    }

    #[test]
    fn ticks_are_found_behind_any_name() {
        assert_eq!(read_ticks("7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 12 30 5 5 20 0 1 0 3"), 42);
        assert_eq!(read_ticks("nothing"), 0);
    }
}
