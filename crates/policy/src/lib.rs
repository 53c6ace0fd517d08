//! What a policy decides about a model, as findings with rule codes.
//!
//! Pure: facts in, decisions out.
