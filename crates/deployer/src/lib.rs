//! Plans and launches a verified stack on a container engine.
//!
//! The chain of types that a deploy goes through, none of which can be skipped:
//!
//! 1. [`Blueprint`]: a manifest with every model, image and file resolved to something that cannot change under it.
//! 2. [`Observed`]: one look at the engine and at the stack's folder in the store ([`preflight::observe`]).
//! 3. [`plan()`]: a pure function from the two to a printable [`Plan`].
//! 4. [`Plan::admit`] demands a receipt of the verifier for every model and gives an [`AdmittedPlan`].
//! 5. [`Executor::run`] runs it step by step, tells of each step, and undoes what it did when one fails.
//!
//! This crate never hashes weights, never pulls an image, and touches only objects that carry its own labels. The
//! container engine stands behind the trait [`engine::ContainerEngine`].

pub mod archive;
mod blueprint;
pub mod docker;
pub mod engine;
mod error;
mod execute;
pub mod fake;
mod images;
pub mod labels;
mod ops;
mod plan;
pub mod preflight;
mod spec;
mod state;
mod undo;
mod wait;

pub use blueprint::{Blueprint, Folder, GatewayImageRef, Hidden, ImageRef, ModelRef, TlsFiles};
pub use error::{DeployError, Failure, Restored};
pub use execute::{AdmittedPlan, Answer, Executor, Outcome, Question};
pub use images::{Origin, StoredRef, bring_from_engine, load_from_store, look_for, origin};
pub use ops::{Down, ServiceStatus, StackStatus, down, forget, status};
pub use plan::{Action, Observed, Plan, What, plan};
pub use spec::{Ready, SpecError};
