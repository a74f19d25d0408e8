//! What the integration tests share: servers that start on free ports and die with their test, a
//! small blocking client of both protocols, a seeded generator, the reader of golden scripts, and the judge
//! of what concurrent clients saw.
//!
//! ```text
//!   golden.rs ─ script ─┐
//!   differential.rs ────┤            ┌─ redis-server (the reference)
//!   protocol.rs ────────┼─ client ───┤
//!   startup.rs ─ server ┘            └─ polder-server --shards N
//! ```
//!
//! The client is written for the tests and shares no line with the server, so that a mistake in one
//! is not hidden by the same mistake in the other.
//!
//! Two variables steer every test: `POLDER_SERVER` names another binary to test (a release build,
//! say), `POLDER_SEED` repeats a random run.
#![allow(dead_code, reason = "each test binary compiles this module and uses its own part of it")]

pub mod client;
pub mod events;
pub use polder_history as history;
pub mod random;
pub mod reader;
pub mod script;
pub mod server;
pub mod simulation;
