//! Bills of materials of a stack, as CycloneDX: models with licence, hashes, origin and lineage, images with their
//! packages, and sovai's own dependencies.
