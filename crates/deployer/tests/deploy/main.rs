//! Whole deploys on an engine in memory: what is made, what is kept, and what is left after every fault.

mod faults;
mod fixture;
mod happy;
mod refusals;
