//! Facts as data: how inference engines are run, which licences open models have, and what is known of the models.
//!
//! Main types: [`EngineProfile`], [`LicenseCheck`], [`TextMatch`] and [`CatalogModel`]. Every fact stands in a file under `data/`, or
//! under `manifests/catalog/` for models, with its source, its date and whether it was tested; a new engine, licence or
//! model is a new entry there and never a branch in code.
//!
//! This crate reads no files at run time (the data is part of the binary), knows no async runtime and never prints.

mod card;
mod engine;
mod fact;
mod license;
mod license_text;
mod model;
mod publisher;
mod suggest;
mod vendor;

pub use card::{Cannot, Card, card, cards};
pub use engine::{
    ArgContext, ArgGroup, EngineProfile, Fact, Health, ModelShape, ShapeError, Tested, engine, engines,
};
pub use fact::{COMPUTED, Known, MEASURED, Sourced};
pub use license::{
    KnownLicense, LicenseCheck, hub_label, known_licenses, license, license_id, license_ids, license_test,
};
pub use license_text::{
    KnownText, LICENSE_TEXTS_DATA, TextMatch, identify_license_text, known_texts, license_text_digest,
    normalize_license_text,
};
pub use model::{
    Architecture, Attention, CacheFormat, CatalogModel, EngineUse, KvBytes, KvCache, Layout, Parameters,
    Variant, Verdict, model, models, search_models, suggest_model,
};
pub use publisher::{Hub, Publisher, SignsWeights, hub_of_host, hub_of_scheme, hubs, publisher, publishers};
pub use suggest::suggest;
pub use vendor::{DeviceRequest, Vendor, vendor, vendors};
