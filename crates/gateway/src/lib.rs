//! The one door of a stack.
//!
//! An OpenAI-compatible pass-through: [`Gateway`] listens, lets through an allow-list of routes to those who hold a key, maps the
//! public model name to the engine behind it, and passes answers on frame by frame. [`probe`] asks an engine whether it
//! is ready, and a stack one real question.
//!
//! What it must never do: write a prompt, an answer, a key or an unknown path into a log or a metric; pass a client's
//! header to an engine that is not on the list; let anybody in when its keys cannot be read.
//!
//! This crate never prints: what there is to say goes to the function that the caller passes ([`Record`]).

mod body;
mod config;
mod error;
mod handler;
mod io;
mod keys;
mod metrics;
mod pool;
pub mod probe;
mod record;
mod reply;
mod request;
mod server;
mod tls;
mod track;
mod upstream;

pub use config::{Config, Limits, RouteConfig, TlsConfig};
pub use error::GatewayError;
pub use record::{AccessRecord, Outcome, Record};
pub use server::Gateway;
pub use tls::check_tls;

use std::future::Future;

/// Binds every port of the configuration and serves until `shutdown` is done, then drains.
///
/// `log` is called for each record, from the serving tasks: it must be quick and must not block.
///
/// # Errors
/// When a file that the configuration names cannot be used, or a port cannot be bound; nothing is served then.
pub async fn serve(
    config: Config,
    log: impl Fn(&Record) + Send + Sync + 'static,
    shutdown: impl Future,
) -> Result<(), GatewayError> {
    Gateway::bind(config, log).await?.run(shutdown).await;
    Ok(())
}
