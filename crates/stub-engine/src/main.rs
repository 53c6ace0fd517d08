//! A test image in one static file: an OpenAI-shaped server with faults on demand, and a few looks around from inside a
//! container.
//!
//! It takes the options of llama-server that the shipped profile uses and behaves as its environment says (see
//! [`behaviour`]). With the name of a look-around as its first argument it does that instead (see [`look`]). It runs FROM
//! scratch and as process 1, where a signal without a handler does nothing: so it installs one for SIGTERM first.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for tests: its output is its result"
)]

mod behaviour;
mod look;
mod options;
mod server;

use behaviour::{Behaviour, Mode};
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(async {
            let Ok(mut term) = signal(SignalKind::terminate()) else { return ExitCode::FAILURE };
            let Ok(mut int) = signal(SignalKind::interrupt()) else { return ExitCode::FAILURE };
            tokio::select! {
                code = run(&args) => code,
                _ = term.recv() => ExitCode::SUCCESS,
                _ = int.recv() => ExitCode::SUCCESS,
            }
        }),
        Err(error) => {
            eprintln!("stub: no runtime: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &[String]) -> ExitCode {
    if let Some((name, rest)) = args.split_first()
        && let Some(code) = look::run(name, rest).await
    {
        return code;
    }
    let options = match options::parse(args) {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("error: {problem}");
            return ExitCode::from(2);
        }
    };
    let behaviour = match Behaviour::read(|name| std::env::var(name).ok()) {
        Ok(behaviour) => behaviour,
        Err(problem) => {
            eprintln!("error: {problem}");
            return ExitCode::from(2);
        }
    };
    match behaviour.mode {
        Mode::DieAtStart => {
            eprintln!("stub: loading model '{}'", options.model);
            eprintln!("stub: error: tensor 'blk.0.attn_q.weight' has wrong shape");
            eprintln!("stub: exiting due to model loading error");
            return ExitCode::from(3);
        }
        Mode::Hang => {
            eprintln!("stub: hanging before the port is opened");
            std::future::pending::<()>().await;
        }
        Mode::Ok | Mode::NeverReady | Mode::DieAfterReady | Mode::NoAnswer => {}
    }
    let model_size = match fs_err::metadata(&options.model) {
        Ok(meta) => meta.len(),
        Err(error) => {
            eprintln!("stub: error: failed to open model '{}': {error}", options.model);
            return ExitCode::from(3);
        }
    };
    let dies = (behaviour.mode == Mode::DieAfterReady).then_some(behaviour.delay + behaviour.die_after);
    tokio::select! {
        code = server::serve(options, behaviour, model_size) => code,
        () = dies_after(dies) => {
            eprintln!("stub: fatal: out of memory");
            ExitCode::from(4)
        }
    }
}

/// Ends after a time, or never.
async fn dies_after(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}
