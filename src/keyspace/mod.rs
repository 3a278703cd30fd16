//! Databases: keys, values, expiry, iteration.
