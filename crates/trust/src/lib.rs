//! Whom a store trusts: keys and their roles, thresholds, expiry, revocations; and how strongly a model's origin is proven.
