//! What every kind of verification begins with.

use crate::args::VerifyArgs;
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::judge::Judge;
use crate::output::safe_line;
use crate::policy::PolicyFile;
use sovai_core::Reporter;
use sovai_signing::oms::Compat;
use sovai_store::{Store, StoreError};
use sovai_verifier::{Options, Passport, Reread, VerifyError};
use std::path::Path;

/// Options, store, trust and policy of one run.
pub(super) struct Setup {
    pub(super) options: Options,
    /// `None` where it cannot be written: then nothing is quicker the next time, and nobody is trusted.
    pub(super) store: Option<Store>,
    pub(super) judge: Judge,
    pub(super) compat: Compat,
    pub(super) reporter: Box<dyn Reporter>,
}

impl Setup {
    pub(super) fn new(args: &VerifyArgs, policy: Option<PolicyFile>, ctx: &Ctx) -> Result<Self, CliError> {
        let store = receipts(ctx)?;
        Ok(Self {
            options: args.reading.options(ctx)?,
            judge: Judge::new(store.as_ref(), policy)?,
            store,
            compat: if args.signed.compat { Compat::Compat } else { Compat::Strict },
            reporter: ctx.reporter(),
        })
    }

    /// The passport that `--passport` asks for, and the options of what follows: bytes that this run has read need not be
    /// read again. A source that makes no passport has findings, which the comparison that follows tells.
    pub(super) fn passport(&self, args: &VerifyArgs) -> Result<(Option<Passport>, Options), CliError> {
        if args.passport.out.is_none() {
            return Ok((None, self.options.clone()));
        }
        self.passport_of(&args.target)
    }

    /// The same of any source.
    pub(super) fn passport_of(&self, source: &Path) -> Result<(Option<Passport>, Options), CliError> {
        let store = self.store.as_ref();
        match sovai_verifier::make_passport(source, &self.options, store, &*self.reporter) {
            Ok(passport) => Ok((
                Some(passport),
                Options { reread: Reread::UseReceipts, from_disk: false, ..self.options.clone() },
            )),
            Err(VerifyError::Unfit { .. } | VerifyError::SourceMissing { .. }) => {
                Ok((None, self.options.clone()))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// What a look into the tensors of a model shows: code, file, message.
    pub(super) fn scan(&self, source: &Path) -> Result<Vec<(&'static str, String, String)>, CliError> {
        let found = sovai_verifier::scan(source, &self.options, &*self.reporter)?;
        Ok(found.into_iter().map(|hint| (hint.code, hint.path, hint.message)).collect())
    }
}

/// The store, for receipts and trust. A person who may not write one can verify all the same.
fn receipts(ctx: &Ctx) -> Result<Option<Store>, CliError> {
    let Ok(path) = ctx.store_path() else { return Ok(None) };
    match Store::open(path) {
        Ok(store) => Ok(Some(store)),
        Err(
            error @ (StoreError::NotWritable { .. }
            | StoreError::NoSpace { .. }
            | StoreError::Owner { .. }
            | StoreError::Io { .. }),
        ) => {
            let why = safe_line(&error.to_string());
            ctx.out.warn(&format!("nobody is trusted, and no receipts are kept: {why}"));
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}
