//! What model files are, told from their bytes: bounded parsers of safetensors and GGUF headers, content sniffing, and
//! the executable surface of a model.
//!
//! This crate does no I/O of its own: callers hand it bytes, or a reader.
