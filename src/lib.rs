//! Polder: a Redis-compatible in-memory data store, thread-per-core and shared-nothing.
//!
//! The modules in the order in which a request meets them. A module imports only modules below it;
//! `tests/tidy.rs` holds the order. Start reading with `ARCHITECTURE.md`, then `net/connection.rs`.

pub mod server;
pub mod net;
pub mod dispatch;
pub mod commands;
pub mod transaction;
pub mod shard;
pub mod persist;
pub mod session;
pub mod keyspace;
pub mod types;
pub mod metrics;
pub mod config;
pub mod glob;
pub mod resp;
pub mod runtime;
pub mod error;
