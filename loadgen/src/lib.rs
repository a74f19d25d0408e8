//! `polder-loadgen`: a load generator for RESP servers, on the engine of the server.
//!
//! Its modules in the order of a run: a module imports only modules below it.
//!
//! ```text
//!   options ─► runner ─► measure ─► one worker per thread ─► engine ─► server
//!                │          │           schedule: when, workload: what is sent, check: what comes back
//!                │          ├─► tally: what was counted in each second ─► whoever observes
//!                │          └─► processes: processor time of the server and our own
//!                └─► report: the live line, tables, CSV, JSON, interval logs
//! ```

pub mod page;
pub mod merge;
pub mod bench;
pub mod generators;
pub mod claims;
pub mod compare;
pub mod verify;
pub mod single;
pub mod started;
pub mod external;
pub mod servers;
pub mod running;
pub mod machine;
pub mod find_rate;
pub mod runner;
pub mod measure;
pub mod sweep;
pub mod report;
pub mod show;
pub mod outcome;
pub mod hdr;
pub mod origin;
pub mod result;
pub mod worker;
pub mod redial;
pub mod plan;
pub mod schedule;
pub mod workload;
pub mod profile;
pub mod check;
pub mod tally;
pub mod named;
pub mod preload;
pub mod topology;
pub mod client;
pub mod tls;
pub mod options;
pub mod command;
pub mod draws;
pub mod keys;
pub mod scan;
pub mod processes;
pub mod progress;
pub mod units;
pub mod interrupt;
pub mod error;
