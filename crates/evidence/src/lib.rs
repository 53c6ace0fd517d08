//! Evidence: in-toto statements in DSSE envelopes, in an append-only log in which each line carries a number and the digest
//! of the line before; and SLSA verification summaries.
