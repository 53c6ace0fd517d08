//! Programs with a deadline.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Far beyond what any command here takes, also on a busy machine: a command that hangs is a failed test.
pub(crate) const LIMIT: Duration = Duration::from_mins(3);

/// What a program did.
#[derive(Debug)]
pub(crate) struct Ran {
    /// `None`: a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
    shown: String,
}

impl Ran {
    /// Fails with everything the program wrote, unless it ended with this code.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// Fails unless all these texts stand in what the program wrote to stderr.
    #[track_caller]
    pub(crate) fn says(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(self.stderr.contains(text), "`{text}` is not in what was said\n{self}");
        }
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("no JSON: {error}\n{self}"))
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { code, stdout, stderr, took, shown } = self;
        write!(f, "{shown}\n{took:?}, code {code:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}")
    }
}

/// Runs a program to its end.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> Ran {
    start(command).end()
}

/// Starts a program whose output is collected; killed when dropped.
#[track_caller]
pub(crate) fn start(command: &mut Command) -> Running {
    let shown = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{shown}: {error}"));
    let stdout = collect(child.stdout.take());
    let stderr = collect(child.stderr.take());
    Running { child, stdout: Some(stdout), stderr: Some(stderr), began: Instant::now(), shown }
}

type Collector = std::thread::JoinHandle<String>;

fn collect(pipe: Option<impl Read + Send + 'static>) -> Collector {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _partial = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// A program that runs.
pub(crate) struct Running {
    pub(crate) child: Child,
    stdout: Option<Collector>,
    stderr: Option<Collector>,
    began: Instant,
    shown: String,
}

impl Running {
    /// Waits for its end.
    #[track_caller]
    pub(crate) fn end(mut self) -> Ran {
        let code = loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                break status.code();
            }
            assert!(self.began.elapsed() < LIMIT, "still running after {LIMIT:?}: {}", self.shown);
            std::thread::sleep(Duration::from_millis(3));
        };
        let took = self.began.elapsed();
        let text =
            |thread: Option<Collector>| thread.map(|t| t.join().unwrap_or_default()).unwrap_or_default();
        let (stdout, stderr) = (text(self.stdout.take()), text(self.stderr.take()));
        Ran { code, stdout, stderr, took, shown: std::mem::take(&mut self.shown) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

/// Asks until there is an answer, at most `limit` long.
#[track_caller]
pub(crate) fn poll<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(began.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
