//! The commands: each takes its arguments and the context, and gives the exit code or why it failed.

mod bundle;
mod catalog;
mod completions;
mod deploy;
mod doctor;
mod down;
mod evidence;
mod export;
mod gateway;
mod init;
mod inspect;
mod keys;
mod lock;
mod logs;
mod man;
mod oms_conformance;
mod plan;
mod policy;
mod pull;
mod push;
mod record;
mod schema;
mod sign;
mod status;
mod store;
mod trust;
mod validate;
mod verify;

use crate::args::Command;
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;

/// Runs one command.
pub(crate) fn run(command: Command, ctx: &Ctx) -> Result<Exit, CliError> {
    match command {
        Command::Validate(args) => validate::run(&args, ctx),
        Command::Lock(args) => lock::run(&args, ctx),
        Command::Init(args) => init::run(&args, ctx),
        Command::Pull(args) => pull::run(&args, ctx),
        Command::Push(args) => push::run(&args, ctx),
        Command::Catalog(args) => catalog::run(&args, ctx),
        Command::Bundle(args) => bundle::run(&args, ctx),
        Command::Evidence(args) => evidence::run(&args, ctx),
        Command::Store(args) => store::run(&args, ctx),
        Command::Verify(args) => verify::run(&args, ctx),
        Command::Inspect(args) => inspect::run(&args, ctx),
        Command::Keys(args) => keys::run(&args, ctx),
        Command::Sign(args) => sign::run(&args, ctx),
        Command::Trust(args) => trust::run(&args, ctx),
        Command::Policy(args) => policy::run(&args, ctx),
        Command::Export(args) => export::run(&args, ctx),
        Command::OmsConformance(args) => oms_conformance::run(&args, ctx),
        Command::Plan(args) => plan::run(&args, ctx),
        Command::Deploy(args) => deploy::run(&args, ctx),
        Command::Status(args) => status::run(&args, ctx),
        Command::Logs(args) => logs::run(&args, ctx),
        Command::Down(args) => down::run(&args, ctx),
        Command::Doctor(args) => doctor::run(&args, ctx),
        Command::Schema(args) => schema::run(&args, ctx),
        Command::Completions(args) => completions::run(&args, ctx),
        Command::Man(args) => man::run(&args, ctx),
        Command::Gateway(args) => gateway::run(args, ctx),
    }
}
