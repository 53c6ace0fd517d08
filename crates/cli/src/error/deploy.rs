//! What a failed deploy means to the person who typed the command.

use super::CliError;
use super::from::image_exit;
use crate::exit::Exit;
use crate::output::{safe_block, safe_line};
use sovai_deployer::engine::EngineError;
use sovai_deployer::{DeployError, Failure, Restored, SpecError};

impl From<DeployError> for CliError {
    fn from(error: DeployError) -> Self {
        let exit = match error {
            DeployError::Engine(error) => return error.into(),
            DeployError::Store(error) => return error.into(),
            DeployError::Image(error) => return error.into(),
            DeployError::Interrupted => return crate::signals::interrupted(),
            _ => exit_of(&error),
        };
        let new = match &error {
            DeployError::Spec(spec) => Self::wrap(exit, spec),
            _ => Self::wrap(exit, &error),
        };
        hints(&error).into_iter().fold(new, Self::hint)
    }
}

/// The code of an error that stands for itself, before anything was changed.
fn exit_of(error: &DeployError) -> Exit {
    match error {
        DeployError::Engine(EngineError::PortTaken { .. } | EngineError::NameTaken { .. })
        | DeployError::WrongPlatform { .. }
        | DeployError::PortTaken { .. }
        | DeployError::ForeignContainer { .. }
        | DeployError::ForeignNetwork { .. }
        | DeployError::Spec(
            SpecError::Memory { .. } | SpecError::Cpus { .. } | SpecError::Accelerator { .. },
        ) => Exit::Resources,
        DeployError::Spec(SpecError::Engine { .. } | SpecError::ModelShape { .. }) => Exit::Invalid,
        DeployError::ImageChanged { .. } | DeployError::OtherImage { .. } => Exit::Mismatch,
        DeployError::Image(error) => image_exit(error),
        DeployError::File { .. } => Exit::Usage,
        DeployError::Ended { .. } | DeployError::NotReady { .. } | DeployError::NoAnswer { .. } => {
            Exit::DeployFailed
        }
        DeployError::Interrupted => Exit::Interrupted,
        DeployError::ImageMissing { .. }
        | DeployError::NotStored { .. }
        | DeployError::StoreUnseen { .. }
        | DeployError::Engine(_) => Exit::Unreachable,
        DeployError::Store(_) | DeployError::NotVerified { .. } => Exit::Internal,
    }
}

fn hints(error: &DeployError) -> Vec<String> {
    let hint = match error {
        DeployError::ImageMissing { name, found: None, .. } => {
            format!(
                "bring the image ({}) with `sovai pull MANIFEST`, or load it into the engine; deploy never pulls",
                safe_line(name)
            )
        }
        DeployError::ImageMissing { name, found: Some(found), .. } => format!(
            "{} is there as {found}: if that is the image you want, make the lock again with `sovai lock`",
            safe_line(name)
        ),
        DeployError::NotStored { .. } | DeployError::Image(_) => {
            "bring the image again: sovai pull MANIFEST".to_owned()
        }
        DeployError::OtherImage { .. } => {
            "bring the image again from where it is trusted, and pin that".to_owned()
        }
        DeployError::WrongPlatform { .. } => "build or load the image for the host's platform".to_owned(),
        DeployError::PortTaken { .. } => {
            "free the port, or change `gateway.listen` in the manifest".to_owned()
        }
        DeployError::ForeignContainer { .. } | DeployError::ForeignNetwork { .. } => {
            "sovai leaves it alone: rename or remove it yourself, or rename the stack".to_owned()
        }
        DeployError::StoreUnseen { .. } => {
            "the engine must run on this host and in its mount namespace: check --host and --store".to_owned()
        }
        DeployError::NotReady { .. } => {
            "give it more time with --timeout SECONDS, or read the log above".to_owned()
        }
        DeployError::Ended { oom: true, .. } => {
            "raise `resources.memory` of the service in the manifest".to_owned()
        }
        DeployError::Spec(SpecError::Memory { .. }) => {
            "lower `resources.memory`, or use a larger host".to_owned()
        }
        _ => return Vec::new(),
    };
    vec![hint]
}

impl From<Failure> for CliError {
    fn from(failure: Failure) -> Self {
        let exit = match (&failure.restored, &*failure.cause) {
            (Restored::Incomplete(_), _) => Exit::DeployLost,
            (_, DeployError::Interrupted) => Exit::Interrupted,
            // What stands for itself keeps its own code: the caller learns what to mend.
            (_, cause) => match exit_of(cause) {
                own @ (Exit::Resources | Exit::Mismatch) => own,
                own if matches!(cause, DeployError::StoreUnseen { .. }) => own,
                _ => Exit::DeployFailed,
            },
        };
        let mut new = Self::new(exit, safe_line(&failure.to_string()));
        new = match &*failure.cause {
            DeployError::Engine(cause) => new.source(cause),
            DeployError::Store(cause) => new.source(cause),
            DeployError::Image(cause) => new.source(cause),
            // The end of a log has lines of its own.
            cause => new.cause(safe_block(&cause.to_string())).also(cause),
        };
        new = hints(&failure.cause).into_iter().fold(new, Self::hint);
        match failure.restored {
            Restored::Nothing => new.hint("nothing of this deploy is left; nothing served before"),
            Restored::Previous(names) => {
                new.hint(format!("what served before serves again: {}", names.join(", ")))
            }
            Restored::Incomplete(left) => {
                let new =
                    left.iter().fold(new, |new, left| new.cause(format!("not undone: {}", safe_line(left))));
                new.hint("mend the cause, then run the same command again: it takes up what is left")
            }
        }
    }
}

impl CliError {
    /// Adds what caused an error whose own words are there already.
    fn also(self, error: &dyn std::error::Error) -> Self {
        match error.source() {
            Some(source) => self.cause(safe_line(&source.to_string())),
            None => self,
        }
    }
}
