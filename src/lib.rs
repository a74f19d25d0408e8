//! Polder: a Redis-compatible in-memory data store, thread-per-core and shared-nothing.
//!
//! The modules in the order in which a request meets them. A module imports only modules below it;
//! `tests/tidy.rs` holds the order. Start reading with `ARCHITECTURE.md`, then `net/connection.rs`.

pub mod config;
pub mod error;
pub mod glob;
