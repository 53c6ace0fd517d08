//! What the other side has already, so that a bundle need not carry it.
//!
//! A file of weights is cut where its tensors begin, and between those where its content says (`FastCDC`). A piece of the new
//! file that is also a piece of an old one is not carried: the index says where in the old file it lies. Why both ways of
//! cutting are used was measured, see docs/bundles.md.

mod cut;
mod list;
mod reuse;

pub use cut::{Cutting, average};
pub use list::{BlobList, ListError, MAX_LISTED};
pub use reuse::{DeltaError, Reuse, Segment, carried};
