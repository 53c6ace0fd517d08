//! Whole deploys on an engine in memory: what is made, what is kept, and what is left after every fault.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

mod faults;
mod fixture;
mod happy;
mod images;
mod profiles;
mod ready;
mod refusals;
