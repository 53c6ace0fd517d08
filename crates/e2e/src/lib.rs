//! Nothing is here: the tests are in `tests/e2e`. They run the release binary on a real container engine and need what
//! `scripts/test.sh` builds and names in the environment:
//!
//! | variable | what it names |
//! |---|---|
//! | `SOVAI_BIN` | the static release binary |
//! | `SOVAI_STUB_ENGINE` | the static test server of `crates/stub-engine` |
//! | `SOVAI_ENGINE_IMAGE` | the image of a real inference engine |
//! | `SOVAI_WEIGHTS` | folder with the weights of the quickstart, and `tiny/` with tiny models of the seed architectures |
//! | `SOVAI_SOAK` | when set, the long counts run in full |
//!
//! Without the first four each test says on one line that it is skipped; with `CI=true` it fails.
