//! `polder-loadgen`: a load generator for RESP servers, on the engine of the server.
//!
//! Its modules in the order of a run: a module imports only modules below it.
//!
//! ```text
//!   options ─► runner ─► one worker per thread ─► engine ─► server
//!                │           command + keys: what is sent, scan: what comes back
//!                ├─► processes: processor time of the server and our own
//!                └─► report: text, CSV, JSON
//! ```

pub mod compare;
pub mod verify;
pub mod report;
pub mod result;
pub mod runner;
pub mod worker;
pub mod named;
pub mod preload;
pub mod topology;
pub mod client;
pub mod options;
pub mod command;
pub mod keys;
pub mod scan;
pub mod processes;
pub mod error;
