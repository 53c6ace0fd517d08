//! A small model hub for tests, with faults on demand.
