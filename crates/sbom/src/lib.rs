//! Bills of materials of a stack, as `CycloneDX`: models with licence, hashes, origin and lineage, images with their
//! packages, and sovai's own dependencies.
//!
//! Entry points: [`stack_bom`] and [`own_bom`] give a [`Bom`], [`Packages::read`] reads the package databases of an image,
//! [`Bom::to_json`] writes. Each thing that is said is marked [`Claim::Verified`] or [`Claim::Declared`].
//!
//! Pure: facts in, a document out; no file, no clock. The same facts give the same bytes.

mod card;
pub mod cdx;
mod claim;
mod image;
mod license;
mod model;
mod own;
mod packages;
mod purl;
mod serial;
mod stack;

pub use cdx::Bom;
pub use claim::Claim;
pub use image::{ImageFacts, PackagesRead};
pub use model::{ModelFacts, ModelSeen};
pub use own::{Linked, linked, own_bom};
pub use packages::{MAX_PACKAGES, Package, Packages, is_package_file};
pub use stack::{StackFacts, Tool, stack_bom};
