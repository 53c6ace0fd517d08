mod archive;
mod files;
mod layout;
mod peers;
mod support;

pub(crate) use support::gzip;
