//! What every command is given.

use crate::config::Settings;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{Outcome, Printer};
use crate::report;
use crate::signals::Interrupt;
use serde::Serialize;
use sovai_core::Reporter;
use sovai_store::Store;
use std::future::Future;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::OnceLock;

/// Settings, output and signals of one run.
#[derive(Debug)]
pub(crate) struct Ctx {
    /// What the command goes by.
    pub(crate) settings: Settings,
    /// Where results and talk go.
    pub(crate) out: Printer,
    /// `kind` of the JSON result.
    pub(crate) kind: &'static str,
    interrupt: OnceLock<Interrupt>,
}

impl Ctx {
    pub(crate) fn new(settings: Settings, kind: &'static str) -> Self {
        let out = Printer { form: settings.form, talk: settings.talk };
        Self { settings, out, kind, interrupt: OnceLock::new() }
    }

    /// Writes the command's result.
    pub(crate) fn finish<T: Serialize>(&self, outcome: Outcome<T>) -> Result<Exit, CliError> {
        self.out.result(self.kind, outcome)
    }

    /// A new view of events, as `--progress` says; what it drew is gone when it is dropped.
    pub(crate) fn reporter(&self) -> Box<dyn Reporter> {
        report::reporter(self.settings.progress, self.settings.talk)
    }

    /// Watches for SIGINT and SIGTERM from the first call on. Commands that never call it end at the first signal.
    pub(crate) fn interrupt(&self) -> Result<&Interrupt, CliError> {
        if let Some(interrupt) = self.interrupt.get() {
            return Ok(interrupt);
        }
        let new = Interrupt::watch()?;
        Ok(self.interrupt.get_or_init(|| new))
    }

    /// Folder of the store.
    pub(crate) fn store_path(&self) -> Result<&Path, CliError> {
        self.settings.store.as_deref().ok_or_else(|| {
            CliError::new(Exit::Usage, "no folder for the store: neither XDG_DATA_HOME nor HOME is set")
                .hint("name one with --store DIR or SOVAI_STORE")
        })
    }

    /// The store, made when it is not there.
    pub(crate) fn open_store(&self) -> Result<Store, CliError> {
        Ok(Store::open(self.store_path()?)?)
    }

    /// Hashing threads: the flag, the settings, else one for each CPU.
    pub(crate) fn threads(&self, flag: Option<NonZeroUsize>) -> NonZeroUsize {
        flag.or(self.settings.threads)
            .unwrap_or_else(|| std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN))
    }

    /// Runs a future on a runtime of one thread, made for it.
    #[expect(clippy::unused_self, reason = "commands get what they need from their context")]
    pub(crate) fn block_on<F: Future>(&self, future: F) -> Result<F::Output, CliError> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
                CliError::new(Exit::Internal, "the asynchronous runtime cannot start").source(&error)
            })?;
        Ok(runtime.block_on(future))
    }
}
