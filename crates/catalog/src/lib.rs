//! Facts as data: how inference engines are run, and which licences open models have.
//!
//! Main types: [`EngineProfile`], [`LicenseCheck`] and [`TextMatch`]. Every fact stands in a file under `data/` with its source, its
//! date and whether it was tested; a new engine or licence is a new entry there and never a branch in code.
//!
//! This crate reads no files at run time (the data is part of the binary), knows no async runtime and never prints.

mod engine;
mod license;
mod license_text;
mod publisher;
mod suggest;
mod vendor;

pub use engine::{
    ArgContext, ArgGroup, EngineProfile, Fact, Health, ModelShape, ShapeError, Tested, engine, engines,
};
pub use license::{
    KnownLicense, LicenseCheck, hub_label, known_licenses, license, license_id, license_ids, license_test,
};
pub use license_text::{
    KnownText, LICENSE_TEXTS_DATA, TextMatch, identify_license_text, known_texts, license_text_digest,
    normalize_license_text,
};
pub use publisher::{Hub, Publisher, SignsWeights, hub_of_host, hub_of_scheme, hubs, publisher, publishers};
pub use suggest::suggest;
pub use vendor::{DeviceRequest, Vendor, vendor, vendors};
