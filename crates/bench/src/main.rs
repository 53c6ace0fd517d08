//! Measures `sovai` side by side with its peers: hashing with OpenSSL and b3sum, model
//! signatures with the reference implementation, deploying with Compose, the gateway with nginx, pulling with curl.
//!
//! Every figure is made of rounds in which sovai and its peer take turns, and is the median of what the rounds gave.
//! It never judges a figure by its exit code: a bar that is missed is written down, and `docs/benchmarks.md` says what
//! stands behind each.

mod args;
mod deploy;
mod docs;
mod error;
mod gateway;
mod lock;
mod machine;
mod process;
mod pull;
mod report;
mod shape;
mod signed;
mod start;
mod stats;
mod tree;
mod verify;

use crate::args::{Cli, Part};
use crate::error::{BenchError, io};
use crate::machine::Machine;
use crate::report::{Figure, Report};
use clap::Parser as _;
use std::cell::Cell;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

/// What every part is told.
#[derive(Debug)]
struct Setting {
    /// The program under test.
    sovai: PathBuf,
    /// Where temporary folders are made.
    dir: PathBuf,
    /// Image of the inference engine.
    image: String,
    /// The weights file that the engine loads.
    weights: PathBuf,
    /// Python with `model_signing`, the reference implementation of model signatures.
    witness: PathBuf,
    /// The program `b3sum`.
    b3sum: PathBuf,
    /// The verifier's example `throughput`.
    throughput: PathBuf,
    /// Rounds behind each median.
    rounds: usize,
    /// Everything small and short: shows that the program works, measures nothing.
    quick: bool,
    /// Longest wait for an idle machine before each round.
    wait_idle: Duration,
    /// Rounds before which the machine was not idle even so.
    busy: Cell<usize>,
}

impl Setting {
    /// Says which round begins, and waits until the rest of the machine has nothing to do.
    fn begin(&self, part: &str, round: usize) -> Result<(), BenchError> {
        let idle = machine::wait_idle(self.wait_idle)?;
        if idle < machine::IDLE {
            self.busy.set(self.busy.get() + 1);
        }
        say(&format!(
            "{part}: round {} of {}; {:.0} % of the machine are idle",
            round + 1,
            self.rounds,
            idle * 100.0
        ));
        Ok(())
    }

    /// A folder that is removed when it is dropped.
    fn temp(&self) -> Result<tempfile::TempDir, BenchError> {
        tempfile::Builder::new()
            .prefix("sovai-bench-")
            .tempdir_in(&self.dir)
            .map_err(io(format!("a temporary folder in {}", self.dir.display())))
    }

    /// `sovai` with a store of its own, so that neither configuration nor the machine's store plays a part.
    fn sovai(&self, store: &std::path::Path) -> Command {
        let mut command = Command::new(&self.sovai);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SOVAI_"))
        {
            command.env_remove(name);
        }
        command.current_dir(&self.dir).arg("--store").arg(store);
        command
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut text = format!("error: {error}");
            let mut cause = std::error::Error::source(&error);
            while let Some(error) = cause {
                text = format!("{text}\n  caused by: {error}");
                cause = error.source();
            }
            say(&text);
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), BenchError> {
    let cli = Cli::parse();
    if let Part::Upstream { listen } = cli.part {
        return gateway::upstream::serve(listen);
    }
    process::watch_signals()?;
    if cli.docs.is_some() && (cli.quick || !matches!(cli.part, Part::All)) {
        return Err(BenchError::Unfit("--docs takes the figures of a whole run: `all`, not --quick".into()));
    }
    let absolute =
        |path: &PathBuf| fs_err::canonicalize(path).map_err(io(format!("{} is looked for", path.display())));
    let setting = Setting {
        sovai: absolute(&cli.sovai)?,
        dir: absolute(&cli.dir.clone().unwrap_or_else(std::env::temp_dir))?,
        image: cli.image.clone(),
        weights: cli.weights.clone(),
        witness: cli.witness.clone(),
        b3sum: cli.b3sum.clone(),
        throughput: absolute(&cli.throughput).unwrap_or_else(|_| cli.throughput.clone()),
        rounds: if cli.quick { 1 } else { cli.rounds },
        quick: cli.quick,
        wait_idle: Duration::from_secs(cli.wait_idle),
        busy: Cell::new(0),
    };
    let mut report = Report {
        api_version: "sovai-bench/v1",
        date: process::first_line(Command::new("date").args(["-u", "+%F"])),
        machine: Machine::look(),
        rounds: setting.rounds,
        figures: Vec::new(),
        notes: Vec::new(),
    };
    for (name, part) in parts(&cli.part) {
        say(&format!("{name}: getting ready"));
        let (figures, notes) = part(&setting)?;
        report.figures.extend(figures);
        report.notes.extend(notes);
        let busy = setting.busy.take();
        if busy > 0 {
            report.notes.push(format!("`{name}`: before {busy} of the rounds something else was running"));
        }
    }
    if let Some(path) = &cli.json {
        let text = serde_json::to_string_pretty(&report)
            .map_err(|error| BenchError::Unfit(format!("the report is no JSON: {error}")))?;
        fs_err::write(path, text + "\n").map_err(io("the report as JSON"))?;
    }
    if let Some(page) = &cli.docs {
        docs::rewrite(page, report.markdown().trim_end())?;
    }
    print(&format!("{}\n{}", report.machine, report.table()));
    Ok(())
}

type Measured = (Vec<Figure>, Vec<String>);
type Measure = fn(&Setting) -> Result<Measured, BenchError>;

fn parts(part: &Part) -> Vec<(&'static str, Measure)> {
    let start: (_, Measure) = (start::PART, start::measure);
    let verify: (_, Measure) = (verify::PART, verify::measure);
    let signed: (_, Measure) = (signed::PART, signed::measure);
    let tree: (_, Measure) = (tree::PART, tree::measure);
    let shape: (_, Measure) = (shape::PART, shape::measure);
    let deploy: (_, Measure) = (deploy::PART, deploy::measure);
    let lock: (_, Measure) = (lock::PART, lock::measure);
    let pull: (_, Measure) = (pull::PART, pull::measure);
    let gateway: (_, Measure) = (gateway::PART, gateway::measure);
    match part {
        Part::Verify => vec![verify],
        Part::Signed => vec![signed],
        Part::Tree => vec![tree],
        Part::Shape => vec![shape],
        Part::Deploy => vec![deploy],
        Part::Gateway => vec![gateway],
        Part::Lock => vec![lock],
        Part::Pull => vec![pull],
        Part::Start => vec![start],
        Part::All => vec![start, verify, signed, tree, shape, deploy, gateway, lock, pull],
        Part::Upstream { .. } => Vec::new(),
    }
}

/// A line about what is going on, on standard error.
#[expect(clippy::print_stderr, reason = "a program for people")]
fn say(line: &str) {
    eprintln!("{line}");
}

/// The result, on standard output.
#[expect(clippy::print_stdout, reason = "a program for people")]
fn print(text: &str) {
    println!("{text}");
}
