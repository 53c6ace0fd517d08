mod archive;
mod layout;
mod support;

pub(crate) use support::gzip;
