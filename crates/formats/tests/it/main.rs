//! Parsers against corpora, mutations, and other readers of the same formats.

#![expect(clippy::unwrap_used, reason = "what a test cannot do is a failed test")]

mod corpus;
mod gguf;
mod index;
mod mutation;
mod safetensors;
