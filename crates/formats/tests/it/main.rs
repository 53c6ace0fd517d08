//! Parsers against corpora, mutations, and other readers of the same formats.

mod corpus;
mod gguf;
mod index;
mod mutation;
mod safetensors;
