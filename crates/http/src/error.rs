//! Why a request failed.

use crate::StatusCode;
use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// Why a request failed. Texts name the address without its query, which may hold a signature.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// No address.
    #[error("`{text}` is no address")]
    Url {
        /// What was written.
        text: String,
        /// Why not.
        source: url::ParseError,
    },
    /// Plain http to a host that is not this one.
    #[error("{url}: plain http is only for loopback addresses; use https")]
    Plain {
        /// The address.
        url: String,
    },
    /// A file of certificates that cannot be used.
    #[error("{path}: {reason}")]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The client could not be made.
    #[error("the HTTP client cannot be set up")]
    Setup(#[source] reqwest::Error),
    /// No connection, or it broke before an answer.
    #[error("{url} cannot be reached")]
    Connect {
        /// The address.
        url: String,
        /// Why.
        source: reqwest::Error,
    },
    /// Silence.
    #[error("{url}: no answer within {} s", after.as_secs())]
    Timeout {
        /// The address.
        url: String,
        /// For how long.
        after: Duration,
    },
    /// A body that drips: bytes come, and too few of them.
    #[error("{url}: less than {bytes} bytes came in {} s of waiting", within.as_secs_f32())]
    Slow {
        /// The address.
        url: String,
        /// The least that must come,
        bytes: u64,
        /// in so much waiting.
        within: Duration,
    },
    /// An answer that is no success.
    #[error(transparent)]
    Status(Box<StatusError>),
    /// The body broke off or is too long.
    #[error("{url}: {reason}")]
    Body {
        /// The address.
        url: String,
        /// What happened.
        reason: String,
    },
}

/// An answer that is no success.
#[derive(Debug, thiserror::Error)]
#[error("{url} answered {status}{}", message.as_ref().map(|text| format!(": {text}")).unwrap_or_default())]
pub struct StatusError {
    /// The address without its query.
    pub url: String,
    /// The status.
    pub status: StatusCode,
    /// How long the server asks to wait.
    pub retry_after: Option<Duration>,
    /// Values of `WWW-Authenticate`.
    pub challenges: Vec<String>,
    /// Value of `X-Error-Code` (the Hugging Face Hub names gated repositories so), or the code in the error of a store that
    /// speaks the interface of S3.
    pub code: Option<String>,
    /// The first line of what it said, at most 300 characters, without control characters.
    pub message: Option<String>,
}

impl HttpError {
    /// Whether the same request may succeed a little later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Connect { source, .. } if is_certificate(source) => false,
            Self::Connect { .. } | Self::Timeout { .. } | Self::Body { .. } | Self::Slow { .. } => true,
            Self::Status(error) => {
                error.status.is_server_error()
                    || matches!(error.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
            }
            Self::Url { .. } | Self::Plain { .. } | Self::CaFile { .. } | Self::Setup(_) => false,
        }
    }

    /// Whether bytes came, and too few of them: then they are no sign that the next try brings more.
    pub const fn is_slow(&self) -> bool {
        matches!(self, Self::Slow { .. })
    }

    /// The status of an answer that was no success.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Status(error) => Some(error.status),
            _ => None,
        }
    }

    /// How long the server asked to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status(error) => error.retry_after,
            _ => None,
        }
    }
}

/// Whether a server was refused for its certificate: that does not mend itself within seconds.
fn is_certificate(error: &reqwest::Error) -> bool {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(cause) = next {
        if matches!(cause.downcast_ref(), Some(rustls::Error::InvalidCertificate(_))) {
            return true;
        }
        // An `io::Error` names as its source that of what it holds, not what it holds.
        let held = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = held.map(|held| held as &(dyn Error + 'static)).or_else(|| cause.source());
    }
    false
}

/// An address without query, fragment and credentials.
pub fn safe_url(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    // Fails for addresses that have no host, which have no credentials either.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}
