//! How commands read models: threads, rate, priority, cache.

use crate::args::ReadingArgs;
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::output::safe_line;
use sovai_verifier::{Options, Pace, Reread, lower_priority};

impl ReadingArgs {
    /// What the verifier goes by. Lowers the priority first: on Linux it is a thread's, and threads inherit it, also the one
    /// that watches for signals.
    pub(crate) fn options(&self, ctx: &Ctx) -> Result<Options, CliError> {
        if let Some(by) = self.nice
            && let Err(error) = lower_priority(by)
        {
            ctx.out.warn(&format!("the priority was not lowered: {}", safe_line(&error.to_string())));
        }
        Ok(Options {
            cancel: ctx.interrupt()?.cancel(),
            reread: if self.full { Reread::Full } else { Reread::UseReceipts },
            pace: self.limit_rate.map_or_else(Pace::unlimited, Pace::limited),
            from_disk: self.from_disk,
            ..Options::new(ctx.threads(self.threads))
        })
    }
}
