//! SIGINT and SIGTERM: the first one asks the command to stop, the second one ends the process at once.

use crate::error::CliError;
use crate::exit::Exit;
use signal_hook::consts::{SIGINT, SIGTERM};
use sovai_verifier::Cancel;
use tokio::sync::watch;

/// Tells both kinds of work, threads and futures, that the person wants it to stop.
#[derive(Debug, Clone)]
pub(crate) struct Interrupt {
    cancel: Cancel,
    seen: watch::Receiver<bool>,
}

impl Interrupt {
    /// Starts to watch for the signals.
    pub(crate) fn watch() -> Result<Self, CliError> {
        let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])
            .map_err(|error| CliError::new(Exit::Internal, "signals cannot be watched").source(&error))?;
        let cancel = Cancel::default();
        let (sender, seen) = watch::channel(false);
        let flag = cancel.clone();
        std::thread::spawn(move || {
            let mut signals = signals.forever();
            if signals.next().is_some() {
                flag.cancel();
                sender.send_replace(true);
            }
            if signals.next().is_some() {
                end_at_once();
            }
        });
        Ok(Self { cancel, seen })
    }

    /// For threads.
    pub(crate) fn cancel(&self) -> Cancel {
        self.cancel.clone()
    }

    /// Whether a signal came.
    pub(crate) fn is_set(&self) -> bool {
        *self.seen.borrow()
    }

    /// For futures: ends when a signal came.
    pub(crate) async fn wait(&self) {
        let mut seen = self.seen.clone();
        // The watching thread lives as long as the process; its end would mean that no signal can come any more.
        if seen.wait_for(|seen| *seen).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// The error of a command that was interrupted.
pub(crate) fn interrupted() -> CliError {
    CliError::new(Exit::Interrupted, "interrupted")
}

#[expect(clippy::exit, reason = "the person asked twice: nothing more is cleaned up")]
fn end_at_once() -> ! {
    std::process::exit(i32::from(Exit::Interrupted.code()))
}
