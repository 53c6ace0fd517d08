//! The client against Debian's docker-registry, with skopeo as the independent reader, and against servers that misbehave.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod cut;
mod fake;
mod real;
mod tokens;
mod world;
