//! Several shards in one thread, without a socket, a clock or a sleep: everything that is a matter of
//! chance between the cores follows from one number.
//!
//! ```text
//!   Client ─ Peer ─ SimulatedEngine ─ Plane 0 ┐
//!   Client ─ Peer ─ SimulatedEngine ─ Plane 1 ├─ the real mesh between them, with or without couriers
//!   Client ─ Peer ─ SimulatedEngine ─ Plane 2 ┘      that let messages wait
//!     │
//!     └─ what was sent and answered, and when ─► an order of all that explains it? (orders.rs, history)
//! ```
//!
//! What it does not do: wake-ups. A simulated engine does not sleep, so a bell that is not rung goes
//! unnoticed here; `idle_gaps.rs` is the test for that.

pub mod client;
pub mod model;
pub mod orders;
pub mod program;
pub mod run;
pub mod world;
