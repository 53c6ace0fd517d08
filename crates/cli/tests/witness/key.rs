//! Method `key`.
