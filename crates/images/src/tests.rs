mod archive;
mod layout;
mod peers;
mod support;

pub(crate) use support::gzip;
