//! `sovai gateway`: the process of a stack's one door, and the small things that `deploy` runs inside containers.

mod log;

use crate::args::{GatewayArgs, GatewayCommand};
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;
use crate::input::read_bounded;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use sovai_gateway::probe::{self, Question, State, Target};
use sovai_gateway::{Config, Record};
use std::io::Read as _;
use std::path::Path;

/// Longest request on standard input; a question is far shorter.
const MAX_REQUEST: u64 = 1 << 20;
/// A nonce is shorter than this.
const MAX_NONCE: usize = 128;

/// Runs the command.
pub(crate) fn run(args: GatewayArgs, ctx: &Ctx) -> Result<Exit, CliError> {
    match (args.command, args.config) {
        (Some(GatewayCommand::Probe), _) => wait(ctx),
        (Some(GatewayCommand::Ask), _) => ask(ctx),
        (Some(GatewayCommand::Nonce { file }), _) => nonce(&file, ctx),
        (Some(GatewayCommand::Idle), _) => idle(ctx),
        (None, Some(config)) => serve(&config, ctx),
        (None, None) => {
            Err(CliError::new(Exit::Usage, "no configuration").hint("sovai gateway --config FILE"))
        }
    }
}

/// Serves until SIGTERM or SIGINT; a second signal ends the process at once.
fn serve(path: &Path, ctx: &Ctx) -> Result<Exit, CliError> {
    let config = Config::load(path)?;
    let interrupt = ctx.interrupt()?;
    let (log, writer) = log::start(ctx.out)?;
    let served = ctx.block_on(sovai_gateway::serve(
        config,
        move |record: &Record| log.record(record),
        interrupt.wait(),
    ))?;
    // The serving side of the log is gone by now: the writer ends when it has written what is left.
    writer.finish();
    served?;
    Ok(Exit::Done)
}

/// Does nothing until SIGTERM or SIGINT: a container from inside which others are asked.
fn idle(ctx: &Ctx) -> Result<Exit, CliError> {
    let interrupt = ctx.interrupt()?;
    ctx.block_on(interrupt.wait())?;
    Ok(Exit::Done)
}

/// A line about what a server says: its state, and the same in words.
#[derive(Serialize)]
struct StateLine<'a> {
    #[serde(flatten)]
    state: &'a State,
    detail: String,
}

fn wait(ctx: &Ctx) -> Result<Exit, CliError> {
    let target: Target = match request() {
        Ok(target) => target,
        Err(problem) => return refuse(&problem, ctx),
    };
    let mut written = Ok(());
    let ready = ctx.block_on(probe::wait_ready(&target, |state| {
        let line = StateLine { state: &state, detail: state.to_string() };
        if let Err(error) = ctx.out.json_line(&line) {
            written = Err(error);
        }
    }))?;
    written?;
    match ready {
        Ok(()) => Ok(Exit::Done),
        Err(error) => refuse(&CliError::internal(error), ctx),
    }
}

fn ask(ctx: &Ctx) -> Result<Exit, CliError> {
    let question: Question = match request() {
        Ok(question) => question,
        Err(problem) => return refuse(&problem, ctx),
    };
    match ctx.block_on(probe::ask(&question))? {
        Ok(answer) => {
            ctx.out.json_line(&answer)?;
            Ok(Exit::Done)
        }
        Err(error) => refuse(&CliError::internal(error), ctx),
    }
}

/// Says as a JSON line why there is no answer; the caller reads standard output alone.
fn refuse(error: &CliError, ctx: &Ctx) -> Result<Exit, CliError> {
    let mut text = error.message().to_owned();
    for cause in error.causes() {
        text = format!("{text}: {cause}");
    }
    ctx.out.json_line(&json!({ "error": text }))?;
    Ok(Exit::Internal)
}

/// One JSON request from standard input. Its text is in no message: it may hold a key.
fn request<T: DeserializeOwned>() -> Result<T, CliError> {
    let mut bytes = Vec::new();
    std::io::stdin()
        .lock()
        .take(MAX_REQUEST)
        .read_to_end(&mut bytes)
        .map_err(|error| CliError::new(Exit::Internal, "the request cannot be read").source(&error))?;
    serde_json::from_slice(&bytes).map_err(|error| {
        CliError::new(
            Exit::Usage,
            format!(
                "the request is not what is expected, at line {} column {}",
                error.line(),
                error.column()
            ),
        )
    })
}

fn nonce(file: &Path, ctx: &Ctx) -> Result<Exit, CliError> {
    let mut bytes = read_bounded(file, MAX_NONCE, "nonce")?;
    bytes.truncate(MAX_NONCE);
    ctx.out.data(&bytes)?;
    Ok(Exit::Done)
}
