//! Container images on disk: docker archives, OCI layouts, and the store.
