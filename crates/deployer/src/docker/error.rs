//! From the client library's errors to [`EngineError`]. The engine's words are the only sign by which it tells some
//! failures apart, so they are looked at here, in one place, each with the version that says so.

use super::lines::escape;
use crate::engine::EngineError;
use bollard::errors::Error;
use std::io;
use std::time::Duration;

/// What a call was for; decides how the engine's words are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Something that makes no new name and takes no port.
    Plain,
    /// Makes something that has a name.
    Create,
    /// Starts or connects a container.
    Start,
}

/// No answer within the time that this call has.
#[derive(Debug, thiserror::Error)]
#[error("no answer within {} s", .0.as_secs_f64())]
pub(super) struct Late(pub(super) Duration);

/// The deadline has passed.
pub(super) fn late(what: &str, deadline: Duration) -> EngineError {
    EngineError::NoAnswer { what: what.to_owned(), source: Box::new(Late(deadline)) }
}

/// Gives an error of the client library its place.
pub(super) fn translate(host: &str, what: &str, purpose: Purpose, error: Error) -> EngineError {
    let what = what.to_owned();
    match error {
        Error::DockerResponseServerError { status_code, message } => {
            answer(what, purpose, status_code, &message)
        }
        Error::DockerStreamError { error } => answer(what, purpose, 200, &error),
        Error::SocketNotFoundError(path) => EngineError::Unreachable {
            host: host.to_owned(),
            source: Box::new(io::Error::new(io::ErrorKind::NotFound, format!("no such socket: {path}"))),
        },
        Error::HyperLegacyError { err } if err.is_connect() => {
            EngineError::Unreachable { host: host.to_owned(), source: root(Box::new(err)) }
        }
        Error::HyperLegacyError { err } => EngineError::NoAnswer { what, source: Box::new(err) },
        other => EngineError::NoAnswer { what, source: Box::new(other) },
    }
}

/// Reads the engine's words.
fn answer(what: String, purpose: Purpose, status: u16, message: &str) -> EngineError {
    let message = escape(message.trim());
    let says = |words: &str| message.contains(words);
    // Docker 20.10 to 29: "Conflict. The container name "/x" is already in use", "network with name x already
    // exists"; podman 4: "the container name "x" is already in use", "network already exists".
    if purpose == Purpose::Create && (says("is already in use") || says("already exists")) {
        return EngineError::NameTaken { what };
    }
    // Docker: "Bind for 127.0.0.1:80 failed: port is already allocated", "listen tcp4 127.0.0.1:80: bind: address
    // already in use"; podman: "rootlessport listen tcp 127.0.0.1:80: bind: address already in use".
    if purpose == Purpose::Start && (says("port is already allocated") || says("address already in use")) {
        return EngineError::PortTaken { what, message };
    }
    // Docker: "invalid mount config for type "bind": bind source path does not exist: /x"; podman: "statfs /x: no
    // such file or directory".
    let missing = says("bind source path does not exist")
        || (says("statfs ") && says("no such file or directory"))
        || (says("error mounting") && says("no such file or directory"));
    if purpose != Purpose::Plain && missing {
        return EngineError::MountMissing { what, message };
    }
    EngineError::Answer { what, status, message }
}

/// The operating system's error behind a failed connection, without the layers around it that say nothing.
fn root(error: Box<dyn std::error::Error + Send + Sync>) -> Box<dyn std::error::Error + Send + Sync> {
    let mut at: Option<&(dyn std::error::Error + 'static)> = Some(&*error);
    while let Some(layer) = at {
        if let Some(io) = layer.downcast_ref::<io::Error>() {
            return Box::new(io::Error::new(io.kind(), io.to_string()));
        }
        at = layer.source();
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(purpose: Purpose, status_code: u16, message: &str) -> String {
        let error = Error::DockerResponseServerError { status_code, message: message.to_owned() };
        format!("{:?}", translate("h", "x", purpose, error)).split(' ').next().unwrap_or_default().to_owned()
    }

    #[test]
    fn the_engines_words_are_understood() {
        let taken =
            r#"Conflict. The container name "/x" is already in use by container "ab". You have to remove"#;
        assert_eq!(say(Purpose::Create, 409, taken), "NameTaken");
        assert_eq!(say(Purpose::Plain, 409, taken), "Answer");
        assert_eq!(say(Purpose::Create, 409, "network with name x already exists"), "NameTaken");
        let bind = "driver failed programming external connectivity on endpoint x (ab): Bind for 127.0.0.1:80 failed: port is already allocated";
        assert_eq!(say(Purpose::Start, 500, bind), "PortTaken");
        let proxy = "driver failed: Error starting userland proxy: listen tcp4 127.0.0.1:80: bind: address already in use";
        assert_eq!(say(Purpose::Start, 500, proxy), "PortTaken");
        let mount = r#"invalid mount config for type "bind": bind source path does not exist: /x"#;
        assert_eq!(say(Purpose::Create, 400, mount), "MountMissing");
        assert_eq!(say(Purpose::Start, 400, mount), "MountMissing");
        assert_eq!(say(Purpose::Plain, 409, "Container ab is not running"), "Answer");
    }

    #[test]
    fn the_engines_words_cannot_drive_a_terminal() {
        let error = Error::DockerStreamError { error: "bad\x1b[2J".to_owned() };
        let error = translate("h", "load", Purpose::Plain, error);
        assert_eq!(error.to_string(), "load: the container engine answered 200: bad\\x1b[2J");
    }
}
