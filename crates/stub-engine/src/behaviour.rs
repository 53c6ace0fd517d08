//! What the environment asks for.

use std::time::Duration;

/// `STUB_MODE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// `ok`: loads, then answers.
    Ok,
    /// `never-ready`: answers 503 for ever, as while loading.
    NeverReady,
    /// `die-at-start`: says why on stderr and exits with 3.
    DieAtStart,
    /// `die-after-ready`: becomes ready, then exits with 4 after `STUB_DIE_MS`.
    DieAfterReady,
    /// `hang`: runs, but never opens its port.
    Hang,
    /// `no-answer`: says that it is ready, and answers every completion with 500.
    NoAnswer,
}

/// How the server behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Behaviour {
    pub(crate) mode: Mode,
    /// `STUB_DELAY_MS`: how long loading takes.
    pub(crate) delay: Duration,
    /// `STUB_DIE_MS`: how long `die-after-ready` stays ready.
    pub(crate) die_after: Duration,
    /// `STUB_CHUNKS`: pieces of a streamed answer.
    pub(crate) chunks: u32,
    /// `STUB_CHUNK_BYTES`: filler in each piece.
    pub(crate) chunk_bytes: usize,
    /// `STUB_CHUNK_DELAY_MS`: pause before each piece.
    pub(crate) chunk_delay: Duration,
    /// `STUB_ANSWER`: the text of an answer instead of the usual one.
    pub(crate) answer: Option<String>,
}

impl Behaviour {
    /// Reads the variables through `get`.
    pub(crate) fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let number = |name: &str, default: u32| match get(name) {
            None => Ok(default),
            Some(text) => {
                text.parse::<u32>().map_err(|_| format!("{name}: expected a number, found `{text}`"))
            }
        };
        let time = |name: &str, default| number(name, default).map(|ms| Duration::from_millis(ms.into()));
        let mode = match get("STUB_MODE").as_deref() {
            None | Some("ok") => Mode::Ok,
            Some("never-ready") => Mode::NeverReady,
            Some("die-at-start") => Mode::DieAtStart,
            Some("die-after-ready") => Mode::DieAfterReady,
            Some("hang") => Mode::Hang,
            Some("no-answer") => Mode::NoAnswer,
            Some(other) => return Err(format!("STUB_MODE: unknown mode `{other}`")),
        };
        Ok(Self {
            mode,
            delay: time("STUB_DELAY_MS", 0)?,
            die_after: time("STUB_DIE_MS", 1_000)?,
            chunks: number("STUB_CHUNKS", 3)?,
            chunk_bytes: number("STUB_CHUNK_BYTES", 0)? as usize,
            chunk_delay: time("STUB_CHUNK_DELAY_MS", 0)?,
            answer: get("STUB_ANSWER"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_read_strictly() {
        let read = |pairs: &[(&str, &str)]| {
            Behaviour::read(|name| pairs.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()))
        };
        assert_eq!(read(&[]).unwrap().mode, Mode::Ok);
        let slow = read(&[("STUB_MODE", "never-ready"), ("STUB_DELAY_MS", "250")]).unwrap();
        assert_eq!((slow.mode, slow.delay), (Mode::NeverReady, Duration::from_millis(250)));
        assert!(read(&[("STUB_MODE", "okay")]).unwrap_err().contains("okay"));
        assert!(read(&[("STUB_CHUNKS", "-1")]).unwrap_err().contains("STUB_CHUNKS"));
    }
}
