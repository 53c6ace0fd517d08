//! The command line: what can be written there, and its help. The only module that knows clap.

mod bundle;
mod catalog;
mod generate;
mod net;
mod pull;
mod signing;
mod store;
mod verify;

pub(crate) use bundle::{
    BundleArgs, BundleCommand, BundleCreateArgs, DecisionArgs, EvidenceArgs, EvidenceCommand, VolumesArgs,
};
pub(crate) use catalog::{CatalogArgs, CatalogCommand, InitArgs};
pub(crate) use generate::{completions, man, man_names, man_pages};
pub(crate) use net::NetArgs;
pub(crate) use pull::{PullArgs, PushArgs};
pub(crate) use signing::{
    ConformanceArgs, ExportArgs, ExportCommand, InspectArgs, KeyKind, KeysArgs, KeysCommand, PolicyArgs,
    PolicyCommand, RoleArg, SignArgs, SignCommand, SignerArgs, TrustArgs, TrustCommand,
};
pub(crate) use store::{StoreArgs, StoreCommand};
pub(crate) use verify::{ReadingArgs, SummaryArgs, VerifyArgs};

use crate::exit::Exit;
use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use serde::Deserialize;
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// Pin, verify, carry and deploy open AI models on national infrastructure
#[derive(Debug, Parser)]
#[command(
    name = "sovai",
    version,
    arg_required_else_help = true,
    subcommand_required = true,
    disable_help_subcommand = true,
    max_term_width = 100,
    after_long_help = after_help()
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags that every command takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(crate) struct GlobalArgs {
    /// Form of the result on standard output [default: text]
    #[arg(short, long, global = true, value_enum, value_name = "FORMAT")]
    pub(crate) output: Option<OutputFormat>,
    /// Form of progress on standard error [default: auto]
    #[arg(long, global = true, value_enum, value_name = "FORM")]
    pub(crate) progress: Option<ProgressMode>,
    /// Say nothing but the result and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Say more
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
    /// Folder of the local store
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        help = "Folder of the local store [default: /var/lib/sovai for root, else $XDG_DATA_HOME/sovai]"
    )]
    pub(crate) store: Option<PathBuf>,
    /// Address of the container engine
    #[arg(
        long,
        global = true,
        value_name = "DOCKER_HOST",
        help = "Address of the container engine [default: $DOCKER_HOST, else unix:///var/run/docker.sock]"
    )]
    pub(crate) host: Option<String>,
    /// Reach for nothing outside this host
    #[arg(long, global = true)]
    pub(crate) offline: bool,
    /// Answer yes to every question; a wrong digest is never a question
    #[arg(short = 'y', long, global = true)]
    pub(crate) yes: bool,
}

/// Form of the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum OutputFormat {
    /// For people
    Text,
    /// One JSON object
    Json,
}

/// Form of progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ProgressMode {
    /// Bars on a terminal, lines elsewhere
    Auto,
    /// Bars
    Tty,
    /// Lines
    Plain,
    /// One JSON object a line
    Json,
    /// Nothing
    None,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write a commented manifest, from the catalogue or from scratch
    Init(InitArgs),
    /// Check a manifest: syntax, schema and the rules between fields
    Validate(ValidateArgs),
    /// Resolve sources and images to sizes and digests, into the lock beside the manifest
    Lock(Box<LockArgs>),
    /// Bring weights and images into the store
    Pull(Box<PullArgs>),
    /// Publish a stack's models and images to an OCI registry
    Push(Box<PushArgs>),
    /// Check bytes against pins, signatures or a passport, and judge them by trust and policy
    Verify(Box<VerifyArgs>),
    /// Read the headers of model files safely, and tell what is in them
    Inspect(InspectArgs),
    /// Known models, with a source and a date for each fact
    Catalog(CatalogArgs),
    /// Carry a stack across a gap: whole, signed, on volumes
    Bundle(BundleArgs),
    /// Look after the local store
    Store(StoreArgs),
    /// What was done, by whom and when: the signed log
    Evidence(EvidenceArgs),
    /// Make keys
    Keys(KeysArgs),
    /// Sign models and statements
    Sign(SignArgs),
    /// Say whom this store trusts
    Trust(TrustArgs),
    /// Check a policy, and explain its rules
    Policy(PolicyArgs),
    /// Write what others need to check without sovai
    Export(ExportArgs),
    /// Show what `deploy` would do, and why; change nothing
    Plan(PlanArgs),
    /// Verify, plan, launch, wait until ready, ask one real question
    Deploy(DeployArgs),
    /// Show what is deployed and how it is
    Status(StatusArgs),
    /// Show what the services of a stack wrote
    Logs(LogsArgs),
    /// Take a stack away
    Down(DownArgs),
    /// Check whether this host is able to do it
    Doctor(DoctorArgs),
    /// Print the JSON Schema of the manifest, a policy, a lock or a result
    Schema(SchemaArgs),
    /// Print a shell's completion script
    Completions(CompletionsArgs),
    /// Print a manual page
    Man(ManArgs),
    /// Run the gateway of a stack
    Gateway(GatewayArgs),
    /// Answer the conformance suite of OpenSSF Model Signing
    #[command(hide = true)]
    OmsConformance(ConformanceArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ValidateArgs {
    /// The manifest
    pub(crate) manifest: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct LockArgs {
    /// The manifest; DIR/NAME.yaml is locked in DIR/NAME.lock.yaml
    pub(crate) manifest: PathBuf,
    /// Write nothing; say what is different from the lock, and exit 10 when something is
    #[arg(long)]
    pub(crate) check: bool,
    /// Threads that hash [default: one for each CPU]
    #[arg(long, value_name = "N", value_parser = threads)]
    pub(crate) threads: Option<NonZeroUsize>,
    #[command(flatten)]
    pub(crate) net: NetArgs,
}

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// The manifest
    pub(crate) manifest: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct DeployArgs {
    /// The manifest
    pub(crate) manifest: PathBuf,
    #[command(flatten)]
    pub(crate) reading: ReadingArgs,
    /// Seconds that a service has to get ready [default: what its engine profile says]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(crate) timeout: Option<u32>,
    /// The question that is asked when all is ready
    #[arg(long, value_name = "TEXT")]
    pub(crate) question: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// A stack's name or its manifest; all stacks when left out
    #[arg(value_name = "STACK|MANIFEST")]
    pub(crate) target: Option<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// A stack's name or its manifest
    #[arg(value_name = "STACK|MANIFEST")]
    pub(crate) target: OsString,
    /// Only this service; `gateway` is the gateway
    #[arg(value_name = "SERVICE")]
    pub(crate) service: Option<String>,
    /// Go on until interrupted
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Only the last N lines of each service
    #[arg(long, value_name = "N")]
    pub(crate) tail: Option<usize>,
}

#[derive(Debug, Args)]
pub(crate) struct DownArgs {
    /// A stack's name or its manifest
    #[arg(value_name = "STACK|MANIFEST")]
    pub(crate) target: OsString,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {}

#[derive(Debug, Args)]
pub(crate) struct SchemaArgs {
    /// The policy's schema instead of the manifest's
    #[arg(long, conflicts_with_all = ["lock", "result"])]
    pub(crate) policy: bool,
    /// The lock's schema
    #[arg(long, conflicts_with = "result")]
    pub(crate) lock: bool,
    /// The schema of what `verify -o json` prints
    #[arg(long)]
    pub(crate) result: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// The command, of one word or two: trust witness; the page of sovai itself when left out
    pub(crate) command: Vec<String>,
    /// Write all pages into this folder
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    pub(crate) dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(subcommand_negates_reqs = true, args_conflicts_with_subcommands = true)]
pub(crate) struct GatewayArgs {
    /// Configuration, a JSON file
    #[arg(long, value_name = "FILE", required = true)]
    pub(crate) config: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Option<GatewayCommand>,
}

/// What `deploy` runs inside a stack's containers.
#[derive(Debug, Subcommand)]
pub(crate) enum GatewayCommand {
    /// Wait until a service is ready; one JSON request on standard input, JSON lines on standard output
    #[command(hide = true)]
    Probe,
    /// Ask one question; one JSON request on standard input, one JSON line on standard output
    #[command(hide = true)]
    Ask,
    /// Do nothing until SIGTERM
    #[command(hide = true)]
    Idle,
    /// Print what a small file says
    #[command(hide = true)]
    Nonce {
        /// The file; at most 128 bytes of it are printed
        file: PathBuf,
    },
}

/// Command lines that run no command: help, the version, wrong usage.
#[derive(Debug)]
pub(crate) struct Early {
    /// What to print, with colours.
    pub(crate) text: String,
    /// `Done` for what was asked for (standard output), `Usage` for what was wrong (standard error).
    pub(crate) exit: Exit,
}

/// Reads a command line.
pub(crate) fn parse(argv: impl IntoIterator<Item = OsString>) -> Result<Cli, Early> {
    Cli::try_parse_from(argv).map_err(|error| Early {
        text: error.render().ansi().to_string(),
        exit: if error.use_stderr() { Exit::Usage } else { Exit::Done },
    })
}

/// Whether a command line that could not be read asks for JSON all the same.
pub(crate) fn asks_for_json(argv: &[OsString]) -> bool {
    let words: Vec<&str> =
        argv.iter().filter_map(|word| word.to_str()).take_while(|word| *word != "--").collect();
    words.iter().any(|word| matches!(*word, "-ojson" | "-o=json" | "--output=json"))
        || words.windows(2).any(|pair| matches!(pair, ["-o" | "--output", "json"]))
}

impl Command {
    /// `kind` of the command's JSON result.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Init(_) => "InitResult",
            Self::Validate(_) => "ValidateResult",
            Self::Lock(_) => "LockResult",
            Self::Pull(_) => "PullResult",
            Self::Push(_) => "PushResult",
            Self::Catalog(_) => "CatalogResult",
            Self::Store(_) => "StoreResult",
            Self::Bundle(_) => "BundleResult",
            Self::Evidence(_) => "EvidenceResult",
            Self::Verify(_) => "VerifyResult",
            Self::Inspect(_) => "InspectResult",
            Self::Keys(_) => "KeysResult",
            Self::Sign(_) => "SignResult",
            Self::Trust(_) => "TrustResult",
            Self::Policy(_) => "PolicyResult",
            Self::Export(_) => "ExportResult",
            Self::OmsConformance(_) => "ConformanceResult",
            Self::Plan(_) => "PlanResult",
            Self::Deploy(_) => "DeployResult",
            Self::Status(_) => "StatusResult",
            Self::Logs(_) => "LogsResult",
            Self::Down(_) => "DownResult",
            Self::Doctor(_) => "DoctorResult",
            Self::Schema(_) => "SchemaResult",
            Self::Completions(_) => "CompletionsResult",
            Self::Man(_) => "ManResult",
            Self::Gateway(_) => "GatewayResult",
        }
    }
}

/// Columns that the table of exit codes keeps to.
const HELP_WIDTH: usize = 80;

/// Exit codes and variables, at the end of `sovai --help`.
/// A number of threads.
fn threads(text: &str) -> Result<NonZeroUsize, String> {
    text.parse().map_err(|_| "expected a number of 1 or more".to_owned())
}

fn after_help() -> String {
    use std::fmt::Write as _;
    let mut text = String::from("Exit codes:\n");
    for exit in Exit::ALL {
        let _ = write!(text, "  {:>3} ", exit.code());
        let mut column = 6;
        for word in exit.meaning().split(' ') {
            if column + word.len() >= HELP_WIDTH {
                text.push_str("\n      ");
                column = 6;
            }
            let _ = write!(text, " {word}");
            column += word.len() + 1;
        }
        text.push('\n');
    }
    text.push_str(
        "\nSettings, strongest first: a flag, a variable (SOVAI_STORE, SOVAI_HOST, SOVAI_OUTPUT, SOVAI_PROGRESS, \
         SOVAI_OFFLINE, SOVAI_THREADS, SOVAI_REGISTRY, SOVAI_CA_CERT), sovai.toml in the working folder, $XDG_CONFIG_HOME/sovai/sovai.toml.",
    );
    text
}

/// The whole command, for what is generated from it.
fn command() -> clap::Command {
    Cli::command()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn a_global_flag_stands_before_or_after_the_command() {
        for line in ["sovai -o json validate a.yaml", "sovai validate a.yaml -o json"] {
            let cli = parse(line.split(' ').map(OsString::from)).unwrap();
            assert_eq!(cli.global.output, Some(OutputFormat::Json));
        }
    }
}
