//! Waiting until a server is ready.

use super::{Place, ProbeError, shown};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io;
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};

/// Longest answer that is searched for the expected text, in bytes.
const MAX_BODY: usize = 64 << 10;
/// How long one attempt may take, unless less time is left.
const MAX_ATTEMPT: Duration = Duration::from_secs(5);

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Target {
    /// `http://HOST:PORT/PATH`, asked by GET.
    pub url: String,
    /// The status of a server that is ready.
    pub status: u16,
    /// A text that the answer's body must contain too.
    #[serde(default)]
    pub body_contains: Option<String>,
    /// How long a server may well take, in milliseconds: until then a failure is reported as `expected`. It ends nothing.
    #[serde(default)]
    pub start_period_ms: u64,
    /// When waiting ends, in milliseconds from the call.
    pub deadline_ms: u64,
    /// Pause between two attempts, in milliseconds.
    pub interval_ms: u64,
}

/// What a server says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum State {
    /// Its name has no address: most often, its container does not run.
    NameNotFound {
        /// Whether the start period still runs.
        expected: bool,
    },
    /// Nobody listens at its port.
    Refused {
        /// Whether the start period still runs.
        expected: bool,
    },
    /// It took the connection and said nothing in time.
    Silent {
        /// Whether the start period still runs.
        expected: bool,
    },
    /// There was some other trouble with the connection.
    Broken {
        /// What the system said.
        problem: String,
        /// Whether the start period still runs.
        expected: bool,
    },
    /// It answers, but not yet as it should.
    Answers {
        /// What came.
        status: u16,
        /// The first characters of the body, on one line.
        body: String,
        /// Whether the start period still runs.
        expected: bool,
    },
    /// It is ready.
    Ready {
        /// Time from the call, in milliseconds.
        after_ms: u64,
    },
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NameNotFound { .. } => f.write_str("its name has no address"),
            Self::Refused { .. } => f.write_str("nobody listens at its port"),
            Self::Silent { .. } => f.write_str("it took the connection and said nothing"),
            Self::Broken { problem, .. } => write!(f, "the connection failed: {problem}"),
            Self::Answers { status, body, .. } if body.is_empty() => write!(f, "it answers {status}"),
            Self::Answers { status, body, .. } => write!(f, "it answers {status}: {body}"),
            Self::Ready { after_ms } => write!(f, "ready after {after_ms} ms"),
        }
    }
}

/// Asks again and again until the server is ready. `on_state` hears of each change, not of each attempt; the last it hears
/// of is [`State::Ready`].
///
/// # Errors
/// [`ProbeError::NotReady`] with what the server said last, when the deadline is over.
pub async fn wait_ready(target: &Target, mut on_state: impl FnMut(State)) -> Result<(), ProbeError> {
    let place = Place::parse(&target.url)?;
    let start = Instant::now();
    let deadline = Duration::from_millis(target.deadline_ms);
    let interval = Duration::from_millis(target.interval_ms.max(1));
    let mut last: Option<State> = None;
    loop {
        let left = deadline.saturating_sub(start.elapsed());
        let cut_short = left < MAX_ATTEMPT;
        let attempt =
            timeout(left.min(MAX_ATTEMPT), place.exchange(Request::new(Full::new(Bytes::new())), MAX_BODY));
        let outcome = attempt.await.ok();
        let after_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        let state = match (&last, outcome) {
            // The deadline ended this attempt, not the server's silence: what it said before still holds.
            (Some(last), None) if cut_short => last.clone(),
            (_, outcome) => judge(target, outcome, after_ms),
        };
        if last.as_ref() != Some(&state) {
            on_state(state.clone());
        }
        if matches!(state, State::Ready { .. }) {
            return Ok(());
        }
        last = Some(state.clone());
        let left = deadline.saturating_sub(start.elapsed());
        if left.is_zero() {
            return Err(ProbeError::NotReady { after_ms, last: state });
        }
        sleep(interval.min(left)).await;
    }
}

fn judge(target: &Target, outcome: Option<io::Result<(StatusCode, Bytes)>>, after_ms: u64) -> State {
    let expected = after_ms < target.start_period_ms;
    match outcome {
        None => State::Silent { expected },
        Some(Err(error)) => match error.kind() {
            io::ErrorKind::ConnectionRefused => State::Refused { expected },
            io::ErrorKind::NotFound => State::NameNotFound { expected },
            _ => State::Broken { problem: error.to_string(), expected },
        },
        Some(Ok((status, body))) => {
            let contains = |text: &String| String::from_utf8_lossy(&body).contains(text.as_str());
            if status.as_u16() == target.status && target.body_contains.as_ref().is_none_or(contains) {
                return State::Ready { after_ms };
            }
            State::Answers { status: status.as_u16(), body: shown(&body), expected }
        }
    }
}
