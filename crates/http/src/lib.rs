//! The one HTTP client of everything that reaches outside: TLS, proxies, redirects, retries.
//!
//! Main types: [`Client`], [`Request`], [`Response`], [`Retry`], [`HttpError`], [`Env`].
//!
//! Invariants: plain `http:` goes to loopback only; a secret never follows a redirect to another host and never stands in
//! an error; every answer's head has a deadline and every body a longest silence and a least speed; nothing is read without a bound. This
//! crate never prints and reads no environment but the proxies' variables (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`,
//! `NO_PROXY` and their lower-case forms).

mod client;
mod drip;
mod env;
mod error;
mod retry;
mod waits;

pub use client::{Client, Options, Request, Response, is_loopback};
pub use drip::Slowest;
pub use env::Env;
pub use error::{HttpError, StatusError, safe_url};
pub use reqwest::{Method, StatusCode, header};
pub use retry::Retry;
pub use url::Url;
pub use waits::Waits;
