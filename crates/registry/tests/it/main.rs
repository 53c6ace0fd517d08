//! The client against Debian's docker-registry, with skopeo as the independent reader.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod debian;
mod real;
mod world;
